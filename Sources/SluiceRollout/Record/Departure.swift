package import SluiceModel

/// A gateway that the route has left, and that its users have not: it keeps what it had until they have had time to follow.
package struct Departure: Hashable, Codable, Sendable {
  /// What it goes on answering to.
  package var route: Route
  /// Since when every gateway of the route has the newest table and finds its targets healthy, in active time; nil: one does not.
  package var since: Milliseconds?
  /// The first table by which it gives no new request to anybody; nil: users still come.
  package var closedBy: Revision?
  /// When it had that table, in active time.
  package var closedAt: Milliseconds?

  package init(route: Route) { self.route = route }
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

extension FleetView {
  /// The gateways that are given the record's tables: those of its route, and those that are left.
  package func gateways(of record: ServiceRecord) -> [GatewayID] {
    if record.isRouteAway { return [] }
    var gateways = processes(of: record.policy.route)
    for state in record.gateways where state.departure != nil && !gateways.contains(state.id) { gateways.append(state.id) }
    return gateways
  }

  /// The gateways whose word on health a decision about the record needs: all that may send users to it, but for those an operator has excluded.
  package func requiredGateways(_ record: ServiceRecord) -> [GatewayID] {
    gateways(of: record).filter { id in
      guard let state = record.gateway(id) else { return true }
      return !state.excluded && state.departure?.closedBy == nil
    }
  }

  /// The gateways of which a target must have been taken away before it is stopped: they may still have requests in flight, too.
  func routingGateways(_ record: ServiceRecord) -> [GatewayID] {
    gateways(of: record).filter { id in !(record.gateway(id)?.excluded ?? false) }
  }
}
