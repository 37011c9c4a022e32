package import SluiceModel
package import SluiceRollout

/// The synchronous machine around the brain: takes events, answers with effects, in the order in which they are to be done.
///
/// It holds the records of all services of a fleet; it acts only on those whose fence it was given.
package struct Engine: Sendable {
  package enum Event: Hashable, Sendable {
    /// The fence of a service was taken; what was seen while taking it comes as inputs of its own.
    case acquired(ServiceName, Fence)
    case input(ServiceName, Input)
    /// Time has passed.
    case tick
  }

  package enum Effect: Hashable, Sendable {
    /// Durable before any effect after it.
    case commit([ServiceRecord], [StoredEvent])
    case cancel(ServiceName, attempt: Int)
    case dispatch(ServiceName, Attempt)
    case refuse(ServiceName, command: String, Refusal)
    /// Give another `tick` after so long.
    case wake(after: Milliseconds)
    /// Nothing is left to do for the service, or nothing without an operator.
    case rest(ServiceName, Rest)
  }

  /// How a service came to rest.
  package enum Rest: Hashable, Sendable {
    /// Everything is as decided; the end of the rollout that got there, if one ran since the fence was taken.
    case done(RolloutEnd?)
    case waiting(Gate)
    /// Another controller has taken the fence.
    case fenceLost(Failure)
  }

  package private(set) var records: [ServiceRecord]
  package let fleet: Fleet
  package let gateways: [Gateway]
  package var cordons: [HostName]
  /// Time zones as they are now.
  package var zones: [ZoneOffset] = []
  /// Services that were to be acted upon, and whose fence could not be taken.
  package var outOfReach: [ServiceName] = []
  private var mine: Set<ServiceName> = []
  private var resting: Set<ServiceName> = []
  private var ends: [ServiceName: Int] = [:]
  private var lastTime: Milliseconds?

  package init(fleet: Fleet, gateways: [Gateway], records: [ServiceRecord], cordons: [HostName]) {
    self.fleet = fleet
    self.gateways = gateways
    self.records = records.sorted { $0.service < $1.service }
    self.cordons = cordons
  }

  package func record(_ service: ServiceName) -> ServiceRecord? { records.first { $0.service == service } }

  /// Puts a record in the place of what was known of the service: a newer copy, or the first one.
  package mutating func install(_ record: ServiceRecord) {
    records.removeAll { $0.service == record.service }
    records.append(record)
    records.sort { $0.service < $1.service }
  }

  /// What a decision about `service` sees of the rest.
  package func view(for service: ServiceName) -> FleetView {
    var reservations: [Reservation] = []
    for record in records where record.service != service {
      for instance in record.instances {
        reservations.append(
          Reservation(instance: InstanceID(service: record.service, number: instance.number), host: instance.host, port: instance.port))
      }
    }
    let after = record(service)?.policy.after ?? []
    let standings = records.filter { after.contains($0.service) }.map { Standing($0, isOutOfReach: outOfReach.contains($0.service)) }
    return FleetView(
      fleet: fleet, gateways: gateways, cordons: cordons, reservations: reservations, standings: standings, zones: zones)
  }

  /// Takes the events in their order and then decides once. `now` is monotonic; `wall` is for people.
  package mutating func handle(_ events: [Event], now: Milliseconds, wall: WallTime) -> [Effect] {
    pass(to: now)
    let awaited = openAttempts(events)
    var effects: [Effect] = []
    var notes: [StoredEvent] = []
    var changed: [ServiceName] = []
    for event in events {
      switch event {
      case .acquired(let service, let fence):
        mine.insert(service)
        ends[service] = record(service)?.ended?.number ?? 0
        take(.takenOver(fence), for: service, wall: wall, &notes, &changed, &effects)
      case .input(let service, let input):
        guard mine.contains(service) else { continue }
        resting.remove(service)
        if case .outcome(_, .failed(let failure)) = input, failure.kind == .fenced {
          mine.remove(service)
          effects.append(.rest(service, .fenceLost(failure)))
        } else {
          take(input, for: service, wall: wall, &notes, &changed, &effects)
        }
      case .tick: break
      }
    }
    var attempts: [(ServiceName, Attempt)] = []
    var wakeAfter: Milliseconds?
    for service in records.map(\.service) where mine.contains(service) {
      guard let before = record(service) else { continue }
      let decision = decide(before, view: view(for: service), wall: wall)
      notes += decision.events.map { StoredEvent(service: service, at: wall, rollout: before.rollout?.number, event: $0) }
      if decision.record != before {
        put(decision.record)
        if !changed.contains(service) { changed.append(service) }
      }
      attempts += decision.attempts.map { (service, $0) }
      if let wake = decision.wakeAt {
        let wait = wake - decision.record.activeTime
        wakeAfter = min(wakeAfter ?? wait, wait)
      }
    }
    if !changed.isEmpty || !notes.isEmpty {
      for service in changed { bump(service) }
      effects.append(.commit(changed.sorted().compactMap { record($0) }, notes))
    }
    // What a command or a decision has given up: its work is ended where that is possible.
    for (service, id) in awaited where record(service)?.attempts.contains(where: { $0.id == id }) == false {
      effects.append(.cancel(service, attempt: id))
    }
    effects += attempts.map { .dispatch($0.0, $0.1) }
    if let wakeAfter { effects.append(.wake(after: max(wakeAfter, Milliseconds(1)))) }
    for service in records.map(\.service) where mine.contains(service) && !resting.contains(service) {
      if let rest = rest(of: service) {
        resting.insert(service)
        effects.append(.rest(service, rest))
      }
    }
    return effects
  }

  /// The attempts that this controller has sent and that the events do not end.
  private func openAttempts(_ events: [Event]) -> [(ServiceName, Int)] {
    records.filter { mine.contains($0.service) }.flatMap { record in
      record.attempts.compactMap { attempt in
        let ends = events.contains { event in
          if case .input(record.service, .outcome(attempt.id, _)) = event { return true }
          return false
        }
        return ends ? nil : (record.service, attempt.id)
      }
    }
  }

  private mutating func take(
    _ input: Input, for service: ServiceName, wall: WallTime, _ notes: inout [StoredEvent], _ changed: inout [ServiceName],
    _ effects: inout [Effect]
  ) {
    guard let before = record(service) else { return }
    do {
      let (after, events) = try absorb(before, input, view: view(for: service))
      notes += events.map { StoredEvent(service: service, at: wall, rollout: (after.rollout ?? before.rollout)?.number, event: $0) }
      if after != before {
        put(after)
        if !changed.contains(service) { changed.append(service) }
      }
    } catch {
      if case .command(let command) = input { effects.append(.refuse(service, command: command.id, error)) }
    }
  }

  /// Time counts only for records that this controller looks after.
  private mutating func pass(to now: Milliseconds) {
    let delta = now - (lastTime ?? now)
    lastTime = now
    guard delta > .zero else { return }
    for index in records.indices where mine.contains(records[index].service) { records[index].activeTime += delta }
  }

  private mutating func put(_ record: ServiceRecord) {
    guard let index = records.firstIndex(where: { $0.service == record.service }) else { return }
    records[index] = record
  }

  private mutating func bump(_ service: ServiceName) {
    guard let index = records.firstIndex(where: { $0.service == service }) else { return }
    records[index].version += 1
  }

  private func rest(of service: ServiceName) -> Rest? {
    guard let record = record(service), record.attempts.isEmpty else { return nil }
    if let rollout = record.rollout {
      guard let gate = rollout.gate, !gate.opensByItself else { return nil }
      // What can still be moved is moved first: tables to gateways, drained targets back in.
      if record.gateways.contains(where: {
        !$0.excluded && $0.reach.isReachable && $0.revision != record.table.revision && record.table.content != nil
      }) {
        return nil
      }
      return .waiting(gate)
    }
    let required = view(for: service).processes(of: record.policy.route)
    let behind = record.gateways.contains { state in
      required.contains(state.id) && !state.excluded && state.reach.isReachable && record.table.content != nil
        && state.revision != record.table.revision
    }
    let leaving = record.instances.contains { instance in
      if instance.phase == .retired { return true }
      guard instance.condemned != nil, instance.phase != .lost else { return false }
      // A stop that fails again and again is told in the history; nobody can wait for it.
      return (record.backoffs.first { $0.object == .instance(instance.number) }?.tries ?? 0) < 5
    }
    let looking = record.hosts.contains { host in
      if case .unreachable = host.reach { return false }
      return host.needsLook && fleet.host(host.name) != nil
    }
    if behind || looking { return nil }
    if leaving, required.allSatisfy({ id in record.gateway(id).map { $0.excluded || $0.reach.isReachable } ?? false }) { return nil }
    let end = record.ended.flatMap { $0.number > (ends[service] ?? 0) ? $0 : nil }
    return .done(end)
  }
}
