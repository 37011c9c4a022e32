import SluiceEngine
import SluiceModel
package import SluiceRollout

/// Drives the engine's own machine against a fleet in memory, from one seed: safety is checked after every event, liveness at the end.
package struct Simulation {
  package struct Report: Sendable {
    package var seed: UInt64
    package var violations: [Violation]
    package var hash: UInt64
    package var events: Int
    /// How each apply ended, in order.
    package var ends: [String]
    package var trace: [String]
    /// Every action that was sent, in order, and how many had been when each apply was given.
    package var sent: [Action]
    package var appliedAt: [Int]
    /// What each wave that began replaces, in the words of the history.
    package var waves: [String]
    /// How often each kind of action was sent while each kind of fault stood: `start × host crash`.
    package var coverage: [String: Int]
    package var record: ServiceRecord?

    /// What the record holds at the end, in words.
    package var standing: [String] {
      guard let record else { return [] }
      var lines = record.instances.map { instance in
        let fate = instance.condemned.map { ", \($0.rawValue)" } ?? ""
        let healthy = instance.isServing ? ", healthy" : ""
        return
          "\(instance.number): release \(instance.release) on \(instance.host):\(instance.port), \(instance.phase)\(fate)\(healthy), let in by \(instance.admittedBy?.description ?? "no table")"
      }
      lines += record.gateways.map { gateway in
        "\(gateway.id): \(gateway.reach), table \(gateway.revision?.description ?? "none") of \(record.table.revision)\(gateway.excluded ? ", excluded" : "")"
      }
      if let rollout = record.rollout {
        lines.append(
          "rollout \(rollout.number): \(rollout.direction), \(rollout.stage.rawValue), gate \(rollout.gate?.description ?? "none")")
        for replacement in rollout.wave?.replacements ?? [] { lines.append("  \(replacement)") }
      }
      return lines
    }
  }

  enum Happening {
    case controllerStarts
    case engine(Int, [Engine.Event])
    /// An action arrives where it was sent.
    case arrives(Int, ServiceName, Attempt, Fence, ServiceRecord)
    case answers(Int, ServiceName, Attempt, AttemptResult, HostName?)
    case fault(Scenario.Fault)
    case faultEnds(Scenario.Fault)
    case gatewayLooks(GatewayID)
    case gatewaySilent(Int, GatewayID)
    /// Nobody has renewed its lease since then.
    case leaseEnds(GatewayID, since: Int64)
    case drained(GatewayID, Int)
    case command(String)
  }

  let seed: UInt64
  let scenario: Scenario
  let keepsTrace: Bool
  var random: Randomness
  var time: Int64 = 0
  var queue = EventQueue<Happening>()
  var hosts: [HostName: SimulatedHost] = [:]
  var gateways: [GatewayID: SimulatedGateway] = [:]
  var stored: [ServiceRecord] = []
  var engine: Engine?
  var fence: Fence?
  /// Rises with every start of a controller: what an earlier one waits for reaches nobody.
  var incarnation = 0
  /// Since when no controller has been heard by a gateway; nil: it is.
  var unheardSince: [GatewayID: Int64] = [:]
  /// When the newest news of each gateway arrives.
  var newsAt: [GatewayID: Int64] = [:]
  var dispatched = 0
  var startsOf: [Int: Int] = [:]
  var step = 0
  var operatorActs = 0
  var hash = TraceHash()
  var trace: [String] = []
  var violations: [Violation] = []
  var ends: [String] = []
  var faultsSoFar = 0
  var finished = false
  var events = 0
  var pendingCrashes: [Int]
  /// What the operator types next, when the last process has ended at a gate.
  var typed: Command?
  /// What was typed while no controller ran, and is given to the next one.
  var idle: [Command] = []
  var cordons: [HostName] = []
  var losesState = false
  var stateWasLost = false
  var goalMoved = false
  var everServed: Set<Int> = []
  var standingFaults: [String] = []
  var sent: [Action] = []
  var appliedAt: [Int] = []
  var waves: [String] = []
  var coverage: [String: Int] = [:]
  let sabotage: Sabotage?

  package init(seed: UInt64, scenario: Scenario, keepsTrace: Bool = false, sabotage: Sabotage? = nil) {
    self.sabotage = sabotage
    self.seed = seed
    self.scenario = scenario
    self.keepsTrace = keepsTrace
    random = Randomness(seed: seed)
    pendingCrashes = scenario.crashes.sorted()
    for host in scenario.fleet.hosts where host.slots > 0 { hosts[host.name] = SimulatedHost() }
    for id in scenario.gateway.processes { gateways[id] = SimulatedGateway() }
  }

  var service: ServiceName { scenario.policy.name }

  /// Runs the story to its end, or until it is clear that it has none.
  package mutating func run() -> Report {
    for fault in scenario.faults { queue.push(fault.at, .fault(fault)) }
    for command in scenario.commands { queue.push(command.at, .command(command.verb)) }
    queue.push(0, .controllerStarts)
    while !finished, violations.isEmpty, let (at, happening) = queue.pop() {
      time = at
      events += 1
      if time > 3_600_000 * 2 || events > 200_000 {
        violate("9", "no end after \(time / 1000) s and \(events) events: \(stored.first?.rollout?.gate?.description ?? "no gate")")
        break
      }
      happen(happening)
      watchLeases()
    }
    if !finished, violations.isEmpty { violate("9", "silence: nothing will happen any more, and the service does not rest") }
    return Report(
      seed: seed, violations: violations, hash: hash.value, events: events, ends: ends, trace: trace, sent: sent, appliedAt: appliedAt,
      waves: waves, coverage: coverage, record: stored.first)
  }

  mutating func note(_ text: String) {
    hash.add(time)
    hash.add(text)
    if keepsTrace { trace.append("\(time) \(text)") }
  }

  mutating func violate(_ rule: String, _ text: String) {
    note("VIOLATION of rule \(rule): \(text)")
    violations.append(Violation(rule: rule, at: time, text: text))
  }

  mutating func after(_ wait: ClosedRange<Int>, _ happening: Happening) { queue.push(time + Int64(random.integer(in: wait)), happening) }

  private mutating func happen(_ happening: Happening) {
    switch happening {
    case .controllerStarts: startController()
    case .engine(let of, let events): if of == incarnation { feed(events) }
    case .arrives(let of, let service, let attempt, let fence, let record): arrive(of, service, attempt, fence, record)
    case .answers(let of, let service, let attempt, let result, let host):
      guard of == incarnation else { return }
      var result = result
      if sabotage == .unknownIsGone, case .stop = attempt.action, case .unreachable = result { result = .succeeded(.nothing) }
      if let host, hosts[host]?.answers == false {
        if case .unreachable = result {} else { result = .inDoubt("the connection was lost") }
      }
      if sabotage == .outcomeLost, case .stop = attempt.action, time % 7 == 0 { return }
      note("outcome \(attempt.action.description(service: service)): \(brief(result))")
      feed([.input(service, .outcome(attempt: attempt.id, result))])
    case .fault(let fault): begin(fault)
    case .faultEnds(let fault): end(fault)
    case .gatewayLooks(let id): look(id)
    case .leaseEnds(let id, let since): leaseEnds(id, since: since)
    case .gatewaySilent(let of, let id):
      if of == incarnation, gateways[id]?.answers == false { feed([.input(service, .gatewayUnreachable(id, "no heartbeat"))]) }
    case .drained(let id, let number):
      gateways[id]?.inFlight[number] = 0
      tell(id)
    case .command(let verb): command(verb)
    }
  }

  func brief(_ result: AttemptResult) -> String {
    switch result {
    case .succeeded: "ok"
    case .failed(let failure): "failed (\(failure.message))"
    case .unreachable: "unreachable"
    case .inDoubt: "in doubt"
    }
  }

  // MARK: The controller

  /// A process begins: takes the fence, reads what was seen, goes on with what is there or applies the next release.
  private mutating func startController() {
    incarnation += 1
    engine = nil
    if losesState {
      note("the database is gone")
      stored = []
      losesState = false
      stateWasLost = true
    }
    let known = stored.first { $0.service == service }
    var acquisition = FenceAcquisition(
      owner: "sim:\(incarnation)", machine: "sim", known: known?.fence?.epoch ?? 0, takeOver: false)
    var step = acquisition.first()
    var inputs: [Input] = []
    while case .ask(let fence) = step {
      inputs = []
      let claim = FenceClaim(service: service, fence: fence, machine: "sim", since: WallTime(milliseconds: time), takeOver: false)
      step = acquisition.conclude(
        hosts: claimHosts(claim, &inputs), gateways: claimGateways(claim, &inputs),
        excluded: known?.gateways.filter(\.excluded).map(\.id) ?? [])
    }
    guard case .acquired(let fence) = step else {
      note("not acquired")
      return comesToNothing()
    }
    self.fence = fence
    guard let record = newestRecord(known, foreignEpoch: acquisition.foreignEpoch) else {
      note("no record of what runs is to be found")
      return comesToNothing()
    }
    var engine = Engine(fleet: scenario.fleet, gateways: [scenario.gateway], records: stored, cordons: cordons)
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

  /// The claim is withdrawn, and the operator tries again.
  private mutating func comesToNothing() {
    let (service, owner) = (service, "sim:\(incarnation)")
    for name in hosts.keys.sorted() where hosts[name]?.answers == true { hosts[name]?.withdraw(service, owner: owner) }
    after(5_000...10_000, .controllerStarts)
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
      takesOver: false)
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
        answers.append((name, .unreachable("no route")))
        inputs.append(.hostUnreachable(name, "no route"))
        continue
      }
      if let holder = hosts[name]?.claim(claim) {
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
        answers.append((id, .unreachable("no route")))
        inputs.append(.gatewayUnreachable(id, "no route"))
        continue
      }
      if let standing = state.fence, !standing.admits(claim.fence) {
        answers.append(
          (id, .refused(FenceHolder(fence: standing, machine: "sim", since: WallTime(milliseconds: 0), released: true))))
        continue
      }
      gateways[id]?.fence = claim.fence
      guard let fact = gateways[id]?.facts(id) else { continue }
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
    Command(id: id, by: "sim", at: WallTime(milliseconds: time), verb: verb)
  }

  private mutating func apply(_ release: Int, id: String) -> Command {
    appliedAt.append(sent.count)
    return operatorCommand(id, applied(release))
  }

  /// The order to apply a release, every other one with new secrets.
  func applied(_ release: Int) -> Command.Verb { Scenario.apply(release, policy: sabotage?.policy(scenario.policy) ?? scenario.policy) }

  mutating func feed(_ events: [Engine.Event]) {
    guard let before = engine?.record(service) else { return }
    guard let effects = engine?.handle(events, now: Milliseconds(time), wall: WallTime(milliseconds: time)) else { return }
    let lost = effects.contains { if case .rest(_, .fenceLost) = $0 { true } else { false } }
    if !lost, let after = engine?.record(service) { checkDecision(before, after) }
    if sabotage == .portReusedAtOnce, var record = engine?.record(service) {
      record.instances.removeAll { $0.phase == .retired }
      engine?.install(record)
    }
    for effect in effects { perform(effect) }
  }

  private mutating func perform(_ effect: Engine.Effect) {
    let of = incarnation
    switch effect {
    case .commit(let records, let notes):
      guard engine != nil else { return }
      stored = records
      for event in notes {
        note(event.event.text)
        if event.event.kind == "wave-begun" { waves.append(event.event.text) }
      }
    case .cancel: break
    case .dispatch(let service, let attempt):
      guard engine != nil, let fence, let record = engine?.record(service) else { return }
      dispatched += 1
      sent.append(attempt.action)
      for fault in standingFaults { coverage["\(attempt.action.kind) × \(fault)", default: 0] += 1 }
      if sabotage == .stopsBeforeAcknowledgement, case .setTable = attempt.action,
        let target = record.table.content?.targets.first(where: \.draining),
        let host = record.instance(target.instance)?.host
      {
        let early = Attempt(id: -1, action: .stop(host, instance: target.instance), openedAt: attempt.openedAt)
        queue.push(time, .arrives(of, service, early, fence, record))
      }
      note("send \(attempt.action.description(service: service))")
      // Now and then something is long on its way: its controller may have been replaced meanwhile.
      after(random.happens(scenario.delays) ? 150...8_000 : 1...150, .arrives(of, service, attempt, fence, record))
      if let crash = pendingCrashes.first, dispatched >= crash {
        pendingCrashes.removeFirst()
        note("CRASH of the controller")
        incarnation += 1
        engine = nil
        after(100...20_000, .controllerStarts)
      }
    case .refuse(let service, let command, let refusal):
      note("refused \(command) of \(service): \(refusal.message)")
      if command.hasPrefix("apply") { ends.append("refused") }
    case .wake(let wait): queue.push(time + wait.value, .engine(of, [.tick]))
    case .rest(_, let rest): if engine != nil { came(to: rest) }
    }
  }

  /// The process ends; the operator decides what comes next.
  private mutating func came(to rest: Engine.Rest) {
    switch rest {
    case .fenceLost(let failure):
      note("fence lost: \(failure.message)")
      after(5_000...10_000, .controllerStarts)
      engine = nil
    case .waiting(let gate):
      operatorActs += 1
      note("waits: \(gate.description)")
      if operatorActs > 200 { return violate("9", "an operator cannot get it to end: \(gate.description)") }
      let verb: Command.Verb =
        switch gate {
        case .failed: operatorActs % 2 == 1 ? .abort : .retry
        case .approval: random.happens(scenario.rejections) ? .abort : .promote(full: random.happens(scenario.rejections))
        default: .resume
        }
      // The process has ended with exit 3; what the operator types is a new one, which looks at everything again.
      typed = operatorCommand("operator-\(operatorActs)", verb)
      engine = nil
      incarnation += 1
      let service = service
      for name in hosts.keys.sorted() where hosts[name]?.answers == true { hosts[name]?.holders[service]?.released = true }
      after(4_000...4_000, .controllerStarts)
    case .done(let end):
      if let end { ends.append(end.result.rawValue) }
      note("rests: \(end?.result.rawValue ?? "nothing to do")")
      endStep()
    }
  }

  private mutating func endStep() {
    if let record = engine?.record(service) { replicate(record) }
    engine = nil
    incarnation += 1
    let service = service
    for name in hosts.keys.sorted() where hosts[name]?.answers == true { hosts[name]?.holders[service]?.released = true }
    if step < scenario.releases.count {
      step += 1
      after(100...30_000, .controllerStarts)
    } else if faultsRemain {
      after(20_000...60_000, .controllerStarts)
    } else if stored.first.map(isWhole) ?? true {
      finished = true
      checkEnd()
    } else {
      operatorActs += 1
      if operatorActs > 200 { return violate("9", "settling does not make the service whole") }
      after(1_000...5_000, .controllerStarts)
    }
  }

  private var faultsRemain: Bool {
    scenario.faults.contains { $0.at + $0.lasts + 5_000 > time } || scenario.commands.contains { $0.at > time } || !idle.isEmpty
      || losesState
  }

  private func isWhole(_ record: ServiceRecord) -> Bool {
    guard let stable = record.stable else { return true }
    return record.instances.allSatisfy { $0.isServing } && record.instances.count == stable.replicas
      && record.instances.allSatisfy { $0.release == stable.release }
  }
}
