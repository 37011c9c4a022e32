internal import Foundation
internal import Glibc
package import SluiceModel

/// A release's files as they go to hosts: one gzip-compressed tar in the cache of this machine.
package struct PackedArtifact: Hashable, Sendable {
  /// SHA-256 of the file.
  package var digest: Digest
  package var path: String
  /// Bytes.
  package var size: Int64

  package init(digest: Digest, path: String, size: Int64) {
    self.digest = digest
    self.path = path
    self.size = size
  }
}

/// Brings artifacts into the cache: `<cache>/<digest>.tar.gz`, whole or not at all. What is there under its digest is never written again.
package struct ArtifactPacker: Sendable {
  private static let timeLimit = Duration.seconds(3_600)

  private let cache: String
  private let home: String?

  package init(cacheDirectory: String, home: String? = ProcessInfo.processInfo.environment["HOME"]) {
    cache = cacheDirectory
    self.home = home
  }

  /// Where an artifact of that digest is, or would be.
  package func path(of digest: Digest) -> String { "\(cache)/\(digest).tar.gz" }

  /// The artifact of that digest, when it is in the cache.
  package func cached(_ digest: Digest) -> PackedArtifact? {
    var status = stat()
    guard stat(path(of: digest), &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return PackedArtifact(digest: digest, path: path(of: digest), size: Int64(status.st_size))
  }

  /// Packs or copies what the manifest names. Throws `LocalError` that says what is wrong with it.
  package func pack(_ source: ArtifactSource, baseDirectory: String) async throws -> PackedArtifact {
    try prepareCache()
    let packed: PackedArtifact
    switch source {
    case .path(let path): packed = try await takeFile(LocalPath.resolve(path, from: baseDirectory, home: home))
    case .directory(let path): packed = try await packDirectory(LocalPath.resolve(path, from: baseDirectory, home: home))
    }
    // It is in use from now on, and in no record yet: see `prune`.
    _ = utimes(packed.path, nil)
    return packed
  }

  private func prepareCache() throws(LocalError) {
    do {
      try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw LocalError("the artifact cache \(cache) cannot be made (\(error.localizedDescription))", remedy: "Name another with --state")
    }
  }

  /// Removes what no digest of `kept` names and nobody has touched for an hour: another command may just be packing. A file that cannot be
  /// removed is left; it is only room.
  package func prune(keeping kept: Set<Digest>) {
    let manager = FileManager.default
    let now = Date()
    for name in ((try? manager.contentsOfDirectory(atPath: cache)) ?? []).sorted() {
      let path = "\(cache)/\(name)"
      guard let changed = (try? manager.attributesOfItem(atPath: path))?[.modificationDate] as? Date, now.timeIntervalSince(changed) > 3_600
      else { continue }
      let isWanted: Bool
      if name.hasSuffix(".tar.gz") {
        isWanted = kept.contains(Digest(String(name.dropLast(7))))
      } else if name.hasSuffix(".packed") {
        isWanted = (try? String(contentsOfFile: path, encoding: .utf8)).map { kept.contains(Digest($0)) } ?? false
      } else {
        // What a command that was killed has left half-way.
        isWanted = now.timeIntervalSince(changed) < 86_400
      }
      if !isWanted { try? manager.removeItem(atPath: path) }
    }
  }

  // MARK: A file

  private func takeFile(_ path: String) async throws -> PackedArtifact {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw LocalError("the artifact \(path) cannot be read (\(systemMessage(errno)))", remedy: "Build it first, or put the path right")
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw LocalError("the artifact \(path) is a directory", remedy: "Write artifact: { directory: … } to have it packed")
    default: throw LocalError("the artifact \(path) is not a regular file", remedy: "Name a gzip-compressed tar")
    }
    let copy = try TemporaryFile(in: cache)
    defer { copy.discard() }
    let digest = try await Self.offPool { try copy.fill(from: path) }
    if let known = cached(digest) { return known }
    try await ArchiveCheck.check(copy.path, name: path, timeLimit: Self.timeLimit)
    return try keep(copy, digest)
  }

  // MARK: A directory

  private func packDirectory(_ path: String) async throws -> PackedArtifact {
    try await Self.offPool { try DirectoryCheck.check(path) }
    let plain = try TemporaryFile(in: cache)
    defer { plain.discard() }
    // Names in byte order, no owner, one time, two modes: the same content gives the same bytes. GNU's format, because busybox reads it.
    let tar = LocalCommand(
      program: "tar",
      arguments: [
        "--create", "--file=\(plain.path)", "--directory=\(path)", "--format=gnu", "--sort=name", "--owner=0", "--group=0",
        "--numeric-owner", "--mtime=@0", "--mode=a-st,u=rwX,go=rX", "--hard-dereference", "--", ".",
      ], environment: ["LC_ALL": "C", "TAR_OPTIONS": ""], timeLimit: Self.timeLimit)
    let outcome = try await Self.run(tar)
    guard outcome.end == .exited(0) else {
      throw LocalError(
        "\(path) cannot be packed: tar \(outcome.end.words)", output: outcome.text, remedy: "Does something write to it meanwhile?")
    }
    // Compressing takes ten times as long as all the rest: what was packed before is known by its content.
    let content = try await Self.offPool { try plain.digest() }
    if let known = packed(content) { return known }
    let file = try TemporaryFile(in: cache)
    defer { file.discard() }
    let gzip = try await Self.run(
      LocalCommand(
        program: "sh", arguments: ["-c", "exec gzip -n <\"$1\" >\"$2\"", "sh", plain.path, file.path], environment: ["GZIP": ""],
        timeLimit: Self.timeLimit))
    guard gzip.end == .exited(0) else {
      throw LocalError("\(path) cannot be packed: gzip \(gzip.end.words)", output: gzip.text, remedy: "Is the disk of \(cache) full?")
    }
    let digest = try await Self.offPool { try file.digest() }
    let artifact = try cached(digest) ?? keep(file, digest)
    // Without it the next apply compresses again, and no more.
    try? Data(digest.rawValue.utf8).write(to: URL(fileURLWithPath: packedName(content)), options: .atomic)
    return artifact
  }

  /// The artifact that was made of a tar of that content, when it is still in the cache.
  private func packed(_ content: Digest) -> PackedArtifact? {
    guard let name = try? String(contentsOfFile: packedName(content), encoding: .utf8) else { return nil }
    return cached(Digest(name))
  }

  private func packedName(_ content: Digest) -> String { "\(cache)/\(content).packed" }

  private func keep(_ file: TemporaryFile, _ digest: Digest) throws -> PackedArtifact {
    try file.become(path(of: digest), directory: cache)
    guard let artifact = cached(digest) else { throw LocalError("\(path(of: digest)) has gone as soon as it was written") }
    return artifact
  }

  static func run(_ command: LocalCommand) async throws -> LocalCommand.Outcome {
    do { return try await command.run() } catch {
      throw LocalError("\(command.program) cannot be started (\(error))", remedy: "Install GNU tar and gzip on this machine")
    }
  }

  /// File work blocks: it has a thread of its own.
  private static func offPool<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result(catching: work)) }
    }
  }
}

extension LocalCommand.End {
  /// For a sentence that begins with the program's name.
  var words: String {
    switch self {
    case .exited(let status): "exited with status \(status)"
    case .signalled(let signal): "was killed by signal \(signal)"
    case .timedOut: "took too long"
    case .cancelled: "was interrupted"
    }
  }
}
