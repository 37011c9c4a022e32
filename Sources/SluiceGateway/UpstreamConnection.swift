import CSluiceSystem
import Glibc
import NIOCore
import NIOPosix
import SluiceModel

/// One connection to a target: carries one request at a time, and waits in the target's pool between two. Lives on the clients' event loop.
final class UpstreamConnection: Timed, ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Interim answers (1xx) to one request; more: the target is out of its mind.
  static let interimLimit = 16

  enum Phase {
    case idle
    case head
    case length(Int)
    case chunked
    case untilClose
    case tunnel
  }

  let target: LoopTarget
  let worker: LoopWorker
  private(set) var isReused = false
  var context: ChannelHandlerContext?
  var client: ClientConnection?
  var phase = Phase.idle
  var head = ResponseHead()
  var pending: ByteBuffer?
  var chunks = ChunkScanner()
  var dechunks = false
  var interims = 0
  var reusable = true
  var idleSeconds = LoopTarget.idleSeconds
  var lastUse = 0
  private var broken = false
  var closing = false
  /// What the target's kernel had acknowledged before a request that must not be done twice; nil: not asked.
  var acknowledgedBefore: Int64?
  /// The target closed this connection before anything of the request had reached it.
  private(set) var neverReceived = false
  /// What waits to be written to the target.
  var gate = OutboundGate()
  private var needsFlush = false
  private var reads = true
  /// To be flushed at the end of this read.
  private var flushing: ClientConnection?

  init(target: LoopTarget, worker: LoopWorker) {
    self.target = target
    self.worker = worker
  }

  // MARK: For the client's side

  /// Opens the connection for a request.
  func connect(within: TimeAmount, for client: ClientConnection) {
    self.client = client
    let bound = NIOLoopBound(self, eventLoop: worker.loop)
    ClientBootstrap(group: worker.loop)
      .connectTimeout(within)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bound.value) }
      }
      .connect(to: target.address)
      .whenComplete { result in bound.value.connectEnded(result) }
  }

  private func connectEnded(_ result: Result<any Channel, any Error>) {
    switch result {
    case .success:
      guard let client else {
        // The client left meanwhile; the next one may have it.
        lastUse = worker.wheel.tick
        if context == nil || closing || !target.keep(self) { close() } else { rest() }
        return
      }
      guard context != nil else { return client.connectFailed(self, timedOut: false) }
      phase = .head
      client.connected(self)
    case .failure(let error):
      guard let client else { return }
      self.client = nil
      if let failure = error as? ChannelError, case .connectTimeout = failure {
        client.connectFailed(self, timedOut: true)
      } else {
        client.connectFailed(self, timedOut: false)
      }
    }
  }

  /// Gives a kept connection its next request.
  @inline(__always)
  func attach(_ client: ClientConnection) {
    self.client = client
    isReused = true
    phase = .head
    worker.wheel.clear(self)
    acknowledgedBefore = client.once ? acknowledged() : nil
  }

  /// Whether a kept connection may carry another request. `freshTicks`: it must have been used this recently, and is asked whether it
  /// still stands, since the request must not be done twice.
  @inline(__always)
  func mayCarry(tick: Int, freshTicks: Int?) -> Bool {
    guard context != nil, !closing else { return false }
    guard let freshTicks else { return true }
    return tick - lastUse <= freshTicks && standsNow()
  }

  /// Asks the kernel: nothing to read and no end means that it stands.
  private func standsNow() -> Bool {
    guard let context else { return false }
    let answer = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { socket in
      var octet: UInt8 = 0
      let count = recv(socket, &octet, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
      return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)
    }
    return answer == true
  }

  private func acknowledged() -> Int64? {
    guard let context else { return nil }
    let count = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
      sluice_bytes_acknowledged($0)
    }
    return count.flatMap { $0 >= 0 ? $0 : nil }
  }

  /// The target's end of the connection came. Its last segment acknowledges all that its kernel had taken by then, so when that is nothing of
  /// the request, no process can have read any of it, and it may be sent again whatever its method (RFC 9110 section 9.2.2).
  private func noteEnd() {
    guard let before = acknowledgedBefore, case .head = phase, pending == nil, interims == 0 else { return }
    neverReceived = acknowledged() == before
  }

  /// The client has no more use for it: the answer, if any comes, is nobody's.
  func detach() {
    client = nil
    phase = .idle
    close()
  }

  @inline(__always)
  func send(_ buffer: ByteBuffer) {
    guard let context, buffer.readableBytes > 0 else { return }
    needsFlush = true
    gate.wrote()
    context.write(wrapOutboundOut(buffer), promise: nil)
  }

  @inline(__always)
  func flush() {
    guard needsFlush, let context else { return }
    needsFlush = false
    context.flush()
    if gate.isSuspect { lookAtWrites() }
    if gate.isFull { client?.updateReading() }
  }

  private func lookAtWrites() {
    guard let context, gate.look(context.channel) else { return }
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
      bound.value.gate.passed()
      bound.value.client?.updateReading()
    }
  }

  func setReading(_ reading: Bool) {
    guard reading != reads, let context else { return }
    reads = reading
    context.channel.setReading(reading)
  }

  func closeOutput() {
    flush()
    context?.close(mode: .output, promise: nil)
  }

  func close() {
    reusable = false
    closing = true
    worker.wheel.remove(self)
    context?.close(promise: nil)
  }

  override func expired() {
    // Idle for long enough.
    target.forget(self)
    close()
  }

  // MARK: Channel events

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var buffer = unwrapInboundIn(data)
    guard let client else {
      // Nobody asked for this (RFC 9112 section 9.2).
      target.forget(self)
      close()
      return
    }
    flushing = client
    switch phase {
    case .tunnel:
      client.touchTunnel()
      client.write(buffer)
    case .head:
      if pending == nil { pending = buffer } else { pending!.writeBuffer(&buffer) }
      readHeads(client)
    case .idle: close()
    case .length, .chunked, .untilClose: passBody(&buffer, client)
    }
    if self.client === client, !client.takesMore { setReading(false) }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    flushing?.flush()
    flushing = nil
    flush()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    gate.isUnwritable = !context.channel.isWritable
    // That it is full is looked at after the flush: most often nothing waits then.
    if !gate.isFull { client?.updateReading() }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let event = event as? ChannelEvent, event == .inputClosed else { return context.fireUserInboundEventTriggered(event) }
    if case .tunnel = phase {
      client?.tunnelHalfClosed()
    } else {
      noteEnd()
      ends(context)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    broken = true
    // A reset after the target's orderly end is EPIPE: it came because the socket was closed already.
    if let failure = error as? IOError, failure.errnoCode == EPIPE { noteEnd() }
    ends(context)
  }

  /// It is closing: the end itself is told a moment later, and no request may get it until then.
  private func ends(_ context: ChannelHandlerContext) {
    if client == nil { target.forget(self) }
    // Closed soon after an answer without having said so: the next request that must not be done twice shall not meet that.
    let waiting = if case .head = phase { isReused && pending == nil } else { client == nil }
    if waiting, !closing, reusable, worker.wheel.tick - lastUse <= LoopTarget.freshTicks { target.closedEarly(tick: worker.wheel.tick) }
    closing = true
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    self.context = nil
    worker.wheel.remove(self)
    guard let client else {
      target.forget(self)
      return
    }
    // Nil while connecting: the connect's own outcome tells the client.
    guard client.upstream === self else { return }
    self.client = nil
    switch phase {
    case .idle: break
    case .head: client.upstreamLost(self, silent: pending == nil && interims == 0)
    case .untilClose where !broken: client.answerEnded()
    case .length, .chunked: client.answerBroke(reset: false)
    case .untilClose: client.answerBroke(reset: true)
    case .tunnel: client.tunnelEnded()
    }
    client.flush()
  }
}
