package import SluiceModel

/// What sets one strategy apart from the others; everything else about a rollout is the same for all. One small type each.
package protocol ReleaseStrategy: Sendable {
  /// Rules 1 and 2 for a goal of so many instances.
  func bounds(replicas: Int) -> Bounds
  /// The stages before the old instances are replaced, in order; empty: they are replaced from the start.
  func steps(replicas: Int, isRollback: Bool) -> [StepPlan]
  /// How old instances are replaced.
  var manner: WaveManner { get }
}

extension ReleaseStrategy {
  package func steps(replicas: Int, isRollback: Bool) -> [StepPlan] { [] }
  package var manner: WaveManner { WaveManner() }
}

extension Strategy {
  /// The behaviour that goes with the settings.
  package var rules: any ReleaseStrategy {
    switch self {
    case .rolling(let rolling): rolling
    case .blueGreen(let blueGreen): blueGreen
    case .canary(let canary): canary
    case .recreate(let recreate): recreate
    }
  }
}

/// Floor and cap of a goal under the service's strategy (DESIGN section 4, rules 1 and 2).
package struct Bounds: Hashable, Sendable {
  /// Serving instances never fall below it by Sluice's own hand.
  package let floor: Int
  /// Existing instances never rise above it.
  package let cap: Int
  /// How many a wave may add over `replicas`, or over what exists where that is more.
  package let surge: Int

  package init(floor: Int, cap: Int, surge: Int) {
    self.floor = floor
    self.cap = cap
    self.surge = surge
  }

  /// How many may be added to so many.
  func addable(to existing: Int, replicas: Int) -> Int { min(cap, max(replicas, existing) + surge) - existing }
}

/// How the waves of a strategy are cut.
package struct WaveManner: Hashable, Sendable {
  /// A wave lies in one rack.
  package var rackOrder: Bool
  /// What must remain if any one rack were lost.
  package var rackLossFloor: Amount?
  package var pauseBetween: Milliseconds
  /// All old ones go before any new one starts, and requests wait at most so long; nil: the new ones come first where there is room.
  package var holding: Milliseconds?

  package init(rackOrder: Bool = false, rackLossFloor: Amount? = nil, pauseBetween: Milliseconds = .zero, holding: Milliseconds? = nil) {
    self.rackOrder = rackOrder
    self.rackLossFloor = rackLossFloor
    self.pauseBetween = pauseBetween
    self.holding = holding
  }
}

/// One stage of a rollout in which the old pool stays whole beside the new one.
package struct StepPlan: Hashable, Sendable {
  /// Instances of the new release that it needs.
  package var instances: Int
  /// Whom the new release gets once they serve.
  package var share: Audience.Share
  /// The least time it lasts.
  package var hold: Milliseconds
  /// The most time an analysis without a verdict may extend it.
  package var maxHold: Milliseconds
  /// Whether it ends only with an operator's word.
  package var approve: Bool
  package var analysis: Analysis?

  package init(
    instances: Int, share: Audience.Share, hold: Milliseconds = .zero, maxHold: Milliseconds = .zero, approve: Bool = false,
    analysis: Analysis? = nil
  ) {
    self.instances = instances
    self.share = share
    self.hold = hold
    self.maxHold = maxHold
    self.approve = approve
    self.analysis = analysis
  }
}
