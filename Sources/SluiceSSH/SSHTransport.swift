internal import NIOCore

/// What carries a session's bytes: a TCP connection, or a channel inside another session. Used on the session's event loop only.
protocol SSHTransport: AnyObject {
  /// Whether more bytes may be given without piling up.
  var isWritable: Bool { get }
  func send(_ bytes: ByteBuffer)
  /// Sends what is queued and closes; the session hears of it by `transportClosed`.
  func close()
}

/// A TCP connection as a transport: hands every read to the session, and lets it work once per burst.
final class TCPTransport: ChannelInboundHandler, SSHTransport {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let session: SSHSession
  private var context: ChannelHandlerContext?

  init(session: SSHSession) { self.session = session }

  var isWritable: Bool { context?.channel.isWritable ?? false }

  func send(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

  func close() { context?.close(promise: nil) }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    session.attach(self)
  }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { session.receive(unwrapInboundIn(data)) }

  func channelReadComplete(context: ChannelHandlerContext) { session.pump() }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { session.pump() }
  }

  func channelInactive(context: ChannelHandlerContext) { session.transportClosed(nil) }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    session.transportClosed(String(describing: error))
    context.close(promise: nil)
  }
}
