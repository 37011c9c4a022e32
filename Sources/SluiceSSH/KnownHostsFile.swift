internal import Glibc
internal import NIOPosix
internal import Synchronization

/// known_hosts files on disk: reading several, and adding to one.
package enum KnownHostsFile {
  /// What was read last, by the files' names: all hosts of a fleet share a few, and each would read them again.
  private static let cache = Mutex<[[String]: Content]>([:])

  private struct Content {
    var stamps: [Stamp?]
    var known: KnownHosts
  }

  /// What tells that a file is the one that was read.
  private struct Stamp: Equatable {
    var device: UInt64
    var inode: UInt64
    var size: Int64
    var seconds: Int
    var nanoseconds: Int

    /// nil where there is no such file.
    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      device = UInt64(status.st_dev)
      inode = UInt64(status.st_ino)
      size = Int64(status.st_size)
      seconds = status.st_mtim.tv_sec
      nanoseconds = status.st_mtim.tv_nsec
    }

    var isFresh: Bool {
      var now = timespec()
      clock_gettime(CLOCK_REALTIME, &now)
      let age = (now.tv_sec - seconds) * 1_000_000_000 + (now.tv_nsec - nanoseconds)
      return age < 50_000_000
    }
  }

  /// Reads the files that exist, in order, once for as long as they stay as they are. Throws `SSHError` `.knownHostsUnreadable` for one that exists and cannot be read: what it
  /// might revoke must not be missed.
  package static func load(_ paths: [String], host: String) async throws -> KnownHosts {
    try await NIOThreadPool.singleton.runIfActive { () -> Result<KnownHosts, SSHError> in
      let files = paths.map(SystemEnvironment.expandingTilde)
      // Under the lock, so that of all who ask at once one reads and the others wait for it.
      return cache.withLock { cache in
        let stamps = files.map(Stamp.init)
        if let content = cache[files], content.stamps == stamps { return .success(content.known) }
        let result = read(files, host: host)
        // A file that has changed just now may change again within the same tick of its clock: it is read again next time.
        if case .success(let known) = result, !stamps.contains(where: { $0?.isFresh ?? false }) {
          cache[files] = Content(stamps: stamps, known: known)
        }
        return result
      }
    }.get()
  }

  private static func read(_ files: [String], host: String) -> Result<KnownHosts, SSHError> {
    var known = KnownHosts()
    for path in files {
      switch SmallFile.read(path, limit: 64 << 20) {
      case .success(let bytes): known.parse(bytes, file: path)
      case .failure(let error) where error.number == ENOENT || error.number == ENOTDIR: continue
      case .failure(let error):
        return .failure(
          SSHError(.hostKey, .knownHostsUnreadable, host: host, cause: "\(path) cannot be read (\(error))", remedy: "Make it readable."))
      }
    }
    return .success(known)
  }

  /// Adds a key for `name` to the file, making it (0600, its directory 0700) where it is missing. One write under a lock: other writers
  /// add before or after, and a failure leaves the file as it was. Adding what is there already does nothing.
  package static func add(_ keys: [SSHHostKey], name: String, to path: String, hashed: Bool) async throws {
    let path = SystemEnvironment.expandingTilde(path)
    try await NIOThreadPool.singleton.runIfActive { () -> Result<Void, SSHError> in
      do throws(SmallFile.Failure) {
        return .success(try append(keys, name: name, to: path, hashed: hashed))
      } catch {
        return .failure(
          SSHError(.hostKey, .knownHostsUnreadable, host: name, cause: "\(path) cannot be written (\(error))", remedy: "Make it writable."))
      }
    }.get()
  }

  /// Removes every key held for `name` from the file, as `ssh-keygen -R` does, for a host whose key changed for a good reason.
  /// Lines that name other hosts too keep those. The new content takes the old one's place by a rename.
  package static func remove(name: String, from path: String) async throws {
    let path = SystemEnvironment.expandingTilde(path)
    try await NIOThreadPool.singleton.runIfActive { () -> Result<Void, SSHError> in
      do throws(SmallFile.Failure) {
        return .success(try rewrite(path, without: name))
      } catch {
        return .failure(
          SSHError(
            .hostKey, .knownHostsUnreadable, host: name, cause: "\(path) cannot be rewritten (\(error))", remedy: "Make it writable."))
      }
    }.get()
  }

  private static func append(_ keys: [SSHHostKey], name: String, to path: String, hashed: Bool) throws(SmallFile.Failure) {
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex { mkdir(String(path[..<slash]), 0o700) }
    let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SmallFile.Failure(number: errno) }
    defer { _ = close(descriptor) }
    guard flock(descriptor, LOCK_EX) == 0 else { throw SmallFile.Failure(number: errno) }
    let content = try SmallFile.readAll(descriptor, limit: 64 << 20)
    var known = KnownHosts()
    known.parse(content, file: path)
    var text = content.isEmpty || content.last == UInt8(ascii: "\n") ? "" : "\n"
    let missing = keys.filter { key in if case .trusted = known.verdict(on: key, host: name) { false } else { true } }
    guard !missing.isEmpty else { return }
    for key in missing { text += "\(hashed ? KnownHosts.Entry.hashedHosts(name) : name) \(key.line)\n" }
    do throws(SmallFile.Failure) {
      try SmallFile.writeAll(descriptor, Array(text.utf8))
      guard fsync(descriptor) == 0 else { throw SmallFile.Failure(number: errno) }
    } catch {
      _ = ftruncate(descriptor, off_t(content.count))
      throw error
    }
  }

  private static func rewrite(_ path: String, without name: String) throws(SmallFile.Failure) {
    let content: [UInt8]
    switch SmallFile.read(path, limit: 64 << 20) {
    case .success(let bytes): content = bytes
    case .failure(let error) where error.number == ENOENT: return
    case .failure(let error): throw error
    }
    var lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
    var known = KnownHosts()
    known.parse(content, file: path)
    var removed: Set<Int> = []
    for entry in known.entries where entry.marker == .none && entry.matches(name) {
      let others = entry.hosts.hasPrefix("|") ? [] : entry.hosts.split(separator: ",").filter { $0.lowercased() != name.lowercased() }
      if others.isEmpty {
        removed.insert(entry.line - 1)
      } else {
        lines[entry.line - 1] = Array("\(others.joined(separator: ",")) \(entry.key.line)".utf8)
      }
    }
    let kept = lines.indices.filter { !removed.contains($0) }.map { lines[$0] }
    try SmallFile.replace(path, with: Array(kept.joined(separator: [UInt8(ascii: "\n")])))
  }
}
