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
    var acting = Engine(
      fleet: scenario.fleet, gateways: [scenario.gateway], records: store.records + neighbours, cordons: heard[machine] ?? [])
    acting.zones = [Scenario.zone]
    var events: [Engine.Event] = []
    onEachScene { $0.take(&acting, &events) }
    if events.isEmpty { return after(5_000...10_000, .controllerStarts(after: incarnation)) }
    earlier = before
    engine = acting
    feed(events)
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
          gateways: claimGateways(claim(fence), &inputs), excluded: known?.gateways.filter(\.excluded).map(\.id) ?? [])
      case .acquired, .held, .failed: break asking
      }
    }
    inputs += acquisition.inputs
    guard case .acquired(let fence) = step else {
      note("not acquired")
      if case .held = step { isHeldBySomebody() }
      return comesToNothing(&acting)
    }
    guard var record = newestRecord(known, foreignEpoch: acquisition.foreignEpoch) else {
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
    for id in scenario.gateway.processes where scene.gateways[id]?.answers == true {
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
      if scene.hosts[name]?.isUnwritable == true {
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

  private mutating func claimGateways(_ claim: FenceClaim, _ inputs: inout [Input]) -> [(GatewayID, ClaimAnswer<GatewayFact>)] {
    var answers: [(GatewayID, ClaimAnswer<GatewayFact>)] = []
    for id in scenario.gateway.processes {
      guard scene.gateways[id]?.answers == true else {
        if scene.gateways[id]?.hears == true { _ = scene.gateways[id]?.claim(claim.fence, sabotage) }
        answers.append((id, .unreachable("no route")))
        inputs.append(.gatewayUnreachable(id, "no route"))
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
    if let command = scene.typed, known?.rollout != nil {
      scene.typed = nil
      return command
    }
    if known?.rollout != nil { return operatorCommand("resume-\(incarnation)", .resume) }
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
