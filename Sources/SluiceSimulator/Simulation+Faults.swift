import SluiceEngine
import SluiceModel
import SluiceRollout

/// What goes wrong, and what the operator types.
extension Simulation {
  mutating func begin(_ fault: Scenario.Fault) {
    faultsSoFar += 1
    standingFaults.append(fault.kind.name)
    note("FAULT \(fault.kind) for \(fault.lasts) ms")
    switch fault.kind {
    case .hostCrash(let host): hosts[host]?.powered = false
    case .hostCut(let host): hosts[host]?.linked = false
    case .gatewayCut(let host): change(host) { $0.linked = false }
    case .hostMute(let host): hosts[host]?.mute = true
    case .gatewayMute(let host): change(host) { $0.mute = true }
    case .gatewayCutInFlip(let host): cutsInFlip.append(host)
    case .staleNews(let host): change(host) { $0.stale = true }
    case .gatewayRestart(let host):
      change(host) {
        $0.running = false
        $0.counts = []
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
    case .hookFails, .hookHangs: break
    case .stateLost: losesState = true
    case .controllerAbsent:
      engine = nil
      incarnation += 1
      queue.push(time + fault.lasts, .controllerStarts(after: incarnation))
    case .secondController: bringSecondController()
    case .clockJump(let milliseconds): clockOff = milliseconds
    }
    for id in scenario.gateway.processes where gateways[id]?.answers == false { after(1_000...6_000, .gatewaySilent(incarnation, id)) }
    lookSoon()
    // What comes after an absence belongs to it.
    queue.push(time + fault.lasts + (fault.kind == .controllerAbsent ? 30_000 : 0), .faultEnds(fault))
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
    case .hostMute(let host): hosts[host]?.mute = false
    case .gatewayMute(let host): change(host) { $0.mute = false }
    case .gatewayCutInFlip(let host):
      cutsInFlip.removeAll { $0 == host }
      change(host) { $0.linked = true }
    case .staleNews(let host): change(host) { $0.stale = false }
    case .gatewayRestart(let host):
      change(host) {
        $0.running = true
        $0.beginCounting()
      }
    case .flapping(let host): hosts[host]?.flapping = false
    case .diskFull(let host): hosts[host]?.full = false
    case .portsTaken(let host): hosts[host]?.foreign = []
    case .slow(let host): hosts[host]?.slow = false
    case .hookFails, .hookHangs, .stateLost, .controllerAbsent, .secondController: break
    case .clockJump: clockOff = 0
    }
    lookSoon()
    for id in scenario.gateway.processes { tell(id) }
  }

  /// Another gateway has just got a table that moves users: one that is to be cut off then is cut off now.
  mutating func cutInFlip(_ id: GatewayID) {
    guard let host = cutsInFlip.first(where: { $0 != id.host }) else { return }
    cutsInFlip.removeAll { $0 == host }
    note("\(host) is cut off in mid-flip")
    change(host) { $0.linked = false }
    for id in scenario.gateway.processes where id.host == host { after(1_000...6_000, .gatewaySilent(incarnation, id)) }
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
    case "supersede": command = applied(Scenario.superseding)
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
