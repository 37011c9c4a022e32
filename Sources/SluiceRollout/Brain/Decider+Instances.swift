import SluiceModel

extension Decider {
  /// The host is looked at before anything else is sent to it.
  private mutating func suspect(_ host: HostName) {
    guard let index = record.hosts.index(of: host, by: \.name), record.hosts[index].reach.isReachable else { return }
    record.hosts[index].needsLook = true
    suspectsHosts = true
  }

  /// Healthy is what every required gateway calls so, under a table that gives the instance new requests.
  mutating func trackHealth() {
    var healthy = [Bool](repeating: true, count: record.instances.count)
    for id in requiredGateways {
      if let place = record.gateways.firstIndex(where: { $0.id == id }) {
        record.gateways[place].withdraw(&healthy, of: record.instances)
      } else {
        healthy = [Bool](repeating: false, count: record.instances.count)
      }
    }
    if requiredGateways.isEmpty {
      // Nobody but its host tells of one that no gateway asks.
      for index in record.instances.indices where record.instances[index].down != nil { healthy[index] = false }
    }
    for index in record.instances.indices where healthy[index] != (record.instances[index].healthySince != nil) {
      switch record.instances[index].phase {
      case .warming, .serving: break
      default: continue
      }
      let instance = record.instances[index]
      if !healthy[index] {
        record.instances[index].healthySince = nil
        // Its host may have died: nothing else may be due there that would tell.
        if instance.phase == .serving, requiredGateways.contains(where: { record.gateway($0)?.verdict(on: instance) == .unhealthy }) {
          suspect(instance.host)
        }
      } else {
        record.instances[index].healthySince = now
        if record.instances[index].down != nil, !requiredGateways.isEmpty { record.instances[index].down = nil }
        if instance.phase != .serving, instance.condemned == nil {
          record.instances[index].phase = .serving
          note(.info, "instance-serving", "\(name(instance)) serves release \(instance.release)", instance)
          progress()
        }
      }
    }
  }

  /// An unreachable host's instances are declared lost; they keep their reservation until the host is seen again.
  mutating func loseInstances() {
    let unreachable = record.hosts.contains { if case .unreachable = $0.reach { true } else { false } }
    var lost: [HostName] = []
    for instance in unreachable ? record.instances : [] {
      guard case .unreachable(let why)? = record.host(instance.host)?.reach else { continue }
      switch instance.phase {
      case .lost, .retired: continue
      case .reserved:
        abandon(.instance(instance.number))
        remove(instance.number)
      default:
        abandon(.instance(instance.number))
        change(instance.number) {
          $0.phase = .lost
          $0.healthySince = nil
        }
      }
      lost.append(instance.host)
      note(.warning, "instance-lost", "\(name(instance)) is lost: \(why)", instance)
      // What was on its way out anyway, or was to leave a drained place, is no failure of the rollout.
      if instance.condemned == nil, !view.cordons.contains(instance.host) {
        count(
          CountedFailure(
            instance: instance.number, host: instance.host,
            failure: Failure(
              .host, "host \(instance.host) is unreachable: \(why)", remedy: "sluice hosts check; raise failureBudget to go on without it"),
            condemnsRelease: false))
      }
    }
    tellLostRacks(lost)
    guard record.instances.indices.contains(where: { record.instances[$0].isLost }) else { return }
    let map = view.map
    record.instances.removeAny { $0.isLost && map.index(of: $0.host) == nil }
  }

  /// One switch or breaker explains what many hosts tell: a rack of several, of which none can be reached any more.
  private mutating func tellLostRacks(_ lost: [HostName]) {
    if lost.isEmpty { return }
    for rack in view.fleet.racks where rack.hosts.contains(where: { lost.contains($0.name) }) {
      let hosts = rack.hosts.filter { $0.slots > 0 }.map(\.name)
      guard record.isLost(rack), hosts.count > 1 else { continue }
      let names = hosts.map(\.rawValue).joined(separator: ", ")
      note(.failure, "rack-lost", "\(rack.name) is lost: none of its hosts \(names) can be reached")
    }
  }

  /// Moves each instance as far as it can go by itself. Rule 3's order of a stop is the second half of this function, and nowhere else.
  mutating func moveInstances() {
    var removed: Set<Int> = []
    for instance in moving {
      if instance.condemned == nil {
        advance(instance)
      } else if !retire(instance) {
        removed.insert(instance.number)
      }
    }
    if !removed.isEmpty { record.instances.removeAny { removed.contains($0.number) } }
  }

  /// The instances that something is to be done about: most stand as they are wanted, or have an attempt under way.
  private var moving: [Instance] {
    var moving: [Instance] = []
    for place in record.instances.indices {
      guard record.instances[place].condemned != nil || !record.instances[place].isAtRest else { continue }
      let instance = record.instances[place]
      if !occupied.contains(.instance(instance.number)) || isWaiting(instance) { moving.append(instance) }
    }
    return moving
  }

  /// A readiness check is only a wait: it need not be finished before its instance may go.
  private func isWaiting(_ instance: Instance) -> Bool {
    guard instance.condemned != nil || isInterrupted else { return false }
    if case .checkReady? = record.openAttempt(on: .instance(instance.number))?.action { return true }
    return false
  }

  private mutating func advance(_ instance: Instance) {
    switch instance.phase {
    case .reserved, .serving, .retired, .lost:
      return  // `isAtRest`: a wave starts what is reserved.
    case .starting:
      if !isInterrupted, isStaged(instance) { open(.start(instance.host, instance: instance.number)) }
    case .checking:
      if isInterrupted { abandon(.instance(instance.number)) } else { open(.checkReady(instance.host, instance: instance.number)) }
    case .warming(let acknowledged): awaitGateways(instance, acknowledged: acknowledged)
    case .draining:
      // The rollout turned round before it was stopped: it goes back in.
      let back = InstancePhase.warming(acknowledged: nil)
      change(instance.number) { $0.phase = back }
    case .stopping:
      // Wanted again, and yet it was told to stop: let it go and be replaced.
      change(instance.number) { $0.condemned = .stale }
    }
  }

  /// The files go before the start: a wave may use a host that the plan did not.
  mutating func isStaged(_ instance: Instance) -> Bool {
    guard let release = record.release(instance.release), !record.isStaged(release.digest, on: instance.host) else { return true }
    open(.stage(instance.host, release.number))
    return false
  }

  /// Gateways have `startTimeout` to find it healthy, counted from when all of them know it; one that does not answer is a gate, no failure.
  private mutating func awaitGateways(_ instance: Instance, acknowledged: Milliseconds?) {
    guard everyGateway({ $0.reach.isReachable && $0.knows(instance.number) }) else {
      return change(instance.number) { $0.phase = .warming(acknowledged: nil) }
    }
    let since = acknowledged ?? now
    if acknowledged == nil { change(instance.number) { $0.phase = .warming(acknowledged: since) } }
    let deadline = since + policy.startTimeout
    guard now >= deadline else { return wake(at: deadline) }
    let states = requiredGateways.compactMap { record.gateway($0) }
    guard let blind = states.first(where: { !($0.target(instance.number)?.healthy ?? false) }) else { return }
    // A dead host condemns no release: whether it is there is asked first, once the time is over.
    if record.host(instance.host)?.lookedAt.map({ $0 < deadline }) ?? true, record.host(instance.host)?.reach.isReachable ?? false {
      return suspect(instance.host)
    }
    fail(
      instance,
      Failure(
        .readiness,
        "gateway \(blind.id) could not reach \(name(instance)) at \(instance.address):\(instance.port) within \(policy.startTimeout)",
        output: blind.target(instance.number)?.probe ?? "",
        remedy: "check serviceAddress, and the firewall between \(blind.id.host) and \(instance.host)"))
  }

  /// Takes it one step further out; false where nothing is left of it.
  private mutating func retire(_ instance: Instance) -> Bool {
    switch instance.phase {
    case .reserved: return false
    case .retired:
      return record.isRouted(instance.number) || record.gateways.contains { isForgetting(instance, $0) }
        || !(everyGatewayHasTheTable || everyGateway { hasTheTable($0) || hasNeverLetIn(instance, $0) })
    case .starting, .checking:
      abandon(.instance(instance.number))
      // One that came back from a lost host may still be in a table.
      if mayBeRouted(instance) { beginDraining(instance) } else { stop(instance) }
    case .warming, .serving:
      if goesBackIn(instance) { change(instance.number) { $0.condemned = nil } } else { beginDraining(instance) }
    case .draining(let revision, let acknowledged):
      if goesBackIn(instance) {
        change(instance.number) { $0.condemned = nil }
      } else {
        drain(instance, revision: revision, acknowledged: acknowledged)
      }
    case .stopping: open(.stop(instance.host, instance: instance.number))
    case .lost: break
    }
    return true
  }

  /// Whether a gateway that the route has left is still to forget it.
  private func isForgetting(_ instance: Instance, _ state: GatewayState) -> Bool {
    state.departure?.stage == .over && state.revision != nil && !state.excluded && state.reach.isReachable && state.knows(instance.number)
  }

  /// An interruption puts back what was only to make room; what failed or belongs to nobody goes its way.
  private func goesBackIn(_ instance: Instance) -> Bool {
    isInterrupted && (instance.condemned == .replaced || instance.condemned == .surplus)
  }

  private func mayBeRouted(_ instance: Instance) -> Bool {
    if record.isRouted(instance.number) { return true }
    // Its route is nobody's, and may be another's by now: a gateway that has said that it forgot the service has forgotten it.
    let isForgotten = record.claim == nil && record.table.isEmpty && record.table.revision.version > 0
    return routingGateways.contains { id in
      guard let gateway = record.gateway(id) else { return true }
      guard gateway.heard == true else { return !isForgotten || gateway.revision != nil }
      return gateway.target(instance.number) != nil
    }
  }

  private mutating func beginDraining(_ instance: Instance) {
    if routingGateways.isEmpty { return stop(instance) }
    let drains = record.table.content?.target(instance.number)?.draining ?? false
    let next = Revision(epoch: record.fence?.epoch ?? 0, version: record.table.revision.version + 1)
    let revision = drains ? record.table.revision : next
    change(instance.number) {
      $0.phase = .draining(revision: revision, acknowledged: nil)
      $0.healthySince = nil
    }
  }

  /// Rule 3: acknowledged by every gateway, then nothing in flight at any, or the deadline, which counts from the acknowledgement.
  private mutating func drain(_ instance: Instance, revision: Revision, acknowledged: Milliseconds?) {
    // One that was not heard since the fence was taken may have had a newer table, of a controller whose record is lost.
    guard everyGateway({ $0.heard == true && ($0.revision.map { $0 >= revision } ?? false) || hasNeverLetIn(instance, $0) }) else {
      // A gateway that counts again, or has started anew without it, may have let requests in: the deadline begins with its word.
      if acknowledged != nil { change(instance.number) { $0.phase = .draining(revision: revision, acknowledged: nil) } }
      return
    }
    let since = acknowledged ?? now
    if acknowledged == nil { change(instance.number) { $0.phase = .draining(revision: revision, acknowledged: since) } }
    var inFlight = 0
    for id in routingGateways { inFlight += record.gateway(id)?.target(instance.number)?.inFlight ?? 0 }
    if inFlight == 0 { return stop(instance) }
    let deadline = since + policy.drain.timeout
    if now < deadline { return wake(at: deadline) }
    note(
      .warning, "drain-deadline",
      "\(name(instance)): drain.timeout (\(policy.drain.timeout)) has passed with \(inFlight) in flight; they are cut off",
      instance)
    stop(instance)
  }

  private mutating func stop(_ instance: Instance) {
    change(instance.number) {
      $0.phase = .stopping
      $0.healthySince = nil
    }
    open(.stop(instance.host, instance: instance.number))
  }

  /// The instance never came to serve: it is cleaned away, and counted.
  mutating func fail(_ instance: Instance, _ failure: Failure) {
    change(instance.number) { $0.condemned = .failed }
    note(.failure, "instance-failed", "\(name(instance)): \(failure.message)", instance)
    guard !record.isLeftover(instance.number) else { return }
    count(CountedFailure(instance, failure, of: record.rollout))
  }

  /// Whether every gateway that counts has acknowledged the newest table, or has forgotten the service where that was asked.
  var everyGatewayHasTheTable: Bool {
    guard !record.table.isEmpty else { return record.gateways.allSatisfy { $0.excluded || $0.revision == nil } }
    return everyGateway { hasTheTable($0) }
  }

  private func hasTheTable(_ state: GatewayState) -> Bool { state.revision == record.table.revision }

  /// The same, or it refuses the table and may go on with the one that it has.
  var everyGatewayStands: Bool { everyGatewayHasTheTable || everyGateway { hasTheTable($0) || mayStay($0) } }

  /// Whether each of the gateways whose word is needed is known, and so.
  private func everyGateway(_ isSo: (GatewayState) -> Bool) -> Bool {
    for id in routingGateways {
      guard let place = record.gateways.firstIndex(where: { $0.id == id }), isSo(record.gateways[place]) else { return false }
    }
    return true
  }

  /// Looks again at hosts where something is in doubt. One that has become unreachable is looked at by whoever sees it next.
  mutating func lookAtHosts() {
    for host in record.hosts where host.needsLook && view.host(host.name) != nil {
      if case .unreachable = host.reach { continue }
      open(.observe(host.name))
    }
  }
}

extension CountedFailure {
  /// Of an instance that a rollout has brought: it speaks against the release that is rolled out where it is one of that.
  init(_ instance: Instance, _ failure: Failure, of rollout: Rollout?) {
    self.init(
      instance: instance.number, host: instance.host, failure: failure,
      condemnsRelease: failure.condemnsRelease && instance.release == rollout?.goal.release)
  }
}

extension Failure {
  /// Whether it speaks against the release rather than against the place it was tried on.
  var condemnsRelease: Bool {
    switch kind {
    case .start, .readiness, .analysis: true
    case .portTaken, .slotsTaken, .host, .staging, .fenced, .gateway, .hook, .task, .interrupted, .stop, .check, .cancelled, .drained: false
    }
  }
}
