import ArgumentParser
import Foundation
import Glibc
import SluiceModel

/// Results on standard output, progress and errors on standard error; colours only on a terminal without `NO_COLOR`.
///
/// Whatever is said here is made plain first (`PlainText`): names, logs, events and failures come from hosts and services. Only `styled` colours,
/// by a mark that nobody outside this process knows.
struct Console: Sendable {
  let asksPeople: Bool
  let colors: Bool

  init() {
    asksPeople = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1
    let environment = ProcessInfo.processInfo.environment
    colors = isatty(STDERR_FILENO) == 1 && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
  }

  enum Style: String {
    case bold = "1"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case dim = "2"
  }

  /// Before a colour's number in text that has not been written yet.
  private static let mark = "\u{1B}" + String(UInt64.random(in: 0...UInt64.max), radix: 36) + "."

  func styled(_ text: String, _ style: Style) -> String { colors ? "\(Self.mark)\(style.rawValue)m\(text)\(Self.mark)0m" : text }

  /// Text of this program's own making that has its colours already, made of plain parts.
  func admitted(_ text: String) -> String {
    text.split(separator: "\u{1B}[", omittingEmptySubsequences: false).joined(separator: Self.mark)
  }

  /// What a terminal gets of text with marks: their colours, and everything else plain.
  static func rendered(_ text: String) -> String {
    let parts = text.split(separator: mark, omittingEmptySubsequences: false)
    guard parts.count > 1 else { return PlainText.clean(text) }
    return PlainText.clean(String(parts[0]))
      + parts.dropFirst().map { part in
        guard let end = part.firstIndex(of: "m"), part[..<end].utf8.allSatisfy({ (48...57).contains($0) || $0 == 59 }) else {
          return PlainText.clean(String(part))
        }
        return "\u{1B}[\(part[...end])\(PlainText.clean(String(part[part.index(after: end)...])))"
      }.joined()
  }

  /// One line of progress or trouble.
  func say(_ line: String) { write(Self.rendered(line) + "\n", to: STDERR_FILENO) }

  /// One line of result.
  func result(_ line: String) { write(Self.rendered(line) + "\n", to: STDOUT_FILENO) }

  /// Bytes of result as they are, for who asked for them raw.
  func resultAsItIs(_ bytes: some Sequence<UInt8>) { write(Array(bytes), to: STDOUT_FILENO) }

  /// Text for the terminal at standard error, as it is.
  func put(_ text: String) { write(text, to: STDERR_FILENO) }

  /// Text for the terminal at standard output, as it is.
  func putResult(_ text: String) { write(text, to: STDOUT_FILENO) }

  /// Whether standard output is a terminal that can be drawn on.
  var drawsResults: Bool {
    let environment = ProcessInfo.processInfo.environment
    return isatty(STDOUT_FILENO) == 1 && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
  }

  /// A reader that has gone away is no error of ours. A result that is lost otherwise is one, and the process ends: whatever it did is durable.
  private func write(_ text: String, to descriptor: CInt) { write(Array(text.utf8), to: descriptor) }

  private func write(_ content: [UInt8], to descriptor: CInt) {
    var bytes = content[...]
    while !bytes.isEmpty {
      let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written < 0 {
        let number = errno
        if number == EINTR { continue }
        if number == EAGAIN {
          // Somebody else has made the descriptor non-blocking.
          var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          _ = poll(&ready, 1, 1_000)
          continue
        }
        guard descriptor == STDOUT_FILENO, number != EPIPE else { return }
        complain("the result cannot be written to standard output (\(String(cString: strerror(number))))")
        _exit(ExitStatus.failed.rawValue)
      }
      bytes = bytes.dropFirst(written)
    }
  }

  /// What happened, where and why, then what to do next.
  func complain(_ message: String, output: String = "", remedy: String = "") {
    tell("\(styled("error:", .red)) \(message)", output, remedy)
  }

  /// What is as it was asked for, and goes on by a word of the operator's.
  func ask(_ message: String, remedy: String) { tell(styled(message, .yellow), "", remedy) }

  /// One of the reasons for what was complained of.
  func explain(_ message: String, output: String = "", remedy: String = "") {
    tell("  \(styled("why:", .red)) \(message)", output, remedy)
  }

  private func tell(_ line: String, _ output: String, _ remedy: String) {
    // A message of several lines is one message: none of its lines looks like another's beginning.
    say(Self.indented(line))
    let output = String(output.reversed().drop(while: \.isWhitespace).reversed())
    for line in output.split(separator: "\n", omittingEmptySubsequences: false) where !output.isEmpty { say("  | \(line)") }
    if !remedy.isEmpty { say("  \(styled("next:", .bold)) \(Self.indented(remedy))") }
  }

  private static func indented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n    ")
  }

  /// Asks on a terminal; false for anything but yes.
  func confirms(_ question: String) -> Bool {
    write("\(Self.rendered(question)) [y/N] ", to: STDERR_FILENO)
    guard let answer = readLine(strippingNewline: true) else { return false }
    return ["y", "yes"].contains(answer.lowercased())
  }
}
