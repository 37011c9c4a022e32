import ArgumentParser
import Foundation
import Glibc

/// Results on standard output, progress and errors on standard error; colours only on a terminal without `NO_COLOR`.
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

  func styled(_ text: String, _ style: Style) -> String { colors ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text }

  /// One line of progress or trouble.
  func say(_ line: String) { write(line + "\n", to: STDERR_FILENO) }

  /// One line of result.
  func result(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

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
  private func write(_ text: String, to descriptor: CInt) {
    var bytes = Array(text.utf8)[...]
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
    say(line)
    let output = String(output.reversed().drop(while: \.isWhitespace).reversed())
    for line in output.split(separator: "\n", omittingEmptySubsequences: false) where !output.isEmpty { say("  | \(line)") }
    if !remedy.isEmpty { say("  \(styled("next:", .bold)) \(remedy)") }
  }

  /// Asks on a terminal; false for anything but yes.
  func confirms(_ question: String) -> Bool {
    write("\(question) [y/N] ", to: STDERR_FILENO)
    guard let answer = readLine(strippingNewline: true) else { return false }
    return ["y", "yes"].contains(answer.lowercased())
  }
}
