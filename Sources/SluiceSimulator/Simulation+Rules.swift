import SluiceEngine
import SluiceModel
import SluiceRollout

/// The rules of DESIGN section 4, held against what is decided and against what is true in the simulated world.
extension Simulation {
  /// All that can be said of a decision: the record before it and after it.
  mutating func checkDecision(_ before: ServiceRecord, _ after: ServiceRecord, _ events: [Engine.Event]) {
    checkConclusions(before)
    checkConclusions(after)
    for state in after.gateways where state.excluded != scene.excluded.contains(state.id) {
      if state.excluded { scene.excluded.insert(state.id) } else { scene.excluded.remove(state.id) }
    }
    guard let rollout = after.rollout ?? before.rollout else { return }
    checkCounts(before, after, rollout)
    checkMemory(after)
    checkAudience(before, after)
    let byHand = events.contains(where: isByHand)
    checkStep(before, after, byHand: byHand)
    checkRacks(before, after)
    checkBlame(before, after)
    checkBeginning(before, after, byHand: byHand)
    checkTask(before, after)
    if let release = after.rollout?.goal.release, scene.withdrawn.contains(release) { scene.withdrawn.remove(release) }
  }

  /// The law that a decision leaves nothing to decide. Where nothing has changed, it was just decided so.
  mutating func checkLaw(_ after: ServiceRecord) {
    let again = decide(after, view: engine?.view(for: service) ?? FleetView(fleet: scenario.fleet, gateways: []), wall: wall)
    if !again.attempts.isEmpty || again.record != after { violate("law", "deciding again yields something new") }
  }

  private func isByHand(_ event: Engine.Event) -> Bool {
    guard case .input(_, .command(let command)) = event else { return false }
    switch command.verb {
    case .promote, .split, .retry, .apply: return true
    default: return false
    }
  }

  /// Rules 1 and 2 on a decision.
  private mutating func checkCounts(_ before: ServiceRecord, _ after: ServiceRecord, _ rollout: Rollout) {
    let replicas = rollout.goal.release == nil ? 0 : rollout.goal.replicas
    let bounds = scene.plan.policy.strategy.rules.bounds(replicas: replicas)
    let taken = after.instances.filter { instance in
      guard instance.condemned != nil, let was = before.instance(instance.number), was.condemned == nil, before.serves(was) else {
        return false
      }
      // What a gateway has just called unhealthy was taken by a fault; what is found gone was taken before.
      if instance.phase == .retired || scene.hosts[instance.host]?.instances[instance.number] == nil { return false }
      return !after.gateways.contains { $0.target(instance.number)?.healthy == false }
    }
    scene.everServed.formUnion(after.instances.lazy.filter(\.isServing).map(\.number))
    let serving = after.instances.count(where: after.serves)
    let was = before.instances.count(where: before.serves)
    let floor = rollout.step == nil ? bounds.floor : min(bounds.floor, rollout.stableWanted)
    if !taken.isEmpty, !rollout.overridesFloor, serving < floor, serving < was {
      violate("1", "\(taken.map(\.number)) taken out: \(serving) serve, the floor is \(floor)")
    }
    let existing = after.instances.count(where: \.isExisting)
    // By steps two pools stand beside each other, of whatever size.
    let cap = rollout.step == nil ? bounds.cap : max(bounds.cap, rollout.stableWanted + replicas)
    if existing > cap, existing > before.instances.count(where: \.isExisting), returned(before, after) == 0 {
      violate("2", "\(existing) exist, the cap is \(cap)")
    }
    if !taken.isEmpty, !rollout.overridesFloor, serving < was { checkRackLoss(taken, after, rollout) }
  }

  /// Rules 2 and 7: whatever runs anywhere is in the record, also where nobody can look, until it has been seen to be gone.
  private mutating func checkMemory(_ record: ServiceRecord) {
    // A controller that goes on from a copy does not know of what came after it.
    guard !scene.stateWasLost else { return }
    let known = Set(record.instances.lazy.map(\.number))
    let forgotten = scene.hosts.flatMap { name, host in host.instances.keys.filter { !known.contains($0) }.map { (name, $0) } }
    for (name, number) in forgotten.sorted(by: { $0 < $1 }) { violate("2", "\(number) runs on \(name) and the record has forgotten it") }
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
    processes.filter { !(record.gateway($0)?.excluded ?? scene.excluded.contains($0)) }
  }

  /// Instances that users are really served by, and the controller has heard that they are: at every gateway, or, where two releases are kept
  /// apart and gateways may differ for a moment, at the gateway that has the fewest.
  func servingTruth() -> Int {
    guard let record = engine?.record(service) else { return 0 }
    let ready = record.instances.filter {
      scene.everServed.contains($0.number) && scene.hosts[$0.host]?.isReady($0.number, at: time) == true
    }
    let through = counted(record)
    // One that comes back to the route has sent its users to another, and counts when it is well.
    let gateways = through.filter { hasUsers($0, record) && record.gateway($0)?.joins != true }.compactMap { scene.gateways[$0] }
    if gateways.isEmpty, !through.isEmpty { return 0 }
    func isServed(_ instance: Instance, by gateway: SimulatedGateway) -> Bool {
      gateway.routes(instance.number) && gateway.healthy.contains(instance.number)
    }
    if record.rollout?.audience == nil { return ready.count { instance in gateways.allSatisfy { isServed(instance, by: $0) } } }
    return gateways.map { gateway in ready.count { isServed($0, by: gateway) } }.min() ?? 0
  }

  /// Rules 5 and 6 on a decision: going forward users are only added, and they go back only as far as the stable release can carry them.
  private mutating func checkAudience(_ before: ServiceRecord, _ after: ServiceRecord) {
    guard let rollout = after.rollout, let former = before.rollout?.audience, let audience = rollout.audience,
      former.release == audience.release
    else { return }
    if former.salt != audience.salt {
      violate("5", "the salt of release \(audience.release) changes from \(former.salt) to \(audience.salt)")
    }
    guard let was = former.share.order, let share = audience.share.order, was != share else { return }
    let serving = after.instances.count { $0.release == audience.release && $0.isServing }
    if was == 0, serving == 0 { violate("6", "users go to release \(audience.release), of which nothing serves") }
    guard share < was, rollout.step?.byHand == nil else { return }
    if rollout.direction.isForward, audience.release == rollout.goal.release {
      return violate("5", "the share of release \(audience.release) falls from \(former.share) to \(audience.share) on the way forward")
    }
    let wanted = rollout.direction.isForward ? rollout.stableWanted : rollout.goal.replicas
    // What a gateway says under an older table counts at first, and then no more.
    // Promoted in full, the new release serves beside the stable one.
    let beside = rollout.direction.isForward && rollout.step == nil ? rollout.goal.release : nil
    let stable =
      [before, after].map { record in
        record.instances.count { ($0.release == rollout.origin.release || $0.release == beside) && $0.isServing }
      }.max() ?? 0
    if wanted > 0, stable * 10_000 < (10_000 - share) * wanted - wanted {
      violate("6", "\(audience.share) of release \(audience.release) remain, but stable has \(stable) of \(wanted) instances")
    }
  }

  /// Rule 1 on the truth, as long as nothing has gone wrong yet.
  mutating func checkFloor(before: Int) {
    guard faultsSoFar == 0, !scene.goalMoved, let record = engine?.record(service), let rollout = record.rollout, !rollout.overridesFloor
    else {
      return
    }
    let bounds = scene.plan.policy.strategy.rules.bounds(replicas: rollout.goal.release == nil ? 0 : rollout.goal.replicas)
    let after = servingTruth()
    // By steps the stable pool serves, of whatever size it is.
    let floor = rollout.audience == nil ? bounds.floor : min(bounds.floor, rollout.stableWanted)
    if after < before, after < floor { violate("1", "truly serving: \(after), floor \(floor)") }
  }

  /// Rule 3: no gateway may still route to what is stopped, and what it admitted is answered or out of time.
  mutating func checkStop(_ number: Int, _ record: ServiceRecord) {
    for id in counted(record) {
      guard let gateway = scene.gateways[id] else { continue }
      // Of one that is down while the record is lost nobody knows what it routes.
      let isUnknown = scene.stateWasLost && !gateway.answers && record.gateway(id) == nil
      if gateway.routes(number), !isUnknown { violate("3", "\(number) is stopped while \(id) routes to it") }
      let inFlight = gateway.inFlight[number] ?? 0
      if gateway.running, let since = gateway.drainingSince[number], inFlight > 0, time - since < record.policy.drain.timeout.value {
        violate("3", "\(number) is stopped with \(inFlight) in flight at \(id), \(time - since) ms after draining began")
      }
    }
  }

  /// Rule 3's last sentence: no host:port is used again before every gateway has a table without it.
  mutating func checkStart(_ instance: Instance) {
    let record = engine?.record(service)
    for id in record.map(counted) ?? [] {
      // One that was down when the record was lost, and is of no route any more: nobody knows of its table.
      if scene.stateWasLost, record?.gateway(id) == nil { continue }
      // Nobody waits for one that the route has left, and that is away.
      if let state = record?.gateway(id), state.departure?.stage == .over, !state.reach.isReachable { continue }
      // What one that was excluded still has was given on meanwhile: nothing better is to be had before it takes a table again.
      if let included = scene.includedWith[id], included == scene.gateways[id]?.revision { continue }
      let clash = scene.gateways[id]?.content?.targets.first {
        // One that a host has made up takes no request, and no place.
        $0.instance != instance.number && $0.instance < RecordLimits.numberTold && $0.address == instance.address
          && $0.port == instance.port
      }
      if let clash {
        violate("3", "\(instance.address):\(instance.port) is used by \(instance.number) while \(id) has it for \(clash.instance)")
      }
    }
  }

  /// Rules 2 and 3 on a host: no port is given twice, to instances of whatever service, and no more slots than there are.
  mutating func checkPlace(_ instance: Instance, port: Int) {
    let host = instance.host
    let others = scenes.flatMap { other in (other.hosts[host]?.instances.values.map(\.port) ?? []).map { (other.service, $0) } }
    if let holder = others.first(where: { $0.1 == port })?.0 {
      violate("3", "\(host):\(port) is given to \(service)/\(instance.number) while an instance of \(holder) has it")
    }
    let neighbours = scene.hosts[host]?.neighbours ?? []
    if neighbours.contains(port) {
      violate("3", "\(host):\(port) is given to \(service)/\(instance.number), and belongs to another service")
    }
    if others.count + neighbours.count + strangers(host).count >= (scenario.fleet.host(host)?.slots ?? 0) {
      violate("2", "\(host) has no slot left for \(service)/\(instance.number)")
    }
  }

  /// What must be true once everything rests and no fault is left: one brain's picture, the world's state, and no orphan.
  mutating func checkEnd() {
    guard let record = kept(service) else { return }
    var real: [Int: HostName] = [:]
    for name in scene.hosts.keys.sorted() {
      // What could not be reached when the fence was taken last is looked at by whoever takes it next.
      if case .unreachable? = record.host(name)?.reach { continue }
      for number in scene.hosts[name]?.instances.keys.sorted() ?? [] { real[number] = name }
    }
    let known = Dictionary(uniqueKeysWithValues: record.instances.filter { $0.phase != .lost }.map { ($0.number, $0.host) })
    if real != known { violate("7", "hosts have \(real.keys.sorted()), the record \(known.keys.sorted())") }
    checkLeft(record)
    let route = scenario.gateways.first { $0.name == record.policy.route?.gateway }?.processes ?? []
    for id in route where record.table.content != nil && scene.gateways[id]?.revision != record.table.revision {
      // Nobody waits for one that an operator has excluded, or that has not joined again since, and that will not take it.
      if let state = record.gateway(id), state.excluded || state.joins == true, state.refusal != nil { continue }
      violate("9", "\(id) has table \(scene.gateways[id]?.revision?.description ?? "none"), decided was \(record.table.revision)")
    }
    if let content = record.table.content, content.split != nil || content.idle != nil || content.preview != nil {
      violate("5", "users are still kept apart at the end")
    }
    if !record.attempts.isEmpty { violate("10", "attempts are left open: \(record.attempts.map(\.id))") }
  }
}

extension Audience.Share {
  /// More users, higher number; nil: it cannot be said.
  fileprivate var order: Int? {
    switch self {
    case .nobody: 0
    case .users(let share): share.value
    case .shared: nil
    case .everybody: 10_000
    }
  }
}
