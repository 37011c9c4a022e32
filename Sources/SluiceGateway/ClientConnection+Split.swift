import NIOCore

/// What a split or a preview adds to an exchange.
extension ClientConnection {
  /// Has a request admitted whose service does not treat all alike.
  func admitPlaced(_ service: LoopService) -> LoopService.Admission {
    let decision = inbound!.withUnsafeReadableBytes { service.admit($0, &head, of: self) }
    lane = decision.lane
    placement = decision.placement
    return decision.admission
  }

  /// Another target for a request whose connection never came about; nil when there is none, or it was given to enough.
  func moved(from target: LoopTarget, _ service: LoopService) -> LoopTarget? {
    guard attempts < Self.attemptLimit else { return nil }
    let before = lane
    let other = service.move(from: target, &lane, last: attempts == Self.attemptLimit - 1)
    if before == .canary, lane == .serving { placement?.spilled = true }
    if other != nil { worker.moved(service, from: target) }
    return other
  }

  /// It is the client that takes no more of the answer: for what a split's users meet it has left.
  func forgetPlacement() { placement = nil }

  /// The placed request has ended, or became a tunnel, which is where its answer ends.
  func concludePlacement(_ outcome: Outcome) {
    placement?.ended(outcome, tick: worker.wheel.tick)
    placement = nil
  }
}
