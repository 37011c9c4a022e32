import SluiceEngine
import SluiceModel
import SluiceRollout

/// What hosts and gateways do when something arrives, and when something goes wrong.
extension Simulation {
  mutating func arrive(_ of: Int, _ service: ServiceName, _ attempt: Attempt, _ fence: Fence, _ record: ServiceRecord) {
    switch attempt.action {
    case .setTable(let id, let revision): setTable(of, attempt, id, record.table.content, revision, fence, record)
    case .removeTable(let id): setTable(of, attempt, id, nil, nil, fence, record)
    case .hook:
      if standingFaults.contains(.hookHangs) { return note("the hook hangs") }
      let fails = standingFaults.contains(.hookFails)
      after(1...2_000, .answers(of, service, attempt, fails ? .failed(Failure(.hook, "exit status 1")) : .succeeded(.nothing), nil))
    case .check: after(1...2_000, .answers(of, service, attempt, .succeeded(.nothing), nil))
    case .replicate:
      let isFenced = !replicate(record, fence)
      after(
        1...50, .answers(of, service, attempt, isFenced ? .failed(Failure(.fenced, "a newer fence stands")) : .succeeded(.nothing), nil))
    case .observe(let host), .stage(let host, _), .start(let host, _), .checkReady(let host, _), .stop(let host, _), .task(let host, _, _):
      guard hosts[host]?.hears == true else {
        return after(1_000...3_000, .answers(of, service, attempt, .unreachable("no route"), nil))
      }
      if case .observe = attempt.action {
      } else if hosts[host]?.admits(fence, service, sabotage) == false {
        return after(1...20, .answers(of, service, attempt, .failed(Failure(.fenced, "a newer fence stands at \(host)")), host))
      }
      if !attempt.action.looksOnly { checkFence(fence, attempt.action, hosts[host]?.holders[service]?.fence, at: "\(host)") }
      act(of, service, attempt, host, record)
    }
  }

  /// The record's copy on the gateways and on two hosts.
  ///
  /// False where a newer fence stands.
  mutating func replicate(_ record: ServiceRecord, _ fence: Fence) -> Bool {
    var isAdmitted = true
    checkSecrets(record)
    for id in scenario.gateway.processes where gateways[id]?.answers == true {
      if gateways[id]?.refusing(fence, sabotage) == nil { gateways[id]?.copy = record } else { isAdmitted = false }
    }
    for host in CopyPlaces.choose(fleet: scenario.fleet, record: record) where hosts[host.name]?.answers == true {
      if hosts[host.name]?.admits(fence, service, sabotage) == true { hosts[host.name]?.copy = record } else { isAdmitted = false }
    }
    return isAdmitted
  }

  private mutating func act(_ of: Int, _ service: ServiceName, _ attempt: Attempt, _ host: HostName, _ record: ServiceRecord) {
    if case .observe = attempt.action {
      let facts = hosts[host]?.facts(host)
      return after(
        wait(1...50, host), .answers(of, service, attempt, facts.map { .succeeded(.facts($0)) } ?? .unreachable("gone"), host))
    }
    hosts[host]?.generation += 1
    let generation = hosts[host]?.generation ?? 0
    switch attempt.action {
    case .stage(_, let release):
      if hosts[host]?.full == true {
        return after(50...2_000, .answers(of, service, attempt, .failed(Failure(.staging, "no space left on \(host)")), host))
      }
      if let digest = record.release(release)?.digest { hosts[host]?.releases.insert(digest) }
      after(wait(50...2_000, host), .answers(of, service, attempt, .succeeded(.host(generation: generation)), host))
    case .start(_, let number):
      guard let instance = record.instance(number) else { return }
      if let digest = record.release(instance.release)?.digest, hosts[host]?.releases.contains(digest) != true {
        violate("order", "\(number) is started on \(host), which has not got \(instance.release)")
      }
      if hosts[host]?.foreign.contains(instance.port) == true, hosts[host]?.instances[number] == nil {
        return after(20...400, .answers(of, service, attempt, .failed(Failure(.portTaken, "port \(instance.port) is taken")), host))
      }
      start(of, service, attempt, host, instance, generation, record)
    case .checkReady(_, let number):
      let ready = hosts[host]?.instances[number]?.readyAt
      let deadline = time + record.policy.startTimeout.value
      if let ready, ready < deadline {
        queue.push(max(time, ready) + Int64(random.integer(in: 1...1_500)), .answers(of, service, attempt, .succeeded(.nothing), host))
      } else {
        let failure = Failure(.readiness, "never ready", output: log(of: number, record))
        queue.push(deadline, .answers(of, service, attempt, .failed(failure), host))
      }
    case .stop(_, let number):
      checkStop(number, record)
      hosts[host]?.instances[number] = nil
      lookSoon()
      after(50...1_500, .answers(of, service, attempt, .succeeded(.stopped(generation: generation, killed: false)), host))
    case .task: after(1...2_000, .answers(of, service, attempt, .succeeded(.nothing), host))
    case .observe, .setTable, .removeTable, .hook, .check, .replicate: break
    }
  }

  private mutating func start(
    _ of: Int, _ service: ServiceName, _ attempt: Attempt, _ host: HostName, _ instance: Instance, _ generation: UInt64,
    _ record: ServiceRecord
  ) {
    if hosts[host]?.instances[instance.number] == nil {
      checkStart(instance)
      if hosts[host]?.instances.values.contains(where: { $0.port == instance.port }) ?? false {
        violate("3", "\(host):\(instance.port) is given to \(instance.number) while another instance has it")
      }
      let others = scenario.neighbours.filter { $0.host == host }
      if others.contains(where: { $0.port == instance.port }) {
        violate("3", "\(host):\(instance.port) is given to \(instance.number), and belongs to another service")
      }
      if (hosts[host]?.instances.count ?? 0) + others.count >= (scenario.fleet.host(host)?.slots ?? 0) {
        violate("2", "\(host) has no slot left for \(instance.number)")
      }
      let starts = (startsOf[instance.release.number] ?? 0) + 1
      startsOf[instance.release.number] = starts
      // Faults end: what was wrong with a release is mended some day.
      let bad = time < 300_000 && scenario.badReleases[instance.release.number].map { starts >= $0 } ?? false
      let readyAt = bad ? nil : time + Int64(random.integer(in: 100...4_000))
      releaseOf[instance.number] = scenarioRelease(instance.release, in: record)
      hosts[host]?.instances[instance.number] = SimulatedHost.Running(
        service: service, release: instance.release, port: instance.port, readyAt: readyAt)
    }
    after(wait(20...800, host), .answers(of, service, attempt, .succeeded(.host(generation: generation)), host))
  }

  /// The last words of an instance, which has seen its secrets: they are blotted out before anybody is told.
  private func log(of number: Int, _ record: ServiceRecord) -> String {
    let secret = Scenario.secret(record.instance(number)?.secrets ?? "")
    return "cannot log in with \(sabotage == .secretKept ? secret : "(secret)")"
  }

  private func wait(_ range: ClosedRange<Int>, _ host: HostName) -> ClosedRange<Int> {
    hosts[host]?.slow == true ? (range.lowerBound * 10)...(range.upperBound * 10) : range
  }

  private mutating func setTable(
    _ of: Int, _ attempt: Attempt, _ id: GatewayID, _ content: TableContent?, _ revision: Revision?, _ fence: Fence,
    _ record: ServiceRecord
  ) {
    guard let state = gateways[id], state.hears else {
      return after(1_000...3_000, .answers(of, service, attempt, .unreachable("no route"), nil))
    }
    if state.refusing(fence, sabotage) != nil {
      return after(1...20, .answers(of, service, attempt, .failed(Failure(.fenced, "a newer fence stands at \(id)")), nil))
    }
    if let standing = state.revision, let revision, revision < standing {
      return after(1...20, .answers(of, service, attempt, .failed(Failure(.gateway, "table \(revision) is older than \(standing)")), nil))
    }
    let before = servingTruth()
    checkFence(fence, attempt.action, state.fence, at: "\(id)")
    gateways[id]?.fence = fence
    gateways[id]?.content = content
    gateways[id]?.revision = revision
    gateways[id]?.fellBack = false
    gateways[id]?.rollout = record.rollout?.number
    gateways[id]?.beginCounting()
    for target in content?.targets ?? [] {
      if target.draining, state.drainingSince[target.instance] == nil {
        gateways[id]?.drainingSince[target.instance] = time
        let busy = state.routes(target.instance) && state.healthy.contains(target.instance)
        gateways[id]?.inFlight[target.instance] = busy ? random.integer(in: 0...5) : 0
        after(10...(random.happens(500) ? 40_000 : 6_000), .drained(id, target.instance))
      } else if !target.draining {
        gateways[id]?.drainingSince[target.instance] = nil
        gateways[id]?.inFlight[target.instance] = 1
      }
    }
    checkFloor(before: before)
    note("\(id) has table \(revision?.description ?? "none")")
    if state.content?.split != content?.split || state.content?.idle != content?.idle { cutInFlip(id) }
    watchUsers(id)
    after(200...1_500, .gatewayLooks(id))
    if let facts = gateways[id]?.facts(id, sabotage) { after(1...30, .answers(of, service, attempt, .succeeded(.gateway(facts)), nil)) }
  }

  /// A gateway probes all its targets.
  mutating func look(_ id: GatewayID) {
    guard let state = gateways[id], state.running else { return }
    var healthy: Set<Int> = []
    var next: Int64?
    for target in state.content?.targets ?? [] {
      guard let host = hostAt[target.address] else { continue }
      if hosts[host]?.isReady(target.instance, at: time) == true {
        healthy.insert(target.instance)
      } else if let ready = hosts[host]?.instances[target.instance]?.readyAt, ready > time {
        next = min(next ?? ready, ready)
      }
    }
    if let next { queue.push(next + Int64(random.integer(in: 100...1_000)), .gatewayLooks(id)) }
    if healthy != state.healthy {
      gateways[id]?.healthy = healthy
      tell(id)
    }
  }

  mutating func lookSoon() {
    for id in scenario.gateway.processes { after(100...1_500, .gatewayLooks(id)) }
  }

  /// News of a gateway reach the controller, if there is one and a way to it: in the order in which they were told, for they are one stream.
  mutating func tell(_ id: GatewayID) {
    guard gateways[id]?.answers == true, engine != nil, let fact = gateways[id]?.facts(id, sabotage) else { return }
    let news = Happening.engine(incarnation, [.input(service, .gateway(fact))])
    if gateways[id]?.stale == true {
      if random.happens(5_000) { after(500...8_000, news) }
      if random.happens(5_000) { return }
    }
    let at = max(time + Int64(random.integer(in: 1...40)), newsAt[id] ?? 0)
    newsAt[id] = at
    queue.push(at, news)
  }

  /// A controller that is gone, or that cannot reach a gateway, renews no lease.
  mutating func watchLeases() {
    for id in scenario.gateway.processes {
      if engine != nil, gateways[id]?.hears == true {
        if unheardSince[id] != nil { unheardSince[id] = nil }
      } else if unheardSince[id] == nil {
        unheardSince[id] = time
        if let after = gateways[id]?.content?.split?.fallBack?.after.value { queue.push(time + after, .leaseEnds(id, since: time)) }
      }
    }
  }

  /// The same rule as the gateway's.
  mutating func leaseEnds(_ id: GatewayID, since: Int64) {
    guard unheardSince[id] == since, let state = gateways[id], state.running, !state.fellBack, let content = state.content,
      let split = content.split, let fallBack = split.fallBack, time - since >= fallBack.after.value
    else { return }
    let serving = content.targets.count { $0.release != split.release && state.routes($0.instance) && state.healthy.contains($0.instance) }
    guard serving >= fallBack.leastTargets else { return }
    gateways[id]?.fellBack = true
    note("\(id) sends all users to the stable release")
  }
}
