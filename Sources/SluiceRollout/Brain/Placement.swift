import SluiceModel

/// Chooses the host and port of a new instance: deterministic, within the slots, spread over racks.
struct Placement {
  private let record: ServiceRecord
  private let view: FleetView
  private let policy: ServicePolicy
  /// Instances that the wave being planned takes away first: their slots are free to those that replace them.
  private var leaving: Set<Int> = []
  private var placed: [Instance] = []
  private let quotas: [RackName: Int]

  init(record: ServiceRecord, view: FleetView, replicas: Int) {
    self.record = record
    self.view = view
    policy = record.policy
    quotas = Placement.quotas(record: record, view: view, replicas: replicas)
  }

  /// Whether instances of this service may be put there at all.
  static func isEligible(_ host: Host, record: ServiceRecord, view: FleetView) -> Bool {
    guard host.slots > 0, !view.cordons.contains(host.name) else { return false }
    if case .unreachable? = record.host(host.name)?.reach { return false }
    return record.policy.placement.require.allSatisfy { host.labels[$0.key] == $0.value }
  }

  /// The old instance's slot and port are free for what replaces it.
  mutating func vacate(_ old: Instance) { leaving.insert(old.number) }

  /// Takes a slot and a port for instance `number`, near `old` where that keeps the spread; nil when no eligible host has both.
  /// `counted` are the instances of the goal that stay or are planned already.
  mutating func place(
    number: Int, release: ReleaseNumber, secrets: String, near old: Instance?, counted: [Instance]
  ) -> Instance? {
    let standing = counted + placed
    let oldRack = old.flatMap { view.fleet.host($0.host)?.rack }
    var best: (host: Host, port: Int, rank: [Int])?
    for (order, host) in view.fleet.hosts.enumerated() where Placement.isEligible(host, record: record, view: view) {
      guard freeSlots(host) > 0, let port = freePort(host, replacing: old) else { continue }
      let inRack = standing.count { instance in view.fleet.host(instance.host)?.rack == host.rack }
      let onHost = standing.count { $0.host == host.name }
      let spreads = policy.placement.maxSkew == nil || inRack < quotas[host.rack, default: 0]
      let rank = [
        spreads ? 0 : 1, host.rack == oldRack ? 0 : 1, inRack, onHost, host.name == old?.host ? 0 : 1, -freeSlots(host), order,
      ]
      if best.map({ rank.lexicographicallyPrecedes($0.rank) }) ?? true { best = (host, port, rank) }
    }
    guard let best else { return nil }
    let instance = Instance(
      number: number, release: release, host: best.host.name, address: best.host.serviceAddress, port: best.port, secrets: secrets)
    placed.append(instance)
    return instance
  }

  /// Why each host that could have an instance has no place for one: at most twenty lines, for people.
  func reasons() -> [String] {
    let hosts = view.fleet.hosts.filter { host in
      host.slots > 0 && policy.placement.require.allSatisfy { host.labels[$0.key] == $0.value }
    }
    if hosts.isEmpty { return ["no host of fleet \(view.fleet.name) has slots and the labels that placement.require asks for"] }
    let lines = hosts.map { "\($0.name): \(reason($0))" }
    return lines.count > 20 ? lines.prefix(20) + ["and \(lines.count - 20) more"] : lines
  }

  private func reason(_ host: Host) -> String {
    if view.cordons.contains(host.name) { return "drained" }
    if case .unreachable(let why)? = record.host(host.name)?.reach { return "unreachable: \(why)" }
    let free = freeSlots(host)
    if free <= 0 {
      let others = view.reservations.count { $0.host == host.name }
      return "all of its \(host.slots) slots are taken\(others > 0 ? ", \(others) by other services" : "")"
    }
    return freePort(host, replacing: nil) == nil ? "no port of \(policy.ports.from)–\(policy.ports.to) is free" : "has room"
  }

  /// The rack that has more instances than its even share, where `maxSkew` asks for an even one and there was no place elsewhere.
  static func overfullRack(
    of instances: [Instance], record: ServiceRecord, view: FleetView, replicas: Int
  ) -> (rack: RackName, count: Int, share: Int)? {
    guard record.policy.placement.maxSkew != nil else { return nil }
    let quotas = quotas(record: record, view: view, replicas: replicas)
    for rack in view.fleet.racks {
      let count = instances.count { view.fleet.host($0.host)?.rack == rack.name }
      if count > quotas[rack.name, default: 0] { return (rack.name, count, quotas[rack.name, default: 0]) }
    }
    return nil
  }

  private func freeSlots(_ host: Host) -> Int {
    let own = record.instances.count { $0.host == host.name && $0.phase != .retired && !leaving.contains($0.number) }
    let others = view.reservations.count { $0.host == host.name }
    return host.slots - own - others - placed.count { $0.host == host.name }
  }

  /// The lowest port that nothing holds; the replaced instance's own port only when there is no other, since it must first be gone from every table.
  private func freePort(_ host: Host, replacing old: Instance?) -> Int? {
    var taken = Set(record.instances.lazy.filter { $0.host == host.name }.map(\.port))
    taken.formUnion(view.reservations.lazy.filter { $0.host == host.name }.map(\.port))
    taken.formUnion(placed.lazy.filter { $0.host == host.name }.map(\.port))
    taken.formUnion(record.host(host.name)?.listening ?? [])
    if let free = (policy.ports.from...max(policy.ports.from, policy.ports.to)).first(where: { !taken.contains($0) }) { return free }
    if let old, old.host == host.name, leaving.contains(old.number) { return old.port }
    return nil
  }

  /// How many of `replicas` each rack shall have: filled evenly, as far as its hosts have slots that others do not hold.
  private static func quotas(record: ServiceRecord, view: FleetView, replicas: Int) -> [RackName: Int] {
    var room: [(rack: RackName, slots: Int)] = []
    for rack in view.fleet.racks {
      let slots = rack.hosts.filter { isEligible($0, record: record, view: view) }.reduce(0) { sum, host in
        sum + max(0, host.slots - view.reservations.count { $0.host == host.name })
      }
      if slots > 0 { room.append((rack.name, slots)) }
    }
    var quota: [RackName: Int] = [:]
    var left = replicas
    while left > 0 {
      let open = room.filter { quota[$0.rack, default: 0] < $0.slots }
      guard let fewest = open.min(by: { quota[$0.rack, default: 0] < quota[$1.rack, default: 0] }) else { break }
      quota[fewest.rack, default: 0] += 1
      left -= 1
    }
    // Where racks cannot share evenly, any of the evenly filled ones may take the odd one.
    if let most = quota.values.max(), let skew = record.policy.placement.maxSkew {
      let least = room.map { min($0.slots, quota[$0.rack, default: 0]) }.min() ?? 0
      for entry in room { quota[entry.rack] = max(quota[entry.rack, default: 0], min(entry.slots, min(most, least + skew))) }
    }
    return quota
  }
}
