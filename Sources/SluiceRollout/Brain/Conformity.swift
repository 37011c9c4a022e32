import SluiceModel

/// Tells which instances are what a goal asks for. One place, so that planning, turning round and ending a rollout agree.
struct Conformity {
  let goal: Goal
  let goesBack: Bool
  private let places: EligibleHosts
  private let view: FleetView

  init(record: ServiceRecord, view: FleetView, goal: Goal, goesBack: Bool) {
    self.goal = goal
    self.goesBack = goesBack
    self.view = view
    places = EligibleHosts(record: record, view: view)
  }

  /// Whether the instance may stay as it is. Going back takes secrets as they are: they belong to the service, not to the release.
  func holds(_ instance: Instance) -> Bool { holds(instance, on: view.map.index(of: instance.host) ?? FleetMap.nowhere) }

  /// The same, where its host's place in the fleet is known.
  func holds(_ instance: Instance, on host: Int) -> Bool {
    isAsAsked(instance) && allows(host)
  }

  /// Whether an instance may stay on the host with that place in the fleet.
  func allows(_ host: Int) -> Bool { host != FleetMap.nowhere && places.allow(host) }

  /// The same, whatever host it is on.
  func isAsAsked(_ instance: Instance) -> Bool {
    guard let release = goal.release, instance.release == release, instance.condemned == nil else { return false }
    guard goesBack || instance.secrets == goal.secrets, !goal.renew.contains(instance.number) else { return false }
    switch instance.phase {
    case .retired, .lost, .stopping, .draining: return false
    case .reserved, .starting, .checking, .warming, .serving: return true
    }
  }
}
