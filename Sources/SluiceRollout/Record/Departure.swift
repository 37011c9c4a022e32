package import SluiceModel

/// A gateway that the route has left, and that its users have not: it keeps what it had until they have had time to follow.
package struct Departure: Hashable, Codable, Sendable {
  /// What it goes on answering to.
  package var route: Route
  package var stage: Stage

  /// Each follows the one before it. Times are the record's active time.
  package enum Stage: Hashable, Codable, Sendable {
    /// Users come as before. `since`: when every gateway of the route had the newest table and found its targets healthy; nil: one does not.
    case open(since: Milliseconds?)
    /// The tables from that revision on give nobody's request to a target; `acknowledged` is when it had one of them.
    case closed(by: Revision, acknowledged: Milliseconds?)
    /// It is to forget the route.
    case over
  }

  package init(route: Route, stage: Stage = .open(since: nil)) {
    self.route = route
    self.stage = stage
  }
}

/// How a table differs for a gateway that is left.
package struct TableDeparture: Hashable, Codable, Sendable {
  package var gateway: GatewayID
  package var route: Route
  /// It gives no new request to anybody, and finishes what it has.
  package var isClosed: Bool

  package init(gateway: GatewayID, route: Route, isClosed: Bool) {
    self.gateway = gateway
    self.route = route
    self.isClosed = isClosed
  }
}

extension TableContent {
  /// The table as one gateway is given it.
  package func content(for gateway: GatewayID) -> TableContent {
    var content = self
    content.departures = nil
    guard let departure = departures?.first(where: { $0.gateway == gateway }) else { return content }
    content.route = departure.route
    guard departure.isClosed else { return content }
    for index in content.targets.indices { content.targets[index].draining = true }
    (content.split, content.preview, content.idle, content.hold) = (nil, nil, nil, nil)
    return content
  }
}

extension GatewayState {
  /// Whether the route has left it, and it has a table that gives nobody's request to a target.
  var isClosed: Bool {
    guard case .closed(let revision, _)? = departure?.stage else { return false }
    return self.revision.map { $0 >= revision } ?? true
  }

  /// Whether it still has a table of a route that has left it.
  package var isLeaving: Bool { departure.map { $0.stage != .over } ?? false }
}

extension FleetView {
  /// The gateways that are given the record's tables: those of its route, and those that are left.
  package func gateways(of record: ServiceRecord) -> [GatewayID] {
    if record.isRouteAway { return [] }
    var gateways = processes(of: record.policy.route)
    for state in record.gateways where state.isLeaving && !gateways.contains(state.id) { gateways.append(state.id) }
    return gateways
  }

  /// The gateways whose word on health a decision about the record needs: all that may send users to it, but for those an operator has excluded,
  /// and those to which no users come yet.
  package func requiredGateways(_ record: ServiceRecord) -> [GatewayID] {
    gateways(of: record).filter { id in
      guard let state = record.gateway(id) else { return true }
      if state.joins == true { return false }
      if state.isClosed { return false }
      return !state.excluded
    }
  }

  /// The gateways of which a target must have been taken away before it is stopped: they may still have requests in flight, too.
  func routingGateways(_ record: ServiceRecord) -> [GatewayID] {
    gateways(of: record).filter { id in !(record.gateway(id)?.excluded ?? false) }
  }
}
