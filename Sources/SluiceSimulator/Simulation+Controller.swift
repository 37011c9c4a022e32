import SluiceEngine
import SluiceModel
import SluiceRollout

/// The controller: a process begins, takes the fence, drives the machine, and ends.
extension Simulation {
  /// A process begins: takes the fences, reads what was seen, goes on with what is there or applies the next releases.
  mutating func startController() {
    incarnation += 1
    engine = nil
    passOn()
    if losesState {
      note("the database is gone", isGeneral: true)
      store = SimulatedStore()
      heard[machine] = nil
      losesState = false
      onEachScene { $0.scene.stateWasLost = true }
    }
    let before = store.records
    starts += 1
    beginUnderAnotherName()
    var acting = Engine(
      fleet: scenario.fleet, gateways: scenario.gateways, records: store.records + neighbours, cordons: heard[machine] ?? [])
    acting.zones = [Scenario.zone]
    var events: [Engine.Event] = []
    let dies = scenario.claimDeaths.contains(starts)
    if dies {
      turn(to: 0)
      claimAndDie()
      return
    }
    onEachScene { if $0.scene.hasBegun { $0.take(&acting, &events) } else { $0.scene.rest = .done(nil) } }
    if events.isEmpty { return after(5_000...10_000, .controllerStarts(after: incarnation)) }
    earlier = before
    engine = acting
    feed(events)
    if scenario.refusedStarts.contains(starts) { endRefused() }
  }

  /// What was typed is refused: whoever has typed it wants nothing else, and the process lets go of what it has taken.
  private mutating func endRefused() {
    guard let acting = engine else { return }
    note("refused, and the controller ends", isGeneral: true)
    engine = nil
    incarnation += 1
    onEachScene {
      guard let record = acting.record($0.service), let fence = $0.scene.fence else { return }
      _ = $0.replicate(record, fence)
      $0.release()
    }
    after(100...20_000, .controllerStarts(after: incarnation))
  }

  /// Takes the fence of the service in front, and the newest record of it; what the operator asks for it comes after what was seen.
  private mutating func take(_ acting: inout Engine, _ events: inout [Engine.Event]) {
    (scene.fence, scene.rest, scene.isFinished) = (nil, nil, false)
    let known = scene.takesOver ? colleagues.first { $0.service == service } : kept(service)
    var acquisition = FenceAcquisition(
      owner: "\(machine):\(incarnation)", machine: machine, known: known?.fence?.epoch ?? 0, takeOver: scene.takesOver)
    var step = acquisition.first()
    var inputs: [Input] = []
    asking: while true {
      switch step {
      case .askHosts(let fence, let overruling):
        inputs = []
        step = acquisition.conclude(hosts: claimHosts(claim(fence), overruling, &inputs))
      case .askGateways(let fence):
        step = acquisition.conclude(
          gateways: claimGateways(claimedGateways(known), claim(fence), &inputs),
          excluded: known?.gateways.filter(\.excluded).map(\.id) ?? [])
      case .acquired, .held, .failed: break asking
      }
    }
    inputs += acquisition.inputs
    guard case .acquired(let fence) = step else {
      note("not acquired")
      if case .held = step { isHeldBySomebody() }
      return comesToNothing(&acting)
    }
    guard var record = newestRecord(known, at: claimedGateways(known), fence, foreignEpoch: acquisition.foreignEpoch) else {
      note("no record of what runs is to be found")
      // What is told to the operator is that --take-over goes on from the newest copy there is.
      scene.unfound += 1
      if scene.unfound > 3 { scene.takesOver = true }
      return comesToNothing(&acting)
    }
    (scene.fence, scene.concluded) = (fence, [])
    if scene.takesOver {
      note("a colleague has taken over")
      (scene.takesOver, scene.stateWasLost) = (false, true)
      if record.releases.isEmpty { scene.forgottenAt = time }
      store.put(record)
    }
    if sabotage == .saltChanges, let audience = record.rollout?.audience {
      record.rollout?.audience = Audience(release: audience.release, share: audience.share, salt: audience.salt + "'")
    }
    scene.isFrozen = record.freeze != nil
    if sabotage == .freezeForgotten { record.freeze = nil }
    if sabotage == .taskRunAnew { record.runTaskAnew() }
    acting.install(record)
    note("controller \(incarnation) acts with epoch \(fence.epoch)")
    events.append(.acquired(service, fence))
    events += inputs.map { .input(service, $0) }
    for command in scene.idle { events.append(.input(service, .command(command))) }
    scene.idle = []
    if let command = nextCommand(record) { events.append(.input(service, .command(command))) }
  }

  /// The process ends when it has asked the hosts, and some of the gateways: what it has claimed stands, and nobody acts.
  private mutating func claimAndDie() {
    let known = kept(service)
    var inputs: [Input] = []
    var acquisition = FenceAcquisition(
      owner: "\(machine):\(incarnation)", machine: machine, known: known?.fence?.epoch ?? 0, takeOver: scene.takesOver)
    var step = acquisition.first()
    while case .askHosts(let fence, let overruling) = step {
      step = acquisition.conclude(hosts: claimHosts(claim(fence), overruling, &inputs))
    }
    if case .askGateways(let fence) = step, let first = claimedGateways(known).first, starts % 2 == 0 {
      _ = claimGateways([first], claim(fence), &inputs)
    }
    note("CRASH of the controller in the middle of its claims", isGeneral: true)
    incarnation += 1
    after(100...20_000, .controllerStarts(after: incarnation))
  }

  /// Those that the record knows, and those of its route and of the next manifest's: whom the real one asks.
  private func claimedGateways(_ known: ServiceRecord?) -> [GatewayID] {
    let release = scene.plan.releases[min(scene.step, scene.plan.releases.count - 1)]
    // Where the record is lost any may have the service's table.
    if known == nil, scene.hosts.values.contains(where: { !$0.instances.isEmpty }) { return processes }
    let routes = [scene.plan.policy(of: release).route, known?.policy.route].compactMap { $0?.gateway }
    let ids = (known?.gateways.map(\.id) ?? []) + scenario.gateways.filter { routes.contains($0.name) }.flatMap(\.processes)
    return processes.filter(ids.contains)
  }

  private func claim(_ fence: Fence) -> FenceClaim {
    FenceClaim(service: service, fence: fence, machine: machine, since: wall, takeOver: scene.takesOver)
  }

  /// The operator is told who holds it, and since when: where that one has ended without a word, what is shown to be typed is --take-over.
  private mutating func isHeldBySomebody() {
    scene.held += 1
    guard scene.held > 3 else { return }
    note("the operator says --take-over")
    (scene.held, scene.takesOver) = (0, true)
    let service = service
    colleagues.removeAll { $0.service == service }
    colleagues += [kept(service)].compactMap(\.self)
  }

  /// What the database holds of a service.
  func kept(_ service: ServiceName) -> ServiceRecord? { store.record(service) }

  /// What people read.
  var wall: WallTime { WallTime(milliseconds: time + clockOff) }

  /// The claim is withdrawn, and the operator tries again.
  private mutating func comesToNothing(_ acting: inout Engine) {
    acting.outOfReach.append(service)
    scene.rest = .fenceLost(Failure(.fenced, "the fence was not taken"))
    let (service, owner) = (service, "\(machine):\(incarnation)")
    for name in scene.hosts.keys.sorted() where scene.hosts[name]?.answers == true { scene.hosts[name]?.withdraw(service, owner: owner) }
    for id in processes where scene.gateways[id]?.answers == true {
      scene.gateways[id]?.withdraw(owner: owner)
    }
  }

  private mutating func claimHosts(
    _ claim: FenceClaim, _ overruling: [HostName], _ inputs: inout [Input]
  ) -> [(HostName, ClaimAnswer<HostFact>)] {
    var answers: [(HostName, ClaimAnswer<HostFact>)] = []
    for host in scenario.fleet.hosts where host.slots > 0 {
      let name = host.name
      var claim = claim
      claim.takeOver = claim.takeOver || overruling.contains(name)
      guard scene.hosts[name]?.answers == true else {
        if scene.hosts[name]?.hears == true { _ = scene.hosts[name]?.claim(claim, sabotage) }
        answers.append((name, .unreachable("no route")))
        inputs.append(.hostUnreachable(name, "no route"))
        continue
      }
      if let invented = scene.hosts[name]?.invented(claim.fence) {
        answers.append((name, .refused(invented)))
      } else if scene.hosts[name]?.isUnwritable == true {
        answers.append((name, .failed(Failure(.host, "nothing can be written on \(name): no space left on device"))))
      } else if let holder = scene.hosts[name]?.claim(claim, sabotage) {
        answers.append((name, .refused(holder)))
      } else if let fact = facts(of: name) {
        answers.append((name, .granted(fact, nil)))
        inputs.append(.host(fact))
      }
    }
    return answers
  }

  private mutating func claimGateways(
    _ ids: [GatewayID], _ claim: FenceClaim, _ inputs: inout [Input]
  ) -> [(GatewayID, ClaimAnswer<GatewayFact>)] {
    var answers: [(GatewayID, ClaimAnswer<GatewayFact>)] = []
    for id in ids {
      guard scene.gateways[id]?.answers == true else {
        if scene.gateways[id]?.hears == true { _ = scene.gateways[id]?.claim(claim.fence, sabotage) }
        answers.append((id, .unreachable("no route")))
        inputs.append(.gatewayUnreachable(id, "no route"))
        continue
      }
      if scene.gateways[id]?.isUnwritable == true {
        answers.append((id, .failed(Failure(.gateway, "gateway \(id) cannot keep its state: no space left on device"))))
        continue
      }
      if let standing = scene.gateways[id]?.claim(claim.fence, sabotage) {
        answers.append(
          (id, .refused(FenceHolder(fence: standing, machine: machine, since: WallTime(milliseconds: 0), released: true))))
        continue
      }
      guard let fact = scene.gateways[id]?.facts(id, sabotage) else { continue }
      answers.append((id, .granted(fact, nil)))
      inputs.append(.gateway(fact))
    }
    return answers
  }

  /// What the operator asks of a new process: go on, or the next release; at the very end, to set right what faults have left.
  private mutating func nextCommand(_ known: ServiceRecord?) -> Command? {
    if scenario.refusedStarts.contains(starts) { return nil }
    if isSucceeded, let known {
      if let command = scene.typed, known.rollout != nil {
        scene.typed = nil
        return command
      }
      // Of a service that is recreated two never run at once: it is stopped before its new name comes.
      if known.rollout == nil, runsAlone, known.stable?.replicas ?? 0 > 0 { return operatorCommand("stop-\(incarnation)", .stop) }
      // As the new name's manifests are applied, again and again, the former name is removed.
      return known.isGone ? nil : operatorCommand("remove-\(incarnation)", .remove(successor: others.first?.service))
    }
    if let command = scene.typed, known?.rollout != nil {
      scene.typed = nil
      return command
    }
    if known?.rollout != nil { return operatorCommand("resume-\(incarnation)", .resume) }
    // What was to go on under another name has to serve under it some day: its manifest is mended and applied again.
    if scenario.isRenamed, scene.index == 1, scene.step >= scene.plan.releases.count, known?.stable == nil {
      scene.mendings += 1
      return apply(Scenario.mending + scene.mendings, id: "apply-mended-\(scene.mendings)")
    }
    scene.isHeld = waitsForOthers
    if scene.step < scene.plan.releases.count, !scene.isHeld {
      let id = "apply-\(scene.step)"
      if known?.commands.contains(id) ?? false {
        scene.step += 1
        return nextCommand(known)
      }
      return apply(scene.plan.releases[scene.step], id: id)
    }
    return operatorCommand("settle-\(incarnation)", .settle(cause: "settle", overrideFloor: false))
  }

  private var runsAlone: Bool { !allScenes { if case .recreate = $0.plan.policy.strategy { false } else { true } } }

  /// Services of which one comes after another are applied together.
  private var waitsForOthers: Bool {
    guard !allScenes({ $0.plan.policy.after == nil }) else { return false }
    return !others.allSatisfy { $0.step >= scene.step && kept($0.service)?.rollout == nil }
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
    let written = scene.plan.policy(of: release)
    var policy = sabotage?.policy(written) ?? written
    if scene.isRackLossAllowed, case .rolling(var rolling) = policy.strategy {
      rolling.rackLossFloor = nil
      policy.strategy = .rolling(rolling)
    }
    return Scenario.apply(
      release, policy: policy, task: scene.plan.tasks[release]?.task, readiness: scene.plan.readiness(of: release))
  }
}
