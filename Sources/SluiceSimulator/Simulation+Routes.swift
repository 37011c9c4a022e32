import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceTraffic

/// Whose requests come where: services that go on under another name, and services that move to other gateways.
extension Simulation {
  // MARK: Another name

  /// The first service goes on under another name by now.
  var isSucceeded: Bool { scenario.isRenamed && scene.index == 0 && others.contains { $0.hasBegun } }

  /// When the first has had all its releases and is at rest, its manifest is given another name.
  mutating func beginUnderAnotherName() {
    turn(to: 0)
    guard scenario.isRenamed, others.contains(where: { !$0.hasBegun }), scene.step >= scene.plan.releases.count,
      let record = kept(service), record.rollout == nil
    else { return }
    note("\(service) is called \(others[0].service) from now on", isGeneral: true)
    others[0].hasBegun = true
  }

  /// What a gateway says to a table: nil where it takes it. The ledger is the real gateways' own.
  mutating func claimRoute(_ content: TableContent?, at id: GatewayID) -> Failure? {
    guard scenario.isRenamed else { return nil }
    var ledger = ledgers[id] ?? RouteLedger()
    defer { ledgers[id] = ledger }
    guard let content else {
      ledger.remove(service)
      return nil
    }
    do {
      try ledger.claim(
        service,
        RouteLedger.Claim(
          routes: content.route.keys(preview: content.preview?.hosts ?? []), takesFrom: content.takesFrom,
          stands: sabotage == .takenUnserved
            || content.targets.contains { !$0.draining && content.idle?.contains($0.release) != true },
          serves: sabotage == .takenUnserved || serves(content, scene.gateways[id]?.healthy ?? [])))
      return nil
    } catch {
      return Failure(.gateway, "\(error.route) at \(id) is \(error.owner)'s")
    }
  }

  private func serves(_ content: TableContent, _ healthy: Set<Int>) -> Bool {
    content.targets.contains { !$0.draining && content.idle?.contains($0.release) != true && healthy.contains($0.instance) }
  }

  /// The table or the health of a gateway's targets has changed.
  mutating func noteServing(_ id: GatewayID) {
    guard let gateway = scene.gateways[id] else { return }
    let isServing = gateway.content.map { serves($0, gateway.healthy) } ?? false
    if isServing != (gateway.servesSince != nil) { scene.gateways[id]?.servesSince = isServing ? time : nil }
    let hasServed = gateway.content != nil && (gateway.hasServed || isServing)
    if hasServed != gateway.hasServed { scene.gateways[id]?.hasServed = hasServed }
    guard scenario.isRenamed else { return }
    if var ledger = ledgers[id] {
      if ledger.note(service, serves: isServing) { note("routes have gone over at \(id)") }
      ledgers[id] = ledger
    }
    checkHandedOver(id)
  }

  /// Whether users of the service's route come to it at that gateway, and not to the one that it was called before or is called now.
  func hasRoute(at id: GatewayID) -> Bool {
    guard scenario.isRenamed, let ledger = ledgers[id], let keys = scene.gateways[id]?.content?.route.keys() else { return true }
    return keys.contains { ledger.owner(of: $0) == service }
  }

  /// Users are never with the one of the two names that has nothing to answer them, while the other has.
  private mutating func checkHandedOver(_ id: GatewayID) {
    guard faultsSoFar == 0, allScenes({ !$0.stateWasLost }), let other = others.first, let ledger = ledgers[id] else { return }
    for key in (scene.gateways[id]?.content ?? other.gateways[id]?.content)?.route.keys() ?? [] {
      guard let owner = ledger.owner(of: key) else { continue }
      let (has, hasNot) = owner == service ? (scene, other) : (other, scene)
      guard has.gateways[id]?.servesSince == nil, hasNot.gateways[id]?.servesSince != nil,
        hasNot.gateways[id]?.content?.route.keys().contains(key) == true
      else { continue }
      violate("route", "\(key) at \(id) is \(owner)'s, of which nothing serves, and \(hasNot.service) does")
    }
  }

  // MARK: Another gateway

  /// Whether users come through it: it has served since the route came, and is not left.
  func hasUsers(_ id: GatewayID, _ record: ServiceRecord) -> Bool {
    guard let gateway = scene.gateways[id], gateway.hasServed, let content = gateway.content else { return false }
    return id.gateway == record.policy.route?.gateway || content.targets.contains { !$0.draining }
  }

  /// A gateway is about to give nobody's request to the service any more: its users can come through all gateways of the route, and have had
  /// `drain.timeout` to follow.
  mutating func checkLeaving(_ id: GatewayID, _ record: ServiceRecord) {
    // Between the old and the new of a recreate nothing serves anywhere, nor where the floor is 0: that is for rule 1.
    if case .recreate = scene.plan.policy.strategy { return }
    if record.table.content?.targets.allSatisfy(\.draining) ?? true { return }
    // From one that an operator has excluded users are gone.
    if record.gateway(id)?.excluded == true { return }
    guard faultsSoFar == 0, !scene.stateWasLost, scene.gateways[id]?.servesSince != nil, let route = record.policy.route,
      let gateway = scenario.gateways.first(where: { $0.name == route.gateway }), !gateway.processes.contains(id), !record.isRouteAway
    else { return }
    for other in gateway.processes where record.gateway(other)?.excluded != true {
      let waited = scene.gateways[other]?.servesSince.map { time - $0 } ?? -1
      if waited < record.policy.drain.timeout.value {
        violate(
          "move", "\(id) leaves its users \(waited) ms after \(other) began to serve, drain.timeout is \(record.policy.drain.timeout)")
      }
    }
  }

  /// What must be true at the end of gateways that the service has left, or that are to forget it.
  mutating func checkLeft(_ record: ServiceRecord) {
    let route = record.isRouteAway ? nil : record.policy.route?.gateway
    for gateway in scenario.gateways where gateway.name != route {
      for id in gateway.processes where scene.gateways[id]?.content != nil && record.gateway(id)?.excluded != true {
        // It was down when the record was lost.
        if scene.stateWasLost, record.gateway(id) == nil { continue }
        violate("move", "\(id) still has a table of \(service), whose route has left it")
      }
    }
  }
}

extension ServiceRecord {
  /// Nothing of it is left, or it never was.
  var isGone: Bool { removal != nil || rollout == nil && stable == nil && instances.isEmpty && table.isEmpty }
}
