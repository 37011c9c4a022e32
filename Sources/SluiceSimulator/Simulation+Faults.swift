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
    case .dependencyDown: dependencyUntil = max(dependencyUntil, time + fault.lasts)
    default: break
    }
    onEachScene {
      $0.strike(fault)
      for id in $0.scenario.gateway.processes where $0.scene.gateways[id]?.answers == false {
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
    case .hostCut(let host): scene.hosts[host]?.linked = false
    case .gatewayCut(let host): change(host) { $0.linked = false }
    case .hostMute(let host): scene.hosts[host]?.mute = true
    case .gatewayMute(let host): change(host) { $0.mute = true }
    case .staleNews(let host): change(host) { $0.stale = true }
    case .gatewayRestart(let host):
      change(host) {
        $0.running = false
        $0.counts = []
        $0.inFlight = [:]
        $0.starts += 1
        $0.told = 0
      }
    case .flapping(let host): scene.hosts[host]?.flapping = true
    case .instancesGone(let host): scene.hosts[host]?.instances = [:]
    case .diskFull(let host): scene.hosts[host]?.full = true
    case .slow(let host): scene.hosts[host]?.slow = true
    case .noWrites(let host): scene.hosts[host]?.isUnwritable = true
    case .shellHangs(let host): scene.hosts[host]?.hangs = true
    case .programsEnd(let host): endPrograms(on: host)
    case .releasesDie: sicken(until: time + fault.lasts)
    case .copyTampered(let host, let way): tamper(at: host, way)
    case .gatewayCutInFlip, .portsTaken, .hookFails, .hookHangs, .taskFails, .taskCutOff, .checkFails, .checkHangs, .checkInDoubt,
      .stateLost,
      .controllerAbsent, .secondController, .clockJump, .dependencyDown:
      break
    }
  }

  private mutating func endPrograms(on host: HostName) {
    for number in (scene.hosts[host]?.instances.keys).map({ $0.sorted() }) ?? [] { scene.hosts[host]?.instances[number]?.hasEnded = true }
  }

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
      for id in $0.scenario.gateway.processes { $0.tell(id) }
    }
  }

  private mutating func recover(from fault: Scenario.Fault.Kind) {
    switch fault {
    case .hostCrash(let host):
      scene.hosts[host]?.powered = true
      for number in (scene.hosts[host]?.instances.keys).map({ $0.sorted() }) ?? []
      where scene.hosts[host]?.instances[number]?.readyAt != nil {
        scene.hosts[host]?.instances[number]?.readyAt = max(time, dependencyUntil) + Int64(random.integer(in: 500...4_000))
      }
    case .hostCut(let host): scene.hosts[host]?.linked = true
    case .gatewayCut(let host), .gatewayCutInFlip(let host): change(host) { $0.linked = true }
    case .hostMute(let host): scene.hosts[host]?.mute = false
    case .gatewayMute(let host): change(host) { $0.mute = false }
    case .staleNews(let host): change(host) { $0.stale = false }
    case .gatewayRestart(let host):
      change(host) {
        $0.running = true
        $0.beginCounting()
      }
    case .flapping(let host): scene.hosts[host]?.flapping = false
    case .diskFull(let host): scene.hosts[host]?.full = false
    case .portsTaken(let host): scene.hosts[host]?.foreign = []
    case .slow(let host): scene.hosts[host]?.slow = false
    case .noWrites(let host): scene.hosts[host]?.isUnwritable = false
    case .shellHangs(let host): scene.hosts[host]?.hangs = false
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
      for id in $0.scenario.gateway.processes where id.host == host { $0.after(1_000...6_000, .gatewaySilent($0.incarnation, id)) }
    }
  }

  private mutating func change(_ host: HostName, _ body: (inout SimulatedGateway) -> Void) {
    for id in scenario.gateway.processes where id.host == host {
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
    let edge = scenario.gateway.processes[scenario.gateway.processes.count - 1]
    let command: Command.Verb
    switch verb {
    case "abort": command = .abort
    case "pause": command = .pause
    case "interrupt": command = .interrupt
    case "restart": command = .restart(instance: nil)
    case "supersede": command = applied(Scenario.superseding)
    case "rollback": command = .rollback(to: nil)
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
    case "exclude", "include": command = .exclude(edge, verb == "exclude")
    default: command = .scale(scene.plan.policy.replicas + 1)
    }
    let typed = operatorCommand("typed-\(verb)-\(time)", command)
    if engine != nil { return feed([.input(service, .command(typed))]) }
    if ["exclude", "include", "freeze", "unfreeze"].contains(verb) { scene.idle.append(typed) }
  }
}
