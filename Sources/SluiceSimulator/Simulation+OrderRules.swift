import SluiceEngine
import SluiceModel
import SluiceRollout

/// What keeps a release from beginning, held against what was true when it began.
extension Simulation {
  /// The rollouts of other services that one of this service has met while it had not begun.
  struct Awaited {
    var rollout: Int
    var service: ServiceName
    var other: Int
  }

  mutating func checkBeginning(_ before: ServiceRecord, _ after: ServiceRecord, byHand: Bool) {
    guard let rollout = after.rollout, rollout.direction.isForward, rollout.cause == "apply" || rollout.cause == "restart" else { return }
    let former = before.rollout.flatMap { $0.number == rollout.number && $0.direction.isForward ? $0 : nil }
    let begins = hasBegun(after) && (former == nil || !hasBegun(before))
    if !hasBegun(after) { notice(rollout) }
    if rollout.cause == "apply", begins, rollout.waves == 0 {
      checkOrder(rollout)
      checkWindow("release \(rollout.goal.release ?? ReleaseNumber(0)) begins")
    }
    guard let former else {
      if begins { checkFreeze("rollout \(rollout.number) begins") }
      return
    }
    if begins || rollout.waves > former.waves { checkFreeze("rollout \(rollout.number) goes on to wave \(rollout.waves)") }
    if let step = former.step, rollout.step?.index != step.index, !byHand {
      checkFreeze("step \(step.index + 1) ends")
      if !step.promoted, rollout.cause == "apply" { checkWindow("step \(step.index + 1) ends") }
    }
  }

  /// Whether anything was sent for it.
  private func hasBegun(_ record: ServiceRecord) -> Bool {
    guard let rollout = record.rollout else { return false }
    if rollout.stage != .preparing || rollout.waves > 0 { return true }
    return record.attempts.contains { if case .stage = $0.action { true } else { false } }
  }

  // MARK: Windows, freeze

  private mutating func checkWindow(_ what: String) {
    let minute = Int((wall.milliseconds % 86_400_000 + 86_400_000) % 86_400_000 / 60_000)
    if scene.plan.closed.contains(minute) { violate("windows", "\(what), \(minute) minutes after midnight: outside the windows") }
  }

  private mutating func checkFreeze(_ what: String) {
    if scene.isFrozen { violate("freeze", "\(what) while \(service) is frozen") }
  }

  // MARK: Routes

  /// A gateway is given no table for requests that another service's table there has.
  mutating func checkRoute(_ given: TableContent, at id: GatewayID) {
    // The two names of one service share its route, and the gateway says who has it.
    if scenario.isRenamed { return }
    // Who has lost what it knew of the other is refused by the gateway.
    guard allScenes({ !$0.stateWasLost }) else { return }
    // Nor has anybody requests at what a host has made up: a real gateway refuses that table.
    func isMadeUp(_ content: TableContent) -> Bool {
      !content.targets.isEmpty && content.targets.allSatisfy { $0.draining && $0.instance == RecordLimits.numberTold }
    }
    if isMadeUp(given) { return }
    let mine = RouteClaim(service, asked(given.route, scene.plan))
    for other in others {
      guard let standing = other.gateways[id]?.content, !isMadeUp(standing), mine.meets(asked(standing.route, other.plan)) else { continue }
      violate("route", "\(id) is given a table of \(service), and \(other.service) has its requests there")
    }
  }

  /// The route that the manifest asks for, where a broken controller has asked for another.
  private func asked(_ route: Route, _ plan: Scenario.Plan) -> Route {
    guard sabotage == .routesUnseen, let declared = plan.policy.route else { return route }
    var route = route
    route.hosts = declared.hosts
    return route
  }

  // MARK: after

  private mutating func notice(_ rollout: Rollout) {
    for name in scene.plan.policy.after ?? [] {
      guard let other = engine?.record(name)?.rollout?.number else { continue }
      if scene.awaited.contains(where: { $0.rollout == rollout.number && $0.service == name && $0.other == other }) { continue }
      scene.awaited.append(Awaited(rollout: rollout.number, service: name, other: other))
    }
  }

  /// A service that comes after another one begins when that is at rest, and has ended well where the two were applied together.
  private mutating func checkOrder(_ rollout: Rollout) {
    guard allScenes({ !$0.stateWasLost }) else { return }
    for name in scene.plan.policy.after ?? [] {
      guard let other = engine?.record(name) else { continue }
      if let under = other.rollout { violate("after", "\(service) begins while rollout \(under.number) of \(name) is under way") }
      let awaited = scene.awaited.filter { $0.rollout == rollout.number && $0.service == name }.map(\.other).max()
      guard let awaited, let end = other.ended, end.number >= awaited else { continue }
      switch end.result {
      case .succeeded, .degraded: break
      case .failed, .rolledBack: violate("after", "\(service) begins, and rollout \(end.number) of \(name) \(end.result.words)")
      }
    }
  }
}
