import FoundationEssentials
import Glibc

/// Durable files of one directory: each is written to a temporary name, synced, renamed, and the directory synced; the one before is kept.
///
/// A file carries its length and a CRC-32, so that a damaged one is told from a good one whatever happened to it.
package struct StateStore: Sendable {
  /// What a file could not be.
  package struct Failure: Error, CustomStringConvertible {
    package var doing: String
    package var path: String
    package var code: Int32

    package var description: String { "\(doing) \(path): \(String(cString: strerror(code)))" }
  }

  /// What was found under a name.
  package enum Loaded: Equatable {
    case good([UInt8])
    /// The newest was damaged; this is the one before.
    case older([UInt8])
    /// Neither can be read.
    case lost
    case absent
  }

  private static let mark = "sluice-gateway-state 1 "
  package let directory: String

  package init(directory: String) { self.directory = directory }

  /// Makes the directory when it is missing, and locks it: one gateway has it. The lock ends with the process at the latest.
  package func open() throws(Failure) -> StateLock {
    if mkdir(directory, 0o700) != 0, errno != EEXIST { throw Failure(doing: "make directory", path: directory, code: errno) }
    let path = "\(directory)/lock"
    let lock = Glibc.open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw Failure(doing: "open", path: path, code: errno) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      Glibc.close(lock)
      throw Failure(doing: "lock (another gateway runs on this state?)", path: path, code: code)
    }
    return StateLock(descriptor: lock)
  }

  /// Replaces the file `name` durably. When it throws, what stood before still stands.
  package func write(_ name: String, _ content: [UInt8]) throws(Failure) {
    let path = "\(directory)/\(name)"
    let temporary = "\(path).new"
    let header = "\(Self.mark)\(Self.hexadecimal(CRC32.of(content))) \(content.count)\n"
    try Self.writeSynced(temporary, Array(header.utf8) + content)
    let previous = "\(path).previous"
    // A damaged one must not take the place of the last good one.
    if case .good = Self.read(path) {
      // A link, not a rename: at no moment is there no newest file.
      if unlink(previous) != 0, errno != ENOENT { throw Failure(doing: "remove", path: previous, code: errno) }
      if link(path, previous) != 0, errno != ENOENT { throw Failure(doing: "link", path: previous, code: errno) }
    }
    guard rename(temporary, path) == 0 else { throw Failure(doing: "rename", path: temporary, code: errno) }
    try syncDirectory()
  }

  private static func writeSynced(_ path: String, _ octets: [UInt8]) throws(Failure) {
    let file = Glibc.open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Failure(doing: "open", path: path, code: errno) }
    defer { Glibc.close(file) }
    var written = 0
    while written < octets.count {
      let count = octets.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + written, octets.count - written) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Failure(doing: "write", path: path, code: errno) }
      written += count
    }
    guard fsync(file) == 0 else { throw Failure(doing: "sync", path: path, code: errno) }
  }

  private func syncDirectory() throws(Failure) {
    let file = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard file >= 0 else { throw Failure(doing: "open", path: directory, code: errno) }
    defer { Glibc.close(file) }
    guard fsync(file) == 0 else { throw Failure(doing: "sync", path: directory, code: errno) }
  }

  /// The names with this ending, sorted.
  package func names(ending: String) throws(Failure) -> [String] {
    guard let entries = opendir(directory) else { throw Failure(doing: "list", path: directory, code: errno) }
    defer { closedir(entries) }
    var names: Set<String> = []
    while let entry = readdir(entries) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { octets in String(decoding: octets.prefix { $0 != 0 }, as: UTF8.self) }
      // A name whose newest file is gone is still known by the one before.
      let plain = name.hasSuffix(".previous") ? String(name.dropLast(".previous".count)) : name
      if plain.hasSuffix(ending) { names.insert(plain) }
    }
    return names.sorted()
  }

  /// Reads the newest good content of `name`. `accept` has the last word: content it does not understand counts as damaged.
  package func load(_ name: String, accept: ([UInt8]) -> Bool) -> Loaded {
    let path = "\(directory)/\(name)"
    let newest = Self.read(path)
    if case .good(let content) = newest, accept(content) { return .good(content) }
    let before = Self.read("\(path).previous")
    if case .good(let content) = before, accept(content) { return .older(content) }
    if case .absent = newest, case .absent = before { return .absent }
    return .lost
  }

  private static func read(_ path: String) -> Loaded {
    let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return errno == ENOENT ? .absent : .lost }
    defer { Glibc.close(file) }
    var octets: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(file, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      if count < 0 { return .lost }
      if count == 0 { break }
      octets.append(contentsOf: piece[..<count])
    }
    guard let end = octets.firstIndex(of: Octet.lineFeed) else { return .lost }
    let content = Array(octets[(end + 1)...])
    let header = "\(mark)\(hexadecimal(CRC32.of(content))) \(content.count)"
    return Array(header.utf8) == Array(octets[..<end]) ? .good(content) : .lost
  }

  private static func hexadecimal(_ value: UInt32) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: 8 - text.utf8.count) + text
  }
}

/// The right to write a state directory.
package final class StateLock: Sendable {
  private let descriptor: Int32

  fileprivate init(descriptor: Int32) { self.descriptor = descriptor }

  /// Lets another have it; once.
  package func release() { Glibc.close(descriptor) }
}

/// CRC-32 as in IEEE 802.3 (polynomial 0xEDB88320, reflected).
enum CRC32 {
  static func of(_ octets: [UInt8]) -> UInt32 {
    var crc: UInt32 = .max
    for octet in octets {
      crc ^= UInt32(octet)
      for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return ~crc
  }
}

/// JSON of the admin side, the same everywhere: sorted keys, no white space.
package enum AdminJSON {
  package static func encode(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(value))
  }

  package static func decode<Value: Decodable>(_ type: Value.Type, _ octets: [UInt8]) throws -> Value {
    try JSONDecoder().decode(type, from: Data(octets))
  }
}
