package import SluiceModel

/// What a decision about one service must know of everything else: hosts, gateways, and what other services hold.
package struct FleetView: Sendable {
  package var fleet: Fleet { occupancy.map.fleet }
  package let gateways: [Gateway]
  /// Hosts that nothing may be placed on and that everything is to leave.
  package var cordons: [HostName] { occupancy.cordons }
  /// How the services stand that this one comes after.
  package var standings: [Standing] = []
  /// Which requests belong to whom.
  package var claims: [ServiceName: RouteClaim] = [:]
  /// The time zones that windows name.
  package var zones: [ZoneOffset] = []
  /// What all services hold; a decision counts what is not its own.
  let occupancy: Occupancy

  package init(fleet: Fleet, gateways: [Gateway], cordons: [HostName] = []) {
    self.init(occupancy: Occupancy(map: FleetMap(fleet), cordons: cordons, records: []), gateways: gateways)
  }

  package init(occupancy: Occupancy, gateways: [Gateway]) {
    self.gateways = gateways
    self.occupancy = occupancy
  }

  var map: FleetMap { occupancy.map }

  /// The host of that name.
  package func host(_ name: HostName) -> Host? { map.index(of: name).map { map.hosts[$0] } }

  /// How many slots of a host no other service holds.
  func slots(for service: ServiceName, on host: HostName) -> Int {
    map.index(of: host).map { map.slots[$0] - occupancy.count(ofOthersThan: service, on: $0) } ?? 0
  }

  /// nil: this machine knows no such zone.
  func offset(of zone: String) -> Milliseconds? { zones.first { $0.zone == zone }?.offset }

  /// The gateway processes that a route goes through.
  package func processes(of route: Route?) -> [GatewayID] {
    guard let route, let index = gateways.firstIndex(where: { $0.name == route.gateway }) else { return [] }
    return gateways[index].processes
  }
}

/// How another service stands.
package struct Standing: Hashable, Sendable {
  package var service: ServiceName
  /// The number of the rollout under way.
  package var rollout: Int?
  /// Whether that goes on without an operator.
  package var goesOn: Bool
  package var ended: End?
  /// It was to be acted upon, and could not be.
  package var isOutOfReach: Bool
  /// It serves in the place of the service that it was called before, with its route or with another.
  package var hasTakenOver: Bool

  /// Its last rollout.
  package struct End: Hashable, Sendable {
    package var number: Int
    package var result: RolloutEnd.Result
  }

  package init(_ record: ServiceRecord, isOutOfReach: Bool = false) {
    service = record.service
    rollout = record.rollout?.number
    goesOn = record.rollout?.gate?.opensByItself ?? true
    ended = record.ended.map { End(number: $0.number, result: $0.result) }
    self.isOutOfReach = isOutOfReach
    hasTakenOver = record.policy.formerly != nil && record.takeover != .waiting && record.stable != nil
  }
}

/// How far a time zone's clocks are ahead of UTC now.
package struct ZoneOffset: Hashable, Sendable {
  package var zone: String
  package var offset: Milliseconds

  package init(zone: String, offset: Milliseconds) {
    self.zone = zone
    self.offset = offset
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
