import NIOCore
import Synchronization

/// Answers whoever stands in front of the gateway: 200, or 503 while it is drained or ending.
final class HealthResponder: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Shared between the control loop, which sets it, and health connections.
  final class Flag: Sendable {
    private let well = Atomic<Bool>(true)
    var isWell: Bool { well.load(ordering: .relaxed) }
    func set(_ value: Bool) { well.store(value, ordering: .relaxed) }
  }

  private let flag: Flag
  private var received = ByteBuffer()
  private var head = RequestHead()

  init(flag: Flag) { self.flag = flag }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var buffer = unwrapInboundIn(data)
    received.writeBuffer(&buffer)
    switch received.withUnsafeReadableBytes({ head.scan($0, limits: ScanLimits(head: 8_192), trusted: false) }) {
    case .more: return
    case .fault(let fault): answer(context, LocalAnswer.fault(fault))
    case .complete:
      let well = LocalAnswer(status: 200, reason: "OK", text: "serving")
      let drained = LocalAnswer(status: 503, reason: "Service Unavailable", text: "drained")
      answer(context, flag.isWell ? well : drained)
    }
  }

  private func answer(_ context: ChannelHandlerContext, _ answer: LocalAnswer) {
    var buffer = ByteBuffer()
    answer.write(into: &buffer, keepAlive: false, minor: 1, headOnly: head.method == .head)
    let channel = context.channel
    context.writeAndFlush(wrapOutboundOut(buffer)).whenComplete { _ in channel.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
