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
    /// The host has an older word than this one: it is told, before anything that comes after is done there.
    case cordon(Cordon)
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

  /// In order of their services.
  package private(set) var records: [ServiceRecord]
  private var services: [ServiceName]
  package let gateways: [Gateway]
  /// What operators have said of hosts, as far as it is known here; whoever shows a host's facts tells what lies there.
  package var cordons: Cordons { didSet { if cordons.hosts != oldValue.hosts { stale = nil } } }
  /// Time zones as they are now.
  package var zones: [ZoneOffset] = []
  /// Services that were to be acted upon, and whose fence could not be taken, or has been lost.
  package var outOfReach: [ServiceName] = []
  let map: FleetMap
  /// What the instances of all services hold, as of when it was made.
  private var occupancy: Occupancy
  /// The services whose instances have changed since then; nil: all of it is to be made anew.
  private var stale: [ServiceName]? = []
  /// In order.
  private var mine: [ServiceName] = []
  private var resting: Set<ServiceName> = []
  private var ends: [ServiceName: Int] = [:]
  private var lastTime: Milliseconds?
  /// Hosts that say that a newer controller acts on the service, since its fence was taken.
  private var doubted: [ServiceName: Set<HostName>] = [:]
  /// Which requests each service has.
  private(set) var claims: [ServiceName: RouteClaim] = [:]

  package init(fleet: Fleet, gateways: [Gateway], records: [ServiceRecord], cordons: Cordons) {
    self.gateways = gateways
    self.records = records.sorted { $0.service < $1.service }
    services = self.records.map(\.service)
    self.cordons = cordons
    map = FleetMap(fleet)
    occupancy = Occupancy(map: map, cordons: cordons.hosts, records: self.records)
    for record in records { claims[record.service] = record.claim }
  }

  package var fleet: Fleet { map.fleet }

  package func record(_ service: ServiceName) -> ServiceRecord? { index(of: service).map { records[$0] } }

  /// Whether the fence of the service was given, and neither lost nor let go of.
  package func drives(_ service: ServiceName) -> Bool { mine.contains(service) }

  /// Whether a service that is driven has come to rest, with nothing since.
  package func isResting(_ service: ServiceName) -> Bool { resting.contains(service) && drives(service) }

  /// Acts on the service no more, for it has come to rest: from now on it is another's, as its record is told.
  package mutating func letGo(_ service: ServiceName) {
    mine.removeAll { $0 == service }
    resting.remove(service)
  }

  private func index(of service: ServiceName) -> Int? {
    let index = services.partitioningIndex { $0 >= service }
    return index < services.count && services[index] == service ? index : nil
  }

  /// Puts a record in the place of what was known of the service: a newer copy, or the first one.
  package mutating func install(_ record: ServiceRecord) {
    if let index = index(of: record.service) {
      records[index] = record
    } else {
      let index = services.partitioningIndex { $0 >= record.service }
      records.insert(record, at: index)
      services.insert(record.service, at: index)
    }
    claims[record.service] = record.claim
    if stale != nil { occupancy = occupancy.replacing(record) }
    stale?.removeAll { $0 == record.service }
  }

  /// What a decision about `service` sees of the rest.
  package func view(for service: ServiceName) -> FleetView {
    var view = FleetView(occupancy: currentOccupancy(for: service), gateways: gateways)
    view.zones = zones
    view.claims = claims
    view.standings = firsts(of: service).compactMap { name in
      record(name).map { Standing($0, isOutOfReach: outOfReach.contains(name)) }
    }
    return view
  }

  /// The services whose rollouts it may wait for.
  private func firsts(of service: ServiceName) -> [ServiceName] {
    guard let index = index(of: service) else { return [] }
    let first = records[index].policy.after ?? []
    guard records[index].isRolling, let successor = records[index].rollout?.successor else { return first }
    return first + [successor]
  }

  /// The same with the record of one service only, which sees what all hold: for who acts on no other. Copying it costs one record.
  func alone(_ service: ServiceName) -> Engine {
    var engine = self
    engine.occupancy = currentOccupancy(for: service)
    engine.stale = []
    engine.records = record(service).map { [$0] } ?? []
    engine.services = engine.records.map(\.service)
    return engine
  }

  /// A service's own part in the occupancy may be old: it decides by its record.
  private func isCurrent(for service: ServiceName) -> Bool { stale?.allSatisfy { $0 == service } ?? false }

  private func currentOccupancy(for service: ServiceName) -> Occupancy {
    if isCurrent(for: service) { return occupancy }
    guard let stale else { return Occupancy(map: map, cordons: cordons.hosts, records: records) }
    return stale.compactMap { record($0) }.reduce(occupancy) { $0.replacing($1) }
  }

  private mutating func refreshOccupancy(for service: ServiceName) {
    if isCurrent(for: service) { return }
    occupancy = currentOccupancy(for: service)
    stale = []
  }

  /// Takes the events in their order and then decides once. `now` is monotonic; `wall` is for people.
  package mutating func handle(_ events: [Event], now: Milliseconds, wall: WallTime) -> [Effect] {
    pass(to: now)
    let awaited = openAttempts(events)
    var notes: [StoredEvent] = []
    var effects = hear(events, wall: wall, &notes)
    var changed: [ServiceName] = []
    var coming = events[...]
    while let event = coming.popFirst() {
      switch event {
      case .acquired(let service, let fence):
        if !mine.contains(service) { mine.insert(service, at: mine.partitioningIndex { $0 >= service }) }
        ends[service] = record(service)?.ended?.number ?? 0
        doubted[service] = nil
        take([.takenOver(fence)], for: service, wall: wall, &notes, &changed)
      case .input(let service, let input):
        guard mine.contains(service) else {
          if case .command(let command) = input { effects.append(.refuse(service, command: command.id, Self.notDriven(service))) }
          continue
        }
        resting.remove(service)
        if let failure = fencedOff(input, of: service) {
          if let instead = disbelieve(failure, input, of: service) {
            take([instead], for: service, wall: wall, &notes, &changed)
            continue
          }
          mine.removeAll { $0 == service }
          // Nothing more of it will be heard here.
          outOfReach.append(service)
          effects.append(.rest(service, .fenceLost(failure)))
        } else if case .command(let command) = input {
          obey(command, for: service, wall: wall, &notes, &changed, &effects)
        } else {
          var inputs = [input]
          while case .input(service, let next)? = coming.first, fencedOff(next, of: service) == nil, !next.isCommand {
            inputs.append(next)
            coming.removeFirst()
          }
          take(inputs, for: service, wall: wall, &notes, &changed)
        }
      case .tick: break
      }
    }
    var attempts: [(ServiceName, Attempt)] = []
    var wakeAfter: Milliseconds?
    var due = mine
    // What one service does, another may have waited for: its end, a slot, a port. Whoever was decided before is decided once more.
    for _ in 0..<8 where !due.isEmpty {
      var lastToChange: Int?
      for (place, service) in due.enumerated() {
        guard let before = record(service) else { continue }
        refreshOccupancy(for: service)
        let decision = decide(before, view: view(for: service), wall: wall)
        let rollout = before.rollout?.number
        for event in decision.events { notes.append(StoredEvent(service: service, at: wall, rollout: rollout, event: event)) }
        if !decision.isSettled, decision.record.differs(from: before) {
          put(decision.record)
          if !changed.contains(service) { changed.append(service) }
          if mine.count > 1, !decision.record.holdsTheSame(as: before) || Standing(decision.record) != Standing(before) {
            lastToChange = place
          }
        }
        attempts += decision.attempts.map { (service, $0) }
        if let wake = decision.wakeAt {
          let wait = wake - decision.record.activeTime
          wakeAfter = min(wakeAfter ?? wait, wait)
        }
      }
      due = lastToChange.map { overtaken(by: due[$0...]) } ?? []
    }
    if !changed.isEmpty || !notes.isEmpty {
      for service in changed { bump(service, wall) }
      effects.append(.commit(changed.sorted().compactMap { record($0) }, notes))
    }
    // What a command or a decision has given up: its work is ended where that is possible.
    for (service, id) in awaited where !isOpen(id, of: service) {
      effects.append(.cancel(service, attempt: id))
    }
    for (service, attempt) in attempts where isOpen(attempt.id, of: service) { effects.append(.dispatch(service, attempt)) }
    if let wakeAfter { effects.append(.wake(after: max(wakeAfter, Milliseconds(1)))) }
    for service in mine where !resting.contains(service) {
      if let rest = rest(of: service) {
        resting.insert(service)
        effects.append(.rest(service, rest))
      }
    }
    return effects
  }

  /// Takes in what hosts tell of operators' words, before anything is decided.
  private mutating func hear(_ events: [Event], wall: WallTime, _ notes: inout [StoredEvent]) -> [Effect] {
    var late: [Effect] = []
    for event in events {
      guard case .input(let service, let input) = event, let (host, told) = input.cordon else { continue }
      let known = cordons.word(on: host)
      if let told, told.isNewer(than: known) {
        cordons.hear(told)
        guard told.isDrained != known?.isDrained ?? false else { continue }
        let words = told.isDrained ? "is drained\(told.speaker): nothing is placed there" : "may have instances again\(told.speaker)"
        notes.append(
          StoredEvent(
            service: service, at: wall, rollout: record(service)?.rollout?.number,
            event: RecordEvent(.warning, told.isDrained ? "host-drained" : "host-undrained", "\(host) \(words)", host: host)))
      } else if let known, known.isNewer(than: told) {
        late.append(.cordon(known))
      }
    }
    return late
  }

  /// The services with a rollout that were decided before the first of these changed; the others of these have seen it.
  private func overtaken(by informed: ArraySlice<ServiceName>) -> [ServiceName] {
    let informed = Set(informed)
    return mine.filter { service in !informed.contains(service) && index(of: service).map { records[$0].rollout != nil } ?? false }
  }

  /// What counts in the place of one host's word that a newer controller acts: whoever acts has the word of a majority. All others are asked; nil:
  /// no majority is left that says otherwise, or it is a gateway's word, which only a majority of hosts lets anybody come to.
  private mutating func disbelieve(_ failure: Failure, _ input: Input, of service: ServiceName) -> Input? {
    guard case .outcome(let id, _) = input, let index = index(of: service),
      let host = records[index].attempts.first(where: { $0.id == id })?.action.host
    else { return nil }
    let isFirst = doubted[service, default: []].insert(host).inserted
    let voters = fleet.voters(on: records[index], policy: records[index].policy)
    guard (doubted[service]?.count ?? 0) * 2 < voters.count else { return nil }
    if isFirst {
      for place in records[index].hosts.indices {
        let other = records[index].hosts[place]
        if other.name != host, other.reach.isReachable { records[index].hosts[place].needsLook = true }
      }
    }
    let holder = failure.holder.map { " (\($0.owner.prefix { $0 != ":" }), epoch \($0.epoch))" } ?? ""
    let why = "it tells of a newer controller\(holder) that most hosts know nothing of: look who writes there"
    return .outcome(attempt: id, .unreachable(why))
  }

  private func isOpen(_ attempt: Int, of service: ServiceName) -> Bool {
    guard let index = index(of: service) else { return false }
    let place = records[index].attempts.partitioningIndex { $0.id >= attempt }
    return place < records[index].attempts.count && records[index].attempts[place].id == attempt
  }

  /// The attempts that this controller has sent and that the events do not end.
  private func openAttempts(_ events: [Event]) -> [(ServiceName, Int)] {
    var open: [(ServiceName, Int)] = []
    for service in mine {
      guard let index = index(of: service) else { continue }
      // Most often they end in the order in which they were begun.
      var ended = events[...]
      for attempt in records[index].attempts where !ended.popFirst(ends: attempt.id, of: service) {
        if !events.contains(where: { $0.ends(attempt.id, of: service) }) { open.append((service, attempt.id)) }
      }
    }
    return open
  }

  private mutating func obey(
    _ command: Command, for service: ServiceName, wall: WallTime, _ notes: inout [StoredEvent], _ changed: inout [ServiceName],
    _ effects: inout [Effect]
  ) {
    guard let before = record(service) else { return }
    let untimely: Refusal? =
      switch command.verb {
      case .apply(let policy, _, _, _, _, _): isTooEarly(policy) ?? isTooLate(service, formerly: policy.formerly)
      case .abort, .rollback: before.rollout?.isRemoval == true ? isTooLate(service) : nil
      default: nil
      }
    if let refusal = Self.misses(command, before) ?? untimely {
      return effects.append(.refuse(service, command: command.id, refusal))
    }
    refreshOccupancy(for: service)
    do {
      keep(try absorb(before, .command(command), view: view(for: service)), after: before, wall: wall, &notes, &changed)
    } catch {
      effects.append(.refuse(service, command: command.id, error))
    }
  }

  private mutating func take(
    _ inputs: [Input], for service: ServiceName, wall: WallTime, _ notes: inout [StoredEvent], _ changed: inout [ServiceName]
  ) {
    guard let before = record(service) else { return }
    refreshOccupancy(for: service)
    keep(absorb(before, outcomes: inputs, view: view(for: service)), after: before, wall: wall, &notes, &changed)
  }

  private mutating func keep(
    _ absorbed: (record: ServiceRecord, events: [RecordEvent]), after before: ServiceRecord, wall: WallTime,
    _ notes: inout [StoredEvent], _ changed: inout [ServiceName]
  ) {
    let rollout = (absorbed.record.rollout ?? before.rollout)?.number
    notes += absorbed.events.map { StoredEvent(service: before.service, at: wall, rollout: rollout, event: $0) }
    guard absorbed.record.differs(from: before) else { return }
    put(absorbed.record)
    if !changed.contains(before.service) { changed.append(before.service) }
  }

  /// Time counts only for records that this controller looks after.
  private mutating func pass(to now: Milliseconds) {
    let delta = now - (lastTime ?? now)
    lastTime = now
    guard delta > .zero else { return }
    for service in mine { if let index = index(of: service) { records[index].activeTime += delta } }
  }

  private mutating func put(_ record: ServiceRecord) {
    guard let index = index(of: record.service) else { return }
    if stale?.contains(record.service) == false, !records[index].holdsTheSame(as: record) { stale?.append(record.service) }
    if !records[index].claimsTheSame(as: record) { claims[record.service] = record.claim }
    records[index] = record
  }

  private mutating func bump(_ service: ServiceName, _ wall: WallTime) {
    guard let index = index(of: service) else { return }
    records[index].version += 1
    records[index].committedAt = wall
  }

  private func rest(of service: ServiceName) -> Rest? {
    guard let index = index(of: service), records[index].attempts.isEmpty else { return nil }
    let record = records[index]
    if let rollout = record.rollout {
      guard let gate = rollout.gate, !gate.opensByItself else { return nil }
      // What can still be moved is moved first: tables to gateways, drained targets back in.
      if record.gateways.contains(where: {
        !$0.excluded && $0.reach.isReachable && $0.revision != record.table.revision && record.table.content != nil
          && !$0.refuses(record.table.revision)
      }) {
        return nil
      }
      return .waiting(gate)
    }
    let required = view(for: service).gateways(of: record)
    let behind = record.gateways.contains { state in
      required.contains(state.id) && !state.excluded && state.reach.isReachable && record.table.content != nil
        && state.revision != record.table.revision && !state.refuses(record.table.revision)
    }
    let leaving = record.instances.contains { instance in
      if instance.phase == .retired { return true }
      guard instance.condemned != nil, instance.phase != .lost else { return false }
      // A stop that fails again and again is told in the history; nobody can wait for it.
      return (record.backoffs.first { $0.object == .instance(instance.number) }?.tries ?? 0) < 5
    }
    let looking = record.hosts.contains { host in
      if case .unreachable = host.reach { return false }
      return host.needsLook && map.index(of: host.name) != nil
    }
    let departing = record.gateways.contains { $0.departure != nil && !$0.excluded && $0.reach.isReachable }
    let forgetting = record.table.isEmpty && record.gateways.contains { $0.revision != nil && !$0.excluded && $0.reach.isReachable }
    if behind || looking || departing || forgetting { return nil }
    if leaving, required.allSatisfy({ id in record.gateway(id).map { $0.excluded || $0.reach.isReachable } ?? false }) { return nil }
    if let end = record.ended, end.number > (ends[service] ?? 0) { return .done(end) }
    // Nothing is under way, and yet not all is as decided.
    for state in record.gateways where required.contains(state.id) && !state.excluded {
      if let gate = record.refusal(by: state) { return .waiting(gate) }
    }
    return .done(nil)
  }
}

extension Engine.Event {
  /// Whether it is the outcome of that attempt.
  fileprivate func ends(_ attempt: Int, of service: ServiceName) -> Bool {
    if case .input(service, .outcome(attempt, _)) = self { true } else { false }
  }
}

extension ArraySlice<Engine.Event> {
  /// Drops the first event and is true, if it is the outcome of that attempt.
  fileprivate mutating func popFirst(ends attempt: Int, of service: ServiceName) -> Bool {
    guard first?.ends(attempt, of: service) ?? false else { return false }
    removeFirst()
    return true
  }
}

extension Input {
  fileprivate var isCommand: Bool { if case .command = self { true } else { false } }

  /// Of which host it tells what was last said of it, and what; nil where it tells of none.
  fileprivate var cordon: (host: HostName, told: Cordon?)? {
    switch self {
    case .host(let fact), .outcome(_, .succeeded(.facts(let fact))): (fact.host, fact.cordon)
    case .outcome(_, .failed(let failure)): failure.cordon.map { ($0.host, $0) }
    default: nil
    }
  }

}
