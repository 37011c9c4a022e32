import SluiceModel
import SluiceRollout

/// What the world does beyond what was imagined at first, each kind drawn from numbers of its own: one kind more leaves the stories of the others
/// as they are.
extension Scenario {
  private enum Dimension: UInt64 {
    case programs = 1
    case disks
    case tables
    case manifests
    case copies
    case turns
    case routes
    case moves
    case renames
    case claims
    case lies
    case shared
    case sessions
    case words
    case processes
    case refusals
    case strangers
  }

  mutating func widen(_ seed: UInt64) {
    draw(.programs, 1_000, seed) { $0.addPrograms(&$1) }
    draw(.disks, 1_000, seed) { $0.addDisks(&$1) }
    draw(.tables, 700, seed) { $0.addRefusals(&$1) }
    draw(.manifests, 1_500, seed) { $0.addChanges(&$1) }
    draw(.copies, 1_000, seed) { $0.addTampering(&$1) }
    // Both want the same requests: the later one is refused.
    if second != nil { draw(.routes, 1_500, seed) { scenario, _ in scenario.second?.policy.route?.hosts = [] } }
    if second == nil { draw(.renames, 800, seed) { $0.addRename(&$1) } }
    draw(.sessions, 300, seed) { $0.addReleases(&$1) }
    draw(.moves, 1_000, seed) { $0.addMoves(&$1) }
    draw(.words, 1_000, seed) { $0.addWords(&$1) }
    draw(.shared, 700, seed) { $0.shareHost(&$1) }
    draw(.claims, 700, seed) { scenario, random in
      scenario.claimDeaths = (0..<random.integer(in: 1...3)).map { _ in random.integer(in: 1...8) }
    }
    draw(.refusals, 1_000, seed) { scenario, random in
      scenario.refusedStarts = (0..<random.integer(in: 1...3)).map { _ in random.integer(in: 2...8) }
    }
    draw(.strangers, 700, seed) { scenario, random in
      for _ in 0..<random.integer(in: 1...2) {
        scenario.add(.strangers(scenario.somewhere(&random)), in: 0...90_000, lasting: 5_000...120_000, &random)
      }
    }
    draw(.lies, 700, seed) { $0.addLies(&$1) }
    draw(.processes, 3_000, seed) { scenario, random in
      scenario.forgetful = scenario.fleet.hosts.map(\.name).filter { _ in random.happens(5_000) }
    }
    if second == nil { draw(.turns, 1_000, seed) { $0.addTurns(&$1) } }
  }

  /// With the given share of 10 000.
  private mutating func draw(_ dimension: Dimension, _ share: Int, _ seed: UInt64, _ body: (inout Scenario, inout Randomness) -> Void) {
    var random = Randomness(seed: seed &* 0xD6E8_FEB8_6659_FD93 &+ dimension.rawValue &* 0xA076_1D64_78BD_642F)
    if random.happens(share) { body(&self, &random) }
  }

  private func somewhere(_ random: inout Randomness) -> HostName {
    random.element(of: fleet.hosts.filter { $0.slots > 0 }.map(\.name)) ?? "a1"
  }

  // MARK: Programs

  /// Programs that cannot start for minutes, that end by themselves, and a release that dies while its fix is on the way.
  private mutating func addPrograms(_ random: inout Randomness) {
    switch random.integer(in: 0...2) {
    case 0: add(.dependencyDown, in: 0...80_000, lasting: 20_000...240_000, &random)
    case 1:
      add(.releasesDie, in: 10_000...60_000, lasting: 30_000...200_000, &random)
      // Now and then the fix is no good either.
      let index = random.integer(in: 0...plans.count - 1)
      if random.happens(4_000), let fix = random.element(of: Array(plans[index].releases.dropFirst())) {
        plans[index].badReleases[fix] = random.integer(in: 1...2)
      }
    default:
      for _ in 0..<random.integer(in: 1...2) {
        // Most are started again by whoever watches over them, some of them again and again for a while.
        if random.happens(6_000) {
          add(.programsCrash(somewhere(&random)), in: 5_000...90_000, lasting: 500...60_000, &random)
        } else {
          add(.programsEnd(somewhere(&random)), in: 5_000...90_000, lasting: 500...1_000, &random)
        }
      }
    }
  }

  // MARK: Disks and shells

  private mutating func addDisks(_ random: inout Randomness) {
    for _ in 0..<random.integer(in: 1...2) {
      let host = random.happens(2_500) ? random.element(of: processes.map(\.host)) ?? "g1" : somewhere(&random)
      let kind = random.happens(6_000) ? Fault.Kind.noWrites(host) : .shellHangs(host)
      add(kind, in: 0...90_000, lasting: 2_000...120_000, &random)
    }
  }

  // MARK: Gateways

  /// Later releases come with a route at another gateway, some of them with the former one again.
  private mutating func addMoves(_ random: inout Randomness) {
    rim = Scenario.rim(processes: random.integer(in: 1...2))
    let index = isRenamed ? 0 : random.integer(in: 0...plans.count - 1)
    var isAtRim = false
    for release in plans[index].releases.dropFirst() {
      if random.happens(6_000) { isAtRim.toggle() }
      if isAtRim { plans[index].changes[release, default: Change()].gateway = "rim" }
    }
    // The other name's route is where the first one's was last.
    let shared = route(of: plan, besides: second?.policy.route)
    if isRenamed { second?.policy.route = shared }
    for _ in 0..<random.integer(in: 0...1) {
      let host = random.element(of: rim?.hosts ?? []) ?? "g3"
      let name = random.element(of: [Fault.Kind.Name.gatewayCut, .gatewayMute, .gatewayRestart, .staleNews]) ?? .gatewayCut
      add(Fault.Kind(name, host: host, edge: host, hours: 0), in: 5_000...90_000, lasting: 500...60_000, &random)
    }
  }

  /// A gateway runs on a host that services run on.
  private mutating func shareHost(_ random: inout Randomness) {
    gateway.hosts[random.integer(in: 0...gateway.hosts.count - 1)] = somewhere(&random)
  }

  // MARK: Names

  /// The service goes on under another name.
  private mutating func addRename(_ random: inout Randomness) {
    let racks = fleet.racks.count { $0.hosts.contains { $0.slots > 0 } }
    let hosts = fleet.hosts.count { $0.slots > 0 }
    var policy = Scenario.policy(replicas: random.integer(in: 1...max(1, min(hosts, 4))), racks: racks, &random)
    policy.name = random.happens(5_000) ? "alpha" : "store"
    policy.formerly = plan.policy.name
    policy.route = route(of: plan, besides: policy.route)
    if plan.policy.ports.from == plan.policy.ports.to { policy.ports = PortRange(from: 8081, to: 8090) }
    var other = Plan(policy: policy, releases: Array(1...random.integer(in: 1...2)))
    if random.happens(3_000) { other.badReleases[1] = random.integer(in: 1...2) }
    if random.happens(2_000) { other.releases.append(other.releases.count + 1) }
    neighbours = []
    second = other
    isRenamed = true
    makeRoom(tightPorts: random.happens(3_000))
    for index in commands.indices where random.happens(5_000) { commands[index].service = 1 }
  }

  /// Where that service's users come in the end; they are told apart as the other route says.
  private func route(of plan: Plan, besides other: Route?) -> Route? {
    var route = plan.policy(of: plan.releases.last ?? 1).route
    if let user = other?.user { route?.user = user }
    return route
  }

  // MARK: Days

  /// Many more releases than one evening's.
  private mutating func addReleases(_ random: inout Randomness) {
    let more = random.integer(in: 2...5)
    for index in plans.indices where index == 0 || !isRenamed {
      for _ in 0..<more { plans[index].releases.append(plans[index].releases.count + 1) }
      if random.happens(3_000) { plans[index].badReleases[random.integer(in: 2...plans[index].releases.count)] = 1 }
    }
  }

  // MARK: Words

  /// Commands that are seldom typed, at any moment, also of services that have come to rest.
  private mutating func addWords(_ random: inout Randomness) {
    for _ in 0..<random.integer(in: 1...4) {
      let verb = random.element(of: Scenario.rareVerbs) ?? "stop"
      let at = Int64(random.integer(in: 1_000...120_000))
      let service = random.integer(in: 0...plans.count - 1)
      commands.append(Typed(at: at, verb: verb, service: service))
      // What was stopped is started again some day.
      if verb == "stop" || verb == "give up route" {
        commands.append(Typed(at: at + Int64(random.integer(in: 2_000...60_000)), verb: "start", service: service))
      }
    }
    commands.sort { $0.at < $1.at }
  }

  static let rareVerbs = [
    "stop", "start", "give up route", "restart one", "rollback", "rollback twice", "mark bad", "promote", "pause", "abort", "retry",
  ]

  // MARK: Lies

  /// A host says what is not so, of itself and of others.
  private mutating func addLies(_ random: inout Randomness) {
    for _ in 0..<random.integer(in: 1...2) {
      add(
        .hostLies(somewhere(&random), random.element(of: Lie.allCases) ?? .holder), in: 0...80_000, lasting: 2_000...90_000, &random)
    }
  }

  // MARK: Tables

  /// Gateways refuse the tables of a release: once, a few times, or each of them.
  private mutating func addRefusals(_ random: inout Randomness) {
    let index = random.integer(in: 0...plans.count - 1)
    guard let release = random.element(of: Array(plans[index].releases.dropFirst())) else { return }
    let times = random.happens(5_000) ? nil : random.integer(in: 1...4)
    plans[index].refusals[release] = TableRefusal(gateway: random.happens(5_000) ? random.element(of: gateway.hosts) : nil, times: times)
  }

  // MARK: Copies

  /// Somebody forges copies of records, or brings old ones back; then the database is lost, or a colleague goes on.
  private mutating func addTampering(_ random: inout Randomness) {
    for _ in 0..<random.integer(in: 1...3) {
      let place = random.happens(3_000) ? random.element(of: gateway.hosts) ?? "g1" : somewhere(&random)
      let way = random.element(of: Tampering.allCases) ?? .forged
      add(.copyTampered(place, way), in: 5_000...80_000, lasting: 500...1_000, &random)
    }
    if random.happens(5_000) { add(.stateLost, in: 20_000...90_000, lasting: 500...1_000, &random) }
  }

  /// Two people take turns, each on a machine of their own.
  private mutating func addTurns(_ random: inout Randomness) {
    turns = (0..<random.integer(in: 1...4)).map { _ in Int64(random.integer(in: 5_000...120_000)) }.sorted()
  }

  // MARK: Manifests

  /// Later releases come with other checks, ports, replicas and paths, several of them at once.
  private mutating func addChanges(_ random: inout Randomness) {
    let index = random.integer(in: 0...plans.count - 1)
    var change = Change()
    for release in plans[index].releases {
      if random.happens(6_000) {
        change.readiness = ReadinessCheck(probe: .http(path: "/health/\(random.integer(in: 1...3))", status: 200))
      }
      if release > 1 { addPlace(to: &change, of: plans[index].policy, &random) }
      plans[index].changes[release] = change
    }
    if plans[index].changes.values.contains(where: { $0.replicas ?? 0 > plans[index].policy.replicas }) { makeRoom(tightPorts: false) }
  }

  private func addPlace(to change: inout Change, of policy: ServicePolicy, _ random: inout Randomness) {
    if random.happens(3_000) { change.path = "/\(random.integer(in: 1...3))" }
    let ports = policy.ports
    // A service that knows one port only has one place on each host.
    guard ports.from < ports.to else { return }
    if random.happens(3_000) {
      let shift = random.integer(in: 1...4)
      change.ports = PortRange(from: ports.from + shift, to: ports.to + shift)
    }
    if case .rolling(let rolling) = policy.strategy, rolling.rackLossFloor != nil { return }
    if random.happens(3_000) { change.replicas = max(1, policy.replicas + random.integer(in: -1...1)) }
  }
}
