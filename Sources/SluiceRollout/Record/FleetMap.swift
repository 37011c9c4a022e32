package import SluiceModel

/// A fleet's hosts by number, name and rack: made once for a fleet and shared by all who look at it.
package final class FleetMap: Sendable {
  package let fleet: Fleet
  /// In the order of the manifest, rack after rack.
  let hosts: [Host]
  /// How many instances each host may have.
  let slots: [Int]
  /// Each rack's part of `hosts`.
  let racks: [Range<Int>]
  /// The rack of each host, by its place in `racks`.
  let rackOfHost: [Int]
  private let numbers: [HostName: Int]

  package init(_ fleet: Fleet) {
    self.fleet = fleet
    hosts = fleet.hosts
    slots = hosts.map(\.slots)
    var racks: [Range<Int>] = []
    var rackOfHost: [Int] = []
    for (index, rack) in fleet.racks.enumerated() {
      racks.append(rackOfHost.count..<rackOfHost.count + rack.hosts.count)
      rackOfHost += repeatElement(index, count: rack.hosts.count)
    }
    self.racks = racks
    self.rackOfHost = rackOfHost
    numbers = Dictionary(hosts.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The place of a host in `hosts`.
  package func index(of name: HostName) -> Int? { numbers[name] }

  func rack(of name: HostName) -> RackName? { numbers[name].map { hosts[$0].rack } }

  /// How many of the preferred labels a host does not have.
  func lacking(_ preferred: [String: String]?, on host: Int) -> Int {
    guard let preferred else { return 0 }
    let labels = hosts[host].labels
    return preferred.count { labels[$0.key] != $0.value }
  }

  /// How many of the instances at these places of `instances` each rack has, by its place in `racks`.
  func countByRack(_ instances: [Instance], at places: some Sequence<Int>) -> [Int] {
    var counts = [Int](repeating: 0, count: racks.count)
    for place in places { if let host = numbers[instances[place].host] { counts[rackOfHost[host]] += 1 } }
    return counts
  }

  /// The place of a host that the fleet does not have: behind all others.
  static let nowhere = Int.max

  /// The place in `hosts` of each instance's host, or `nowhere`.
  func hosts(of instances: [Instance]) -> [Int] { instances.indices.map { numbers[instances[$0].host] ?? Self.nowhere } }

  func rack(ofHostAt host: Int) -> RackName? { host == Self.nowhere ? nil : hosts[host].rack }

  /// The place of a host's rack in `racks`.
  package func rackIndex(of name: HostName) -> Int? { numbers[name].map { rackOfHost[$0] } }
}

/// The slots and ports that the instances of all services hold: another one is made when some service's instances have changed.
///
/// A service sees in it what the others hold. Its own part may be older than its record, and is left out wherever it decides.
package final class Occupancy: Sendable {
  let map: FleetMap
  let cordons: [HostName]
  /// What is held on each host.
  private let reservations: [[Reservation]]
  /// What each service holds.
  private let holdingsOfService: [ServiceName: [Holding]]
  /// Which hosts are cordoned.
  let isCordoned: [Bool]
  /// The free slots of each rack's hosts that have the labels asked for, for each set of labels that a service asks for.
  private let rooms: [Room]

  /// The instances of a service on one host.
  struct Holding: Hashable {
    let host: Int
    var count: Int
  }

  private struct Room {
    let labels: [String: String]
    /// By the rack's place in the fleet.
    var free: [Int]
  }

  package init(map: FleetMap, cordons: [HostName], records: [ServiceRecord]) {
    self.map = map
    self.cordons = cordons
    var reservations = [[Reservation]](repeating: [], count: map.hosts.count)
    var holdingsOfService: [ServiceName: [Holding]] = [:]
    for record in records where !record.instances.isEmpty {
      holdingsOfService[record.service] = Self.reserve(record, map, &reservations)
    }
    self.reservations = reservations
    self.holdingsOfService = holdingsOfService
    var isCordoned = [Bool](repeating: false, count: map.hosts.count)
    for host in cordons { if let index = map.index(of: host) { isCordoned[index] = true } }
    self.isCordoned = isCordoned
    var rooms: [Room] = []
    for labels in records.map(\.policy.placement.require) where !rooms.contains(where: { $0.labels == labels }) {
      rooms.append(Room(labels: labels, free: Self.room(map, isCordoned, reservations, labels: labels)))
    }
    self.rooms = rooms
  }

  /// The same as `old` with what the service holds as its record says now.
  private init(_ old: Occupancy, replacing record: ServiceRecord) {
    map = old.map
    cordons = old.cordons
    isCordoned = old.isCordoned
    var reservations = old.reservations
    var rooms = old.rooms
    let before = old.holdings(of: record.service)
    for holding in before { reservations[holding.host].removeAll { $0.instance.service == record.service } }
    let now = Self.reserve(record, map, &reservations)
    for host in Set((before + now).map(\.host)).sorted() where !isCordoned[host] {
      let slots = map.slots[host]
      let difference = max(0, slots - reservations[host].count) - max(0, slots - old.reservations[host].count)
      if difference == 0 { continue }
      for index in rooms.indices where map.hosts[host].has(rooms[index].labels) { rooms[index].free[map.rackOfHost[host]] += difference }
    }
    let labels = record.policy.placement.require
    if !rooms.contains(where: { $0.labels == labels }) {
      rooms.append(Room(labels: labels, free: Self.room(map, isCordoned, reservations, labels: labels)))
    }
    var holdings = old.holdingsOfService
    holdings[record.service] = now
    holdingsOfService = holdings
    self.reservations = reservations
    self.rooms = rooms
  }

  /// The same with what the service holds as its record says now.
  package func replacing(_ record: ServiceRecord) -> Occupancy { Occupancy(self, replacing: record) }

  /// Holds the slots and ports of a record's instances; on which hosts, in the fleet's order.
  private static func reserve(_ record: ServiceRecord, _ map: FleetMap, _ reservations: inout [[Reservation]]) -> [Holding] {
    var hosts: [Int] = []
    for instance in record.instances {
      guard let host = map.index(of: instance.host) else { continue }
      hosts.append(host)
      reservations[host].append(
        Reservation(instance: InstanceID(service: record.service, number: instance.number), host: instance.host, port: instance.port))
    }
    var holdings: [Holding] = []
    for host in hosts.sorted() {
      if holdings.last?.host == host { holdings[holdings.count - 1].count += 1 } else { holdings.append(Holding(host: host, count: 1)) }
    }
    return holdings
  }

  /// What services other than `service` hold on a host.
  func others(than service: ServiceName, on host: Int) -> [Reservation] { reservations[host].filter { $0.instance.service != service } }

  func addPorts(ofOthersThan service: ServiceName, on host: Int, to ports: inout [Int]) {
    let held = reservations[host]
    for index in held.indices where held[index].instance.service != service { ports.append(held[index].port) }
  }

  /// Whether a service other than `service` holds that port of a host.
  func hasPort(_ port: Int, ofOthersThan service: ServiceName, on host: Int) -> Bool {
    let held = reservations[host]
    return held.indices.contains { held[$0].port == port && held[$0].instance.service != service }
  }

  /// How many slots services other than `service` hold on a host.
  func count(ofOthersThan service: ServiceName, on host: Int) -> Int {
    let held = reservations[host]
    return held.indices.count { held[$0].instance.service != service }
  }

  /// The hosts on which instances of the service are counted here, in the fleet's order.
  func holdings(of service: ServiceName) -> [Holding] { holdingsOfService[service] ?? [] }

  /// How many slots all services hold on a host.
  func held(on host: Int) -> Int { reservations[host].count }

  /// For each rack, the slots that nobody holds of its hosts that have these labels and are not cordoned.
  func room(labels: [String: String]) -> [Int] {
    rooms.first { $0.labels == labels }?.free ?? Self.room(map, isCordoned, reservations, labels: labels)
  }

  private static func room(
    _ map: FleetMap, _ isCordoned: [Bool], _ reservations: [[Reservation]], labels: [String: String]
  ) -> [Int] {
    map.racks.map { rack in
      rack.reduce(0) { sum, host in
        let candidate = map.hosts[host]
        if isCordoned[host] || !candidate.has(labels) { return sum }
        return sum + max(0, candidate.slots - reservations[host].count)
      }
    }
  }
}

extension Host {
  /// Whether it has every one of these labels.
  func has(_ required: [String: String]) -> Bool { required.allSatisfy { labels[$0.key] == $0.value } }
}
