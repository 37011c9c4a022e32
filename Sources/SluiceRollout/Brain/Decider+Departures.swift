import SluiceModel

/// A service that moves to other gateways: the ones it leaves keep its route until the others have it, find its targets healthy, and users had
/// `drain.timeout` to follow. Then they give no new request to anybody, finish what they have, and forget it.
extension Decider {
  /// Gateways of the route that the record has not met yet, and those that have its table and are of its route no more.
  mutating func admitGateways() {
    let route = view.processes(of: policy.route)
    for id in route where !record.gateways.contains(where: { $0.id == id }) { record.gateways.append(GatewayState(id: id)) }
    var changed = false
    for index in record.gateways.indices {
      let state = record.gateways[index]
      if route.contains(state.id) {
        guard let departure = state.departure else { continue }
        record.gateways[index].departure = nil
        // Whoever was sent away from it already comes back when it is well.
        if case .open = departure.stage {} else { record.gateways[index].joins = true }
      } else {
        // Where there is no route at all there is nothing to follow.
        guard state.departure == nil, state.revision != nil, !route.isEmpty else { continue }
        guard let content = record.table.content else {
          // What it has is from a record that is lost: it finishes that.
          guard let asked = policy.route, !record.isRouteAway else { continue }
          record.gateways[index].departure = Departure(route: asked, stage: .closed(by: nextRevision, acknowledged: nil))
          changed = true
          continue
        }
        record.gateways[index].departure = Departure(route: content.content(for: state.id).route)
        note(
          .info, "gateway-left",
          "\(record.service) leaves gateway \(state.id): its route stays there until \(names(route)) serve\(route.count == 1 ? "s" : "") it and users had \(policy.drain.timeout) to follow"
        )
      }
      changed = true
    }
    if changed || route.contains(where: { !gateways.contains($0) }) { followPolicy() }
  }

  /// A gateway that is new to the route counts from when it has found healthy all that serve, or nothing serves elsewhere: what it has not looked at
  /// yet is not down.
  mutating func joinGateways() {
    guard record.gateways.contains(where: { $0.joins == true }) else { return }
    // A controller that has just taken over does not know yet what is healthy: what nobody calls unhealthy serves.
    let serving = servingUsers.filter { $0.healthySince != nil || record.mayServe($0, gateways: requiredGateways) }
    let servesElsewhere = record.gateways.contains { state in
      if state.isClosed { return false }
      return state.joins != true && state.revision != nil && !state.excluded && state.departure?.stage != .over
    }
    for index in record.gateways.indices where record.gateways[index].joins == true {
      let state = record.gateways[index]
      // What it was told while it was left may still be on its way.
      if servesElsewhere, occupied.contains(.gateway(state.id)) { continue }
      if servesElsewhere, !serving.allSatisfy({ state.verdict(on: $0) == .healthy }) { continue }
      record.gateways[index].joins = nil
    }
    followPolicy()
  }

  /// The first gateway of the route that has not joined it.
  var joining: GatewayID? {
    view.processes(of: policy.route).first { id in record.gateway(id).map { $0.joins == true && !$0.excluded } ?? false }
  }

  /// The instances that users are sent to.
  private var servingUsers: [Instance] {
    record.instances.filter { $0.phase == .serving && $0.condemned == nil && record.carriesUsers($0.release) }
  }

  /// That nobody may follow to where the service moves, in words; nil: it does not move, or somebody may.
  var excludedRoute: String? {
    let route = view.processes(of: policy.route)
    guard record.gateways.contains(where: \.isLeaving), !route.isEmpty, route.allSatisfy({ record.gateway($0)?.excluded ?? false }) else {
      return nil
    }
    return "users stay where they are, since gateway \(names(route)) is excluded (sluice gateway include)"
  }

  /// What that gateway has not found well, in words.
  func unmet(by id: GatewayID) -> String {
    let state = record.gateway(id)
    guard let instance = servingUsers.first(where: { state?.verdict(on: $0) != .healthy }) else { return "gateway \(id) has not joined" }
    let probe = state?.target(instance.number)?.probe ?? ""
    return
      "gateway \(id) does not find \(name(instance)) at \(instance.address):\(instance.port) healthy\(probe.isEmpty ? "" : ": \(probe)")"
  }

  private func names(_ ids: [GatewayID]) -> String { ids.map(\.description).joined(separator: " and ") }

  /// What the next table says of the gateways that are left; nil: none is.
  var departures: [TableDeparture]? {
    let leaving = record.gateways.compactMap { state -> TableDeparture? in
      guard state.isLeaving, let departure = state.departure else { return nil }
      let isClosed = if case .closed = departure.stage { true } else { false }
      return TableDeparture(gateway: state.id, route: departure.route, isClosed: isClosed)
    }
    return leaving.isEmpty ? nil : leaving
  }

  /// Takes each gateway that is left as far as it may go.
  mutating func departGateways() {
    guard record.gateways.contains(where: \.isLeaving) else { return }
    let followed = usersMayFollow
    var changed = false
    for index in record.gateways.indices {
      let state = record.gateways[index]
      guard state.isLeaving, let stage = state.departure?.stage else { continue }
      let next = self.stage(after: stage, of: state, followed: followed)
      if next == stage { continue }
      record.gateways[index].departure?.stage = next
      if case .open = next { continue }
      changed = true
    }
    if changed {
      followPolicy()
      progress()
    }
  }

  private mutating func stage(after stage: Departure.Stage, of gateway: GatewayState, followed: Bool) -> Departure.Stage {
    // No user reaches it, an operator has said: it forgets the route as soon as it is heard of again.
    if gateway.excluded { return .over }
    // Nothing is routed any more, and it has forgotten what was. So it has where the record is an older copy that was gone on from.
    if record.table.isEmpty || isBehindGateways, gateway.revision == nil, gateway.reach.isReachable { return .over }
    switch stage {
    case .open(let since):
      guard followed else { return .open(since: nil) }
      let end = (since ?? now) + policy.drain.timeout
      if now >= end { return .closed(by: nextRevision, acknowledged: nil) }
      // Users are given their time: nothing else is waited for.
      progress()
      wake(at: end)
      return .open(since: since ?? now)
    case .closed(let revision, let acknowledged):
      guard let has = gateway.revision, has >= revision else { return stage }
      let since = acknowledged ?? now
      let open = gateway.targets.reduce(0) { $0 + $1.inFlight }
      let deadline = since + policy.drain.timeout
      if open > 0, now < deadline {
        progress()
        wake(at: deadline)
        return .closed(by: revision, acknowledged: since)
      }
      if open > 0 {
        note(
          .warning, "drain-deadline",
          "gateway \(gateway.id): drain.timeout (\(policy.drain.timeout)) has passed with \(open) in flight; they are cut off")
      }
      note(.info, "gateway-departed", "gateway \(gateway.id) gives nobody's request to \(record.service) any more")
      return .over
    case .over: return .over
    }
  }

  /// Whether every gateway of the route has the newest table and finds healthy what serves.
  private var usersMayFollow: Bool {
    let stay = view.processes(of: policy.route).compactMap { record.gateway($0) }.filter { !$0.excluded }
    guard !stay.isEmpty, !record.table.isEmpty else { return false }
    let serving = servingUsers
    // What comes up has nobody to follow it yet.
    if serving.isEmpty, record.instances.contains(where: { $0.condemned == nil && $0.takesPlace }) { return false }
    return stay.allSatisfy { gateway in
      guard gateway.reach.isReachable, gateway.revision == record.table.revision else { return false }
      return serving.allSatisfy { gateway.verdict(on: $0) == .healthy }
    }
  }
}
