import SluiceModel
import SluiceTraffic

/// Admission where not every request goes to the same pools.
extension LoopService {
  /// What becomes of a request, and which pool it was given to.
  struct Decision {
    var admission: Admission
    var lane = LoopPool.Lane.serving
    /// Nil: no split has a say in it.
    var placement: Placement?
  }

  /// Decides about a request as `admit` does, by who it is from and what it asks for: its pool is chosen once, in the turn that claims the
  /// target. `octets` are those that `head` was scanned from; what no target may see is taken out of it.
  func admit(_ octets: UnsafeRawBufferPointer, _ head: inout RequestHead, of client: ClientConnection) -> Decision {
    if switchState != .open { return Decision(admission: atSwitch()) }
    split?.read(octets, &head)
    if client.isPreview {
      if let target = preview.choose() { return Decision(admission: admitted(target), lane: .preview) }
      counts.unserved += 1
      return Decision(admission: .unserved)
    }
    var placement = split?.place(octets, head, of: client)
    if placement?.side == .canary {
      if let target = canary.choose() { return Decision(admission: admitted(target), lane: .canary, placement: placement) }
      placement?.spilled = true
    }
    guard let target = serving.choose() else { return Decision(admission: withoutTarget()) }
    return Decision(admission: admitted(target), placement: placement)
  }

  /// Moves a claim whose connection never came about to another target of its pool; nil when there is no other. A canary's user is answered
  /// from the stable side then, or when this is the `last` time, and `lane` tells; never the other way.
  func move(from target: LoopTarget, _ lane: inout LoopPool.Lane, last: Bool) -> LoopTarget? {
    var other: LoopTarget?
    switch lane {
    case .serving: other = serving.choose(otherThan: target)
    case .preview: other = preview.choose(otherThan: target)
    case .canary:
      let stable = last || canary.targets.allSatisfy { $0 === target } ? serving.choose(otherThan: target) : nil
      if stable != nil { lane = .serving }
      other = stable ?? canary.choose(otherThan: target)
    }
    guard let other else { return nil }
    target.counts.inFlight -= 1
    target.counts.failed += 1
    claim(other)
    return other
  }

  /// A claim on the target has ended or moved away; says whether its drain may have ended with it.
  @inline(__always)
  func emptied(_ target: LoopTarget) -> Bool {
    guard target.draining, target.counts.open == 0 else { return false }
    forgetLeft(target)
    return true
  }
}
