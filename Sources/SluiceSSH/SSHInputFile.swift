internal import Glibc
internal import NIOCore
internal import NIOPosix

/// A local file that is read ahead of a channel, off the event loops.
final class SSHInputFile: Sendable {
  static let chunkSize = 256 << 10

  let path: String
  /// Where reading began.
  let offset: Int64
  private let descriptor: CInt

  private init(path: String, offset: Int64, descriptor: CInt) {
    self.path = path
    self.offset = offset
    self.descriptor = descriptor
  }

  /// Closed when the last read that holds it is over, never under one.
  deinit { _ = Glibc.close(descriptor) }

  static func open(_ path: String, offset: Int64, host: String) async throws -> SSHInputFile {
    let outcome = try await NIOThreadPool.singleton.runIfActive { () -> Result<CInt, SSHError> in
      let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return .failure(unreadable(path, "cannot be opened (\(systemMessage(errno)))", host)) }
      guard lseek(descriptor, off_t(offset), SEEK_SET) == off_t(offset) else {
        let cause = systemMessage(errno)
        Glibc.close(descriptor)
        return .failure(unreadable(path, "cannot be read from byte \(offset) on (\(cause))", host))
      }
      return .success(descriptor)
    }
    return SSHInputFile(path: path, offset: offset, descriptor: try outcome.get())
  }

  /// The next piece; empty at the end of the file. One call at a time.
  func read(on eventLoop: any EventLoop) -> EventLoopFuture<ByteBuffer> {
    NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
      var buffer = ByteBufferAllocator().buffer(capacity: Self.chunkSize)
      try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.chunkSize) { bytes in
        while true {
          let count = Glibc.read(self.descriptor, bytes.baseAddress!, Self.chunkSize)
          if count >= 0 { return count }
          if errno != EINTR { throw IOError(errnoCode: errno, reason: "read") }
        }
      }
      return buffer
    }
  }

  private static func unreadable(_ path: String, _ what: String, _ host: String) -> SSHError {
    SSHError(.exec, .inputUnreadable, host: host, cause: "\(path) \(what)", remedy: "Nothing was sent.")
  }
}

/// The system's words for an error number.
func systemMessage(_ number: CInt) -> String {
  strerror(number).map { String(cString: $0) } ?? "error \(number)"
}
