package import SluiceModel

/// Tells which instances are what a goal asks for. One place, so that planning, turning round and ending a rollout agree.
struct Conformity {
  let goal: Goal
  let goesBack: Bool
  let record: ServiceRecord
  let view: FleetView

  init(record: ServiceRecord, view: FleetView, goal: Goal, goesBack: Bool) {
    self.goal = goal
    self.goesBack = goesBack
    self.record = record
    self.view = view
  }

  /// Whether the instance may stay as it is. Going back takes secrets as they are: they belong to the service, not to the release.
  func holds(_ instance: Instance) -> Bool {
    guard let release = goal.release, instance.release == release, instance.condemned == nil else { return false }
    guard goesBack || instance.secrets == goal.secrets, !goal.renew.contains(instance.number) else { return false }
    switch instance.phase {
    case .retired, .lost, .stopping, .draining: return false
    case .reserved, .starting, .checking, .warming, .serving: break
    }
    guard let host = view.fleet.host(instance.host) else { return false }
    return Placement.isEligible(host, record: record, view: view)
  }
}

/// Floor and cap of a goal under the service's strategy (DESIGN section 4, rules 1 and 2).
package struct Bounds: Hashable, Sendable {
  /// Serving instances never fall below it by Sluice's own hand.
  package let floor: Int
  /// Existing instances never rise above it.
  package let cap: Int
  /// How many may be added over `replicas`.
  package let surge: Int

  package init(strategy: Strategy, replicas: Int) {
    switch strategy {
    case .rolling(let rolling):
      surge = rolling.maxSurge.roundedUp(of: replicas)
      floor = max(0, replicas - rolling.maxUnavailable.roundedDown(of: replicas))
      cap = replicas + surge
    case .blueGreen, .canary:
      surge = replicas
      floor = replicas
      cap = 2 * replicas
    case .recreate:
      floor = 0
      cap = replicas
      surge = 0
    }
  }
}
