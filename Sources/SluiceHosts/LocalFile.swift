internal import Glibc
internal import NIOCore
internal import NIOPosix

/// A file of this machine, read on a thread that may block.
struct LocalFile {
  private let descriptor: CInt

  /// Opens the file for `body`, with its size. Throws `IOError`.
  static func read<Value: Sendable>(_ path: String, _ body: @escaping @Sendable (LocalFile, Int64) throws -> Value) async throws -> Value {
    try await NIOThreadPool.singleton.runIfActive {
      let descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: path) }
      defer { _ = Glibc.close(descriptor) }
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw IOError(errnoCode: errno, reason: path) }
      return try body(LocalFile(descriptor: descriptor), Int64(status.st_size))
    }
  }

  /// The last `count` bytes.
  func readTail(_ count: Int, size: Int64) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard pread(descriptor, &bytes, count, off_t(size) - off_t(count)) == count else { throw IOError(errnoCode: errno, reason: "read") }
    return bytes
  }

  /// Every byte, piece by piece.
  func forEachPiece(_ body: (UnsafeRawBufferPointer) -> Void) throws {
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = Glibc.read(descriptor, &bytes, bytes.count)
      guard count >= 0 else { throw IOError(errnoCode: errno, reason: "read") }
      if count == 0 { return }
      bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
  }
}
