import SluiceModel
import SluiceRollout

/// Makes a failing scenario smaller while it breaks the same rule, so that its trace reads as a story.
package struct Shrinker {
  private let seed: UInt64
  private let sabotage: Sabotage?
  private let rule: String
  private var best: Scenario
  private var runs = 0

  /// nil when the scenario breaks no rule.
  package init?(seed: UInt64, scenario: Scenario, sabotage: Sabotage? = nil) {
    var simulation = Simulation(seed: seed, scenario: scenario, sabotage: sabotage)
    guard let violation = simulation.run().violations.first else { return nil }
    self.seed = seed
    self.sabotage = sabotage
    rule = violation.rule
    best = scenario
  }

  /// The smallest scenario that was found.
  package mutating func shrink() -> Scenario {
    while runs < 2_000, let smaller = Shrinker.smaller(than: best).first(where: { breaksTheSameRule($0) }) { best = smaller }
    return best
  }

  private mutating func breaksTheSameRule(_ scenario: Scenario) -> Bool {
    runs += 1
    var simulation = Simulation(seed: seed, scenario: scenario, sabotage: sabotage)
    return simulation.run().violations.first?.rule == rule
  }

  /// Each a little smaller, the greatest steps first.
  private static func smaller(than scenario: Scenario) -> [Scenario] {
    var list: [Scenario] = []
    func add(_ change: (inout Scenario) -> Void) {
      var smaller = scenario
      change(&smaller)
      list.append(smaller)
    }
    for index in scenario.faults.indices { add { $0.faults.remove(at: index) } }
    for index in scenario.commands.indices { add { $0.commands.remove(at: index) } }
    for index in scenario.crashes.indices { add { $0.crashes.remove(at: index) } }
    for index in scenario.lostCommits.indices { add { $0.lostCommits.remove(at: index) } }
    for index in scenario.turns.indices { add { $0.turns.remove(at: index) } }
    for index in scenario.claimDeaths.indices { add { $0.claimDeaths.remove(at: index) } }
    for index in scenario.refusedStarts.indices { add { $0.refusedStarts.remove(at: index) } }
    for index in scenario.forgetful.indices { add { $0.forgetful.remove(at: index) } }
    if scenario.rim != nil { add { $0.stayPut() } }
    if scenario.second != nil {
      add { $0.drop(1) }
      add { $0.drop(0) }
    }
    if scenario.releases.count > 1 {
      add { for index in $0.plans.indices where $0.plans[index].releases.count > 1 { $0.plans[index].releases.removeLast() } }
    }
    if !scenario.neighbours.isEmpty { add { $0.neighbours = [] } }
    if scenario.delays > 0 { add { $0.delays = 0 } }
    if scenario.rejections > 0 { add { $0.rejections = 0 } }
    for index in scenario.plans.indices {
      for smaller in Shrinker.smaller(than: scenario.plans[index]) { add { $0.plans[index] = smaller } }
    }
    if scenario.gateway.hosts.count > 1 { add { $0.gateway = Scenario.gateway(processes: $0.gateway.hosts.count - 1) } }
    let hosts = scenario.fleet.hosts.filter { $0.slots > 0 }.map(\.name)
    if hosts.count > 2 { for kept in hosts { add { for host in hosts where host != kept { $0.remove(host) } } } }
    for rack in scenario.fleet.racks {
      for host in rack.hosts where host.slots > 0 { add { $0.remove(host.name) } }
    }
    for index in scenario.faults.indices where scenario.faults[index].lasts > 1_000 { add { $0.faults[index].lasts /= 2 } }
    return list.filter { $0.plans.allSatisfy($0.isPossible) }
  }

  private static func smaller(than plan: Scenario.Plan) -> [Scenario.Plan] {
    var list: [Scenario.Plan] = []
    func add(_ change: (inout Scenario.Plan) -> Void) {
      var smaller = plan
      change(&smaller)
      list.append(smaller)
    }
    for release in plan.badReleases.keys.sorted() { add { $0.badReleases[release] = nil } }
    for release in plan.flaws.keys.sorted() { add { $0.flaws[release] = nil } }
    for release in plan.tasks.keys.sorted() { add { $0.tasks[release] = nil } }
    for release in plan.refusals.keys.sorted() { add { $0.refusals[release] = nil } }
    for release in plan.changes.keys.sorted() {
      add { $0.changes[release] = nil }
      for field in Scenario.Change.fields where plan.changes[release].map({ !field.isUnset($0) }) ?? false {
        add { field.unset(&$0.changes[release]) }
      }
    }
    if plan.policy.placement.prefer != nil { add { $0.policy.placement.prefer = nil } }
    if plan.policy.windows != nil { add { ($0.policy.windows, $0.closed) = (nil, 0..<0) } }
    if plan.hasChecks { add { $0.dropChecks() } }
    if plan.policy.after != nil { add { $0.policy.after = nil } }
    if plan.policy.replicas > 2 { add { $0.policy.replicas = 1 } }
    if plan.policy.replicas > 1 { add { $0.policy.replicas -= 1 } }
    for point in HookPoint.allCases where plan.policy.hooks[point] != nil { add { $0.policy.hooks[point] = nil } }
    if plan.policy.minHealthyTime > .zero { add { $0.policy.minHealthyTime = .zero } }
    if case .rolling(var rolling) = plan.policy.strategy, rolling.rackLossFloor != nil || rolling.rackOrder {
      rolling.rackLossFloor = nil
      add { $0.policy.strategy = .rolling(rolling) }
      rolling.rackOrder = false
      add { $0.policy.strategy = .rolling(rolling) }
    }
    if case .canary(let canary) = plan.policy.strategy, canary.steps.count > 1 {
      for index in canary.steps.indices {
        var shorter = canary
        shorter.steps.remove(at: index)
        add { $0.policy.strategy = .canary(shorter) }
      }
    }
    return list
  }
}

extension Scenario {
  /// Whether the manifest asks for something that the fleet can give.
  fileprivate func isPossible(_ plan: Plan) -> Bool {
    let policy = plan.policy
    guard case .rolling(let rolling) = policy.strategy, let least = rolling.rackLossFloor?.roundedUp(of: policy.replicas) else {
      return true
    }
    let racks = max(1, fleet.racks.count { $0.hosts.contains { $0.slots > 0 } })
    return policy.replicas - (policy.replicas + racks - 1) / racks >= least
  }

  /// Without one of its two services.
  fileprivate mutating func drop(_ index: Int) {
    plans.remove(at: index)
    (plan.policy.after, plan.policy.formerly, isRenamed) = (nil, nil, false)
    commands.removeAll { $0.service == index }
    for place in commands.indices { commands[place].service = 0 }
  }

  /// Without another gateway.
  fileprivate mutating func stayPut() {
    let home = gateway.name
    for place in plans.indices {
      if plans[place].policy.route?.gateway == rim?.name { plans[place].policy.route?.gateway = home }
      for release in plans[place].changes.keys.sorted() { plans[place].changes[release]?.gateway = nil }
    }
    let gone = rim?.hosts ?? []
    faults.removeAll { fault in gone.contains { $0 == fault.kind.place } }
    rim = nil
  }

  /// Without a host, and what goes wrong there.
  fileprivate mutating func remove(_ host: HostName) {
    var racks = fleet.racks
    for index in racks.indices { racks[index].hosts.removeAll { $0.name == host } }
    fleet = Fleet(name: fleet.name, racks: racks.filter { !$0.hosts.isEmpty })
    faults.removeAll { $0.kind.place == host }
    neighbours.removeAll { $0.host == host }
  }

  /// What it is about, in lines.
  package var story: [String] {
    let places = fleet.hosts.filter { $0.slots > 0 }.map { "\($0.name) (\($0.slots))" }.joined(separator: " ")
    var lines = ["hosts \(places), gateways \(gateways.flatMap(\.hosts).map(\.rawValue).joined(separator: " "))"]
    for plan in plans { lines += plan.story }
    if isRenamed, plans.count == 2 { lines.append("\(plans[0].policy.name) goes on as \(plans[1].policy.name) then") }
    for other in neighbours { lines.append("\(other.instance) of another service is on \(other.host):\(other.port)") }
    for fault in faults { lines.append("at \(fault.at) ms, for \(fault.lasts) ms: \(fault.kind.name.rawValue) \(fault.kind.place ?? "")") }
    for command in commands {
      lines.append("at \(command.at) ms an operator types for \(plans[command.service].policy.name): \(command.verb)")
    }
    for crash in crashes { lines.append("the controller dies with attempt \(crash)") }
    for commit in lostCommits { lines.append("the controller dies while it writes commit \(commit)") }
    for start in claimDeaths { lines.append("the controller dies while it takes its fences, when it begins for time \(start)") }
    for start in refusedStarts { lines.append("what is typed when the controller begins for time \(start) is refused, and it ends") }
    if !forgetful.isEmpty {
      lines.append("nothing is started again on \(forgetful.map(\.rawValue).joined(separator: " ")) after a loss of power")
    }
    for turn in turns { lines.append("from \(turn) ms on the next process runs on another machine") }
    return lines
  }
}

extension Scenario.Plan {
  /// What one service is about, in lines.
  fileprivate var story: [String] {
    let after = (policy.after ?? []).map { ", after \($0)" }.joined()
    var lines = ["\(policy.name): \(policy.replicas) instances\(after), releases \(releases.map(String.init).joined(separator: ", then "))"]
    // What differs from a manifest that says nothing, in the manifest's words.
    let plain = ServicePolicy(name: policy.name, fleet: policy.fleet, replicas: policy.replicas, route: policy.route)
    let asked = FieldChange.between(plain, and: policy)
    if !asked.contains(where: { $0.field == "strategy" }) { lines.append("  strategy: rolling") }
    for field in asked where field.after != nil || field.field.hasPrefix("placement") {
      lines.append("  \(field.field): \(field.after ?? "none")")
    }
    for release in badReleases.keys.sorted() {
      lines.append("  release \(release) never gets ready, from start \(badReleases[release] ?? 0) on")
    }
    for release in flaws.keys.sorted() { if let flaw = flaws[release] { lines.append("  release \(release) fails its users: \(flaw)") } }
    for release in tasks.keys.sorted() {
      guard let task = tasks[release] else { continue }
      let manner = "onInterrupted \(task.task.onInterrupted.rawValue)\(task.task.irreversible ? ", irreversible" : "")"
      lines.append("  release \(release) has a task of \(task.takes) ms, \(manner), which fails \(task.failures) times")
    }
    for release in changes.keys.sorted() { lines.append("  release \(release) comes with \(changes[release]?.words ?? "nothing else")") }
    for release in refusals.keys.sorted() {
      guard let refusal = refusals[release] else { continue }
      let times = refusal.times.map { "\($0) times" } ?? "always"
      lines.append("  release \(release)'s tables are refused \(times) by \(refusal.gateway.map { "\($0)" } ?? "every gateway")")
    }
    if !closed.isEmpty { lines.append("  outside its windows: minutes \(closed) of the day") }
    return lines
  }
}

extension Scenario.Plan {
  fileprivate var hasChecks: Bool {
    switch policy.strategy {
    case .canary(let canary): canary.analysis?.checks.isEmpty == false
    case .blueGreen(let blueGreen): !blueGreen.checks.isEmpty
    case .rolling, .recreate: false
    }
  }

  fileprivate mutating func dropChecks() {
    switch policy.strategy {
    case .canary(var canary):
      canary.analysis?.checks = []
      policy.strategy = .canary(canary)
    case .blueGreen(var blueGreen):
      blueGreen.checks = []
      policy.strategy = .blueGreen(blueGreen)
    case .rolling, .recreate: break
    }
  }
}
