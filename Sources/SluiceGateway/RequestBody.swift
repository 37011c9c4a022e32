import NIOCore

/// How far a request's body has come.
struct RequestBody {
  private var framing: BodyFraming
  private var remaining = 0
  private var chunks = ChunkScanner()
  private(set) var isDone: Bool
  /// Nothing is known of where the next request begins.
  let isLost: Bool

  init(framing: BodyFraming = .none, lost: Bool = false) {
    self.framing = framing
    isLost = lost
    isDone = framing == .none && !lost
    if case .length(let length) = framing { remaining = length }
  }

  /// Takes the octets of the body from the front of `buffer`; nil when a chunk is bad. What remains in `buffer` belongs to the next request.
  mutating func take(_ buffer: inout ByteBuffer) -> ByteBuffer? {
    switch framing {
    case .none, .untilClose: return ByteBuffer()
    case .length:
      let count = min(remaining, buffer.readableBytes)
      remaining -= count
      isDone = remaining == 0
      return buffer.readSlice(length: count)
    case .chunked:
      var at = 0
      let good = buffer.withUnsafeReadableBytes { octets in
        while true {
          switch chunks.next(octets, at: &at) {
          case .data: continue
          case .more: return true
          case .end:
            isDone = true
            return true
          case .bad: return false
          }
        }
      }
      return good ? buffer.readSlice(length: at) : nil
    }
  }
}
