import NIOCore
import SluiceGatewayAPI

/// Everybody who watches, on the control loop. A watcher that does not keep up is closed: it comes back to a fresh snapshot.
final class WatchHub {
  /// What may wait for a watcher beyond its snapshot. In octets.
  static let backlogLimit = 4 * 1_048_576
  /// Watchers at a time: more are refused.
  static let limit = 64

  /// Lets a snapshot wait whole, however large the gateway is and however slow the way to its reader, and a bounded amount behind it.
  static func bound(_ channel: any Channel, snapshot: Int) {
    let mark = ChannelOptions.Types.WriteBufferWaterMark(low: 65_536, high: snapshot + backlogLimit)
    // Where it cannot be set the channel is closing already.
    try? channel.syncOptions?.setOption(.writeBufferWaterMark, value: mark)
  }

  /// Whether a watcher has taken nothing for too long, asked once a second.
  struct Silence {
    static let seconds = 30
    private var waiting = 0
    private var count = 0

    mutating func isOver(_ channel: any Channel) -> Bool {
      let now = (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
      // Lines are only added meanwhile: less than before, or nothing, says that some were taken.
      count = now > 0 && now >= waiting ? count + 1 : 0
      waiting = now
      return count >= Self.seconds
    }
  }

  private var channels: [ObjectIdentifier: any Channel] = [:]

  /// Adds a watcher whose head and snapshot have been sent.
  func add(_ channel: any Channel) {
    let key = ObjectIdentifier(channel)
    channels[key] = channel
    let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
    channel.closeFuture.whenComplete { _ in bound.value.channels[key] = nil }
  }

  var isEmpty: Bool { channels.isEmpty }
  var isFull: Bool { channels.count >= Self.limit }

  func send(_ line: WatchLine) {
    guard !channels.isEmpty, let text = Self.chunk(line) else { return }
    for channel in channels.values {
      if channel.isWritable { channel.writeAndFlush(text, promise: nil) } else { channel.close(promise: nil) }
    }
  }

  func closeAll() {
    for channel in channels.values { channel.close(promise: nil) }
  }

  /// One line as one chunk. Every value of the type can be encoded, so nil is never seen.
  static func chunk(_ line: WatchLine) -> ByteBuffer? {
    guard let octets = try? AdminJSON.encode(line) else { return nil }
    var buffer = ByteBuffer()
    buffer.writeString(String(octets.count + 1, radix: 16) + "\r\n")
    buffer.writeBytes(octets)
    buffer.writeStaticString("\n\r\n")
    return buffer
  }
}
