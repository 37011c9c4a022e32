import SluiceModel
import SluiceRollout

/// What is drawn on top of a story of one service, from numbers of its own: the stories of one service stay as they are.
extension Scenario {
  mutating func extend(_ random: inout Randomness) {
    if random.happens(2_000) { addSecond(&random) }
    if random.happens(1_500) { spread(&random) }
    let index = random.integer(in: 0...plans.count - 1)
    if random.happens(1_500) { addTasks(index, &random) }
    if random.happens(4_000) { addChecks(index, &random) }
    if random.happens(1_000) { addWindows(index, &random) }
    if random.happens(1_000) { addFreeze(index, &random) }
    if random.happens(1_500) { addStorm(&random) }
  }

  mutating func add(_ kind: Fault.Kind, in times: ClosedRange<Int>, lasting: ClosedRange<Int>, _ random: inout Randomness) {
    faults.append(Fault(at: Int64(random.integer(in: times)), lasts: Int64(random.integer(in: lasting)), kind: kind))
  }

  // MARK: Placement

  /// Other demands on the spread, and hosts that are preferred.
  private mutating func spread(_ random: inout Randomness) {
    for index in plans.indices {
      plans[index].policy.placement.maxSkew = random.happens(3_000) ? nil : random.integer(in: 1...2)
      if random.happens(5_000) { plans[index].policy.placement.prefer = ["disk": "ssd"] }
    }
    var racks = fleet.racks
    for rack in racks.indices {
      for host in racks[rack].hosts.indices where random.happens(5_000) { racks[rack].hosts[host].labels = ["disk": "ssd"] }
    }
    fleet = Fleet(name: fleet.name, racks: racks)
  }

  // MARK: Storms

  /// Many things go wrong at once.
  private mutating func addStorm(_ random: inout Randomness) {
    let at = random.integer(in: 0...70_000)
    let names = fleet.hosts.filter { $0.slots > 0 }.map(\.name)
    let kinds = Fault.Kind.stormy
    for _ in 0..<random.integer(in: 2...5) {
      guard let name = random.element(of: kinds) else { continue }
      let kind = Fault.Kind(
        name, host: random.element(of: names) ?? "a1", edge: random.element(of: gateway.hosts) ?? "g1",
        hours: random.happens(5_000) ? 2 : -2)
      add(kind, in: at...at + 5_000, lasting: 2_000...50_000, &random)
    }
    // Some in the time in which a rollout has done all but its last hook.
    if random.happens(3_000) {
      for index in plans.indices { plans[index].policy.hooks[.postDeploy] = "hook" }
      add(.hookHangs, in: 0...60_000, lasting: 20_000...170_000, &random)
    }
  }

  // MARK: Tasks and checks

  private mutating func addTasks(_ index: Int, _ random: inout Randomness) {
    for release in plans[index].releases where random.happens(7_000) {
      let task = ReleaseTask(
        command: ["shop", "migrate"], onInterrupted: random.happens(5_000) ? .rerun : .pause, irreversible: random.happens(4_000),
        timeout: .seconds(60))
      // Some take longer than they may.
      let takes = random.happens(7_000) ? random.integer(in: 100...5_000) : random.integer(in: 5_000...70_000)
      plans[index].tasks[release] = PlannedTask(task, takes: Int64(takes))
      if random.happens(2_000) { plans[index].tasks[release]?.failures = random.integer(in: 1...2) }
    }
    // Nobody may go back from one that cannot be undone: what follows it has a place.
    if plans[index].tasks.values.contains(where: \.task.irreversible) { makeRoom(tightPorts: false) }
    if random.happens(4_000) { add(.taskCutOff, in: 0...60_000, lasting: 10_000...120_000, &random) }
    if random.happens(2_000) { add(.taskFails, in: 0...60_000, lasting: 5_000...60_000, &random) }
  }

  /// Checks of the analysis of a canary, or before the users of a blue-green release move.
  private mutating func addChecks(_ index: Int, _ random: inout Randomness) {
    let checks = (1...random.integer(in: 1...2)).map { number in
      AnalysisCheck(
        name: "check-\(number)",
        kind: number == 1 ? .command(["smoke"], directory: "/") : .http(url: "http://shop", json: nil, equals: nil),
        interval: .seconds(Int64(random.integer(in: 1...5))), timeout: .seconds(3), count: random.integer(in: 1...3),
        failureLimit: random.integer(in: 0...1))
    }
    switch plans[index].policy.strategy {
    case .canary(var canary):
      if canary.analysis == nil { canary.analysis = Analysis(minRequests: 0) }
      canary.analysis?.checks = checks
      plans[index].policy.strategy = .canary(canary)
    case .blueGreen(var blueGreen):
      blueGreen.checks = checks
      plans[index].policy.strategy = .blueGreen(blueGreen)
    case .rolling, .recreate: return
    }
    let later = plans[index].releases.dropFirst()
    if random.happens(2_500), let bad = random.element(of: Array(later)) { plans[index].flaws[bad] = .checks }
    for kind: Fault.Kind in [.checkFails, .checkHangs, .checkInDoubt] where random.happens(2_500) {
      add(kind, in: 5_000...90_000, lasting: 1_000...40_000, &random)
    }
  }

  // MARK: Windows and freeze

  /// Open for some minutes, closed for some, then open for the rest of the day.
  private mutating func addWindows(_ index: Int, _ random: inout Randomness) {
    let closes = random.integer(in: 1...3)
    let opens = closes + random.integer(in: 1...5)
    let ahead = Int(Scenario.zone.offset.value / 60_000)
    func window(_ from: Int, _ to: Int) -> MaintenanceWindow {
      MaintenanceWindow(
        days: Array(0...6), from: (from + ahead) % 1_440, to: (to + ahead) % 1_440, zone: Scenario.zone.zone, text: "\(from)-\(to) UTC")
    }
    plans[index].policy.windows = [window(0, closes), window(opens, 1_440)]
    plans[index].closed = closes..<opens
  }

  private mutating func addFreeze(_ index: Int, _ random: inout Randomness) {
    let at = Int64(random.integer(in: 0...90_000))
    commands.append(Typed(at: at, verb: "freeze", service: index))
    if random.happens(8_000) {
      commands.append(Typed(at: at + Int64(random.integer(in: 2_000...60_000)), verb: "unfreeze", service: index))
    }
    commands.sort { $0.at < $1.at }
  }

  // MARK: A second service

  /// A second service on the same hosts, behind the same gateways.
  private mutating func addSecond(_ random: inout Randomness) {
    let hosts = fleet.hosts.filter { $0.slots > 0 }
    let racks = fleet.racks.count { $0.hosts.contains { $0.slots > 0 } }
    var policy = Scenario.policy(replicas: random.integer(in: 1...max(1, min(hosts.count, 4))), racks: racks, &random)
    // One that is decided before the first service, or after it.
    policy.name = random.happens(5_000) ? "cart" : "till"
    policy.route?.hosts = [policy.name.rawValue]
    // The first knows one port only: that is its own.
    if plan.policy.ports.from == plan.policy.ports.to { policy.ports = PortRange(from: 8081, to: 8090) }
    var other = Plan(policy: policy, releases: releases)
    let later = other.releases.dropFirst()
    if random.happens(3_000), let bad = random.element(of: Array(later)) { other.badReleases[bad] = random.integer(in: 1...3) }
    if random.happens(2_000), let bad = random.element(of: Array(later)) { other.flaws[bad] = .errors(random.integer(in: 5_000...8_000)) }
    switch random.integer(in: 0...3) {
    case 0: other.policy.after = [plan.policy.name]
    case 1: plan.policy.after = [other.policy.name]
    default: break
    }
    neighbours = []
    second = other
    makeRoom(tightPorts: random.happens(5_000))
    for index in commands.indices where random.happens(5_000) { commands[index].service = 1 }
  }

  /// Slots for all that both may have at once: whoever goes back finds a place. With tight ports there are hardly more of them than slots, and
  /// both services take them from the same few.
  mutating func makeRoom(tightPorts: Bool) {
    let hosts = fleet.hosts.count { $0.slots > 0 }
    let most = plans.reduce(0) { $0 + $1.policy.strategy.rules.bounds(replicas: $1.policy.replicas + 1).cap + 2 }
    let racks = fleet.racks.count { $0.hosts.contains { $0.slots > 0 } }
    let slots = max(fleet.hosts.map(\.slots).max() ?? 0, (most + hosts - 1) / hosts + 1)
    var roomy = Scenario.fleet(racks: racks, perRack: hosts / racks, slots: slots).racks
    for rack in roomy.indices {
      for host in roomy[rack].hosts.indices { roomy[rack].hosts[host].labels = fleet.racks[rack].hosts[host].labels }
    }
    fleet = Fleet(name: fleet.name, racks: roomy)
    guard tightPorts, plan.policy.ports.from != plan.policy.ports.to else { return }
    let ports = PortRange(from: 20_000, to: 20_000 + slots + 3)
    plan.policy.ports = ports
    second?.policy.ports = ports
  }
}
