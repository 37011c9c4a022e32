internal import Glibc
internal import NIOPosix

/// known_hosts files on disk: reading several, and adding to one.
package enum KnownHostsFile {
  /// Reads the files that exist, in order. Throws `SSHError` `.knownHostsUnreadable` for one that exists and cannot be read: what it
  /// might revoke must not be missed.
  package static func load(_ paths: [String], host: String) async throws -> KnownHosts {
    try await NIOThreadPool.singleton.runIfActive { () -> Result<KnownHosts, SSHError> in
      var known = KnownHosts()
      for path in paths.map(SystemEnvironment.expandingTilde) {
        switch SmallFile.read(path, limit: 64 << 20) {
        case .success(let bytes): known.parse(bytes, file: path)
        case .failure(let error) where error.number == ENOENT || error.number == ENOTDIR: continue
        case .failure(let error):
          return .failure(
            SSHError(.hostKey, .knownHostsUnreadable, host: host, cause: "\(path) cannot be read (\(error))", remedy: "Make it readable."))
        }
      }
      return .success(known)
    }.get()
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
