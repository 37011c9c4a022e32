package import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Writes one JSON line per request, on a thread of its own: the loops only hand over full buffers.
package final class Recorder: Sendable {
  /// The file could not be made or written.
  package struct Failure: Error, CustomStringConvertible {
    package var description: String
  }

  private let path: String
  private let file: Int32
  private let thread: MultiThreadedEventLoopGroup
  private let failure = Mutex<Failure?>(nil)

  /// Makes the file, or empties it.
  package init(path: String) throws(Failure) {
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw Failure(description: "cannot write the record \(path): \(String(cString: strerror(errno)))") }
    self.path = path
    thread = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  }

  /// Takes whole lines. After a failure everything is dropped, and `close` tells.
  package func write(_ lines: ByteBuffer) {
    thread.next().execute { [self] in
      guard failure.withLock({ $0 == nil }) else { return }
      let error = lines.withUnsafeReadableBytes { bytes -> Int32 in
        var written = 0
        while written < bytes.count {
          let count = Glibc.write(file, bytes.baseAddress?.advanced(by: written), bytes.count - written)
          if count < 0, errno != EINTR { return errno }
          written += max(0, count)
        }
        return 0
      }
      if error != 0 {
        failure.withLock { $0 = Failure(description: "the record \(path) is incomplete: \(String(cString: strerror(error)))") }
      }
    }
  }

  /// Waits for what was handed over; throws when not all of it was written.
  package func close() async throws {
    try await thread.shutdownGracefully()
    Glibc.close(file)
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}

/// Builds the lines of a record.
package struct RecordLines {
  private let epoch: Int64
  private let monotonicStart: Int64
  private var buffer = ByteBuffer()

  /// `epoch`: wall clock at the run's start in milliseconds; `monotonicStart`: the monotonic clock then, in nanoseconds.
  package init(epoch: Int64, monotonicStart: Int64) {
    self.epoch = epoch
    self.monotonicStart = monotonicStart
  }

  package var readableBytes: Int { buffer.readableBytes }

  /// The lines so far, and none afterwards.
  package mutating func take() -> ByteBuffer {
    let lines = buffer
    buffer = ByteBuffer()
    buffer.reserveCapacity(lines.readableBytes)
    return lines
  }

  package mutating func add(_ request: Finished) {
    let outcome = request.outcome
    buffer.writeString("{\"start\":\(monotonicStart + request.start),\"end\":\(monotonicStart + request.end)")
    buffer.writeString(
      ",\"at\":\(epoch + request.start / 1_000_000),\"kind\":\"\(request.kind.rawValue)\",\"fate\":\"\(outcome.fate.rawValue)\"")
    buffer.writeString(
      ",\"status\":\(outcome.status),\"user\":\"u\(request.user)\",\"client\":\(request.client),\"target\":\(request.target)")
    buffer.writeString(request.reused ? ",\"reused\":true" : ",\"reused\":false")
    add("release", outcome.release)
    add("host", outcome.host)
    add("instance", outcome.instance)
    add("detail", outcome.detail)
    buffer.writeString("}\n")
  }

  private mutating func add(_ name: String, _ value: String?) {
    guard let value else { return }
    buffer.writeString(",\"\(name)\":\"")
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        buffer.writeInteger(UInt8(ascii: "\\"))
        buffer.writeInteger(byte)
      case ..<0x20: buffer.writeString(byte < 16 ? "\\u000\(String(byte, radix: 16))" : "\\u00\(String(byte, radix: 16))")
      default: buffer.writeInteger(byte)
      }
    }
    buffer.writeString("\"")
  }
}
