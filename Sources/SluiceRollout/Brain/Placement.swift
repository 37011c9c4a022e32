import SluiceModel

/// Chooses the host and port of a new instance: deterministic, within the slots, spread over racks.
struct Placement {
  private let record: ServiceRecord
  private let view: FleetView
  private let map: FleetMap
  private let places: EligibleHosts
  /// The host of each of the record's instances, in their order.
  private let hostOfInstance: [Int]
  /// Places of the instances that the wave being planned takes away first: their slots are free to those that replace them.
  private var leaving: Set<Int> = []
  private var placed: [(host: Int, port: Int)] = []
  /// How many of the goal each rack shall have, and has or is to get.
  private let quotas: Quotas
  private var inRack: [Int]
  /// How many are still to be placed, and how many of them racks lack that have less than they shall have at least.
  private var remaining: Int
  private var lacking: Int
  private var uses: Uses
  /// The best place of each rack, for an instance that comes from elsewhere; nil: not looked at since something there has changed. Empty while
  /// none was looked at.
  private var bestOfRack: [Candidate??] = []
  /// Whether other programs listen on any port of any host.
  private let othersListen: Bool

  /// The service's own part in one host.
  private struct Use {
    /// Slots that the occupancy counts for this service: they are no others'.
    var counted = 0
    /// Slots that services hold of which nothing is known here.
    var strangers = 0
    /// Slots that its instances hold, planned ones included.
    var slots = 0
    /// Instances of the goal.
    var ofGoal = 0
  }

  /// How many instances of the goal racks have at the end.
  private struct Quotas {
    /// As even as can be.
    var share: [Int]
    /// And what `maxSkew` lets them have.
    var most: [Int]
    var least: [Int]

    /// Whether the racks differ by more than that, though they need not.
    func lacking(_ counts: [Int]) -> Int { counts.indices.reduce(0) { $0 + max(0, least[$1] - counts[$1]) } }
  }

  /// The service's part in each host of the fleet.
  private struct Uses {
    private let map: FleetMap
    /// Those of the hosts of the racks that the service is on or comes to.
    private var uses: [Use] = []
    /// Where each rack's begin in `uses`; negative: it has none there.
    private var places: [Int]

    init(_ map: FleetMap) {
      self.map = map
      places = [Int](repeating: -1, count: map.racks.count)
    }

    subscript(host: Int) -> Use {
      get {
        let rack = map.rackOfHost[host]
        return places[rack] < 0 ? Use() : uses[places[rack] + host - map.racks[rack].lowerBound]
      }
      set {
        let rack = map.rackOfHost[host]
        if places[rack] < 0 {
          places[rack] = uses.count
          uses.append(contentsOf: repeatElement(Use(), count: map.racks[rack].count))
        }
        uses[places[rack] + host - map.racks[rack].lowerBound] = newValue
      }
    }
  }

  /// Where the instance is that a new one replaces.
  private struct Origin {
    let host: Int
    let port: Int
    let isLeaving: Bool
  }

  private struct Candidate {
    let host: Int
    let port: Int
    /// Fewest preferred labels lacking first, then the fewest instances, then the replaced one's host, then the most free slots, then the
    /// fleet's order.
    let rank: (lacking: Int, Int, Int, Int, Int)
  }

  /// `hosts` are those of the record's instances; `counted` are the places of those of the goal that stay.
  init(record: ServiceRecord, hosts: [Int], view: FleetView, replicas: Int, counted: [Int]) {
    self.record = record
    self.view = view
    map = view.map
    places = EligibleHosts(record: record, view: view)
    quotas = Placement.quotas(record: record, view: view, places: places, replicas: replicas)
    inRack = [Int](repeating: 0, count: map.racks.count)
    remaining = replicas
    lacking = quotas.lacking(inRack)
    uses = Uses(map)
    othersListen = record.hosts.contains { !$0.listening.isEmpty }
    for holding in view.occupancy.holdings(of: record.service) { uses[holding.host].counted = holding.count }
    for state in record.hosts { if let held = state.strangers, let host = map.index(of: state.name) { uses[host].strangers = held } }
    hostOfInstance = hosts
    for (place, host) in hosts.enumerated() where host != FleetMap.nowhere && record.instances[place].phase != .retired {
      uses[host].slots += 1
    }
    for place in counted { if let host = host(of: place) { count(host) } }
  }

  /// The place in the fleet of the host that one of the record's instances is on.
  private func host(of place: Int) -> Int? { hostOfInstance[place] == FleetMap.nowhere ? nil : hostOfInstance[place] }

  private mutating func count(_ host: Int) {
    uses[host].ofGoal += 1
    let rack = map.rackOfHost[host]
    if inRack[rack] < quotas.least[rack] { lacking -= 1 }
    inRack[rack] += 1
    remaining -= 1
  }

  private mutating func uncount(_ host: Int) {
    uses[host].ofGoal -= 1
    let rack = map.rackOfHost[host]
    inRack[rack] -= 1
    if inRack[rack] < quotas.least[rack] { lacking += 1 }
    remaining += 1
    forgetBest(of: rack)
  }

  private mutating func forgetBest(of rack: Int) { if !bestOfRack.isEmpty { bestOfRack[rack] = nil } }

  private var policy: ServicePolicy { record.policy }

  /// The old instance's slot and port are free for what replaces it.
  mutating func vacate(_ old: Int) {
    guard leaving.insert(old).inserted, record.instances[old].phase != .retired, let host = host(of: old) else { return }
    uses[host].slots -= 1
    forgetBest(of: map.rackOfHost[host])
  }

  /// Takes a slot and a port for instance `number`, near `old` where that keeps the spread; nil when no eligible host has both.
  mutating func place(number: Int, release: ReleaseNumber, secrets: String, near old: Int?) -> Instance? {
    guard let best = candidate(near: old) else { return nil }
    let (name, address) = (map.hosts[best.host].name, map.hosts[best.host].serviceAddress)
    let instance = Instance(number: number, release: release, host: name, address: address, port: best.port, secrets: secrets)
    placed.append((best.host, best.port))
    uses[best.host].slots += 1
    count(best.host)
    forgetBest(of: map.rackOfHost[best.host])
    return instance
  }

  /// Whether its rack has more than the spread allows, or more than it must have while another has less.
  func isOverfull(_ place: Int) -> Bool {
    guard let host = host(of: place) else { return false }
    let rack = map.rackOfHost[host]
    return inRack[rack] > quotas.most[rack] || lacking > 0 && inRack[rack] > quotas.least[rack]
  }

  /// A place in a rack that has less than its share, for one of an overfull rack; nil where there is none.
  mutating func move(_ old: Int, number: Int, release: ReleaseNumber, secrets: String) -> Instance? {
    guard let host = host(of: old) else { return nil }
    uncount(host)
    guard let best = candidate(near: nil), keepsSpread(map.rackOfHost[best.host]) else {
      count(host)
      return nil
    }
    return place(number: number, release: release, secrets: secrets, near: nil)
  }

  /// Racks that keep the spread first, then those with a host as preferred, then the old instance's, then those with the fewest; within them
  /// by the candidates' ranks.
  private mutating func candidate(near old: Int?) -> Candidate? {
    let origin = old.flatMap { old in
      host(of: old).map { Origin(host: $0, port: record.instances[old].port, isLeaving: leaving.contains(old)) }
    }
    let oldRack = origin.map { map.rackOfHost[$0.host] }
    if let oldRack, keepsSpread(oldRack), let near = best(of: oldRack, near: origin), near.rank.lacking == 0 { return near }
    if bestOfRack.isEmpty { bestOfRack = [Candidate??](repeating: nil, count: map.racks.count) }
    var best: (rack: (Int, Int, Int, Int), candidate: Candidate)?
    for rack in map.racks.indices {
      var key = (keepsSpread(rack) ? 0 : 1, 0, rack == oldRack ? 0 : 1, inRack[rack])
      if let best, best.rack < key { continue }
      let found: Candidate?
      if rack == oldRack {
        found = self.best(of: rack, near: origin)
      } else if let known = bestOfRack[rack] {
        found = known
      } else {
        found = self.best(of: rack, near: nil)
        bestOfRack[rack] = .some(found)
      }
      guard let found else { continue }
      key.1 = found.rank.lacking
      if let best, best.rack < key { continue }
      if let best, best.rack == key, best.candidate.rank < found.rank { continue }
      best = (key, found)
    }
    return best?.candidate
  }

  /// Whether one more there leaves enough for the racks that have too few.
  private func keepsSpread(_ rack: Int) -> Bool {
    if policy.placement.maxSkew == nil { return true }
    return inRack[rack] < quotas.most[rack] && (inRack[rack] < quotas.least[rack] || lacking < remaining)
  }

  private func best(of rack: Int, near origin: Origin?) -> Candidate? {
    var fullOfPorts: [Int] = []
    while true {
      var best: (host: Int, rank: (lacking: Int, Int, Int, Int, Int))?
      for host in map.racks[rack] {
        let use = uses[host]
        let free = freeSlots(host, use)
        guard free > 0 else { continue }
        let rank = (lacking: map.lacking(policy.placement.prefer, on: host), use.ofGoal, host == origin?.host ? 0 : 1, -free, host)
        if let best, best.rank < rank { continue }
        if places.allow(host), !fullOfPorts.contains(host) { best = (host, rank) }
      }
      guard let best else { return nil }
      if let port = freePort(best.host, replacing: origin) { return Candidate(host: best.host, port: port, rank: best.rank) }
      fullOfPorts.append(best.host)
    }
  }

  /// Why each host that could have an instance has no place for one: at most twenty lines, for people.
  func reasons() -> [String] {
    let hosts = map.hosts.indices.filter { map.hosts[$0].slots > 0 && map.hosts[$0].has(policy.placement.require) }
    if hosts.isEmpty { return ["no host of fleet \(view.fleet.name) has slots and the labels that placement.require asks for"] }
    let lines = hosts.prefix(20).map { "\(map.hosts[$0].name): \(reason($0))" }
    return hosts.count > 20 ? lines + ["and \(hosts.count - 20) more"] : lines
  }

  private func reason(_ index: Int) -> String {
    let host = map.hosts[index]
    if view.occupancy.isCordoned[index] { return "drained" }
    if case .unreachable(let why)? = record.host(host.name)?.reach { return "unreachable: \(why)" }
    let use = uses[index]
    if freeSlots(index, use) <= 0 {
      let others = view.occupancy.held(on: index) - use.counted + use.strangers
      return "all of its \(host.slots) slots are taken\(others > 0 ? ", \(others) by other services" : "")"
    }
    return freePort(index, replacing: nil) == nil ? "no port of \(policy.ports.from)–\(policy.ports.to) is free" : "has room"
  }

  /// The rack that has more instances than its even share, where `maxSkew` asks for an even one and there was no place elsewhere.
  static func overfullRack(
    of instances: [Instance], record: ServiceRecord, view: FleetView, replicas: Int
  ) -> (rack: RackName, count: Int, share: Int)? {
    guard record.policy.placement.maxSkew != nil else { return nil }
    let quotas = quotas(record: record, view: view, places: EligibleHosts(record: record, view: view), replicas: replicas)
    let counts = view.map.countByRack(instances, at: instances.indices)
    let bounds = quotas.lacking(counts) > 0 ? quotas.share : quotas.most
    guard let rack = counts.indices.first(where: { counts[$0] > bounds[$0] }) else { return nil }
    return (view.fleet.racks[rack].name, counts[rack], bounds[rack])
  }

  private func freeSlots(_ host: Int, _ use: Use) -> Int {
    map.slots[host] - (view.occupancy.held(on: host) - use.counted) - use.strangers - use.slots
  }

  /// The lowest port that nothing holds; the replaced instance's own port only when there is no other, since it must first be gone from every table.
  private func freePort(_ host: Int, replacing origin: Origin?) -> Int? {
    // A host has few instances: a look through their ports is less than a set of them.
    var taken: [Int] = []
    taken.reserveCapacity(2 * map.slots[host])
    view.occupancy.addPorts(ofOthersThan: record.service, on: host, to: &taken)
    for index in hostOfInstance.indices where hostOfInstance[index] == host { taken.append(record.instances[index].port) }
    for place in placed where place.host == host { taken.append(place.port) }
    if othersListen { taken += record.host(map.hosts[host].name)?.listening ?? [] }
    if let free = (policy.ports.from...max(policy.ports.from, policy.ports.to)).first(where: { !taken.contains($0) }) { return free }
    return origin.flatMap { $0.host == host && $0.isLeaving ? $0.port : nil }
  }

  /// How many of `replicas` each rack shall have: filled evenly, as far as its hosts have slots that others do not hold.
  private static func quotas(record: ServiceRecord, view: FleetView, places: EligibleHosts, replicas: Int) -> Quotas {
    let room = room(record: record, view: view, places: places)
    var quota = [Int](repeating: 0, count: room.count)
    // The level up to which all are filled, and the odd ones in the fleet's order.
    var left = min(replicas, room.reduce(0, +))
    while left > 0 {
      var (open, least) = (0, Int.max)
      for rack in room.indices where quota[rack] < room[rack] {
        open += 1
        least = min(least, room[rack] - quota[rack])
      }
      let level = max(1, min(left / open, least))
      for rack in room.indices where left > 0 && quota[rack] < room[rack] {
        quota[rack] += level
        left -= level
      }
    }
    // Where racks cannot share evenly, any of the evenly filled ones may take the odd one, and the others have theirs all the same.
    var quotas = Quotas(share: quota, most: quota, least: [Int](repeating: 0, count: quota.count))
    if let most = quota.max(), most > 0, let skew = record.policy.placement.maxSkew {
      var least = Int.max
      for rack in room.indices where room[rack] > 0 { least = min(least, quota[rack]) }
      for rack in room.indices where room[rack] > 0 {
        quotas.most[rack] = max(quota[rack], min(room[rack], min(most, least + skew)))
        quotas.least[rack] = min(quota[rack], max(0, most - skew))
      }
    }
    return quotas
  }

  /// The slots of each rack that others do not hold, on hosts that may have instances of this service.
  private static func room(record: ServiceRecord, view: FleetView, places: EligibleHosts) -> [Int] {
    let map = view.map
    let occupancy = view.occupancy
    var room = occupancy.room(labels: record.policy.placement.require)
    func free(_ host: Int, holding held: Int) -> Int { max(0, map.slots[host] - held) }
    for own in occupancy.holdings(of: record.service) where places.haveLabels(own.host) {
      let held = occupancy.held(on: own.host)
      room[map.rackOfHost[own.host]] += free(own.host, holding: held - own.count) - free(own.host, holding: held)
    }
    for state in record.hosts {
      guard let held = state.strangers, let host = map.index(of: state.name), places.allow(host), !occupancy.isCordoned[host] else {
        continue
      }
      let others = occupancy.count(ofOthersThan: record.service, on: host)
      room[map.rackOfHost[host]] -= free(host, holding: others) - free(host, holding: others + held)
    }
    for host in places.unreachable where places.haveLabels(host) {
      room[map.rackOfHost[host]] -= free(host, holding: occupancy.count(ofOthersThan: record.service, on: host))
    }
    return room
  }
}

/// Where instances of a service may be put at all.
struct EligibleHosts {
  private let view: FleetView
  private let labels: [String: String]
  /// Hosts that the record knows it cannot reach.
  let unreachable: [Int]

  init(record: ServiceRecord, view: FleetView) {
    self.view = view
    labels = record.policy.placement.require
    unreachable = record.hosts.indices.compactMap { index in
      guard case .unreachable = record.hosts[index].reach else { return nil }
      return view.map.index(of: record.hosts[index].name)
    }
  }

  /// By the host's place in the fleet.
  func allow(_ host: Int) -> Bool { view.map.slots[host] > 0 && haveLabels(host) && !unreachable.contains(host) }

  /// Whether it may be used as soon as it can be reached.
  func haveLabels(_ host: Int) -> Bool {
    !view.occupancy.isCordoned[host] && (labels.isEmpty || view.map.hosts[host].has(labels))
  }
}
