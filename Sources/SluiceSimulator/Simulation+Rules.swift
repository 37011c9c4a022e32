import SluiceEngine
import SluiceModel
import SluiceRollout

/// The rules of DESIGN section 4, held against what is decided and against what is true in the simulated world.
extension Simulation {
  /// Rules 1, 2 and 10 on a decision.
  mutating func checkDecision(_ before: ServiceRecord, _ after: ServiceRecord) {
    guard let rollout = after.rollout ?? before.rollout else { return }
    let replicas = rollout.goal.release == nil ? 0 : rollout.goal.replicas
    let bounds = Bounds(strategy: scenario.policy.strategy, replicas: replicas)
    let taken = after.instances.filter { instance in
      // What a gateway has just called unhealthy was taken by a fault; what is found gone was taken before.
      if instance.phase == .retired || hosts[instance.host]?.instances[instance.number] == nil { return false }
      if after.gateways.contains(where: { $0.target(instance.number)?.healthy == false }) { return false }
      return instance.condemned != nil && before.instance(instance.number).map { $0.condemned == nil && $0.isServing } ?? false
    }
    everServed.formUnion(after.instances.lazy.filter(\.isServing).map(\.number))
    let serving = after.instances.count(where: \.isServing)
    let was = before.instances.count(where: \.isServing)
    if !taken.isEmpty, !rollout.overridesFloor, serving < bounds.floor, serving < was {
      violate("1", "\(taken.map(\.number)) taken out: \(serving) serve, the floor is \(bounds.floor)")
    }
    let existing = after.instances.count(where: \.isExisting)
    if existing > bounds.cap, existing > before.instances.count(where: \.isExisting), returned(before, after) == 0 {
      violate("2", "\(existing) exist, the cap is \(bounds.cap)")
    }
    checkMemory(after)
    for attempt in after.attempts where after.attempts.count(where: { $0.action.object == attempt.action.object }) > 1 {
      violate("10", "two attempts are open on \(attempt.action.object)")
    }
    let again = decide(
      after, view: engine?.view(for: service) ?? FleetView(fleet: scenario.fleet, gateways: []), wall: WallTime(milliseconds: time))
    if !again.attempts.isEmpty || again.record != after { violate("law", "deciding again yields something new") }
  }

  /// Rules 2 and 7: whatever runs anywhere is in the record, also where nobody can look, until it has been seen to be gone.
  private mutating func checkMemory(_ record: ServiceRecord) {
    // A controller that goes on from a copy does not know of what came after it.
    guard !stateWasLost else { return }
    for name in hosts.keys.sorted() {
      for number in hosts[name]?.instances.keys.sorted() ?? [] where record.instance(number) == nil {
        violate("2", "\(number) runs on \(name) and the record has forgotten it")
      }
    }
  }

  /// Lost instances that were found again, those that an older record only had reserved, and orphans: they raise the number without anybody's decision.
  private func returned(_ before: ServiceRecord, _ after: ServiceRecord) -> Int {
    after.instances.count { instance in
      guard instance.isExisting else { return false }
      guard let former = before.instance(instance.number) else { return instance.release.number == 0 }
      return former.phase == .lost || former.phase == .retired || (former.phase == .reserved && instance.phase != .starting)
    }
  }

  /// The gateways that users come through.
  func counted(_ record: ServiceRecord) -> [GatewayID] {
    scenario.gateway.processes.filter { !(record.gateway($0)?.excluded ?? false) }
  }

  /// Instances that users are really served by, and the controller has heard that they are.
  func servingTruth() -> Int {
    guard let record = engine?.record(service) else { return 0 }
    return record.instances.count { instance in
      everServed.contains(instance.number) && hosts[instance.host]?.isReady(instance.number, at: time) == true
        && counted(record).allSatisfy {
          gateways[$0]?.routes(instance.number) == true && gateways[$0]?.healthy.contains(instance.number) == true
        }
    }
  }

  /// Rule 1 on the truth, as long as nothing has gone wrong yet.
  mutating func checkFloor(before: Int) {
    guard faultsSoFar == 0, !goalMoved, let record = engine?.record(service), let rollout = record.rollout, !rollout.overridesFloor else {
      return
    }
    let bounds = Bounds(strategy: scenario.policy.strategy, replicas: rollout.goal.release == nil ? 0 : rollout.goal.replicas)
    let after = servingTruth()
    if after < before, after < bounds.floor { violate("1", "truly serving: \(after), floor \(bounds.floor)") }
  }

  /// Rule 3: no gateway may still route to what is stopped, and what it admitted is answered or out of time.
  mutating func checkStop(_ number: Int, _ record: ServiceRecord) {
    for id in scenario.gateway.processes where !(record.gateway(id)?.excluded ?? false) {
      guard let gateway = gateways[id] else { continue }
      if gateway.routes(number) { violate("3", "\(number) is stopped while \(id) routes to it") }
      let inFlight = gateway.inFlight[number] ?? 0
      if gateway.running, let since = gateway.drainingSince[number], inFlight > 0, time - since < record.policy.drain.timeout.value {
        violate("3", "\(number) is stopped with \(inFlight) in flight at \(id), \(time - since) ms after draining began")
      }
    }
  }

  /// Rule 3's last sentence: no host:port is used again before every gateway has a table without it.
  mutating func checkStart(_ instance: Instance) {
    for id in engine?.record(service).map(counted) ?? [] {
      let clash = gateways[id]?.content?.targets.first {
        $0.instance != instance.number && $0.address == instance.address && $0.port == instance.port
      }
      if let clash {
        violate("3", "\(instance.address):\(instance.port) is used by \(instance.number) while \(id) has it for \(clash.instance)")
      }
    }
  }

  /// What must be true once everything rests and no fault is left: one brain's picture, the world's state, and no orphan.
  mutating func checkEnd() {
    guard let record = stored.first else { return }
    var real: [Int: HostName] = [:]
    for name in hosts.keys.sorted() { for number in hosts[name]?.instances.keys.sorted() ?? [] { real[number] = name } }
    let known = Dictionary(uniqueKeysWithValues: record.instances.filter { $0.phase != .lost }.map { ($0.number, $0.host) })
    if real != known { violate("7", "hosts have \(real.keys.sorted()), the record \(known.keys.sorted())") }
    for id in scenario.gateway.processes where record.table.content != nil && gateways[id]?.revision != record.table.revision {
      violate("9", "\(id) has table \(gateways[id]?.revision?.description ?? "none"), decided was \(record.table.revision)")
    }
    if !record.attempts.isEmpty { violate("10", "attempts are left open: \(record.attempts.map(\.id))") }
  }
}
