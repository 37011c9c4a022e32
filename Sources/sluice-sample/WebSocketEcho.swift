import NIOCore
import NIOWebSocket

/// Sends every text and binary frame back as it came, and answers pings and closes as RFC 6455 section 5.5 asks.
final class WebSocketEcho: ChannelInboundHandler {
  typealias InboundIn = WebSocketFrame
  typealias OutboundOut = WebSocketFrame

  private var closing = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let frame = unwrapInboundIn(data)
    switch frame.opcode {
    case .text, .binary, .continuation:
      send(WebSocketFrame(fin: frame.fin, opcode: frame.opcode, data: frame.unmaskedData), context)
    case .ping:
      send(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData), context)
    case .connectionClose:
      if !closing { send(WebSocketFrame(fin: true, opcode: .connectionClose, data: frame.unmaskedData), context) }
      context.close(promise: nil)
    default: break
    }
  }

  /// The service is going away: says so (1001), and waits a second for the peer's answer.
  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard event is ChannelShouldQuiesceEvent, !closing else { return context.fireUserInboundEventTriggered(event) }
    closing = true
    var code = context.channel.allocator.buffer(capacity: 2)
    code.write(webSocketErrorCode: .goingAway)
    send(WebSocketFrame(fin: true, opcode: .connectionClose, data: code), context)
    let channel = context.channel
    context.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  private func send(_ frame: WebSocketFrame, _ context: ChannelHandlerContext) {
    context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
  }
}
