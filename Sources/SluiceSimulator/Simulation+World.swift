import SluiceEngine
import SluiceModel
import SluiceRollout

/// What hosts and gateways do when something arrives, and when something goes wrong.
extension Simulation {
  mutating func arrive(_ of: Int, _ attempt: Attempt, _ fence: Fence, _ record: ServiceRecord) {
    switch attempt.action {
    case .setTable(let id, let revision):
      var content = record.table.content?.content(for: id)
      if sabotage == .leftAtOnce, record.gateway(id)?.isLeaving == true {
        for index in (content?.targets ?? []).indices { content?.targets[index].draining = true }
      }
      setTable(of, attempt, id, content, revision, fence, record)
    case .removeTable(let id): setTable(of, attempt, id, nil, nil, fence, record)
    case .hook:
      if standingFaults.contains(.hookHangs) { return note("the hook hangs") }
      let fails = standingFaults.contains(.hookFails)
      after(1...2_000, .answers(of, attempt, fails ? .failed(Failure(.hook, "exit status 1")) : .succeeded(.nothing), nil))
    case .check(let name, _): ask(of, attempt, name, record)
    case .replicate:
      let isFenced = !replicate(record, fence)
      after(
        1...50, .answers(of, attempt, isFenced ? .failed(Failure(.fenced, "a newer fence stands")) : .succeeded(.nothing), nil))
    case .observe(let host), .stage(let host, _), .start(let host, _), .checkReady(let host, _), .stop(let host, _), .task(let host, _, _):
      if scene.hosts[host]?.hangs == true, scene.hosts[host]?.powered == true, scene.hosts[host]?.linked == true {
        let answer = attempt.action.looksOnly ? AttemptResult.unreachable("no answer within 10 s") : .inDoubt("no answer within 30 s")
        return after(10_000...30_000, .answers(of, attempt, answer, nil))
      }
      guard scene.hosts[host]?.hears == true else {
        return after(1_000...3_000, .answers(of, attempt, .unreachable("no route"), nil))
      }
      if let invented = scene.hosts[host]?.invented(fence) {
        return after(
          1...20, .answers(of, attempt, .failed(Failure(.fenced, "a newer fence stands at \(host)", holder: invented.fence)), host))
      }
      if scene.hosts[host]?.admits(fence, service, sabotage) == false {
        let holder = scene.hosts[host]?.holders[service]?.fence
        return after(1...20, .answers(of, attempt, .failed(Failure(.fenced, "a newer fence stands at \(host)", holder: holder)), host))
      }
      if !attempt.action.looksOnly { checkFence(fence, attempt.action, scene.hosts[host]?.holders[service]?.fence, at: "\(host)") }
      act(of, attempt, host, record)
    }
  }

  /// The record's copy on the gateways and on two hosts. False where a newer fence stands.
  mutating func replicate(_ record: ServiceRecord, _ fence: Fence) -> Bool {
    var isAdmitted = true
    checkSecrets(record)
    for state in record.gateways where !state.excluded && scene.gateways[state.id]?.answers == true {
      if scene.gateways[state.id]?.keep(record, fence, sabotage) == false { isAdmitted = false }
    }
    for host in CopyPlaces.choose(fleet: scenario.fleet, record: record) where scene.hosts[host.name]?.answers == true {
      if scene.hosts[host.name]?.keep(record, fence, sabotage) == false { isAdmitted = false }
    }
    return isAdmitted
  }

  /// What a look at a host shows of the service in front.
  func facts(of host: HostName) -> HostFact? {
    guard var fact = scene.hosts[host]?.facts(host) else { return nil }
    fact.cordon = cordons.word(on: host)
    for other in others { fact.listening += other.hosts[host]?.instances.values.map(\.port).sorted() ?? [] }
    if sabotage == .strangersUnseen { fact.held = nil }
    return scene.hosts[host]?.lie == nil ? fact : scene.hosts[host]?.distorted(fact, ports: scene.plan.policy.ports)
  }

  private mutating func act(_ of: Int, _ attempt: Attempt, _ host: HostName, _ record: ServiceRecord) {
    if case .observe = attempt.action {
      let facts = facts(of: host)
      return after(
        wait(1...50, host), .answers(of, attempt, facts.map { .succeeded(.facts($0)) } ?? .unreachable("gone"), host))
    }
    if sabotage == .unwrittenIsDone, scene.hosts[host]?.isUnwritable == true, case .stop = attempt.action {
      return after(50...1_500, .answers(of, attempt, .succeeded(.nothing), host))
    }
    if scene.hosts[host]?.isUnwritable == true, !attempt.action.looksOnly, attempt.action.kind != "check" {
      return after(wait(50...2_000, host), .answers(of, attempt, .failed(unwritable(attempt.action, host)), host))
    }
    scene.hosts[host]?.generation += 1
    let generation = scene.hosts[host]?.generation ?? 0
    switch attempt.action {
    case .stage(_, let release):
      if scene.hosts[host]?.full == true {
        return after(50...2_000, .answers(of, attempt, .failed(Failure(.staging, "no space left on \(host)")), host))
      }
      if let digest = record.release(release)?.digest { scene.hosts[host]?.releases.insert(digest) }
      after(wait(50...2_000, host), .answers(of, attempt, .succeeded(.host(generation: generation)), host))
    case .start(_, let number):
      guard let instance = record.instance(number) else { return }
      if let digest = record.release(instance.release)?.digest, scene.hosts[host]?.releases.contains(digest) != true {
        violate("order", "\(number) is started on \(host), which has not got \(instance.release)")
      }
      if sabotage != .strangersUnseen, scene.hosts[host]?.instances[number] == nil,
        slotsHeld(host) >= scenario.fleet.host(host)?.slots ?? 0, !strangers(host).isEmpty
      {
        let failure = Failure(.slotsTaken, "all slots of \(host) are taken")
        return after(20...400, .answers(of, attempt, .failed(failure), host))
      }
      if scene.hosts[host]?.foreign.contains(instance.port) == true, scene.hosts[host]?.instances[number] == nil {
        return after(20...400, .answers(of, attempt, .failed(Failure(.portTaken, "port \(instance.port) is taken")), host))
      }
      if let word = cordons.word(on: host), word.isDrained, scene.hosts[host]?.instances[number] == nil {
        return after(20...400, .answers(of, attempt, .failed(Failure(.drained, "it is drained", cordon: word)), host))
      }
      start(of, attempt, host, instance, generation, record)
    case .checkReady(_, let number):
      let ready = scene.hosts[host]?.instances[number]?.readyFrom
      let deadline = time + record.policy.startTimeout.value
      if let ready, ready < deadline {
        push(max(time, ready) + Int64(random.integer(in: 1...1_500)), .answers(of, attempt, .succeeded(.nothing), host))
      } else {
        let failure = Failure(.readiness, "never ready", output: log(of: number, record))
        push(deadline, .answers(of, attempt, .failed(failure), host))
      }
    case .stop(_, let number):
      checkStop(number, record)
      scene.hosts[host]?.instances[number] = nil
      lookSoon()
      after(50...1_500, .answers(of, attempt, .succeeded(.stopped(generation: generation, killed: false)), host))
    case .task(_, let release, let number): beginTask(of, attempt, host, release, number, record)
    case .observe, .setTable, .removeTable, .hook, .check, .replicate: break
    }
  }

  func strangers(_ host: HostName) -> [Int] { scene.hosts[host]?.strangers ?? [] }

  /// By instances of whatever service.
  func slotsHeld(_ host: HostName) -> Int {
    scenes.reduce(strangers(host).count + (scene.hosts[host]?.neighbours.count ?? 0)) { $0 + ($1.hosts[host]?.instances.count ?? 0) }
  }

  /// What comes back from a host on which nothing can be written.
  private func unwritable(_ action: Action, _ host: HostName) -> Failure {
    let kind: Failure.Kind =
      switch action {
      case .stage: .staging
      case .stop: .stop
      case .task: .task
      default: .host
      }
    return Failure(kind, "nothing can be written on \(host): no space left on device")
  }

  private mutating func start(
    _ of: Int, _ attempt: Attempt, _ host: HostName, _ instance: Instance, _ generation: UInt64,
    _ record: ServiceRecord
  ) {
    if scene.hosts[host]?.instances[instance.number] == nil {
      checkStart(instance)
      let port = sabotage == .otherServicesUnseen ? firstPort(host) : instance.port
      checkPlace(instance, port: port)
      let starts = (scene.startsOf[instance.release.number] ?? 0) + 1
      scene.startsOf[instance.release.number] = starts
      let bad = time < Simulation.mended && scene.plan.badReleases[instance.release.number].map { starts >= $0 } ?? false
      let readyAt = bad ? nil : max(time, dependencyUntil) + Int64(random.integer(in: 100...4_000))
      scene.releaseOf[instance.number] = scenarioRelease(instance.release, in: record)
      var running = SimulatedHost.Running(release: instance.release, port: port, readyAt: readyAt)
      if scene.sick.holds(instance.release, at: time) { running.sickUntil = scene.sick.until }
      running.readiness = record.release(instance.release)?.spec.readiness ?? running.readiness
      scene.hosts[host]?.instances[instance.number] = running
    }
    after(wait(20...800, host), .answers(of, attempt, .succeeded(.host(generation: generation)), host))
  }

  /// The first one that no instance of the service in front has there.
  private func firstPort(_ host: HostName) -> Int {
    let own = scene.hosts[host]?.instances.values.map(\.port) ?? []
    let ports = scene.plan.policy.ports
    return (ports.from...ports.to).first { !own.contains($0) } ?? ports.from
  }

  /// The last words of an instance, which has seen its secrets: they are blotted out before anybody is told.
  private func log(of number: Int, _ record: ServiceRecord) -> String {
    let secret = Scenario.secret(record.instance(number)?.secrets ?? "")
    return "cannot log in with \(sabotage == .secretKept ? secret : "(secret)")"
  }

  private func wait(_ range: ClosedRange<Int>, _ host: HostName) -> ClosedRange<Int> {
    scene.hosts[host]?.slow == true ? (range.lowerBound * 10)...(range.upperBound * 10) : range
  }

  private mutating func setTable(
    _ of: Int, _ attempt: Attempt, _ id: GatewayID, _ content: TableContent?, _ revision: Revision?, _ fence: Fence,
    _ record: ServiceRecord
  ) {
    guard let state = scene.gateways[id], state.hears else {
      return after(1_000...3_000, .answers(of, attempt, .unreachable("no route"), nil))
    }
    if let standing = state.refusing(fence, sabotage) {
      return after(1...20, .answers(of, attempt, .failed(Failure(.fenced, "a newer fence stands at \(id)", holder: standing)), nil))
    }
    if let standing = state.revision, let revision, revision < standing {
      return after(1...20, .answers(of, attempt, .failed(Failure(.gateway, "table \(revision) is older than \(standing)")), nil))
    }
    if let content, let release = refused(content, by: id, record) {
      let failure = Failure(.gateway, "\(id) refuses a table with release \(release): its own reasons")
      return after(1...20, .answers(of, attempt, sabotage == .refusalIsYes ? .succeeded(.nothing) : .failed(failure), nil))
    }
    if state.isUnwritable {
      let failure = Failure(.gateway, "gateway \(id) cannot keep its state: no space left on device")
      return after(1...20, .answers(of, attempt, .failed(failure), nil))
    }
    if let content { checkRoute(content, at: id) }
    if let failure = claimRoute(content, at: id) { return after(1...20, .answers(of, attempt, .failed(failure), nil)) }
    let before = servingTruth()
    checkFence(fence, attempt.action, state.fence, at: "\(id)")
    if content == nil || content?.targets.contains(where: { !$0.draining }) == false { checkLeaving(id, record) }
    scene.gateways[id]?.fence = fence
    scene.gateways[id]?.former = nil
    scene.gateways[id]?.content = content
    if sabotage == .oneCheckForAll { scene.gateways[id]?.content?.checks = nil }
    scene.gateways[id]?.revision = revision
    scene.gateways[id]?.fellBack = false
    scene.gateways[id]?.rollout = record.rollout?.number
    scene.gateways[id]?.beginCounting()
    for target in content?.targets ?? [] {
      if target.draining, state.drainingSince[target.instance] == nil {
        scene.gateways[id]?.drainingSince[target.instance] = time
        let busy = state.routes(target.instance) && state.healthy.contains(target.instance)
        scene.gateways[id]?.inFlight[target.instance] = busy ? random.integer(in: 0...5) : 0
        after(10...(random.happens(500) ? 40_000 : 6_000), .drained(id, target.instance))
      } else if !target.draining {
        scene.gateways[id]?.drainingSince[target.instance] = nil
        scene.gateways[id]?.inFlight[target.instance] = 1
      }
    }
    noteServing(id)
    checkFloor(before: before)
    note("\(id) has table \(revision?.description ?? "none")")
    if state.content?.split != content?.split || state.content?.idle != content?.idle { cutInFlip(id) }
    watchUsers(id)
    after(200...1_500, .gatewayLooks(id))
    if let facts = scene.gateways[id]?.facts(id, sabotage) { after(1...30, .answers(of, attempt, .succeeded(.gateway(facts)), nil)) }
  }

  /// The release because of which the gateway refuses the table; nil: it takes it.
  private mutating func refused(_ content: TableContent, by id: GatewayID, _ record: ServiceRecord) -> ReleaseNumber? {
    guard !scene.plan.refusals.isEmpty else { return nil }
    for target in content.targets where !target.draining {
      guard let number = scenarioRelease(target.release, in: record), let refusal = scene.plan.refusals[number],
        refusal.gateway.map({ $0 == id.host }) ?? true, refusal.times.map({ scene.refusals[number, default: 0] < $0 }) ?? true
      else { continue }
      scene.refusals[number, default: 0] += 1
      return target.release
    }
    return nil
  }

  /// A gateway probes all its targets.
  mutating func look(_ id: GatewayID) {
    guard let state = scene.gateways[id], state.running else { return }
    var healthy: Set<Int> = []
    var next: Int64?
    for target in state.content?.targets ?? [] {
      guard let host = hostAt[target.address] else { continue }
      if scene.hosts[host]?.isReady(target.instance, at: time) == true {
        if isAsked(target, by: state, as: scene.hosts[host]?.instances[target.instance]?.readiness) { healthy.insert(target.instance) }
      } else if let ready = scene.hosts[host]?.instances[target.instance]?.readyFrom, ready > time {
        next = min(next ?? ready, ready)
      }
    }
    if let next { push(next + Int64(random.integer(in: 100...1_000)), .gatewayLooks(id)) }
    if sabotage == .deadIsHealthy {
      for target in state.content?.targets ?? [] {
        let sickUntil = hostAt[target.address].flatMap { scene.hosts[$0]?.instances[target.instance]?.sickUntil } ?? 0
        if sickUntil > time { healthy.insert(target.instance) }
      }
    }
    if healthy != state.healthy {
      scene.gateways[id]?.healthy = healthy
      noteServing(id)
      tell(id)
    }
  }

  /// Whether the gateway asks the target what its release promises to answer; it answers nothing else.
  private mutating func isAsked(_ target: TableTarget, by gateway: SimulatedGateway, as promised: ReadinessCheck?) -> Bool {
    // What nobody knows any more is only there to go.
    guard target.release.number > 0, let promised, let check = gateway.content?.check(of: target.release), check.probe != promised.probe,
      check.probe != .tcp
    else {
      return true
    }
    violate("probe", "\(target.instance) of release \(target.release) is well, and is asked for another release's answer: \(check.probe)")
    return false
  }

  mutating func lookSoon() {
    for id in processes { after(100...1_500, .gatewayLooks(id)) }
  }

  /// News of a gateway reach the controller, if there is one and a way to it: in the order in which they were told, for they are one stream.
  mutating func tell(_ id: GatewayID) {
    guard scene.gateways[id]?.answers == true, engine != nil, let fact = scene.gateways[id]?.facts(id, sabotage) else { return }
    let news = Happening.engine(incarnation, [.input(service, .gateway(fact))])
    if scene.gateways[id]?.stale == true {
      if random.happens(5_000) { after(500...8_000, news) }
      if random.happens(5_000) { return }
    }
    let at = max(time + Int64(random.integer(in: 1...40)), scene.newsAt[id] ?? 0)
    scene.newsAt[id] = at
    push(at, news)
    if let former { push(at, .engine(former.incarnation, [.input(service, .gateway(fact))])) }
  }

  /// A controller that is gone, or that cannot reach a gateway, renews no lease.
  mutating func watchLeases() {
    for id in processes {
      if engine != nil, scene.gateways[id]?.hears == true {
        if scene.unheardSince[id] != nil { scene.unheardSince[id] = nil }
      } else if scene.unheardSince[id] == nil {
        scene.unheardSince[id] = time
        if let after = scene.gateways[id]?.content?.split?.fallBack?.after.value { push(time + after, .leaseEnds(id, since: time)) }
      }
    }
  }

  /// The same rule as the gateway's.
  mutating func leaseEnds(_ id: GatewayID, since: Int64) {
    guard scene.unheardSince[id] == since, let state = scene.gateways[id], state.running, !state.fellBack, let content = state.content,
      let split = content.split, let fallBack = split.fallBack, time - since >= fallBack.after.value
    else { return }
    let serving = content.targets.count { $0.release != split.release && state.routes($0.instance) && state.healthy.contains($0.instance) }
    guard serving >= fallBack.leastTargets else { return }
    scene.gateways[id]?.fellBack = true
    note("\(id) sends all users to the stable release")
  }
}
