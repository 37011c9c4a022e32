internal import Crypto
internal import Glibc
import SluiceModel

/// A file that is removed with its last reference unless it has become another.
final class TemporaryFile: Sendable {
  let path: String

  init(in directory: String) throws(LocalError) {
    path = "\(directory)/.\(getpid()).\(UInt64.random(in: 0...UInt64.max)).tmp"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure(path, "made") }
    _ = close(descriptor)
  }

  deinit { discard() }

  /// Removes it now: somebody else may hold the last reference for a moment longer. Nothing to do when it has become another.
  func discard() { _ = unlink(path) }

  /// Copies a file into this one and digests what was copied.
  func fill(from source: String) throws(LocalError) -> SluiceModel.Digest {
    let output = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
    guard output >= 0 else { throw Self.failure(path, "opened") }
    defer { _ = close(output) }
    return try Self.digest(source) { (chunk) throws(LocalError) in
      var rest = chunk
      while !rest.isEmpty {
        let count = write(output, rest.baseAddress, rest.count)
        if count < 0 {
          if errno == EINTR { continue }
          throw Self.failure(self.path, "written")
        }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      }
    }
  }

  func digest() throws(LocalError) -> SluiceModel.Digest { try Self.digest(path) { (_) throws(LocalError) in } }

  /// Synced, renamed, and the directory synced.
  func become(_ name: String, directory: String) throws(LocalError) {
    try Self.sync(path, O_RDONLY)
    guard rename(path, name) == 0 else { throw Self.failure(name, "written") }
    try Self.sync(directory, O_RDONLY | O_DIRECTORY)
  }

  private static func sync(_ path: String, _ flags: CInt) throws(LocalError) {
    let descriptor = open(path, flags | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path, "opened") }
    defer { _ = close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure(path, "synced") }
  }

  private static func digest(
    _ path: String, each: (UnsafeRawBufferPointer) throws(LocalError) -> Void
  ) throws(LocalError) -> SluiceModel.Digest {
    let input = open(path, O_RDONLY | O_CLOEXEC)
    guard input >= 0 else { throw failure(path, "read") }
    defer { _ = close(input) }
    var hash = SHA256()
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { chunk.deallocate() }
    while true {
      let count = Glibc.read(input, chunk.baseAddress, chunk.count)
      if count == 0 { return SluiceModel.Digest(hash: hash.finalize()) }
      if count < 0 {
        if errno == EINTR { continue }
        throw failure(path, "read")
      }
      let part = UnsafeRawBufferPointer(rebasing: chunk[..<count])
      hash.update(bufferPointer: part)
      try each(part)
    }
  }

  private static func failure(_ path: String, _ what: String) -> LocalError {
    let number = errno
    return LocalError(
      "\(path) cannot be \(what) (\(systemMessage(number)))",
      remedy: number == ENOSPC ? "Make room on the disk" : "Check its permissions")
  }
}
