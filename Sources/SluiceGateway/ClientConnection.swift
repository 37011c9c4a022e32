import NIOCore
import SluiceModel

/// One client's connection: reads requests one after the other, has each admitted, and passes it on. Lives on one event loop.
///
/// The answer comes from an `UpstreamConnection` of the same loop, which writes through this connection's context.
/// `ClientConnection+Exchange` holds what happens between a request and its answer, `ClientConnection+Body` the request's body.
final class ClientConnection: Timed, ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  enum State {
    /// Between requests, or within a head.
    case idle
    /// A head is complete; the switch or a first probe holds the request.
    case held
    /// Admitted.
    case exchanging
    /// The answer has been given; what is left of the request's body is read and dropped.
    case discarding
    case tunnel
    /// Everything is written and our side shut; waits for the client to close, so that no reset destroys the answer.
    case lingering
    case closed
  }

  /// What a request may have sent before its connection to a target stands, or to be sent again. In octets.
  static let replayLimit = 65_536
  /// What is read and dropped after an early answer before the connection is closed instead. In octets.
  static let discardLimit = 1_048_576
  static let lingerTicks = 20
  /// How long a connection without a request stays when the process ends.
  static let farewellTicks = 10

  let worker: LoopWorker
  /// The place in the worker's list; -1: not in it.
  var index = -1
  var context: ChannelHandlerContext!
  private(set) var identity = ClientIdentity(remote: nil, networks: TrustedNetworks([]))
  var state = State.idle
  /// Octets not consumed: a head under way, or requests sent ahead.
  var inbound: ByteBuffer?
  var head = RequestHead()
  private var outbound = ByteBuffer()

  // The request under way.
  var service: LoopService?
  var target: LoopTarget?
  var isPreview = false
  var lane = LoopPool.Lane.serving
  /// Nil: no split has a say in the request.
  var placement: Placement?
  var upstream: UpstreamConnection?
  var connecting: UpstreamConnection?
  var keepAlive = true
  var minor = 1
  var toHead = false
  var once = false
  var wantsUpgrade = false
  var expectsContinue = false
  var body = RequestBody()
  var answering = false
  var attempts = 0
  /// What has been given to the target and could be given again; nil: no more.
  var replay: [ByteBuffer]?
  var replaySize = 0
  var discarded = 0

  private(set) var inReadCycle = false
  /// What waits to be written to the client.
  var gate = OutboundGate()
  private var needsFlush = false
  private var processing = false
  var readsPaused = false
  var inputClosed = false
  /// More was sent ahead than is kept: nothing after what is there can be read.
  var overflowed = false
  private var lastBuffered = -1

  init(worker: LoopWorker) { self.worker = worker }

  // MARK: Channel events

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { opened() }
  }

  func channelActive(context: ChannelHandlerContext) { if index < 0 { opened() } }

  private func opened() {
    identity = ClientIdentity(remote: context.channel.remoteAddress, networks: worker.settings.trusted)
    worker.wheel.set(self, ticks: worker.headTicks)
    switch worker.opened(self) {
    case .taken: break
    case .refused: turnAway()
    case .dropped: close()
    }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    inReadCycle = true
    var buffer = unwrapInboundIn(data)
    switch state {
    case .idle:
      keep(&buffer)
      processInbound()
    case .exchanging where !body.isDone: forwardBody(&buffer)
    case .discarding: discard(&buffer)
    case .tunnel:
      worker.wheel.set(self, ticks: service?.idleTicks ?? worker.keepAliveTicks)
      upstream?.send(buffer)
    case .held, .exchanging:
      keep(&buffer)
      updateReading()
    case .lingering, .closed: break
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    inReadCycle = false
    upstream?.flush()
    flush()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    gate.isUnwritable = !context.channel.isWritable
    gateChanged()
  }

  /// The client takes more, or no more for now.
  private func gateChanged() {
    switch state {
    case .exchanging, .tunnel: upstream?.setReading(!gate.isFull)
    // That it is full is looked at after the flush: most often nothing waits then.
    case .idle where !gate.isFull: processInbound()
    case .idle, .held, .discarding, .lingering, .closed: break
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let event = event as? ChannelEvent, event == .inputClosed else {
      context.fireUserInboundEventTriggered(event)
      return
    }
    inputEnds()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { close() }

  func channelInactive(context: ChannelHandlerContext) {
    worker.closed(self)
    switch state {
    case .held: service?.abandon(self)
    case .exchanging: abandonUpstream(.gone)
    case .tunnel: abandonUpstream(.completed)
    case .idle, .discarding, .lingering, .closed: break
    }
    state = .closed
    inbound = nil
    service = nil
    self.context = nil
  }

  // MARK: Reading heads

  /// Serves what has been read as far as possible: while an answer waits to be read by the client, the next request waits too.
  func processInbound() {
    guard !processing else { return }
    processing = true
    serveInbound()
    processing = false
    if ahead == 0 { inbound = nil }
    endIfNothingFollows()
    updateReading()
  }

  private func serveInbound() {
    while state == .idle, !gate.isFull, let readable = inbound?.readableBytes, readable > 0 {
      let outcome = inbound!.withUnsafeReadableBytes { octets in
        headMayBeComplete(octets) ? head.scan(octets, limits: worker.scanLimits, trusted: identity.trusted) : .more
      }
      switch outcome {
      case .complete: begin()
      case .more:
        if searched == 0 { worker.wheel.set(self, ticks: worker.headTicks) }
        searched = readable
        return
      case .fault(let fault):
        searched = 0
        keepAlive = false
        minor = 1
        toHead = false
        body = RequestBody(lost: true)
        answer(.fault(fault))
      }
    }
  }

  /// How far a head that is not complete has been searched for its end, so that a slow one is scanned twice at most.
  private var searched = 0

  private func headMayBeComplete(_ octets: UnsafeRawBufferPointer) -> Bool {
    if searched == 0 || octets.count >= worker.scanLimits.head { return true }
    var at = max(searched - 1, 1)
    while at < octets.count {
      // Any line end but CR LF is a fault, and CR LF CR LF is the end: both are for the scanner.
      if octets[at] == Octet.lineFeed, octets[at - 1] != Octet.carriageReturn || at < 4 || octets[at - 2] == Octet.lineFeed { return true }
      at += 1
    }
    return octets.count - searched > 1_024
  }

  /// A head is complete: the one point where admission is decided.
  private func begin() {
    searched = 0
    minor = head.minor
    keepAlive = head.keepAlive && !worker.ending && !(inputClosed && ahead == head.length)
    toHead = head.method == .head
    once = !head.method.isIdempotent
    wantsUpgrade = head.upgrade
    expectsContinue = head.expectsContinue && minor == 1
    body = RequestBody(framing: head.framing)
    answering = false
    attempts = 0
    if head.method == .trace {
      dropHead()
      return answer(.trace)
    }
    let found = inbound!.withUnsafeReadableBytes { worker.router.find($0, host: head.host, target: head.target) }
    guard let found else {
      dropHead()
      return answer(.noRoute)
    }
    service = found.service
    isPreview = found.isPreview
    lane = .serving
    decide(found.service)
  }

  func dropHead() { inbound!.moveReaderIndex(forwardBy: head.length) }

  private func decide(_ service: LoopService) {
    switch service.isPlain && !isPreview ? service.admit() : admitPlaced(service) {
    case .target(let target): forward(to: target)
    case .hold(let ticks):
      state = .held
      worker.wheel.set(self, ticks: ticks)
      service.hold(self)
    case .refused:
      dropHead()
      answer(service.isQueueing ? .queueFull : .closed)
    case .unserved:
      dropHead()
      answer(.noTarget)
    }
  }

  /// The service lets a held request go on: it is decided about anew.
  func released() {
    guard state == .held, let service else { return }
    state = .idle
    guard service.table != nil else {
      dropHead()
      return answer(.noRoute)
    }
    decide(service)
    if state == .idle { processInbound() } else { updateReading() }
  }

  // MARK: Timers

  override func expired() {
    if stillDraining() { return }
    switch state {
    case .idle:
      if searched > 0 {
        keepAlive = false
        minor = 1
        toHead = false
        body = RequestBody(lost: true)
        answer(.slowRequest)
      } else {
        close()
      }
    case .held:
      let bySwitch = service?.giveUp(self) ?? false
      state = .idle
      dropHead()
      answer(bySwitch ? .heldTooLong : .noTarget)
      processInbound()
    case .exchanging: exchangeExpired()
    case .tunnel: cutTunnel()
    case .discarding, .lingering: close()
    case .closed: break
    }
  }

  /// A slow client that still takes octets is not idle.
  private func stillDraining() -> Bool {
    guard gate.isFull || state == .idle || state == .lingering || state == .discarding else { return false }
    let buffered = buffered
    guard buffered > 0, buffered != lastBuffered else { return false }
    lastBuffered = buffered
    worker.wheel.set(self, ticks: service?.idleTicks ?? worker.keepAliveTicks)
    return true
  }

  // MARK: Writing and closing

  /// A buffer to write a small message into; its storage is used again once it has been written out.
  func withOutbound(_ fill: (inout ByteBuffer) -> Void) -> ByteBuffer {
    outbound.clear()
    fill(&outbound)
    return outbound
  }

  @inline(__always)
  func write(_ buffer: ByteBuffer) {
    guard let context else { return }
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
    if gate.isFull { updateReading() }
  }

  private func lookAtWrites() {
    guard let context, gate.look(context.channel) else { return }
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
      bound.value.gate.passed()
      bound.value.gateChanged()
    }
    gateChanged()
  }

  /// Flushes now unless the end of a read will.
  func flushUnlessReading() { if !inReadCycle { flush() } }

  func close() {
    state = state == .exchanging || state == .held || state == .tunnel ? state : .closed
    context?.close(promise: nil)
  }

  /// Closes once everything is written. With octets of the client unread a plain close would reset the connection and destroy the answer,
  /// so our side is shut first and the client's end awaited.
  func closeAfterWriting(lingering: Bool) {
    guard let context else { return }
    state = .lingering
    worker.wheel.set(self, ticks: Self.lingerTicks)
    inbound = nil
    updateReading()
    let written = context.eventLoop.makePromise(of: Void.self)
    context.write(wrapOutboundOut(ByteBuffer()), promise: written)
    needsFlush = true
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    written.futureResult.whenComplete { _ in
      let this = bound.value
      guard let context = this.context else { return }
      if !lingering || this.inputClosed { return context.close(promise: nil) }
      this.worker.wheel.set(this, ticks: Self.lingerTicks)
      context.close(mode: .output, promise: nil)
    }
    flushUnlessReading()
  }

  /// The process ends: the connection closes after its answer. One without a request may have one under way to us, so it stays for a
  /// moment, and that request is served.
  func end() {
    keepAlive = false
    if state == .idle, searched == 0 { worker.wheel.set(self, ticks: Self.farewellTicks) }
  }

  /// The time to finish is over.
  func cut() {
    if state == .exchanging || state == .tunnel { leave(.cutOff) } else { context?.close(promise: nil) }
  }
}

extension Channel {
  /// Begins or stops reading. An option that cannot be set means that the channel is closing, which its own events tell.
  func setReading(_ reading: Bool) {
    guard let options = syncOptions, (try? options.setOption(.autoRead, value: reading)) != nil else {
      close(promise: nil)
      return
    }
  }
}
