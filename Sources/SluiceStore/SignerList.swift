internal import Glibc
package import SluiceModel

/// The public keys whose copies of a fleet's records were accepted on this machine: `<directory>/<fleet>.signers`, a key a line as in
/// `authorized_keys`. A line `# unsigned SERVICE` notes that a copy of Sluice 0.1, which signed nothing, has been accepted.
package struct SignerList: Sendable {
  private static let unsigned = "# unsigned "

  private let path: String
  private let directory: StateDirectory
  /// `type base64`, without what follows.
  package private(set) var keys: [String]
  /// Services of which an unsigned copy was accepted.
  package private(set) var unsigned: [String]

  /// Reads the list; a missing one is empty. Throws `StoreError` where there is one that cannot be read.
  package init(directory: StateDirectory, fleet: FleetName) throws(StoreError) {
    self.directory = directory
    path = directory.signers(of: fleet)
    var content: [UInt8] = []
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor >= 0 {
      defer { _ = close(descriptor) }
      var chunk = [UInt8](repeating: 0, count: 16 << 10)
      while true {
        let count = Glibc.read(descriptor, &chunk, chunk.count)
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw Self.trouble(path, "cannot be read", errno) }
        if count == 0 { break }
        content += chunk[..<count]
      }
    } else if errno != ENOENT {
      throw Self.trouble(path, "cannot be read", errno)
    }
    let lines = String(decoding: content, as: UTF8.self).split(separator: "\n")
    unsigned = lines.filter { $0.hasPrefix(Self.unsigned) }.map { String($0.dropFirst(Self.unsigned.count)) }
    keys = lines.filter { !$0.hasPrefix("#") }.map(Self.plain)
  }

  private static func plain(_ line: some StringProtocol) -> String { line.split(separator: " ").prefix(2).joined(separator: " ") }

  /// Adds a key, with a word on where it came from. Durable when it returns. Throws `StoreError`.
  package mutating func accept(_ key: String, comment: String) throws(StoreError) {
    if keys.contains(Self.plain(key)) { return }
    try append("\(Self.plain(key)) \(comment.split(separator: "\n").joined(separator: " "))")
    keys.append(Self.plain(key))
  }

  /// Notes that an unsigned copy was accepted. Durable when it returns. Throws `StoreError`.
  package mutating func noteUnsigned(_ service: ServiceName) throws(StoreError) {
    if unsigned.contains(service.rawValue) { return }
    try append(Self.unsigned + service.rawValue)
    unsigned.append(service.rawValue)
  }

  /// A line that was cut off by a crash is no key, and does no harm.
  private func append(_ line: String) throws(StoreError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.trouble(path, "cannot be written", errno) }
    defer { _ = close(descriptor) }
    let bytes = Array("\(line)\n".utf8)
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
      throw Self.trouble(path, "cannot be written", errno)
    }
    try directory.sync()
  }

  private static func trouble(_ path: String, _ what: String, _ number: CInt) -> StoreError {
    StoreError(
      .unusable, "\(path) \(what) (\(String(cString: strerror(number))))", remedy: "It holds the keys whose copies are believed: look at it"
    )
  }
}
