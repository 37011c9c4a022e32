import SluiceModel

/// Who has which requests: a route has one owner, and can be handed on.
extension Absorber {
  /// Refuses what another service has. What both have by now, from before this was looked at, is for the gateways to say.
  func requireRoute(of policy: ServicePolicy) throws(Refusal) {
    try view.claims.requireRoute(of: policy, own: record.claim)
  }

  /// A service under another name comes up beside the one it was, and takes the route when it serves.
  mutating func beginTakeover(_ policy: ServicePolicy) {
    record.removal = nil
    record.routeGivenUp = nil
    guard let former = policy.formerly else { return record.takeover = nil }
    guard let wanted = RouteClaim(policy), let other = view.claims[former], wanted.conflict(with: other) != nil else { return }
    // One that serves already can have more requests at once.
    record.takeover = record.stable == nil ? .waiting : .done
  }

  mutating func remove(successor: ServiceName?, _ command: Command) throws(Refusal) {
    if let removal = record.removal { throw Refusal("\(record.service) was removed by \(removal.by) already") }
    if let rollout = record.rollout, rollout.isRemoval, rollout.direction.isForward {
      // The operator no longer waits for the other, or waits for it now.
      if successor == nil { record.rollout?.successor = nil }
      return try resume()
    }
    try requireQuiet()
    guard record.stable != nil || !record.instances.isEmpty || !record.table.isEmpty else { throw nothingStands }
    begin(Self.removing, goal: Goal(release: nil, replicas: 0, secrets: reached.secrets), command)
    record.rollout?.successor = successor
  }

  /// What runs again has its route again, where no other has it by now.
  mutating func takeRouteAgain() throws(Refusal) {
    guard record.routeGivenUp == true else { return }
    try requireRoute(of: record.policy)
    record.routeGivenUp = nil
  }

  mutating func giveUpRoute(_ command: Command) throws(Refusal) {
    try requireQuiet()
    guard record.policy.route != nil else { throw Refusal("\(record.service) has no route") }
    guard record.instances.isEmpty else {
      throw Refusal("\(record.service) serves", remedy: "sluice stop \(record.service) --give-up-route stops it first")
    }
    if record.routeGivenUp != true {
      note(.warning, "route-given-up", "others may have its route now, says \(command.by)")
    }
    record.routeGivenUp = true
  }

  static let removing = "remove"
}
