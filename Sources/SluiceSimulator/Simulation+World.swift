import SluiceEngine
import SluiceModel
import SluiceRollout

/// What hosts and gateways do when something arrives, and when something goes wrong.
extension Simulation {
  mutating func arrive(_ of: Int, _ service: ServiceName, _ attempt: Attempt, _ fence: Fence, _ record: ServiceRecord) {
    switch attempt.action {
    case .setTable(let id, let revision): setTable(of, attempt, id, record.table.content, revision, fence)
    case .removeTable(let id): setTable(of, attempt, id, nil, nil, fence)
    case .hook, .check: after(1...2_000, .answers(of, service, attempt, .succeeded(.nothing), nil))
    case .replicate:
      replicate(record)
      after(1...50, .answers(of, service, attempt, .succeeded(.nothing), nil))
    case .observe(let host), .stage(let host, _), .start(let host, _), .checkReady(let host, _), .stop(let host, _), .task(let host, _, _):
      guard hosts[host]?.answers == true else {
        return after(1_000...3_000, .answers(of, service, attempt, .unreachable("no route"), nil))
      }
      if case .observe = attempt.action {
      } else if sabotage != .anyFence, hosts[host]?.admits(fence, service) == false {
        return after(1...20, .answers(of, service, attempt, .failed(Failure(.fenced, "a newer fence stands at \(host)")), host))
      }
      if !attempt.action.looksOnly, let holder = hosts[host]?.holders[service], fence.epoch < holder.fence.epoch {
        violate(
          "8", "\(attempt.action.description(service: service)) takes effect with epoch \(fence.epoch), \(host) holds \(holder.fence.epoch)"
        )
      }
      act(of, service, attempt, host, record)
    }
  }

  /// The record's copy on the gateways and on two hosts.
  mutating func replicate(_ record: ServiceRecord) {
    for id in scenario.gateway.processes where gateways[id]?.answers == true { gateways[id]?.copy = record }
    for host in CopyPlaces.choose(fleet: scenario.fleet, record: record) where hosts[host.name]?.answers == true {
      hosts[host.name]?.copy = record
    }
  }

  private mutating func act(_ of: Int, _ service: ServiceName, _ attempt: Attempt, _ host: HostName, _ record: ServiceRecord) {
    if case .observe = attempt.action {
      let facts = hosts[host]?.facts(host)
      return after(1...50, .answers(of, service, attempt, facts.map { .succeeded(.facts($0)) } ?? .unreachable("gone"), host))
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
      start(of, service, attempt, host, instance, generation)
    case .checkReady(_, let number):
      let ready = hosts[host]?.instances[number]?.readyAt
      let deadline = time + record.policy.startTimeout.value
      if let ready, ready < deadline {
        queue.push(max(time, ready) + Int64(random.integer(in: 1...1_500)), .answers(of, service, attempt, .succeeded(.nothing), host))
      } else {
        queue.push(deadline, .answers(of, service, attempt, .failed(Failure(.readiness, "never ready")), host))
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
    _ of: Int, _ service: ServiceName, _ attempt: Attempt, _ host: HostName, _ instance: Instance, _ generation: UInt64
  ) {
    if hosts[host]?.instances[instance.number] == nil {
      checkStart(instance)
      if hosts[host]?.instances.values.contains(where: { $0.port == instance.port }) ?? false {
        violate("3", "\(host):\(instance.port) is given to \(instance.number) while another instance has it")
      }
      if (hosts[host]?.instances.count ?? 0) >= (scenario.fleet.host(host)?.slots ?? 0) {
        violate("2", "\(host) has no slot left for \(instance.number)")
      }
      let starts = (startsOf[instance.release.number] ?? 0) + 1
      startsOf[instance.release.number] = starts
      // Faults end: what was wrong with a release is mended some day.
      let bad = time < 300_000 && scenario.badReleases[instance.release.number].map { starts >= $0 } ?? false
      let readyAt = bad ? nil : time + Int64(random.integer(in: 100...4_000))
      hosts[host]?.instances[instance.number] = SimulatedHost.Running(
        service: service, release: instance.release, port: instance.port, readyAt: readyAt)
    }
    after(wait(20...800, host), .answers(of, service, attempt, .succeeded(.host(generation: generation)), host))
  }

  private func wait(_ range: ClosedRange<Int>, _ host: HostName) -> ClosedRange<Int> {
    hosts[host]?.slow == true ? (range.lowerBound * 10)...(range.upperBound * 10) : range
  }

  private mutating func setTable(
    _ of: Int, _ attempt: Attempt, _ id: GatewayID, _ content: TableContent?, _ revision: Revision?, _ fence: Fence
  ) {
    guard let state = gateways[id], state.answers else {
      return after(1_000...3_000, .answers(of, service, attempt, .unreachable("no route"), nil))
    }
    if let standing = state.fence, !standing.admits(fence) {
      return after(1...20, .answers(of, service, attempt, .failed(Failure(.fenced, "a newer fence stands at \(id)")), nil))
    }
    if let standing = state.revision, let revision, revision < standing {
      return after(1...20, .answers(of, service, attempt, .failed(Failure(.gateway, "table \(revision) is older than \(standing)")), nil))
    }
    let before = servingTruth()
    gateways[id]?.fence = fence
    gateways[id]?.content = content
    gateways[id]?.revision = revision
    gateways[id]?.fellBack = false
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
    after(200...1_500, .gatewayLooks(id))
    if let facts = gateways[id]?.facts(id) { after(1...30, .answers(of, service, attempt, .succeeded(.gateway(facts)), nil)) }
  }

  /// A gateway probes all its targets.
  mutating func look(_ id: GatewayID) {
    guard let state = gateways[id], state.running else { return }
    var healthy: Set<Int> = []
    var next: Int64?
    for target in state.content?.targets ?? [] {
      guard let host = scenario.fleet.hosts.first(where: { $0.serviceAddress == target.address })?.name else { continue }
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
    guard gateways[id]?.answers == true, engine != nil, let fact = gateways[id]?.facts(id) else { return }
    let at = max(time + Int64(random.integer(in: 1...40)), newsAt[id] ?? 0)
    newsAt[id] = at
    queue.push(at, .engine(incarnation, [.input(service, .gateway(fact))]))
  }

  /// A controller that is gone, or that cannot reach a gateway, renews no lease.
  mutating func watchLeases() {
    for id in scenario.gateway.processes {
      if engine != nil, gateways[id]?.linked == true {
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

  mutating func begin(_ fault: Scenario.Fault) {
    faultsSoFar += 1
    standingFaults.append(fault.kind.name)
    note("FAULT \(fault.kind) for \(fault.lasts) ms")
    switch fault.kind {
    case .hostCrash(let host): hosts[host]?.powered = false
    case .hostCut(let host): hosts[host]?.linked = false
    case .gatewayCut(let host): change(host) { $0.linked = false }
    case .gatewayRestart(let host):
      change(host) {
        $0.running = false
        $0.inFlight = [:]
        $0.starts += 1
        $0.told = 0
      }
    case .flapping(let host): hosts[host]?.flapping = true
    case .diskFull(let host): hosts[host]?.full = true
    case .portsTaken(let host):
      let first = scenario.policy.ports.from
      let own = hosts[host]?.instances.values.map(\.port) ?? []
      hosts[host]?.foreign = [first, first + 1].filter { !own.contains($0) }
    case .slow(let host): hosts[host]?.slow = true
    case .stateLost: losesState = true
    }
    for id in scenario.gateway.processes where gateways[id]?.answers == false { after(1_000...6_000, .gatewaySilent(incarnation, id)) }
    lookSoon()
    queue.push(time + fault.lasts, .faultEnds(fault))
  }

  mutating func end(_ fault: Scenario.Fault) {
    if let index = standingFaults.firstIndex(of: fault.kind.name) { standingFaults.remove(at: index) }
    note("fault \(fault.kind) ends")
    switch fault.kind {
    case .hostCrash(let host):
      hosts[host]?.powered = true
      for number in (hosts[host]?.instances.keys).map({ $0.sorted() }) ?? [] where hosts[host]?.instances[number]?.readyAt != nil {
        hosts[host]?.instances[number]?.readyAt = time + Int64(random.integer(in: 500...4_000))
      }
    case .hostCut(let host): hosts[host]?.linked = true
    case .gatewayCut(let host): change(host) { $0.linked = true }
    case .gatewayRestart(let host): change(host) { $0.running = true }
    case .flapping(let host): hosts[host]?.flapping = false
    case .diskFull(let host): hosts[host]?.full = false
    case .portsTaken(let host): hosts[host]?.foreign = []
    case .slow(let host): hosts[host]?.slow = false
    case .stateLost: break
    }
    lookSoon()
    for id in scenario.gateway.processes { tell(id) }
  }

  private mutating func change(_ host: HostName, _ body: (inout SimulatedGateway) -> Void) {
    for id in scenario.gateway.processes where id.host == host {
      if var state = gateways[id] {
        body(&state)
        gateways[id] = state
      }
    }
  }

  /// An operator types something. What changes the fleet itself stays changed whether a controller runs or not; the rest needs one.
  mutating func command(_ verb: String) {
    if scenario.gateway.hosts.count < 2, verb == "exclude" || verb == "include" { return }
    note("OPERATOR \(verb)")
    // What drains already was taken out under another floor.
    if verb == "scale" || verb == "include" { goalMoved = true }
    let host = scenario.fleet.hosts.first { $0.slots > 0 }?.name ?? "a1"
    let edge = scenario.gateway.processes[scenario.gateway.processes.count - 1]
    let command: Command.Verb
    switch verb {
    case "abort": command = .abort
    case "pause": command = .pause
    case "interrupt": command = .interrupt
    case "restart": command = .restart(instance: nil)
    case "supersede": command = applied(90)
    case "rollback": command = .rollback(to: nil)
    case "retry": command = .retry
    case "promote": command = .promote(full: false)
    case "promote full": command = .promote(full: true)
    case "split": command = .split(BasisPoints(random.integer(in: 0...6) * 1_000))
    case "drain", "undrain":
      cordons = verb == "drain" ? [host] : []
      engine?.cordons = cordons
      command = .settle(cause: verb, overrideFloor: false)
    case "exclude", "include": command = .exclude(edge, verb == "exclude")
    default: command = .scale(scenario.policy.replicas + 1)
    }
    let typed = operatorCommand("typed-\(verb)-\(time)", command)
    if engine != nil { return feed([.input(service, .command(typed))]) }
    if verb == "exclude" || verb == "include" { idle.append(typed) }
  }
}
