import SluiceEngine
import SluiceModel
import SluiceRollout

/// What goes wrong, and what the operator types.
extension Simulation {
  mutating func begin(_ fault: Scenario.Fault) {
    faultsSoFar += 1
    standingFaults.append(fault.kind.name)
    note("FAULT \(fault.kind) for \(fault.lasts) ms", isGeneral: true)
    switch fault.kind {
    case .gatewayCutInFlip(let host): cutsInFlip.append(host)
    case .portsTaken(let host):
      let first = scenario.policy.ports.from
      let own = scenes.flatMap { $0.hosts[host]?.instances.values.map(\.port) ?? [] }
      onEachScene { $0.scene.hosts[host]?.foreign = [first, first + 1].filter { !own.contains($0) } }
    case .stateLost: losesState = true
    case .controllerAbsent:
      engine = nil
      incarnation += 1
      push(time + fault.lasts, .controllerStarts(after: incarnation))
    case .secondController: bringSecondController()
    case .clockJump(let milliseconds): clockOff = milliseconds
    case .strangers(let host): letIn(on: host)
    case .dependencyDown: dependencyUntil = max(dependencyUntil, time + fault.lasts)
    default: break
    }
    onEachScene {
      $0.strike(fault)
      for id in $0.processes where $0.scene.gateways[id]?.answers == false {
        $0.after(1_000...6_000, .gatewaySilent($0.incarnation, id))
      }
      $0.lookSoon()
    }
    // What comes after an absence belongs to it.
    push(time + fault.lasts + (fault.kind == .controllerAbsent ? 30_000 : 0), .faultEnds(fault))
  }

  /// What a fault does to one service's part of hosts and gateways.
  private mutating func strike(_ fault: Scenario.Fault) {
    switch fault.kind {
    case .hostCrash(let host):
      scene.hosts[host]?.powered = false
      cutOffTasks(on: host)
      stopGateway(on: host)
    case .hostCut(let host):
      scene.hosts[host]?.linked = false
      change(host) { $0.linked = false }
    case .gatewayCut(let host): change(host) { $0.linked = false }
    case .hostMute(let host):
      scene.hosts[host]?.mute = true
      change(host) { $0.mute = true }
    case .gatewayMute(let host): change(host) { $0.mute = true }
    case .staleNews(let host): change(host) { $0.stale = true }
    case .gatewayRestart(let host): stopGateway(on: host)
    case .flapping(let host): scene.hosts[host]?.flapping = true
    case .instancesGone(let host): scene.hosts[host]?.instances = [:]
    case .diskFull(let host): scene.hosts[host]?.full = true
    case .slow(let host): scene.hosts[host]?.slow = true
    case .noWrites(let host):
      scene.hosts[host]?.isUnwritable = true
      change(host) { $0.isUnwritable = true }
    case .shellHangs(let host):
      scene.hosts[host]?.hangs = true
      change(host) { $0.linked = false }
    case .programsEnd(let host): endPrograms(on: host)
    case .programsCrash(let host): onEachInstance(of: host) { $0.isDown = true }
    case .hostLies(let host, let lie): scene.hosts[host]?.lie = lie
    case .releasesDie: sicken(until: time + fault.lasts)
    case .copyTampered(let host, let way): tamper(at: host, way)
    case .gatewayCutInFlip, .portsTaken, .strangers, .hookFails, .hookHangs, .taskFails, .taskCutOff, .checkFails, .checkHangs,
      .checkInDoubt,
      .stateLost,
      .controllerAbsent, .secondController, .clockJump, .dependencyDown:
      break
    }
  }

  /// Services that nobody here knows take what is free.
  private mutating func letIn(on host: HostName) {
    let free = (scenario.fleet.host(host)?.slots ?? 0) - slotsHeld(host)
    guard free > 0 else { return }
    let ports = (1...free).map { 60_000 + $0 }
    onEachScene { $0.scene.hosts[host]?.strangers = ports }
  }

  private mutating func stopGateway(on host: HostName) {
    change(host) {
      $0.running = false
      $0.counts = []
      $0.inFlight = [:]
      $0.starts += 1
      $0.told = 0
    }
  }

  private mutating func startGateway(on host: HostName) {
    change(host) {
      $0.running = true
      $0.beginCounting()
    }
  }

  private mutating func onEachInstance(of host: HostName, _ body: (inout SimulatedHost.Running) -> Void) {
    for number in (scene.hosts[host]?.instances.keys).map({ $0.sorted() }) ?? [] {
      if var instance = scene.hosts[host]?.instances[number] {
        body(&instance)
        scene.hosts[host]?.instances[number] = instance
      }
    }
  }

  /// Those get ready anew that ever were to.
  private mutating func startPrograms(on host: HostName, where isOne: (SimulatedHost.Running) -> Bool = { _ in true }) {
    let from = max(time, dependencyUntil)
    var random = random
    onEachInstance(of: host) { instance in
      if isOne(instance), instance.readyAt != nil { instance.readyAt = from + Int64(random.integer(in: 500...4_000)) }
    }
    self.random = random
  }

  private mutating func endPrograms(on host: HostName) { onEachInstance(of: host) { $0.hasEnded = true } }

  /// All that runs is sick, and what is started of the same releases too; a newer one gets ready.
  private mutating func sicken(until: Int64) {
    scene.sick = Sickness(releases: scene.startsOf.keys.sorted(), since: time, until: until)
    for name in scene.hosts.keys.sorted() {
      for number in (scene.hosts[name]?.instances.keys).map({ $0.sorted() }) ?? [] {
        scene.hosts[name]?.instances[number]?.sickUntil = until
      }
    }
  }

  mutating func end(_ fault: Scenario.Fault) {
    if let index = standingFaults.firstIndex(of: fault.kind.name) { standingFaults.remove(at: index) }
    note("fault \(fault.kind) ends", isGeneral: true)
    switch fault.kind {
    case .gatewayCutInFlip(let host): cutsInFlip.removeAll { $0 == host }
    case .clockJump: clockOff = 0
    default: break
    }
    onEachScene {
      $0.recover(from: fault.kind)
      $0.lookSoon()
      for id in $0.processes { $0.tell(id) }
    }
  }

  private mutating func recover(from fault: Scenario.Fault.Kind) {
    switch fault {
    case .hostCrash(let host):
      scene.hosts[host]?.powered = true
      // Not everywhere does something start again what ran before the host went down.
      if scenario.forgetful.contains(host) { endPrograms(on: host) }
      startPrograms(on: host)
      startGateway(on: host)
    case .hostCut(let host):
      scene.hosts[host]?.linked = true
      change(host) { $0.linked = true }
    case .gatewayCut(let host), .gatewayCutInFlip(let host): change(host) { $0.linked = true }
    case .hostMute(let host):
      scene.hosts[host]?.mute = false
      change(host) { $0.mute = false }
    case .gatewayMute(let host): change(host) { $0.mute = false }
    case .staleNews(let host): change(host) { $0.stale = false }
    case .gatewayRestart(let host): startGateway(on: host)
    case .flapping(let host): scene.hosts[host]?.flapping = false
    case .diskFull(let host): scene.hosts[host]?.full = false
    case .portsTaken(let host): scene.hosts[host]?.foreign = []
    case .slow(let host): scene.hosts[host]?.slow = false
    case .strangers(let host): scene.hosts[host]?.strangers = []
    case .noWrites(let host):
      scene.hosts[host]?.isUnwritable = false
      change(host) { $0.isUnwritable = false }
    case .shellHangs(let host):
      scene.hosts[host]?.hangs = false
      change(host) { $0.linked = true }
    case .hostLies(let host, _): scene.hosts[host]?.lie = nil
    case .programsCrash(let host):
      startPrograms(on: host) { $0.isDown }
      onEachInstance(of: host) { $0.isDown = false }
    case .instancesGone, .hookFails, .hookHangs, .taskFails, .taskCutOff, .checkFails, .checkHangs, .checkInDoubt, .stateLost,
      .controllerAbsent, .secondController, .clockJump, .dependencyDown, .releasesDie, .programsEnd, .copyTampered:
      break
    }
  }

  /// Another gateway has just got a table that moves users: one that is to be cut off then is cut off now.
  mutating func cutInFlip(_ id: GatewayID) {
    guard let host = cutsInFlip.first(where: { $0 != id.host }) else { return }
    cutsInFlip.removeAll { $0 == host }
    note("\(host) is cut off in mid-flip")
    onEachScene {
      $0.change(host) { $0.linked = false }
      for id in $0.processes where id.host == host { $0.after(1_000...6_000, .gatewaySilent($0.incarnation, id)) }
    }
  }

  private mutating func change(_ host: HostName, _ body: (inout SimulatedGateway) -> Void) {
    for id in processes where id.host == host {
      if var state = scene.gateways[id] {
        body(&state)
        scene.gateways[id] = state
      }
    }
  }

  /// An operator types something. What changes the fleet itself stays changed whether a controller runs or not; the rest needs one.
  mutating func command(_ verb: String) {
    if scenario.gateway.hosts.count < 2, verb == "exclude" || verb == "include" { return }
    note("OPERATOR \(verb)")
    // What drains already was taken out under another floor.
    if verb == "scale" || verb == "include" { scene.goalMoved = true }
    let host = scenario.fleet.hosts.first { $0.slots > 0 }?.name ?? "a1"
    let edge = scenario.gateway.processes[scenario.gateway.hosts.count - 1]
    let command: Command.Verb
    switch verb {
    case "abort": command = .abort
    case "pause": command = .pause
    case "interrupt": command = .interrupt
    case "restart": command = .restart(instance: nil)
    case "supersede": command = applied(Scenario.superseding)
    case "rollback", "rollback twice": command = .rollback(to: nil)
    case "mark bad": command = .rollback(to: nil, marksBad: true)
    case "stop": command = .stop
    case "start": command = .start
    case "give up route": command = .giveUpRoute
    case "restart one": command = .restart(instance: kept(service)?.instances.first?.number ?? 1)
    case "retry": command = .retry
    case "promote": command = .promote(full: false)
    case "promote full": command = .promote(full: true)
    case "freeze": command = .freeze("")
    case "unfreeze": command = .unfreeze
    case "split": command = .split(BasisPoints(random.integer(in: 0...6) * 1_000))
    case "drain", "undrain":
      say(isDrained: verb == "drain", host)
      let settle = operatorCommand("typed-\(verb)-\(time)", .settle(cause: verb, overrideFloor: false))
      if engine != nil { feed(scenes.map { .input($0.service, .command(settle)) }) }
      return
    case "exclude": command = .exclude(edge, true)
    case "include":
      scene.includedWith[edge] = scene.gateways[edge]?.revision
      command = .exclude(edge, false)
    default: command = .scale(scene.plan.policy.replicas + 1)
    }
    let typed = operatorCommand("typed-\(verb)-\(time)", command)
    if engine != nil { return feed([.input(service, .command(typed))]) }
    if ["exclude", "include", "freeze", "unfreeze"].contains(verb) || Scenario.rareVerbs.contains(verb) { scene.idle.append(typed) }
  }
}
