import SluiceEngine
import SluiceModel
import SluiceRollout

/// The controller: a process begins, takes the fence, drives the machine, and ends.
extension Simulation {
  /// A process begins: takes the fence, reads what was seen, goes on with what is there or applies the next release.
  mutating func startController() {
    incarnation += 1
    engine = nil
    if losesState {
      note("the database is gone")
      stored = []
      losesState = false
      stateWasLost = true
    }
    let known = takesOver ? colleagues.first : stored.first
    var acquisition = FenceAcquisition(
      owner: "\(machine):\(incarnation)", machine: machine, known: known?.fence?.epoch ?? 0, takeOver: takesOver)
    var step = acquisition.first()
    var inputs: [Input] = []
    while case .ask(let fence) = step {
      inputs = []
      let claim = FenceClaim(
        service: service, fence: fence, machine: machine, since: wall, takeOver: takesOver || acquisition.overrules)
      step = acquisition.conclude(
        hosts: claimHosts(claim, &inputs), gateways: claimGateways(claim, &inputs),
        excluded: known?.gateways.filter(\.excluded).map(\.id) ?? [])
    }
    guard case .acquired(let fence) = step else {
      note("not acquired")
      return comesToNothing()
    }
    guard var record = newestRecord(known, foreignEpoch: acquisition.foreignEpoch) else {
      note("no record of what runs is to be found")
      return comesToNothing()
    }
    self.fence = fence
    concluded = []
    earlier = stored
    if takesOver {
      note("a colleague has taken over")
      (takesOver, stateWasLost, stored) = (false, true, [record])
    }
    if sabotage == .saltChanges, let audience = record.rollout?.audience {
      record.rollout?.audience = Audience(release: audience.release, share: audience.share, salt: audience.salt + "'")
    }
    var engine = Engine(fleet: scenario.fleet, gateways: [scenario.gateway], records: stored + neighbours, cordons: cordons)
    engine.install(record)
    self.engine = engine
    note("controller \(incarnation) acts with epoch \(fence.epoch)")
    var events: [Engine.Event] = [.acquired(service, fence)]
    events += inputs.map { .input(service, $0) }
    for command in idle { events.append(.input(service, .command(command))) }
    idle = []
    if let command = nextCommand(record) { events.append(.input(service, .command(command))) }
    feed(events)
  }

  /// What people read.
  var wall: WallTime { WallTime(milliseconds: time + clockOff) }

  /// The claim is withdrawn, and the operator tries again.
  private mutating func comesToNothing() {
    let (service, owner) = (service, "\(machine):\(incarnation)")
    for name in hosts.keys.sorted() where hosts[name]?.answers == true { hosts[name]?.withdraw(service, owner: owner) }
    after(5_000...10_000, .controllerStarts(after: incarnation))
  }

  /// The newest of the database's record and the copies that can be reached; nil where instances run and no record is found.
  private func newestRecord(_ known: ServiceRecord?, foreignEpoch: UInt64) -> ServiceRecord? {
    var copies: [ServiceRecord] = []
    for id in scenario.gateway.processes where gateways[id]?.answers == true { copies += [gateways[id]?.copy].compactMap(\.self) }
    var standing = false
    for host in scenario.fleet.hosts where hosts[host.name]?.answers == true {
      copies += [hosts[host.name]?.copy].compactMap(\.self)
      standing = standing || hosts[host.name]?.instances.isEmpty == false
    }
    switch RecordChoice.choose(
      service: service, known: known?.revision, copies: copies.map(\.revision), foreignEpoch: foreignEpoch, standing: standing,
      takesOver: takesOver)
    {
    case .known: return known
    case .copy(let place): return copies[place]
    case .none: return ServiceRecord(policy: scenario.policy)
    case .stale: return nil
    }
  }

  private mutating func claimHosts(_ claim: FenceClaim, _ inputs: inout [Input]) -> [(HostName, ClaimAnswer<HostFact>)] {
    var answers: [(HostName, ClaimAnswer<HostFact>)] = []
    for host in scenario.fleet.hosts where host.slots > 0 {
      let name = host.name
      guard hosts[name]?.answers == true else {
        if hosts[name]?.hears == true { _ = hosts[name]?.claim(claim, sabotage) }
        answers.append((name, .unreachable("no route")))
        inputs.append(.hostUnreachable(name, "no route"))
        continue
      }
      if let holder = hosts[name]?.claim(claim, sabotage) {
        answers.append((name, .refused(holder)))
      } else if let fact = hosts[name]?.facts(name) {
        answers.append((name, .granted(fact, nil)))
        inputs.append(.host(fact))
      }
    }
    return answers
  }

  private mutating func claimGateways(_ claim: FenceClaim, _ inputs: inout [Input]) -> [(GatewayID, ClaimAnswer<GatewayFact>)] {
    var answers: [(GatewayID, ClaimAnswer<GatewayFact>)] = []
    for id in scenario.gateway.processes {
      guard let state = gateways[id], state.answers else {
        if let state = gateways[id], state.hears, state.refusing(claim.fence, sabotage) == nil { gateways[id]?.fence = claim.fence }
        answers.append((id, .unreachable("no route")))
        inputs.append(.gatewayUnreachable(id, "no route"))
        continue
      }
      if let standing = state.refusing(claim.fence, sabotage) {
        answers.append(
          (id, .refused(FenceHolder(fence: standing, machine: machine, since: WallTime(milliseconds: 0), released: true))))
        continue
      }
      gateways[id]?.fence = claim.fence
      guard let fact = gateways[id]?.facts(id, sabotage) else { continue }
      answers.append((id, .granted(fact, nil)))
      inputs.append(.gateway(fact))
    }
    return answers
  }

  /// What the operator asks of a new process: go on, or the next release; at the very end, to set right what faults have left.
  private mutating func nextCommand(_ known: ServiceRecord?) -> Command? {
    if let command = typed, known?.rollout != nil {
      typed = nil
      return command
    }
    if known?.rollout != nil { return operatorCommand("resume-\(incarnation)", .resume) }
    if step < scenario.releases.count {
      let id = "apply-\(step)"
      if known?.commands.contains(id) ?? false {
        step += 1
        return nextCommand(known)
      }
      return apply(scenario.releases[step], id: id)
    }
    return operatorCommand("settle-\(incarnation)", .settle(cause: "settle", overrideFloor: false))
  }

  func operatorCommand(_ id: String, _ verb: Command.Verb) -> Command {
    Command(id: id, by: "sim", at: wall, verb: verb)
  }

  private mutating func apply(_ release: Int, id: String) -> Command {
    appliedAt.append(sent.count)
    return operatorCommand(id, applied(release))
  }

  /// The order to apply a release, every third one with new secrets.
  func applied(_ release: Int) -> Command.Verb {
    var policy = sabotage?.policy(scenario.policy) ?? scenario.policy
    if isRackLossAllowed, case .rolling(var rolling) = policy.strategy {
      rolling.rackLossFloor = nil
      policy.strategy = .rolling(rolling)
    }
    return Scenario.apply(release, policy: policy)
  }

  mutating func feed(_ events: [Engine.Event]) {
    guard let before = engine?.record(service) else { return }
    let now = Milliseconds(sabotage == .holdByWallClock ? time + max(0, clockOff) : time)
    let wall = wall
    guard let effects = engine?.handle(events, now: now, wall: wall) else { return }
    let isLost = effects.contains { if case .rest(_, .fenceLost) = $0 { true } else { false } }
    if !isLost, let after = engine?.record(service) {
      checkDecision(before, after, events)
      if effects.contains(where: { if case .commit = $0 { true } else { false } }) { checkLaw(after) }
    }
    if sabotage == .portReusedAtOnce, var record = engine?.record(service) {
      record.instances.removeAll { $0.phase == .retired }
      engine?.install(record)
    }
    for effect in effects { perform(effect) }
  }

  private mutating func perform(_ effect: Engine.Effect) {
    switch effect {
    case .commit(let records, let notes): commit(records, notes)
    case .cancel: break
    case .dispatch(let service, let attempt): dispatch(service, attempt)
    case .refuse(let service, let command, let refusal):
      note("refused \(command) of \(service): \(refusal.message)")
      if command.hasPrefix("apply") { ends.append("refused") }
    case .wake(let wait): if engine != nil { queue.push(time + wait.value, .engine(incarnation, [.tick])) }
    case .rest(_, let rest): if engine != nil { came(to: rest) }
    }
  }

  private mutating func commit(_ records: [ServiceRecord], _ notes: [StoredEvent]) {
    guard engine != nil else { return }
    commits += 1
    if scenario.lostCommits.contains(commits) { return crash("CRASH of the controller while it writes: its decision is lost") }
    stored = records
    for event in notes {
      note(event.event.text)
      checkSecrets(event.event.text, in: "an event")
      if event.event.kind == "wave-begun" { waves.append(event.event.text) }
    }
  }

  private mutating func dispatch(_ service: ServiceName, _ attempt: Attempt) {
    guard engine != nil, let fence, let record = engine?.record(service) else { return }
    dispatched += 1
    sent.append(attempt.action)
    coverage.count(attempt.action, standingFaults, record.rollout)
    if sabotage == .stopsBeforeAcknowledgement, case .setTable = attempt.action,
      let target = record.table.content?.targets.first(where: \.draining),
      let host = record.instance(target.instance)?.host
    {
      let early = Attempt(id: -1, action: .stop(host, instance: target.instance), openedAt: attempt.openedAt)
      queue.push(time, .arrives(incarnation, service, early, fence, record))
    }
    note("send \(attempt.action.description(service: service))")
    send(service, attempt, fence, record, of: incarnation)
    if let crash = pendingCrashes.first, dispatched >= crash {
      pendingCrashes.removeFirst()
      self.crash("CRASH of the controller")
    }
  }

  /// Now and then something is long on its way: its controller may have been replaced meanwhile.
  private mutating func send(_ service: ServiceName, _ attempt: Attempt, _ fence: Fence, _ record: ServiceRecord, of: Int) {
    after(random.happens(scenario.delays) ? 150...8_000 : 1...150, .arrives(of, service, attempt, fence, record))
  }

  /// The process is gone, and another one begins after a while.
  private mutating func crash(_ what: String) {
    note(what)
    engine = nil
    incarnation += 1
    after(100...20_000, .controllerStarts(after: incarnation))
  }

  // MARK: Two controllers

  /// One that was taken over from: it goes on until somebody tells it that its fence has fallen.
  struct FormerController {
    var engine: Engine
    let incarnation: Int
    let fence: Fence
  }

  /// A colleague begins on another machine, with what its database had when this controller began, and takes the fence.
  mutating func bringSecondController() {
    if let engine, let fence { former = FormerController(engine: engine, incarnation: incarnation, fence: fence) }
    machine = machine == "sim" ? "laptop" : "sim"
    colleagues = earlier
    takesOver = true
    engine = nil
    incarnation += 1
    queue.push(time, .controllerStarts(after: incarnation))
  }

  /// What it decides is its own, in its own database; what it sends arrives, with its fence.
  mutating func feedFormer(_ of: Int, _ events: [Engine.Event]) {
    let wall = wall
    guard former?.incarnation == of, let fence = former?.fence,
      let effects = former?.engine.handle(events, now: Milliseconds(time), wall: wall)
    else { return }
    for effect in effects {
      switch effect {
      case .dispatch(let service, let attempt):
        guard let record = former?.engine.record(service) else { continue }
        note("the former controller sends \(attempt.action.description(service: service))")
        send(service, attempt, fence, record, of: of)
      case .wake(let wait): queue.push(time + wait.value, .engine(of, [.tick]))
      case .rest(_, let rest):
        if case .fenceLost = rest { note("the former controller learns that its fence has fallen") }
        former = nil
      case .commit, .cancel, .refuse: break
      }
    }
  }

  /// The process ends; the operator decides what comes next.
  private mutating func came(to rest: Engine.Rest) {
    switch rest {
    case .fenceLost(let failure):
      note("fence lost: \(failure.message)")
      after(5_000...10_000, .controllerStarts(after: incarnation))
      engine = nil
    case .waiting(let gate):
      operatorActs += 1
      note("waits: \(gate.description)")
      if operatorActs > 200 { return violate("9", "an operator cannot get it to end: \(gate.description)") }
      let verb = answer(to: gate)
      // The process has ended with exit 3; what the operator types is a new one, which looks at everything again.
      typed = operatorCommand("operator-\(operatorActs)", verb)
      engine = nil
      incarnation += 1
      release()
      after(4_000...4_000, .controllerStarts(after: incarnation))
    case .done(let end):
      if let end { ends.append(end.result.rawValue) }
      if let end, end.result == .rolledBack, let wanted = end.wanted, wanted != end.release { withdrawn.insert(wanted) }
      note("rests: \(end?.result.rawValue ?? "nothing to do")")
      endStep()
    }
  }

  /// What the operator types at a gate: the remedies that are shown there.
  private mutating func answer(to gate: Gate) -> Command.Verb {
    switch gate {
    case .failed(let failure):
      // What faults have left may be too crooked for it.
      if operatorActs > 6, failure.remedy.contains("rackLossFloor"), let record = stored.first, let release = record.stable?.release,
        let number = scenarioRelease(release, in: record)
      {
        isRackLossAllowed = true
        return applied(number)
      }
      return operatorActs % 2 == 1 ? .abort : .retry
    case .approval: return random.happens(scenario.rejections) ? .abort : .promote(full: random.happens(scenario.rejections))
    default: return .resume
    }
  }

  /// A clean end: anyone may take the fence now.
  private mutating func release() {
    let (service, fence) = (service, fence)
    for name in hosts.keys.sorted() where hosts[name]?.answers == true && hosts[name]?.holders[service]?.fence == fence {
      hosts[name]?.holders[service]?.released = true
    }
  }

  private mutating func endStep() {
    if let record = engine?.record(service), let fence { _ = replicate(record, fence) }
    engine = nil
    incarnation += 1
    release()
    if step < scenario.releases.count {
      step += 1
      after(100...30_000, .controllerStarts(after: incarnation))
    } else if faultsRemain {
      after(20_000...60_000, .controllerStarts(after: incarnation))
    } else if stored.first.map(isWhole) ?? true {
      finished = true
      checkEnd()
    } else {
      operatorActs += 1
      if operatorActs > 200 { return violate("9", "settling does not make the service whole") }
      after(1_000...5_000, .controllerStarts(after: incarnation))
    }
  }

  private var faultsRemain: Bool {
    scenario.faults.contains { $0.at + $0.lasts + 5_000 > time } || scenario.commands.contains { $0.at > time } || !idle.isEmpty
      || losesState || takesOver
  }

  private func isWhole(_ record: ServiceRecord) -> Bool {
    guard let stable = record.stable else { return true }
    return record.instances.allSatisfy { $0.isServing } && record.instances.count == stable.replicas
      && record.instances.allSatisfy { $0.release == stable.release }
  }
}
