import Glibc

/// The command line or a fault list says something that has no meaning here. Ends the process with status 64.
struct UsageError: Error {
  var message: String
  init(_ message: String) { self.message = message }
}

/// What the command line, the environment and the files of the release say, in that order of precedence.
struct Options {
  var address = "127.0.0.1"
  var port = 8080
  var version = "unknown"
  var host = ""
  var instance: String?
  var grace: Duration = .seconds(30)
  var accessLog = false
  var loops = 1
  /// Where it says whether it is well.
  var healthPath = "/healthz"
  var faults = Faults()
  var help = false

  static let usage = """
    usage: sluice-sample [--listen ADDRESS:PORT] [--version-label V] [--fault LIST] [--fault-file PATH] [--grace 30s] [--loops 1] [--health /healthz] [--access-log]
      --listen ADDRESS:PORT   a numeric address, [v6]:port for IPv6; default 127.0.0.1:8080
      --version-label V       what it says it is; else $SAMPLE_VERSION, else the file VERSION beside or above the executable's folder
      --fault LIST            start-delay=5s, fail-health, fail-health-after=10s, crash-after=3s, ignore-term, exit=3, error-share=5%, delay=50ms;
                              also $SAMPLE_FAULT
      --fault-file PATH       a file with such a list, read at start; a file that is not there means no fault
      --grace 30s             on SIGTERM: how long accepted requests may take to end
      --health /healthz       where it says whether it is well; nothing else is there
      --access-log            one line per answered request on stdout
    """

  init(arguments: [String]) throws {
    version = Self.environment("SAMPLE_VERSION") ?? Self.versionFile() ?? "unknown"
    instance = Self.environment("INSTANCE")
    host = Self.hostName()
    if let list = Self.environment("SAMPLE_FAULT") { try faults.add(list) }
    var rest = arguments[...]
    while let option = rest.popFirst() {
      switch option {
      case "--listen": try listen(on: Self.value(of: option, &rest))
      case "--version-label": version = try Self.value(of: option, &rest)
      case "--fault": try faults.add(Self.value(of: option, &rest))
      case "--fault-file": try addFaults(fromFile: Self.value(of: option, &rest))
      case "--grace":
        let text = try Self.value(of: option, &rest)
        guard let value = Duration(written: text) else { throw UsageError("--grace '\(text)': expected a duration such as 30s") }
        grace = value
      case "--loops":
        let text = try Self.value(of: option, &rest)
        guard let value = Int(text), (1...64).contains(value) else { throw UsageError("--loops '\(text)': expected 1 to 64") }
        loops = value
      case "--health": healthPath = try Self.value(of: option, &rest)
      case "--access-log": accessLog = true
      case "--help", "-h": help = true
      default: throw UsageError("unknown option '\(option)'")
      }
    }
    // They become header values: whatever could end a header line must not get that far.
    for (name, text) in [("version", version), ("instance", instance ?? "")] where text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
      throw UsageError("the \(name) contains a control character")
    }
  }

  private static func value(of option: String, _ rest: inout ArraySlice<String>) throws(UsageError) -> String {
    guard let value = rest.popFirst() else { throw UsageError("\(option) needs a value") }
    return value
  }

  private mutating func listen(on text: String) throws(UsageError) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
      throw UsageError("--listen '\(text)': expected ADDRESS:PORT or [v6]:PORT")
    }
    var address = text[..<colon]
    if address.first == "[", address.last == "]" {
      address = address.dropFirst().dropLast()
    } else if address.contains(":") {
      throw UsageError("--listen '\(text)': write an IPv6 address in brackets, as in [::1]:8080")
    }
    self.address = address.isEmpty ? "0.0.0.0" : String(address)
    self.port = Int(port)
  }

  private mutating func addFaults(fromFile path: String) throws {
    guard let text = try File.text(path) else { return }
    try faults.add(text)
  }

  private static func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
  }

  private static func hostName() -> String {
    var bytes = [CChar](repeating: 0, count: 256)
    guard gethostname(&bytes, bytes.count - 1) == 0 else { return "unknown" }
    return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The first line of `VERSION`, so that an artifact can carry its own name.
  private static func versionFile() -> String? {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
    guard count > 0 else { return nil }
    let path = String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let folders = path.split(separator: "/").dropLast()
    for folder in [folders, folders.dropLast()] {
      let name = "/" + folder.joined(separator: "/") + "/VERSION"
      guard let text = try? File.text(name), let line = text.split(whereSeparator: \.isNewline).first, !line.isEmpty else { continue }
      return String(line)
    }
    return nil
  }
}

/// The little of files that is needed, without Foundation.
enum File {
  /// The first 64 KiB of a file as text; nil when there is no such file.
  static func text(_ path: String) throws -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    if file < 0 {
      if errno == ENOENT { return nil }
      throw UsageError("cannot read \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(file) }
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while text.count < 65_536 {
      let count = read(file, &piece, piece.count)
      if count < 0 { throw UsageError("cannot read \(path): \(String(cString: strerror(errno)))") }
      if count == 0 { break }
      text.append(contentsOf: piece[..<count])
    }
    return String(decoding: text, as: UTF8.self)
  }
}

/// Writes whole lines to stdout or stderr, each in one `write`, so that lines of several threads never mix.
enum Log {
  static func error(_ line: String) { put(line, 2) }
  static func output(_ line: String) { put(line, 1) }

  private static func put(_ line: String, _ file: Int32) {
    var text = line
    text.append("\n")
    // A log that cannot be written must not stop the service: there is nowhere left to say so.
    _ = text.withUTF8 { write(file, $0.baseAddress, $0.count) }
  }
}
