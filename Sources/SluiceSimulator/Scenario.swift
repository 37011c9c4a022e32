package import SluiceModel
package import SluiceRollout

/// One simulated story: the fleet, the service, what goes wrong and what the operator asks. Drawn from a seed.
package struct Scenario: Sendable {
  package var fleet: Fleet
  package var gateway: Gateway
  package var policy: ServicePolicy
  package var faults: [Fault]
  /// Which releases never become ready, from which instance start on (counted over the release's starts).
  package var badReleases: [Int: Int]
  /// What is applied, one after another, each once the last has come to rest.
  package var releases: [Int]
  /// How many of 10 000 steps that ask for approval the operator aborts.
  package var rejections = 0
  /// How many of 10 000 orders are long on their way.
  package var delays = 0
  /// The controller dies when this many effects have been dispatched; then it starts again.
  package var crashes: [Int]
  /// Operator commands at moments of the run, in milliseconds.
  package var commands: [(at: Int64, verb: String)]

  /// A fault at a moment.
  package struct Fault: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
      /// Power loss; the host comes back `for` milliseconds later, its systemd units with it.
      case hostCrash(HostName)
      /// The controller cannot reach it, users can.
      case hostCut(HostName)
      case gatewayCut(HostName)
      /// kill -9 and restart: its state survives.
      case gatewayRestart(HostName)
      /// Instances there fail their probes for a while.
      case flapping(HostName)
      /// No release fits on its disk.
      case diskFull(HostName)
      /// Something else listens on the first two ports of the service's range.
      case portsTaken(HostName)
      /// Everything there takes ten times as long.
      case slow(HostName)
      /// The controller's database is gone when it starts next.
      case stateLost

      /// A word for counts.
      package var name: String {
        switch self {
        case .hostCrash: "host crash"
        case .hostCut: "host cut off"
        case .gatewayCut: "gateway cut off"
        case .gatewayRestart: "gateway restart"
        case .flapping: "flapping health"
        case .diskFull: "disk full"
        case .portsTaken: "ports taken"
        case .slow: "slow host"
        case .stateLost: "state lost"
        }
      }
    }
    package var at: Int64
    package var lasts: Int64
    package var kind: Kind

    package init(at: Int64, lasts: Int64, kind: Kind) {
      self.at = at
      self.lasts = lasts
      self.kind = kind
    }
  }

  /// How much may go wrong.
  package enum Harshness: Sendable {
    /// Nothing does: for plans and expectations.
    case calm
    case faults
  }

  package init(seed: UInt64, harshness: Harshness = .faults) {
    var random = Randomness(seed: seed &* 0x2545_F491_4F6C_DD1D &+ 1)
    let racks = random.integer(in: 1...3)
    let perRack = random.integer(in: 1...3)
    fleet = Scenario.fleet(racks: racks, perRack: perRack, slots: random.integer(in: 2...4))
    let gateways = random.integer(in: 1...2)
    gateway = Gateway(
      name: "edge", fleet: "sim", hosts: (1...gateways).map { HostName("g\($0)") }, listen: [ListenAddress(address: "10.0.0.1", port: 80)])
    let hosts = racks * perRack
    let replicas = random.integer(in: 1...max(1, min(hosts * 3 / 2, 8)))
    policy = Scenario.policy(replicas: replicas, &random)
    // A service that knows one port only has one place on each host, and needs one to spare.
    if replicas < hosts, random.happens(2_000) { policy.ports = PortRange(from: 8080, to: 8080) }
    faults = []
    badReleases = [:]
    releases = (0..<random.integer(in: 2...3)).map { $0 + 1 }
    crashes = []
    commands = []
    if harshness == .faults { worsen(&random) }
  }

  /// The order to apply a release.
  package static func apply(_ release: Int, policy: ServicePolicy) -> Command.Verb {
    let spec = ReleaseSpec(
      artifact: Digest("artifact-\(release)"), run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp))
    return .apply(policy: policy, digest: Digest("digest-\(release)"), spec: spec, secrets: "s\(release / 3)", force: false)
  }

  /// Hosts `a1 a2 b1 …` with service slots, and `g1 g2` for gateways.
  package static func fleet(racks: Int, perRack: Int, slots: Int) -> Fleet {
    var list: [Rack] = []
    for rack in 0..<racks {
      let letter = String(UnicodeScalar(UInt8(97 + rack)))
      let name = RackName("rack-\(letter)")
      list.append(
        Rack(
          name: name,
          hosts: (1...perRack).map { Host(name: HostName("\(letter)\($0)"), rack: name, address: "10.0.\(rack + 1).\($0)", slots: slots) }))
    }
    list.append(
      Rack(name: "edge", hosts: (1...2).map { Host(name: HostName("g\($0)"), rack: "edge", address: "10.0.9.\($0)", slots: 0) }))
    return Fleet(name: "sim", racks: list)
  }

  private static func policy(replicas: Int, _ random: inout Randomness) -> ServicePolicy {
    var policy = ServicePolicy(name: "shop", fleet: "sim", replicas: replicas, route: Route(gateway: "edge"))
    policy.minHealthyTime = Milliseconds(Int64(random.integer(in: 0...3) * 1000))
    policy.startTimeout = .seconds(10)
    policy.drain.timeout = .seconds(Int64(random.integer(in: 5...20)))
    policy.progressDeadline = .minutes(3)
    policy.failureBudget = .count(random.integer(in: 0...1))
    let kind = random.integer(in: 0...9)
    if kind < 4 {
      var rolling = Rolling(
        maxUnavailable: .count(random.integer(in: 0...max(0, min(2, replicas - 1)))), maxSurge: .count(random.integer(in: 0...2)))
      if rolling.maxSurge == .count(0) && rolling.maxUnavailable == .count(0) { rolling.maxSurge = .count(1) }
      rolling.rackOrder = random.happens(3_000)
      policy.strategy = .rolling(rolling)
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
    return policy
  }

  private static func canary(_ random: inout Randomness) -> Canary {
    var users = 0
    let steps = (0..<random.integer(in: 1...3)).map { _ in
      users = min(10_000, users + random.integer(in: 1...5) * 1_000)
      return CanaryStep(
        users: BasisPoints(users), hold: Milliseconds(Int64(random.integer(in: 0...20) * 1_000)), approve: random.happens(2_500))
    }
    let lost = ControllerLost(after: .seconds(Int64(random.integer(in: 5...30))), then: random.happens(8_000) ? .stable : .stay)
    return Canary(steps: steps, controllerLost: lost, maxSurge: .count(random.integer(in: 1...2)))
  }

  static let verbs = [
    "abort", "pause", "scale", "interrupt", "restart", "supersede", "drain", "exclude", "rollback", "retry", "promote", "promote full",
    "split",
  ]

  private mutating func worsen(_ random: inout Randomness) {
    delays = 200
    rejections = 1_500
    if random.happens(3_000), let bad = releases.dropFirst().randomElement(&random) { badReleases[bad] = random.integer(in: 1...3) }
    let names = fleet.hosts.filter { $0.slots > 0 }.map(\.name)
    for _ in 0..<random.integer(in: 0...2) {
      let at = Int64(random.integer(in: 500...90_000))
      let lasts = Int64(random.integer(in: 500...60_000))
      let host = random.element(of: names) ?? "a1"
      let edge = random.element(of: gateway.hosts) ?? "g1"
      let kind: Fault.Kind =
        switch random.integer(in: 0...8) {
        case 0: .hostCrash(host)
        case 1: .hostCut(host)
        case 2: .gatewayCut(edge)
        case 3: .gatewayRestart(edge)
        case 4: .diskFull(host)
        case 5: .portsTaken(host)
        case 6: .slow(host)
        case 7: .stateLost
        default: .flapping(host)
        }
      faults.append(Fault(at: at, lasts: lasts, kind: kind))
    }
    for _ in 0..<random.integer(in: 0...2) { crashes.append(random.integer(in: 1...80)) }
    for _ in 0..<random.integer(in: 0...2) where random.happens(4_000) {
      let verb = random.element(of: Scenario.verbs) ?? "abort"
      let at = Int64(random.integer(in: 1_000...60_000))
      commands.append((at, verb))
      // What an operator has taken out is brought back some day.
      if verb == "drain" { commands.append((at + Int64(random.integer(in: 5_000...60_000)), "undrain")) }
      if verb == "exclude" { commands.append((at + Int64(random.integer(in: 5_000...60_000)), "include")) }
    }
    commands.sort { $0.at < $1.at }
  }
}

extension Collection {
  fileprivate func randomElement(_ random: inout Randomness) -> Element? { random.element(of: Array(self)) }
}
