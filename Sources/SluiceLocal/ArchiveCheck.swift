internal import Foundation

/// Whether a file is what hosts will unpack: a gzip-compressed tar, whole, with at least one entry and none that leads outside.
enum ArchiveCheck {
  /// `name` is what the operator calls the file. Throws `LocalError`.
  static func check(_ path: String, name: String, timeLimit: Duration) async throws {
    guard let file = FileHandle(forReadingAtPath: path) else { throw LocalError("the artifact \(name) cannot be read") }
    let magic = [UInt8](try file.read(upToCount: 2) ?? Data())
    try file.close()
    let remedy = "Make it with: tar -czf \(name) -C DIRECTORY ."
    guard !magic.isEmpty else { throw LocalError("the artifact \(name) is empty", remedy: remedy) }
    guard magic == [0x1F, 0x8B] else { throw LocalError("the artifact \(name) is not gzip-compressed", remedy: remedy) }
    let entries = try await list(path, name, remedy, timeLimit)
    guard !entries.isEmpty else { throw LocalError("the artifact \(name) holds nothing", remedy: remedy) }
    if let bad = entries.first(where: { leadsOut($0.name) || ($0.kind == "h" && leadsOut($0.target ?? "")) }) {
      throw LocalError("the artifact \(name) holds \(bad.name), which leads outside the release's directory", remedy: remedy)
    }
    if let fault = fault(entries) {
      throw LocalError(
        "the artifact \(name): the link \(fault.link) \(fault.words)", remedy: "Pack what it names, or leave it out")
    }
  }

  private static func leadsOut(_ name: String) -> Bool { name.hasPrefix("/") || name.split(separator: "/").contains("..") }

  private static func fault(_ entries: [TarEntry]) -> LinkWalk.Fault? {
    func path(_ name: String) -> [String] { name.split(separator: "/").map(String.init).filter { $0 != "." } }
    var links: [[String]: String] = [:]
    for entry in entries { links[path(entry.name)] = entry.kind == "l" ? entry.target : nil }
    if links.isEmpty { return nil }
    let walk = LinkWalk { links[$0] }
    for entry in entries where entry.kind == "l" {
      if let target = entry.target, let fault = walk.fault(of: path(entry.name), target: target) { return fault }
    }
    return nil
  }

  /// The entries, once everything could be unpacked.
  private static func list(_ path: String, _ name: String, _ remedy: String, _ timeLimit: Duration) async throws -> [TarEntry] {
    let index = try TemporaryFile(in: String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
    defer { index.discard() }
    let tar = LocalCommand(
      program: "tar",
      arguments: [
        "--list", "--verbose", "--numeric-owner", "--gzip", "--file=\(path)", "--index-file=\(index.path)", "--quoting-style=c",
        "--absolute-names",
      ],
      environment: ["LC_ALL": "C", "TZ": "UTC", "TAR_OPTIONS": ""], timeLimit: timeLimit)
    let outcome = try await ArtifactPacker.run(tar)
    guard outcome.end == .exited(0) else {
      throw LocalError(
        "the artifact \(name) is not a whole gzip-compressed tar: tar \(outcome.end.words)", output: outcome.text, remedy: remedy)
    }
    return try Data(contentsOf: URL(filePath: index.path)).split(separator: UInt8(ascii: "\n")).map { line in
      guard let entry = TarEntry(line: Array(line)) else {
        throw LocalError(
          "the artifact \(name) cannot be checked: tar lists an entry in another form (\(String(decoding: line.prefix(200), as: UTF8.self)))",
          remedy: "GNU tar is needed on this machine")
      }
      return entry
    }
  }
}

/// One line of GNU tar's verbose listing, names quoted as in C.
struct TarEntry: Equatable {
  /// `-` for a file, `d`, `l` for a symbolic link, `h` for a hard one …
  var kind: Character
  var name: String
  /// Of a link.
  var target: String?

  /// nil for a line of another form.
  init?(line: [UInt8]) {
    guard let first = line.first, let open = line.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
    kind = Character(Unicode.Scalar(first))
    var rest = line[open...]
    guard let name = Self.quoted(&rest) else { return nil }
    self.name = name
    if kind == "l" || kind == "h" {
      guard let open = rest.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
      rest = rest[open...]
      guard let target = Self.quoted(&rest) else { return nil }
      self.target = target
    }
  }

  /// A string in double quotes with C's escapes, taken off the front.
  private static func quoted(_ rest: inout ArraySlice<UInt8>) -> String? {
    guard rest.popFirst() == UInt8(ascii: "\"") else { return nil }
    var bytes: [UInt8] = []
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"):
        guard let escape = rest.popFirst() else { return nil }
        switch escape {
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
          var value = Int(escape) - 48
          for _ in 0..<2 {
            guard let digit = rest.first, (48...55).contains(digit) else { break }
            value = value * 8 + Int(digit) - 48
            rest = rest.dropFirst()
          }
          bytes.append(UInt8(truncatingIfNeeded: value))
        case UInt8(ascii: "a"): bytes.append(7)
        case UInt8(ascii: "b"): bytes.append(8)
        case UInt8(ascii: "t"): bytes.append(9)
        case UInt8(ascii: "n"): bytes.append(10)
        case UInt8(ascii: "v"): bytes.append(11)
        case UInt8(ascii: "f"): bytes.append(12)
        case UInt8(ascii: "r"): bytes.append(13)
        default: bytes.append(escape)
        }
      default: bytes.append(byte)
      }
    }
    return nil
  }
}
