package import SluiceModel

/// What a decision about one service must know of everything else: hosts, gateways, and what other services hold.
package struct FleetView: Hashable, Sendable {
  package var fleet: Fleet
  package var gateways: [Gateway]
  /// Hosts that nothing may be placed on and that everything is to leave.
  package var cordons: [HostName]
  /// What the other services hold, per host, in order of host and port.
  package var reservations: [Reservation]

  package init(fleet: Fleet, gateways: [Gateway], cordons: [HostName] = [], reservations: [Reservation] = []) {
    self.fleet = fleet
    self.gateways = gateways
    self.cordons = cordons
    self.reservations = reservations
  }

  /// The gateway processes that a route goes through.
  package func processes(of route: Route?) -> [GatewayID] {
    guard let route, let gateway = gateways.first(where: { $0.name == route.gateway }) else { return [] }
    return gateway.processes
  }

  /// The gateways whose word a decision about the record needs: all of its route's, but for those an operator has excluded.
  package func requiredGateways(_ record: ServiceRecord) -> [GatewayID] {
    processes(of: record.policy.route).filter { id in !(record.gateway(id)?.excluded ?? false) }
  }
}

/// A slot and a port of a host, held for an instance.
package struct Reservation: Hashable, Codable, Sendable {
  package var instance: InstanceID
  package var host: HostName
  package var port: Int

  package init(instance: InstanceID, host: HostName, port: Int) {
    self.instance = instance
    self.host = host
    self.port = port
  }
}
