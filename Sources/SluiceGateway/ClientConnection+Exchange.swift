import Glibc
import NIOCore
import SluiceModel

/// From admission to the end of the answer.
extension ClientConnection {
  /// A request may be given to this many targets or connections in turn.
  static let attemptLimit = 3

  /// The request is admitted to `target`: its head is written once, in the form the target gets.
  func forward(to target: LoopTarget) {
    self.target = target
    state = .exchanging
    let first = inbound!.withUnsafeReadableBytes { octets in
      withOutbound { head.write(octets, into: &$0, identity: identity, authority: target.authority) }
    }
    inbound!.moveReaderIndex(forwardBy: head.length)
    replay = [first]
    replaySize = first.readableBytes
    if !body.isDone, inbound!.readableBytes > 0 {
      guard let piece = body.take(&inbound!) else { return badBody() }
      replay!.append(piece)
      replaySize += piece.readableBytes
    }
    if inbound!.readableBytes == 0 { inbound = nil }
    if !body.isDone, inputEnded { return leaveUnfinished() }
    armForTarget()
    send(to: target)
  }

  @inline(__always)
  func armForTarget() {
    guard let service else { return }
    worker.wheel.set(self, ticks: body.isDone ? service.responseTicks : service.idleTicks)
  }

  private func send(to target: LoopTarget) {
    if attempts == 0, let connection = target.takeIdle(tick: worker.wheel.tick, once: once) {
      connection.attach(self)
      connected(connection)
    } else {
      let connection = UpstreamConnection(target: target, worker: worker)
      connecting = connection
      connection.connect(within: service?.connectTime ?? .seconds(2), for: self)
    }
  }

  /// A connection to the target stands: everything there is of the request goes out.
  func connected(_ connection: UpstreamConnection) {
    connecting = nil
    upstream = connection
    for piece in replay ?? [] { connection.send(piece) }
    // Only a reused connection may turn out to have been closing, and only then is anything sent twice.
    if !connection.isReused || replaySize > Self.replayLimit { replay = nil }
    if !inReadCycle { connection.flush() }
    updateReading()
  }

  /// No connection came about: nothing of the request has left, so any other target may have it.
  func connectFailed(_ connection: UpstreamConnection, timedOut: Bool) {
    guard connecting === connection, state == .exchanging, let service, let target else { return }
    connecting = nil
    attempts += 1
    if let other = moved(from: target, service) {
      service.retried(target)
      self.target = other
      send(to: other)
      return
    }
    fail(timedOut ? .connectTooSlow : .unreachable)
  }

  /// The target's connection ended before any of the answer was passed on. `silent`: nothing of an answer had come.
  func upstreamLost(_ connection: UpstreamConnection, silent: Bool) {
    guard upstream === connection, let service, let target else { return }
    upstream = nil
    if silent, connection.isReused, replay != nil, !once || connection.neverReceived, attempts + 1 < Self.attemptLimit {
      attempts += 1
      service.retried(target)
      send(to: target)
      return
    }
    fail(.brokeOff)
  }

  /// The gateway answers in the service's place, because of its target. `cause` and `example` tell what in its answer.
  func fail(_ answer: LocalAnswer, cause: String = "", example: String = "") {
    let failed = target
    settle(.failed)
    dropUpstream()
    state = .idle
    self.answer(answer, from: failed, cause: cause, example: example)
    processInbound()
  }

  /// Ends the claim, once.
  func settle(_ outcome: Outcome) {
    guard let service, let target else { return }
    self.target = nil
    if state == .tunnel { target.ended(self) }
    worker.settle(service, target, outcome, tunnel: state == .tunnel)
    if placement != nil { concludePlacement(outcome) }
  }

  /// The target's answer is complete. The connection to it is its own affair from here.
  func answerEnded() {
    settle(.completed)
    upstream = nil
    replay = nil
    afterAnswer()
  }

  /// What follows an answer: the next request, the rest of this one's body, or the end.
  private func afterAnswer() {
    if body.isDone, keepAlive {
      state = .idle
      worker.wheel.set(self, ticks: worker.keepAliveTicks)
      if inbound != nil || inputEnded { processInbound() } else { updateReading() }
    } else if keepAlive {
      state = .discarding
      discarded = 0
      worker.wheel.set(self, ticks: worker.headTicks)
      updateReading()
      if var rest = inbound {
        inbound = nil
        discard(&rest)
      }
    } else {
      closeAfterWriting(lingering: !body.isDone || (inbound?.readableBytes ?? 0) > 0)
    }
    flushUnlessReading()
  }

  /// The target broke off, or broke the protocol, after part of its answer had been passed on. The client must see that it is not whole.
  func answerBroke(reset: Bool, cause: String = "") {
    if let service { worker.fault(.answerCut, service, target, cause: cause) }
    settle(.cutOff)
    upstream = nil
    cutClient(reset: reset)
  }

  private func cutClient(reset: Bool) {
    state = .closed
    guard let context else { return }
    flush()
    // Where only the connection's end marks the end of the answer, an orderly close would make it look whole.
    if reset, let socket = context.channel as? any SocketOptionProvider {
      // On the loop it is set at once; where it cannot be, the channel is closing already.
      _ = socket.setSoLinger(linger(l_onoff: 1, l_linger: 0))
    }
    context.close(promise: nil)
  }

  /// The exchange ends here and now, with both connections.
  func leave(_ outcome: Outcome) {
    abandonUpstream(outcome)
    cutClient(reset: outcome == .cutOff)
  }

  func abandonUpstream(_ outcome: Outcome) {
    settle(outcome)
    dropUpstream()
  }

  private func dropUpstream() {
    upstream?.detach()
    upstream = nil
    connecting?.detach()
    connecting = nil
    replay = nil
  }

  func exchangeExpired() {
    if answering {
      if takesMore { service.map { worker.fault(.answerCut, $0, target, cause: "nothing more came within the idle timeout") } }
      if !takesMore { forgetPlacement() }
      return leave(.cutOff)
    }
    if connecting != nil { return fail(.connectTooSlow) }
    if body.isDone { return fail(.tooSlow) }
    // The client stopped sending in the middle of its body.
    settle(.gone)
    dropUpstream()
    keepAlive = false
    answer(.slowRequest)
  }

  /// Answers from here. The head of the request has been consumed, or will never be.
  func answer(_ answer: LocalAnswer, from failed: LoopTarget? = nil, cause: String = "", example: String = "") {
    if let fault = answer.fault, let service { worker.fault(fault, service, failed, cause: cause, example: example) }
    if !body.isDone, expectsContinue || body.isLost { keepAlive = false }
    let keep = keepAlive
    write(withOutbound { answer.write(into: &$0, keepAlive: keep, minor: minor, headOnly: toHead) })
    afterAnswer()
  }

  // MARK: Tunnels

  /// The target agreed to another protocol: from here on octets pass both ways.
  func becomeTunnel() {
    guard let service, let target, let upstream else { return }
    state = .tunnel
    replay = nil
    target.began(self)
    worker.tunnelled(service, target)
    if placement != nil { concludePlacement(.completed) }
    worker.wheel.set(self, ticks: service.idleTicks)
    if let early = inbound, early.readableBytes > 0 { upstream.send(early) }
    inbound = nil
    upstream.flush()
    updateReading()
  }

  func touchTunnel() { worker.wheel.set(self, ticks: service?.idleTicks ?? worker.keepAliveTicks) }

  /// A drain's or idle deadline ends it.
  func cutTunnel() {
    guard state == .tunnel else { return }
    leave(.cutOff)
  }

  /// The target closed the tunnel.
  func tunnelEnded() {
    settle(.completed)
    upstream = nil
    closeAfterWriting(lingering: false)
  }

  /// The target shut its side of the tunnel only.
  func tunnelHalfClosed() {
    flush()
    context?.close(mode: .output, promise: nil)
  }
}
