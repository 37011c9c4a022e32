import NIOCore
import SluiceGatewayAPI

/// Everybody who watches, on the control loop. A watcher that does not keep up is closed: it comes back to a fresh snapshot.
final class WatchHub {
  private var channels: [ObjectIdentifier: any Channel] = [:]

  /// Adds a watcher whose head and snapshot have been sent.
  func add(_ channel: any Channel) {
    let key = ObjectIdentifier(channel)
    channels[key] = channel
    let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
    channel.closeFuture.whenComplete { _ in bound.value.channels[key] = nil }
  }

  var isEmpty: Bool { channels.isEmpty }

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
