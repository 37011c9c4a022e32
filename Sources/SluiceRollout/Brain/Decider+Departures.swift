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
        guard state.departure != nil else { continue }
        record.gateways[index].departure = nil
      } else {
        // Where there is no route at all, or nobody has been told of another one, there is nothing to follow.
        guard state.departure == nil, state.revision != nil, !route.isEmpty, let content = record.table.content else { continue }
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

  private func names(_ ids: [GatewayID]) -> String { ids.map(\.description).joined(separator: " and ") }

  /// What the next table says of the gateways that are left; nil: none is.
  var departures: [TableDeparture]? {
    let leaving = record.gateways.compactMap { state in
      state.departure.map { TableDeparture(gateway: state.id, route: $0.route, isClosed: $0.closedBy != nil) }
    }
    return leaving.isEmpty ? nil : leaving
  }

  /// Takes each gateway that is left as far as it may go.
  mutating func departGateways() {
    guard record.gateways.contains(where: { $0.departure != nil }) else { return }
    let followed = usersMayFollow
    var changed = false
    for index in record.gateways.indices {
      guard var departure = record.gateways[index].departure else { continue }
      let id = record.gateways[index].id
      if record.gateways[index].excluded {
        // No user reaches it, an operator has said: it forgets the route as soon as it is heard of again.
        record.gateways[index].departure = nil
        changed = true
        continue
      }
      if let closing = departure.closedBy {
        guard let revision = record.gateways[index].revision, revision >= closing else { continue }
        let since = departure.closedAt ?? now
        departure.closedAt = since
        record.gateways[index].departure = departure
        let open = record.gateways[index].targets.reduce(0) { $0 + $1.inFlight }
        let deadline = since + policy.drain.timeout
        guard open == 0 || now >= deadline else {
          wake(at: deadline)
          continue
        }
        if open > 0 {
          note(.warning, "drain-deadline", "gateway \(id): drain.timeout (\(policy.drain.timeout)) has passed with \(open) in flight; they are cut off")
        }
        record.gateways[index].departure = nil
        note(.info, "gateway-departed", "the route of \(record.service) is away from gateway \(id)")
        changed = true
      } else if followed {
        let since = departure.since ?? now
        departure.since = since
        let end = since + policy.drain.timeout
        if now >= end {
          departure.closedBy = nextRevision
          changed = true
        } else {
          // Users are given their time: nothing else is waited for.
          progress()
          wake(at: end)
        }
        record.gateways[index].departure = departure
      } else if departure.since != nil {
        record.gateways[index].departure?.since = nil
      }
    }
    if changed {
      followPolicy()
      progress()
    }
  }

  /// Whether every gateway of the route has the newest table and finds healthy what serves.
  private var usersMayFollow: Bool {
    let stay = view.processes(of: policy.route).compactMap { record.gateway($0) }.filter { !$0.excluded }
    guard !stay.isEmpty, !record.table.isEmpty else { return false }
    return stay.allSatisfy { gateway in
      guard gateway.reach.isReachable, gateway.revision == record.table.revision else { return false }
      return record.instances.allSatisfy { instance in
        guard instance.phase == .serving, instance.condemned == nil, record.carriesUsers(instance.release) else { return true }
        return gateway.verdict(on: instance) == .healthy
      }
    }
  }
}
