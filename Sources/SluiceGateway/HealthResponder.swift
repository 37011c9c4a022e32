import NIOCore
import Synchronization

/// Answers whoever stands in front of the gateway: 200, or 503 while it is drained or ending.
final class HealthResponder: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Shared between the control loop, which sets it, and health connections.
  final class Flag: Sendable {
    private let well = Atomic<Bool>(true)
    /// Connections of the health address. Touched on the control loop only.
    fileprivate let open = Atomic<Int>(0)
    var isWell: Bool { well.load(ordering: .relaxed) }
    func set(_ value: Bool) { well.store(value, ordering: .relaxed) }
  }

  /// Connections at a time: more are closed at once.
  static let limit = 1_024
  /// How long a connection may last.
  static let time = TimeAmount.seconds(10)

  private let flag: Flag
  private var answered = false
  private var received = ByteBuffer()
  private var head = RequestHead()

  init(flag: Flag) { self.flag = flag }

  func channelActive(context: ChannelHandlerContext) {
    let channel = context.channel
    let flag = self.flag
    let count = flag.open.add(1, ordering: .relaxed).newValue
    let late = context.eventLoop.scheduleTask(in: Self.time) { channel.close(promise: nil) }
    channel.closeFuture.whenComplete { _ in
      late.cancel()
      flag.open.subtract(1, ordering: .relaxed)
    }
    if count > Self.limit { channel.close(promise: nil) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !answered else { return }
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
    answered = true
    var buffer = ByteBuffer()
    answer.write(into: &buffer, keepAlive: false, minor: 1, headOnly: head.method == .head)
    let channel = context.channel
    context.writeAndFlush(wrapOutboundOut(buffer)).whenComplete { _ in channel.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
