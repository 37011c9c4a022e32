import SluiceModel
import SluiceRollout

extension Scenario {
  /// How much may go wrong.
  package enum Harshness: Sendable {
    /// Nothing does: for plans and expectations.
    case calm
    /// What was imagined at first: one gateway, honest hosts, one controller's machine at a time, one manifest for all releases.
    case faults
    /// All that is imagined.
    case world
  }

  package init(seed: UInt64, harshness: Harshness = .world) {
    var random = Randomness(seed: seed &* 0x2545_F491_4F6C_DD1D &+ 1)
    let racks = random.integer(in: 1...3)
    let perRack = random.integer(in: 1...3)
    fleet = Scenario.fleet(racks: racks, perRack: perRack, slots: random.integer(in: 2...4))
    gateway = Scenario.gateway(processes: random.integer(in: 1...2))
    let hosts = racks * perRack
    let replicas = random.integer(in: 1...max(1, min(hosts * 3 / 2, 8)))
    plan = Plan(policy: Scenario.policy(replicas: replicas, racks: racks, &random), releases: [])
    // A service that knows one port only has one place on each host, and needs one to spare.
    if replicas < hosts, random.happens(2_000) { policy.ports = PortRange(from: 8080, to: 8080) }
    releases = (0..<random.integer(in: 2...3)).map { $0 + 1 }
    if harshness == .calm { return }
    worsen(&random)
    var others = Randomness(seed: seed &* 0x9FB2_1C65_1E98_DF25 &+ 1)
    extend(&others)
    if harshness == .world { widen(seed) }
  }

  static func policy(replicas: Int, racks: Int, _ random: inout Randomness) -> ServicePolicy {
    var policy = ServicePolicy(name: "shop", fleet: "sim", replicas: replicas, route: Route(gateway: "edge"))
    policy.minHealthyTime = Milliseconds(Int64(random.integer(in: 0...3) * 1000))
    policy.startTimeout = .seconds(10)
    policy.drain.timeout = .seconds(Int64(random.integer(in: 5...20)))
    policy.progressDeadline = .minutes(3)
    policy.failureBudget = .count(random.integer(in: 0...1))
    let kind = random.integer(in: 0...9)
    if kind < 4 {
      policy.strategy = .rolling(rolling(replicas: replicas, racks: racks, &random))
    } else if kind < 7 {
      policy.strategy = .canary(canary(&random))
      policy.route?.user = UserKey(source: .cookie("uid"), absent: .issue, issued: .init(name: "uid"))
    } else if kind < 9 {
      let keep = Milliseconds(Int64(random.integer(in: 0...20) * 1_000))
      policy.strategy = .blueGreen(BlueGreen(preview: ["preview"], approve: random.happens(3_000), keepOld: keep))
    } else {
      policy.strategy = .recreate(Recreate(queue: .seconds(20)))
    }
    if random.happens(1_000) { policy.onFailure = .pause }
    if random.happens(2_500) { for point in HookPoint.allCases where random.happens(5_000) { policy.hooks[point] = "hook" } }
    return policy
  }

  private static func rolling(replicas: Int, racks: Int, _ random: inout Randomness) -> Rolling {
    var rolling = Rolling(
      maxUnavailable: .count(random.integer(in: 0...max(0, min(2, replicas - 1)))), maxSurge: .count(random.integer(in: 0...2)))
    if rolling.maxSurge == .count(0) && rolling.maxUnavailable == .count(0) { rolling.maxSurge = .count(1) }
    rolling.rackOrder = random.happens(3_000)
    // As many as an even spread leaves when the fullest rack is lost, and sometimes less; without surge none could ever be taken.
    if racks > 1, replicas > 1, rolling.maxSurge != .count(0), random.happens(3_000) {
      let least = replicas - (replicas + racks - 1) / racks - random.integer(in: 0...1)
      if least > 0 { rolling.rackLossFloor = .count(least) }
    }
    return rolling
  }

  private static func canary(_ random: inout Randomness) -> Canary {
    var users = 0
    let steps = (0..<random.integer(in: 1...3)).map { _ in
      users = min(10_000, users + random.integer(in: 1...5) * 1_000)
      return CanaryStep(
        users: BasisPoints(users), hold: Milliseconds(Int64(random.integer(in: 0...20) * 1_000)), maxHold: .seconds(120),
        approve: random.happens(2_500))
    }
    let lost = ControllerLost(after: .seconds(Int64(random.integer(in: 5...30))), then: random.happens(8_000) ? .stable : .stay)
    var canary = Canary(steps: steps, controllerLost: lost, maxSurge: .count(random.integer(in: 1...2)))
    if random.happens(2_000) { canary.allow = [SimulatedUsers.name(3), SimulatedUsers.name(5)] }
    if random.happens(2_000) { canary.deny = [SimulatedUsers.name(5), SimulatedUsers.name(8)] }
    if random.happens(5_000) {
      canary.analysis = Analysis(
        minRequests: random.integer(in: 30...60), maxErrorRate: BasisPoints(500),
        versusStable: random.happens(5_000) ? .init() : nil, p99: .init(max: Milliseconds(300)))
    }
    return canary
  }

  static let verbs = [
    "abort", "pause", "scale", "interrupt", "restart", "supersede", "drain", "exclude", "rollback", "retry", "promote", "promote full",
    "split",
  ]

  private mutating func worsen(_ random: inout Randomness) {
    delays = 200
    rejections = 1_500
    let later = releases.dropFirst()
    if random.happens(3_000), let bad = random.element(of: Array(later)) { badReleases[bad] = random.integer(in: 1...3) }
    if random.happens(2_500), let bad = random.element(of: Array(later)) {
      flaws[bad] = random.happens(7_000) ? .errors(random.integer(in: 5_000...8_000)) : .slow
    }
    let names = fleet.hosts.filter { $0.slots > 0 }.map(\.name)
    // The other service has been given the same ports, and one slot of some hosts.
    for host in names where random.happens(1_500) {
      let id = InstanceID(service: "cart", number: neighbours.count + 1)
      neighbours.append(Reservation(instance: id, host: host, port: policy.ports.from))
    }
    for _ in 0..<random.integer(in: 0...2) {
      guard let name = random.element(of: Fault.Kind.common) else { continue }
      let hours = Int64(random.integer(in: 1...10))
      let kind = Fault.Kind(
        name, host: random.element(of: names) ?? "a1", edge: random.element(of: gateway.hosts) ?? "g1",
        hours: random.happens(5_000) ? hours : -hours)
      let lasts = name == .controllerAbsent ? hours * 1_200_000 : Int64(random.integer(in: 500...60_000))
      faults.append(Fault(at: Int64(random.integer(in: 500...90_000)), lasts: lasts, kind: kind))
      if name == .hookFails || name == .hookHangs, policy.hooks.isEmpty { policy.hooks = [.preDeploy: "hook", .postWave: "hook"] }
    }
    // A clock that is wrong harms nobody, so it is wrong more often than other things fail.
    if random.happens(2_000) {
      faults.append(Fault(at: Int64(random.integer(in: 500...60_000)), lasts: 60_000, kind: .clockJump(3_600_000)))
    }
    for _ in 0..<random.integer(in: 0...2) {
      if random.happens(7_000) { crashes.append(random.integer(in: 1...80)) } else { lostCommits.append(random.integer(in: 2...150)) }
    }
    for _ in 0..<random.integer(in: 0...2) where random.happens(4_000) {
      let verb = random.element(of: Scenario.verbs) ?? "abort"
      let at = Int64(random.integer(in: 1_000...60_000))
      commands.append(Typed(at: at, verb: verb))
      // What an operator has taken out is brought back some day.
      let back = ["drain": "undrain", "exclude": "include"][verb]
      if let back { commands.append(Typed(at: at + Int64(random.integer(in: 5_000...60_000)), verb: back)) }
    }
    commands.sort { $0.at < $1.at }
  }
}
