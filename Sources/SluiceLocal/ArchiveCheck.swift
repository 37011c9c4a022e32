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
    let names = try await list(path, name, remedy, timeLimit)
    guard !names.isEmpty else { throw LocalError("the artifact \(name) holds nothing", remedy: remedy) }
    if let bad = names.first(where: { $0.hasPrefix("/") || $0.split(separator: "/").contains("..") }) {
      throw LocalError("the artifact \(name) holds \(bad), which leads outside the release's directory", remedy: remedy)
    }
  }

  /// The entries' names, once everything could be unpacked.
  private static func list(_ path: String, _ name: String, _ remedy: String, _ timeLimit: Duration) async throws -> [Substring] {
    let index = try TemporaryFile(in: String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
    defer { index.discard() }
    let tar = LocalCommand(
      program: "tar",
      arguments: ["--list", "--gzip", "--file=\(path)", "--index-file=\(index.path)", "--quoting-style=literal", "--absolute-names"],
      environment: ["LC_ALL": "C", "TAR_OPTIONS": ""], timeLimit: timeLimit)
    let outcome = try await ArtifactPacker.run(tar)
    guard outcome.end == .exited(0) else {
      throw LocalError(
        "the artifact \(name) is not a whole gzip-compressed tar: tar \(outcome.end.words)", output: outcome.text, remedy: remedy)
    }
    return String(decoding: try Data(contentsOf: URL(filePath: index.path)), as: UTF8.self).split(separator: "\n")
  }
}
