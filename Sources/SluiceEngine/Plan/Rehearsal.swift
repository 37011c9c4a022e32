package import SluiceModel
package import SluiceRollout

/// Drives the engine against a model world in which every action works at once: what `sluice plan` shows is what `apply` will decide.
package struct Rehearsal: Sendable {
  /// One wave as it will be.
  package struct WavePlan: Hashable, Codable, Sendable {
    package var number: Int
    /// In the words of the history: `3 (a1) → 9 (a2)`.
    package var text: String
    package var replacements: [Replacement]
    /// Instances that come, with host and port.
    package var added: [Instance]
    /// The fewest that serve at any moment of the wave.
    package var leastServing: Int
    /// The most that exist at any moment of the wave.
    package var mostExisting: Int
    /// What would still serve at the worst moment if the worst single rack were lost then.
    package var leastAfterRackLoss: Int
    /// Where the wave's attempts begin in `Plan.actions`; they end where the next wave's begin.
    package var firstAction: Int
    /// How long it takes where everything works at once: `minHealthyTime` and what hooks and gates ask for.
    package var leastTime = Milliseconds.zero
  }

  /// A step that the rollout stands at, between two waves.
  package struct StepMark: Hashable, Codable, Sendable {
    /// From 1.
    package var number: Int
    /// How many waves begin before it.
    package var afterWaves: Int
    /// Whom the new release gets.
    package var share: Audience.Share
    package var hold: Milliseconds
    /// How long it may take until its analysis is sure.
    package var maxHold: Milliseconds
    /// Whether an operator is asked.
    package var asks: Bool
    /// Whether it is judged by what its users meet.
    package var isJudged: Bool
  }

  package struct Plan: Hashable, Codable, Sendable {
    package var service: ServiceName
    package var waves: [WavePlan]
    package var steps: [StepMark]
    /// Every attempt, in order: what apply will send.
    package var actions: [Action]
    package var floor: Int
    package var cap: Int
    /// Hosts that get the release's files.
    package var staged: [HostName]
    /// Why it would stop, or would not begin.
    package var obstacle: Failure?
    /// What it will wait for before it begins, in words: `after db`.
    package var waits: [String]
    package var end: RolloutEnd.Result?
    /// How long it takes where everything works at once, all analyses are sure at once and whoever is asked answers at once.
    package var leastTime = Milliseconds.zero
    package var drainTimeout = Milliseconds.zero
    package var past = PastWaves()
    /// Which fields of the release differ from the one that stands; nil: none stands.
    package var releaseChanges: [FieldChange]?
    /// Whether a value of its secrets has changed.
    package var secretsChange = false
    /// Gateways that the service leaves, once those it comes to serve it and its users had time to follow.
    package var leaves: [GatewayID] = []
    package var comesTo: [GatewayID] = []
    /// What differs of all that belongs to no release.
    package var settingChanges: [FieldChange] = []
    /// What an operator is to know besides: that it was stopped on purpose, what is down, what follows later only.
    package var notes: [String] = []

    /// How long it will take, as far as can be told.
    package var expectedTime: ExpectedTime { ExpectedTime(self) }

    /// The attempts before the first wave, or all of them where there is none.
    package var actionsBefore: ArraySlice<Action> { actions[..<(waves.first?.firstAction ?? actions.count)] }

    /// The attempts of one wave, by its place in `waves`.
    package func actions(ofWaveAt index: Int) -> ArraySlice<Action> {
      let end = index + 1 < waves.count ? waves[index + 1].firstAction : actions.count
      return actions[waves[index].firstAction..<end]
    }

    /// Whether anything would change.
    package var changes: Bool { !actions.isEmpty || end != nil || obstacle != nil || !settingChanges.isEmpty }
  }

  private var engine: Engine
  private let standing: [ServiceRecord]
  private let service: ServiceName
  private let seen: [Input]
  private var time = Milliseconds.zero
  private var wakeAt: Milliseconds?
  private var plan: Plan
  private var rested = false
  private var refusal: Refusal?
  private var targets: [GatewayID: GatewayFact] = [:]

  /// Plans `command` on `engine`, whose records are as they stand; hosts are taken to be reachable unless the record says otherwise.
  ///
  /// `seen` is what hosts and gateways have said since the records were written.
  package init(engine: Engine, service: ServiceName, past: PastWaves = PastWaves(), seen: [Input] = []) {
    self.seen = seen
    self.engine = engine.alone(service)
    standing = engine.records
    self.service = service
    plan = Plan(service: service, waves: [], steps: [], actions: [], floor: 0, cap: 0, staged: [], waits: [], past: past)
  }

  /// Throws what the brain would refuse.
  package mutating func run(_ command: Command) throws(Refusal) -> Plan {
    guard let before = engine.record(service) else { return plan }
    let fence = Fence(owner: "plan", epoch: (before.fence?.epoch ?? 0) + 1)
    var events: [Engine.Event] = [.acquired(service, fence)]
    for host in before.hosts {
      if case .unreachable(let why) = host.reach { events.append(.input(service, .hostUnreachable(host.name, why))) }
    }
    for id in engine.view(for: service).gateways(of: before) {
      let state = before.gateway(id)
      targets[id] = GatewayFact(gateway: id, revision: state?.revision, targets: state?.targets ?? [])
      if let fact = targets[id] { events.append(.input(service, .gateway(fact))) }
    }
    for input in seen {
      if case .gateway(let fact) = input { targets[fact.gateway] = fact }
      events.append(.input(service, input))
    }
    compare(before, command)
    events.append(.input(service, .command(unhindered(command))))
    step(events)
    tell(before, command)
    // Every event is an attempt's end or a wake-up; a rollout has a bounded number of both.
    var steps = 0
    while !rested, refusal == nil, steps < 2_000_000, advance() { steps += 1 }
    if let refusal { throw refusal }
    plan.leastTime = time
    if let record = engine.record(service), let rollout = record.rollout {
      plan.obstacle = rollout.stoppedBy ?? rollout.gate.map { Failure(.host, $0.description, remedy: record.nextStep ?? "") }
    }
    plan.notes += engine.record(service)?.lagging(in: engine.map) ?? []
    return plan
  }

  /// What is known of the service before anything is done about it.
  private mutating func tell(_ before: ServiceRecord, _ command: Command) {
    if before.isStoppedOnPurpose, case .apply(let policy, _, _, _, _, _) = command.verb, policy.replicas > 0 {
      let by = before.ended.flatMap { $0.cause == "stop" ? " by \($0.by)" : nil } ?? ""
      plan.notes.append("it was stopped on purpose\(by): this starts it")
    }
    guard let record = engine.record(service) else { return }
    plan.notes += record.downtimes(isReplaced: record.isRolling)
  }

  /// Its way is shown as it will be once nothing keeps it from beginning.
  private mutating func unhindered(_ command: Command) -> Command {
    guard case .apply(var policy, let digest, let spec, let secrets, let force, let dropsScale) = command.verb else { return command }
    plan.waits = (policy.after ?? []).map { "after \($0)" } + (policy.windows ?? []).map { "within \($0.text)" }
    if var record = engine.record(service), let freeze = record.freeze {
      plan.waits.append("until it is unfrozen (\(freeze.by)\(freeze.reason.isEmpty ? "" : ": \(freeze.reason)"))")
      record.freeze = nil
      engine.install(record)
    }
    (policy.after, policy.windows) = (nil, nil)
    return Command(
      id: command.id, by: command.by, at: command.at,
      verb: .apply(policy: policy, digest: digest, spec: spec, secrets: secrets, force: force, dropsScale: dropsScale))
  }

  private mutating func compare(_ before: ServiceRecord, _ command: Command) {
    guard case .apply(let policy, _, let spec, let secrets, _, _) = command.verb else { return }
    plan.settingChanges = FieldChange.between(before.policy, and: policy)
    let route = engine.view(for: service).processes(of: policy.route)
    let has = before.gateways.filter { $0.revision != nil }.map(\.id)
    (plan.leaves, plan.comesTo) = (has.filter { !route.contains($0) }, has.isEmpty ? [] : route.filter { !has.contains($0) })
    plan.drainTimeout = policy.route == nil ? .zero : policy.drain.timeout
    guard let stable = before.stable, let standing = stable.release.flatMap({ before.release($0) }) else { return }
    plan.releaseChanges = FieldChange.between(standing.spec, and: spec)
    plan.secretsChange = stable.secrets != secrets
  }

  /// The service's record as it would stand afterwards, and with it all others as they stand.
  package var record: ServiceRecord? { engine.record(service) }
  package var records: [ServiceRecord] { standing.map { $0.service == service ? record ?? $0 : $0 } }

  private var open: [Attempt] = []
  private var approvals: [Engine.Event] = []
  private var promotions = 0
  private var waveBegun = Milliseconds.zero
  /// The rack of each instance that was measured, by its number.
  private var racks: [Int?] = []

  /// Says what was asked for, ends all open attempts at once, in their order, or lets time pass to the next wake-up.
  private mutating func advance() -> Bool {
    if !approvals.isEmpty {
      let next = approvals
      approvals = []
      step(next)
      return true
    }
    if !open.isEmpty {
      let ended = open.map { Engine.Event.input(service, .outcome(attempt: $0.id, result($0))) }
      open = []
      step(ended)
      return true
    }
    guard let wakeAt else { return false }
    time = wakeAt
    self.wakeAt = nil
    step([.tick])
    return true
  }

  private mutating func step(_ events: [Engine.Event]) {
    for effect in engine.handle(events, now: time, wall: WallTime(milliseconds: 0)) {
      switch effect {
      case .commit(_, let notes): read(notes)
      case .dispatch(_, let attempt):
        open.append(attempt)
        plan.actions.append(attempt.action)
        if case .stage(let host, _) = attempt.action { plan.staged.append(host) }
      case .cancel(_, let attempt): open.removeAll { $0.id == attempt }
      case .cordon: break
      case .wake(let wait): wakeAt = time + wait
      case .refuse(_, _, let why): refusal = why
      case .rest(_, .waiting(.approval)):
        // The operator who reads the plan is the one who will be asked.
        promote()
      case .rest(_, let rest):
        rested = true
        if case .done(let end) = rest {
          plan.end = end?.result
          if let end, end.result != .succeeded { plan.obstacle = end.failures.last?.failure ?? Failure(.host, end.reason) }
        }
      }
    }
    if let record = engine.record(service) {
      // An analysis is taken to be sure at once.
      switch record.rollout?.gate {
      case .analysis:
        hear(record)
        promote()
      case .counts: hear(record)
      default: break
      }
      noteStep(record)
      measure(record)
    }
  }

  /// What gateways counted while no controller ran is taken to be heard, and good.
  private mutating func hear(_ record: ServiceRecord) {
    guard var step = record.rollout?.step, !step.unheard.isEmpty else { return }
    step.unheard = []
    var heard = record
    heard.rollout?.step = step
    engine.install(heard)
  }

  /// Whoever is asked says yes; a question that stays, whatever is said, is shown as what the rollout waits for.
  private mutating func promote() {
    guard promotions < 1_000 else { return }
    promotions += 1
    let command = Command(id: "promote-\(promotions)", by: "plan", at: WallTime(milliseconds: 0), verb: .promote(full: false))
    approvals.append(.input(service, .command(command)))
  }

  /// A step begins to be held when its share is to be sent.
  private mutating func noteStep(_ record: ServiceRecord) {
    guard let state = record.rollout?.step, state.stage == .holding, let step = record.stepPlan,
      plan.steps.last?.number != state.index + 1
    else { return }
    plan.steps.append(
      StepMark(
        number: state.index + 1, afterWaves: plan.waves.count, share: step.share, hold: step.hold, maxHold: step.maxHold,
        asks: step.approve,
        isJudged: step.analysis != nil))
  }

  private mutating func read(_ notes: [StoredEvent]) {
    for note in notes where note.event.kind == "wave-ended" && !plan.waves.isEmpty {
      plan.waves[plan.waves.count - 1].leastTime = time - waveBegun
    }
    for note in notes where note.event.kind == "wave-begun" {
      guard let record = engine.record(service), let rollout = record.rollout, let wave = rollout.wave else { continue }
      waveBegun = time
      let added = wave.replacements.compactMap { $0.new.flatMap { record.instance($0) } }
      let bounds = rollout.bounds(record.policy.strategy)
      plan.floor = bounds.floor
      plan.cap = bounds.cap
      if record.policy.route != nil { plan.drainTimeout = record.policy.drain.timeout }
      plan.waves.append(
        WavePlan(
          number: wave.number, text: note.event.text, replacements: wave.replacements, added: added, leastServing: Int.max, mostExisting: 0,
          leastAfterRackLoss: Int.max, firstAction: plan.actions.count))
    }
  }

  /// Serving and existing instances at this moment, into the wave that runs.
  private mutating func measure(_ record: ServiceRecord) {
    guard record.rollout?.wave != nil, !plan.waves.isEmpty else { return }
    let serving = record.serving
    var inRack = [Int](repeating: 0, count: engine.fleet.racks.count)
    for place in serving { if let rack = rack(of: record.instances[place]) { inRack[rack] += 1 } }
    let last = plan.waves.count - 1
    plan.waves[last].leastServing = min(plan.waves[last].leastServing, serving.count)
    plan.waves[last].mostExisting = max(plan.waves[last].mostExisting, record.existing)
    plan.waves[last].leastAfterRackLoss = min(plan.waves[last].leastAfterRackLoss, serving.count - (inRack.max() ?? 0))
  }

  private mutating func rack(of instance: Instance) -> Int? {
    if instance.number < racks.count, let known = racks[instance.number] { return known }
    while racks.count <= instance.number { racks.append(nil) }
    racks[instance.number] = engine.map.rackIndex(of: instance.host)
    return racks[instance.number]
  }

  /// How the model world answers: everything works, and gateways find everything healthy.
  private mutating func result(_ attempt: Attempt) -> AttemptResult {
    switch attempt.action {
    case .setTable(let id, let revision):
      let content = engine.record(service)?.table.content?.content(for: id)
      let fact = GatewayFact(
        gateway: id, revision: revision, targets: (content?.targets ?? []).map { TargetFact(instance: $0.instance, healthy: !$0.draining) })
      return .succeeded(.gateway(fact))
    case .observe(let host):
      let record = engine.record(service)
      let state = record?.host(host)
      let instances = (record?.instances ?? []).filter { $0.host == host && ($0.isExisting || $0.phase == .lost) }
      return .succeeded(
        .facts(
          HostFact(
            host: host, generation: state?.generation ?? 0,
            instances: instances.map {
              InstanceFact(number: $0.number, port: $0.port, running: $0.down?.isTriedAgain ?? true, ended: $0.down?.end)
            }, releases: state?.releases ?? [],
            listening: state?.listening ?? [])))
    case .stage, .start, .checkReady, .stop, .removeTable, .hook, .task, .check, .replicate: return .succeeded(.nothing)
    }
  }
}
