import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceTraffic

/// The users of the simulated service. They ask in turn, each so seldom that its request is the only one of its windows.
enum SimulatedUsers {
  static let count = 200
  /// How many ask one gateway in a second.
  static let perSecond = 24

  static func name(_ number: Int) -> String { "user-\(number)" }

  static let keys: [[UInt8]] = (0..<count).map { Array(name($0).utf8) }

  /// Which of them a split sends to the canary: the gateway's own rule.
  static func sides(_ split: TableSplit) -> [Bool] {
    let rule = SplitRule(share: split.share, salt: split.salt, allow: split.allow, deny: split.deny)
    return keys.map { key in key.withUnsafeBytes { rule.side($0, hash: rule.hash($0)) == .canary } }
  }
}

/// What a gateway counts of one side of a split, as the real one does.
struct SideCount: Hashable {
  var requests = 0
  var failures = 0
  var spilled = 0
  var slow = 0

  /// Each request is its user's only one within its window.
  var traffic: ReleaseTraffic {
    var latency = Array(repeating: 0, count: LatencyHistogram.bucketCount)
    latency[LatencyHistogram.bucket(microseconds: 20_000)] = requests - slow
    latency[LatencyHistogram.bucket(microseconds: 1_000_000)] = slow
    return ReleaseTraffic(
      requests: requests, failures: failures, exposures: requests, failedExposures: failures, spilled: spilled,
      latency: LatencyHistogram(counts: latency))
  }
}

/// Both sides, since the gateway's start and the first table with this split.
struct SplitCount: Hashable {
  let generation: Revision
  var canary = SideCount()
  var stable = SideCount()
}

extension Simulation {
  /// Users come while a split stands, and for a while after each new table.
  mutating func watchUsers(_ id: GatewayID) {
    scene.gateways[id]?.usersUntil = time + 10_000
    guard scene.gateways[id]?.hasUsers == false else { return }
    scene.gateways[id]?.hasUsers = true
    after(1...1_000, .users(id))
  }

  /// A second of one gateway's users.
  mutating func serveUsers(_ id: GatewayID) {
    guard let state = scene.gateways[id], let content = state.content, content.split != nil || time < state.usersUntil else {
      scene.gateways[id]?.hasUsers = false
      return
    }
    // Where nobody has listened for long, not much is to be seen.
    let isUnheard = scene.unheardSince[id].map { time - $0 > 60_000 } ?? false
    push(time + (isUnheard ? 300_000 : 1_000), .users(id))
    // No users come through an excluded one, nor through one that is new to the route and has not found it well, nor where another has it.
    let known = (engine?.record(service) ?? kept(service))?.gateway(id)
    guard state.running, hasRoute(at: id), known?.excluded != true, known?.joins != true else { return }
    let up = content.targets.filter { state.routes($0.instance) && state.healthy.contains($0.instance) }
    let split = state.fellBack ? nil : content.split
    let canary = up.filter { $0.release == split?.release }
    let stable = up.filter { $0.release != split?.release }
    let isStableSick = stable.count < content.targets.count { state.routes($0.instance) && $0.release != split?.release }
    var count = state.counts.last ?? SplitCount(generation: Revision(epoch: 0, version: 0))
    if let split { expect(split, at: id) }
    var sightings = scene.sightings[id] ?? []
    for place in 0..<SimulatedUsers.perSecond {
      let user = (state.nextUser + place) % SimulatedUsers.count
      let isCanary = split != nil && state.sides[user]
      let spills = isCanary ? canary.isEmpty : sabotage == .stableSpills && split != nil && isStableSick
      let pool = isCanary != spills ? canary : stable
      let target = pool.isEmpty ? nil : pool[place % pool.count]
      if let split, !scene.stateWasLost { follow(user, isCanary: isCanary, split, id, &sightings) }
      check(user, isCanary: isCanary, spills: spills, servedBy: target, split, id)
      guard split != nil else { continue }
      let (failed, slow) = meets(target, spills: spills)
      if isCanary {
        count.canary.take(failed: failed, slow: slow, spilled: spills)
      } else {
        count.stable.take(failed: failed, slow: slow, spilled: false)
      }
      if isCanary, let rollout = state.rollout { scene.met[rollout, default: 0] += 1 }
    }
    scene.sightings[id] = sightings
    scene.gateways[id]?.nextUser = (state.nextUser + SimulatedUsers.perSecond) % SimulatedUsers.count
    guard split != nil, let last = state.counts.indices.last else { return }
    scene.gateways[id]?.counts[last] = count
    if time % 2_000 < 1_000 { tellTraffic(id) }
    if random.happens(1_500) { tell(id) }
  }

  /// How the request ends: a flawed release fails its users, and now and then any does.
  private mutating func meets(_ target: TableTarget?, spills: Bool) -> (failed: Bool, slow: Bool) {
    guard let target, !spills, runs(target) else { return (true, false) }
    switch scene.releaseOf[target.instance].flatMap({ scene.plan.flaws[$0] }) {
    case .errors(let share): return (random.happens(share), false)
    case .slow: return (false, random.happens(5_000))
    case .checks, nil: return (random.happens(30), random.happens(10))
    }
  }

  /// Whether something answers at the target's address.
  func runs(_ target: TableTarget) -> Bool {
    guard let host = hostAt[target.address], scene.hosts[host]?.powered == true,
      let instance = scene.hosts[host]?.instances[target.instance]
    else { return false }
    return !instance.hasEnded && !instance.isDown && instance.sickUntil <= time
  }

  /// What a gateway has counted goes to the controller: in order, and sometimes twice.
  private mutating func tellTraffic(_ id: GatewayID) {
    guard let state = scene.gateways[id], state.answers, engine != nil, !random.happens(1_000) else { return }
    for count in state.counts {
      var fact = TrafficFact(
        gateway: id, boot: "\(state.starts)", generation: count.generation, canary: count.canary.traffic, stable: count.stable.traffic)
      let at = max(time + Int64(random.integer(in: 1...2_500)), scene.trafficAt[id] ?? 0)
      scene.trafficAt[id] = at
      push(at, .engine(incarnation, [.input(service, .traffic(fact))]))
      guard random.happens(1_000) else { continue }
      if sabotage == .trafficTwice { fact.boot += "again" }
      push(at, .engine(incarnation, [.input(service, .traffic(fact))]))
    }
  }
}

extension SideCount {
  fileprivate mutating func take(failed: Bool, slow isSlow: Bool, spilled isSpilled: Bool) {
    requests += 1
    if failed { failures += 1 }
    if isSpilled { spilled += 1 }
    if isSlow { slow += 1 }
  }
}

extension SimulatedGateway {
  /// Counts begin anew with each generation of a split; the one before it is told once more, since its last requests end later.
  mutating func beginCounting() {
    guard let split = content?.split else {
      sides = []
      return
    }
    sides = SimulatedUsers.sides(split)
    if counts.last?.generation != split.generation { counts = counts.suffix(1) + [SplitCount(generation: split.generation)] }
  }
}
