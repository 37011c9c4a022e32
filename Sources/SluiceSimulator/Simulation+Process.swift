import SluiceEngine
import SluiceModel
import SluiceRollout

/// The controller's process while it runs: it gives events to the machine, does what that says, and ends when every service has come to rest.
extension Simulation {
  mutating func feed(_ events: [Engine.Event]) {
    guard let before = engine?.records else { return }
    for case .input(let service, .command(let command)) in events { hear(command.verb, for: service) }
    let now = Milliseconds(sabotage == .holdByWallClock ? time + max(0, clockOff) : time)
    let wall = wall
    guard let effects = engine?.handle(events, now: now, wall: wall) else { return }
    heard[machine] = engine?.cordons
    onEachScene { $0.review(before, events, effects) }
    let front = scene.index
    for effect in effects { perform(effect) }
    turn(to: front)
  }

  /// Holds what was decided for the service in front against the rules.
  private mutating func review(_ before: [ServiceRecord], _ events: [Engine.Event], _ effects: [Engine.Effect]) {
    // What this controller may act upon no more stands still with it, while it goes on with others.
    if case .fenceLost? = scene.rest { return }
    let service = service
    guard let before = before.first(where: { $0.service == service }), let after = engine?.record(service) else { return }
    let isLost = effects.contains { if case .rest(service, .fenceLost) = $0 { true } else { false } }
    if !isLost {
      checkDecision(before, after, events)
      if effects.contains(where: { if case .commit = $0 { true } else { false } }) { checkLaw(after) }
    }
    if sabotage == .portReusedAtOnce || sabotage == .wayBackForgotten {
      var careless = after
      if sabotage == .portReusedAtOnce { careless.instances.removeAll { $0.phase == .retired } } else { careless.noWayBack = nil }
      engine?.install(careless)
    }
  }

  /// What an operator has said that bears on rules.
  private mutating func hear(_ verb: Command.Verb, for service: ServiceName) {
    let front = scene.index
    turn(to: service)
    switch verb {
    case .retry: scene.mayRunAgain = true
    case .promote: scene.isTakenAsDone = true
    case .freeze: scene.isFrozen = true
    case .unfreeze: scene.isFrozen = false
    default: break
    }
    turn(to: front)
  }

  private mutating func perform(_ effect: Engine.Effect) {
    switch effect {
    case .commit(let records, let notes): commit(records, notes)
    case .cancel: break
    case .cordon(let word): leave(word, on: word.host)
    case .dispatch(let service, let attempt):
      turn(to: service)
      dispatch(attempt)
    case .refuse(let service, let command, let refusal):
      note("refused \(command) of \(service): \(refusal.message)")
      if command.hasPrefix("apply") { ends.append("refused") }
    case .wake(let wait): if engine != nil { push(time + wait.value, .engine(incarnation, [.tick])) }
    case .rest(let service, let rest):
      turn(to: service)
      if engine != nil { came(to: rest) }
    }
  }

  private mutating func commit(_ records: [ServiceRecord], _ notes: [StoredEvent]) {
    guard engine != nil else { return }
    commits += 1
    if scenario.lostCommits.contains(commits) { return crash("CRASH of the controller while it writes: its decision is lost") }
    if let stale = store.commit(records) { violate("10", "the record of \(stale.service) at \(stale.revision) would go over a newer one") }
    for event in notes {
      turn(to: event.service)
      note(event.event.text)
      checkSecrets(event.event.text, in: "an event")
      if event.event.kind == "wave-begun" { waves.append(event.event.text) }
    }
  }

  private mutating func dispatch(_ attempt: Attempt) {
    guard engine != nil, let fence = scene.fence, let record = engine?.record(service) else { return }
    dispatched += 1
    sent.append(attempt.action)
    coverage.count(attempt.action, standingFaults, record.rollout)
    if sabotage == .stopsBeforeAcknowledgement, case .setTable = attempt.action,
      let target = record.table.content?.targets.first(where: \.draining),
      let host = record.instance(target.instance)?.host
    {
      let early = Attempt(id: -1, action: .stop(host, instance: target.instance), openedAt: attempt.openedAt)
      push(time, .arrives(incarnation, early, fence, record))
    }
    note("send \(attempt.action.description(service: service))")
    send(attempt, fence, record, of: incarnation)
    if let crash = pendingCrashes.first, dispatched >= crash {
      pendingCrashes.removeFirst()
      self.crash("CRASH of the controller")
    }
  }

  /// Now and then something is long on its way: its controller may have been replaced meanwhile.
  private mutating func send(_ attempt: Attempt, _ fence: Fence, _ record: ServiceRecord, of: Int) {
    after(random.happens(scenario.delays) ? 150...8_000 : 1...150, .arrives(of, attempt, fence, record))
  }

  /// The process is gone, and another one begins after a while.
  private mutating func crash(_ what: String) {
    note(what, isGeneral: true)
    engine = nil
    incarnation += 1
    after(100...20_000, .controllerStarts(after: incarnation))
  }

  // MARK: Two controllers

  /// One that was taken over from: it goes on until somebody tells it that its fences have fallen.
  struct FormerController {
    var engine: Engine
    let incarnation: Int
    var fences: [ServiceName: Fence]
  }

  /// A colleague begins on another machine, with what its database had when this controller began, and takes the fences.
  mutating func bringSecondController() {
    if let engine {
      var fences: [ServiceName: Fence] = [:]
      for scene in scenes { fences[scene.service] = scene.fence }
      former = FormerController(engine: engine, incarnation: incarnation, fences: fences)
    }
    machine = machine == "sim" ? "laptop" : "sim"
    colleagues = earlier
    onEachScene { $0.scene.takesOver = true }
    engine = nil
    incarnation += 1
    push(time, .controllerStarts(after: incarnation))
  }

  /// What it decides is its own, in its own database; what it sends arrives, with its fence.
  mutating func feedFormer(_ of: Int, _ events: [Engine.Event]) {
    let wall = wall
    guard former?.incarnation == of, let effects = former?.engine.handle(events, now: Milliseconds(time), wall: wall) else { return }
    let front = scene.index
    defer { turn(to: front) }
    for effect in effects {
      switch effect {
      case .dispatch(let service, let attempt):
        guard let record = former?.engine.record(service), let fence = former?.fences[service] else { continue }
        turn(to: service)
        note("the former controller sends \(attempt.action.description(service: service))")
        send(attempt, fence, record, of: of)
      case .wake(let wait): push(time + wait.value, .engine(of, [.tick]))
      case .rest(let service, let rest):
        if case .fenceLost = rest { note("the former controller learns that its fence has fallen") }
        former?.fences[service] = nil
        if former?.fences.isEmpty == true { former = nil }
      case .cordon(let word): leave(word, on: word.host)
      case .commit, .cancel, .refuse: break
      }
    }
  }

  // MARK: Rest

  /// The service in front has come to rest; the process ends with the last of them.
  private mutating func came(to rest: Engine.Rest) {
    if scene.rest == rest { return }
    scene.rest = rest
    switch rest {
    case .fenceLost(let failure): note("fence lost: \(failure.message)")
    case .waiting(let gate):
      scene.operatorActs += 1
      note("waits: \(gate.description)")
      if scene.operatorActs > 200 { return violate("9", "an operator cannot get it to end: \(gate.description)") }
    case .done(let end):
      if let end { ends.append(end.result.rawValue) }
      if let end, end.result == .rolledBack, let wanted = end.wanted, wanted != end.release { scene.withdrawn.insert(wanted) }
      note("rests: \(end?.result.rawValue ?? "nothing to do")")
    }
    guard let engine, allScenes({ $0.rest != nil }) else { return }
    self.engine = nil
    // What comes back to one that was taken over from is told, and reaches nobody.
    if !allScenes({ if case .fenceLost? = $0.rest { true } else { false } }) { incarnation += 1 }
    onEachScene { $0.leave(engine) }
  }

  /// The process ends, and the operator decides what comes next for the service in front.
  private mutating func leave(_ engine: Engine) {
    switch scene.rest {
    case .fenceLost, nil: after(5_000...10_000, .controllerStarts(after: incarnation))
    case .waiting:
      // The process has ended with exit 3; what the operator types is a new one, which looks at everything again.
      if let gate = engine.record(service)?.rollout?.gate {
        let verb = answer(to: gate)
        scene.typed = operatorCommand("operator-\(scene.operatorActs)", verb)
      } else if case .waiting(.tableRefused(let id, _, _))? = scene.rest, scene.operatorActs > 3 {
        scene.idle.append(operatorCommand("operator-\(scene.operatorActs)", .exclude(id, true)))
      }
      release()
      after(4_000...4_000, .controllerStarts(after: incarnation))
    case .done:
      if let record = engine.record(service), let fence = scene.fence { _ = replicate(record, fence) }
      release()
      proceed()
    }
  }

  /// What the operator types at a gate: the remedies that are shown there.
  private mutating func answer(to gate: Gate) -> Command.Verb {
    switch gate {
    case .failed(let failure):
      return mending(failure)
    case .approval: return random.happens(scenario.rejections) ? .abort : .promote(full: random.happens(scenario.rejections))
    case .task: return random.element(of: [.retry, .promote(full: false), .abort]) ?? .retry
    case .frozen: return isUnfrozenLater ? .resume : .unfreeze
    default: return .resume
    }
  }

  private mutating func mending(_ failure: Failure) -> Command.Verb {
    guard let record = kept(service) else { return .retry }
    let wanted = record.rollout?.goal.release
    let isStuck = scene.operatorActs > 6
    // There is no room for the number that was asked for.
    if isStuck, let scale = record.scale, scale > record.policy.replicas { return .scale(record.policy.replicas) }
    // Drained hosts are its only place.
    if isStuck, failure.message.hasPrefix("no eligible host"), !cordons.hosts.isEmpty {
      for host in cordons.hosts { say(isDrained: false, host) }
      return .retry
    }
    // What faults have left may be too crooked for it.
    if isStuck, failure.remedy.contains("rackLossFloor"), !scene.isRackLossAllowed,
      let release = record.noWayBack == nil ? record.stable?.release : wanted, let number = scenarioRelease(release, in: record)
    {
      scene.isRackLossAllowed = true
      return applied(number)
    }
    // The stable release is down, and what it leaves is too little for steps.
    if isStuck, failure.remedy.contains("--full") { return .promote(full: true) }
    // There is room for no other one before an old one has gone.
    if isStuck, failure.remedy.contains("maxUnavailable: 1"), case .rolling(var rolling) = scene.plan.policy.strategy,
      let release = record.noWayBack == nil ? record.stable?.release : wanted, let number = scenarioRelease(release, in: record)
    {
      rolling.maxUnavailable = .count(1)
      scene.plan.policy.strategy = .rolling(rolling)
      return applied(number)
    }
    // What takes tables again has its users back, and then there is somebody to follow.
    if isStuck, failure.message.contains("sluice gateway include") {
      let mended = record.gateways.first { $0.excluded && $0.refusal == nil && $0.revision == record.table.revision }
      return mended.map { .exclude($0.id, false) } ?? .retry
    }
    // One that has mended it already is tried again too, before the next is brought.
    if let barrier = record.noWayBack, let wanted, wanted == barrier || wanted > barrier && scene.operatorActs % 3 == 0,
      isStuck || failure.remedy.contains("newer release")
    {
      scene.mendings += 1
      return applied(Scenario.mending + scene.mendings)
    }
    // What no gateway takes, and there is nothing else to go back to: the manifest is mended.
    if scene.operatorActs > 12, scene.operatorActs % 3 == 0, failure.message.contains("table is refused") {
      scene.mendings += 1
      return applied(Scenario.mending + scene.mendings)
    }
    // One gateway refuses whatever is tried: users are kept off it until it takes a table again.
    if scene.operatorActs > 24, failure.message.contains("table is refused"),
      let refusing = record.gateways.first(where: { $0.refusal != nil && !$0.excluded })
    {
      return .exclude(refusing.id, true)
    }
    return scene.operatorActs % 2 == 1 ? .abort : .retry
  }

  private var isUnfrozenLater: Bool {
    scenario.commands.contains { $0.verb == "unfreeze" && $0.service == scene.index && $0.at > time }
      || scene.idle.contains { $0.verb == .unfreeze }
  }

  /// A clean end: anyone may take the fence now.
  mutating func release() {
    guard let fence = scene.fence else { return }
    let service = service
    for name in scene.hosts.keys.sorted() where scene.hosts[name]?.answers == true { scene.hosts[name]?.release(service, fence) }
  }

  private mutating func proceed() {
    if !scene.hasBegun { return }
    if isSucceeded, kept(service)?.isGone == true {
      (scene.isFinished, scene.step) = (true, scene.plan.releases.count)
      return finishWhereAllHave()
    }
    if scene.step < scene.plan.releases.count {
      if !scene.isHeld { scene.step += 1 }
      after(100...30_000, .controllerStarts(after: incarnation))
    } else if faultsRemain {
      after(20_000...60_000, .controllerStarts(after: incarnation))
    } else if kept(service).map(isWhole) ?? true {
      if let skew {
        // What is wrong with a release is mended some day, and not before is it moved.
        if time > Simulation.mended { scene.skewed += 1 }
        if scene.skewed > 3 { return violate("4", skew) }
        return after(1_000...5_000, .controllerStarts(after: incarnation))
      }
      if scenario.isRenamed, scene.index == 0 {
        // Not before it has another name.
        if !isSucceeded { return after(1_000...5_000, .controllerStarts(after: incarnation)) }
        scene.operatorActs += 1
        if scene.operatorActs > 200 { return violate("9", "\(service) is not removed, and \(others[0].service) is there") }
        return after(1_000...5_000, .controllerStarts(after: incarnation))
      }
      scene.isFinished = true
      finishWhereAllHave()
    } else {
      scene.operatorActs += 1
      if scene.operatorActs > 200 { return violate("9", "settling does not make the service whole") }
      after(1_000...5_000, .controllerStarts(after: incarnation))
    }
  }

  private mutating func finishWhereAllHave() {
    finished = allScenes(\.isFinished)
    if finished { onEachScene { $0.checkEnd() } }
  }

  private var faultsRemain: Bool {
    strikesUntil + 5_000 > time || scenario.faults.contains { $0.at + $0.lasts + 5_000 > time }
      || scenario.commands.contains { $0.at > time } || losesState
      || !allScenes { $0.idle.isEmpty && !$0.takesOver }
  }

  /// What was lost with its host has been looked for again by whoever came after the host: until then something of it may run.
  private func isWhole(_ record: ServiceRecord) -> Bool {
    guard let stable = record.stable else { return record.rollout == nil && record.instances.isEmpty }
    return record.rollout == nil && record.instances.allSatisfy { $0.isServing } && record.instances.count == stable.replicas
      && record.instances.allSatisfy { $0.release == stable.release }
  }
}
