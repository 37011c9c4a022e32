internal import Glibc

/// Whole small files, with the system's error numbers. Blocks: for the thread pool only.
enum SmallFile {
  struct Failure: Error, CustomStringConvertible {
    var number: CInt
    var description: String { systemMessage(number) }
  }

  static func read(_ path: String, limit: Int) -> Result<[UInt8], Failure> {
    // A pipe that nobody writes to must not hold everything up: it reads as empty.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return .failure(Failure(number: errno)) }
    defer { _ = close(descriptor) }
    do throws(Failure) {
      return .success(try readAll(descriptor, limit: limit))
    } catch {
      return .failure(error)
    }
  }

  /// Up to the end; more than `limit` bytes is `EFBIG`.
  static func readAll(_ descriptor: CInt, limit: Int) throws(Failure) -> [UInt8] {
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure(number: errno)
      }
      if count == 0 { return content }
      content += chunk[..<count]
      if content.count > limit { throw Failure(number: EFBIG) }
    }
  }

  static func writeAll(_ descriptor: CInt, _ bytes: [UInt8]) throws(Failure) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress!, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure(number: errno)
      }
      rest = rest.dropFirst(count)
    }
  }

  /// Temporary file beside it with the same mode, sync, rename, sync of the directory. A symbolic link is followed.
  static func replace(_ path: String, with bytes: [UInt8]) throws(Failure) {
    guard let resolved = realpath(path, nil) else { throw Failure(number: errno) }
    let target = String(cString: resolved)
    free(resolved)
    var status = stat()
    guard stat(target, &status) == 0 else { throw Failure(number: errno) }
    let template = "\(target).\(getpid()).\(UInt32.random(in: 0...UInt32.max))"
    let descriptor = open(template, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(number: errno) }
    do throws(Failure) {
      defer { _ = close(descriptor) }
      try writeAll(descriptor, bytes)
      guard fchmod(descriptor, status.st_mode & 0o777) == 0, fsync(descriptor) == 0, rename(template, target) == 0 else {
        throw Failure(number: errno)
      }
    } catch {
      unlink(template)
      throw error
    }
    let directory = open(target.lastIndex(of: "/").map { String(target[...$0]) } ?? ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw Failure(number: errno) }
    defer { _ = close(directory) }
    guard fsync(directory) == 0 else { throw Failure(number: errno) }
  }
}
