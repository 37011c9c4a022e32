package import SluiceModel
package import SluiceRollout

/// One run of `FleetRunner`: a single loop owns the engine; everything slow happens in tasks that report back to the loop.
struct RunnerSession {
  private enum Signal: Sendable {
    case events([Engine.Event])
    case inbox
    case interrupted
    /// Patience with open attempts, or with a gate, is over.
    case giveUp
    case gateTimedOut(ServiceName)
    /// It has come to rest, and what was heard before that has been handled.
    case rested(ServiceName)
    case left(ServiceName)
    case leaseDue(ServiceName)
  }

  private let runner: FleetRunner
  private var engine: Engine
  private var fences: [ServiceName: Fence] = [:]
  private var outcomes: [ServiceName: FleetRunner.Outcome] = [:]
  private var awaited: [ServiceName] = []
  /// Services that are being let go of: their newest copies and the fence's end are on the way.
  private var leaving: [ServiceName: Task<Void, Never>] = [:]
  /// Up to where other processes' commits have been seen.
  private var mark: Int64?
  private var tasks: [AttemptKey: Task<Void, Never>] = [:]
  /// What hosts were told of operators' words in this run.
  private var telling: [HostName: (word: Cordon, task: Task<Void, Never>)] = [:]
  private var helpers: [Task<Void, Never>] = []
  private var timer: Task<Void, Never>?
  private var gateTimers: [ServiceName: Task<Void, Never>] = [:]
  private var leaseTimers: [ServiceName: Task<Void, Never>] = [:]
  private var interruptions = 0
  /// Ids of the commands that this run is for: only their refusal ends it.
  private var own: Set<String> = []
  private let signals: AsyncStream<Signal>
  private let send: AsyncStream<Signal>.Continuation

  /// Whose facts are listened to.
  private var watched: Set<Watch> = []

  private struct Watch: Hashable {
    var service: ServiceName
    var gateway: GatewayID
  }

  private struct AttemptKey: Hashable {
    var service: ServiceName
    var attempt: Int
  }

  init(runner: FleetRunner, engine: Engine) {
    self.runner = runner
    self.engine = engine
    (signals, send) = AsyncStream.makeStream(of: Signal.self)
  }

  private var ports: FleetRunner.Ports { runner.ports }

  mutating func run(
    _ requests: [FleetRunner.Request], interruptions: AsyncStream<Void>, inbox: AsyncStream<Void>
  ) async throws -> [ServiceName: FleetRunner.Outcome] {
    let send = send
    helpers.append(Task { for await _ in interruptions { send.yield(.interrupted) } })
    helpers.append(Task { for await _ in inbox { send.yield(.inbox) } })
    defer {
      for task in helpers + Array(tasks.values) + Array(gateTimers.values) + Array(leaseTimers.values) { task.cancel() }
      timer?.cancel()
    }
    try await begin(requests)
    if !awaited.isEmpty {
      for await signal in signals {
        try handle(signal)
        if try isOver() { break }
      }
    }
    await end()
    return outcomes
  }

  /// Every service has come to its end, and nobody has left a command for one meanwhile: what was left is carried out to its end too.
  private mutating func isOver() throws -> Bool {
    while leaving.isEmpty, awaited.allSatisfy({ outcomes[$0] != nil }) {
      // Whoever interrupts wants nothing more begun; what lies there is taken back by who left it.
      if interruptions > 0 { return true }
      let last = try commands(for: awaited.filter { engine.drives($0) })
      if last.isEmpty { return true }
      try obey(last)
    }
    return false
  }

  // MARK: Beginning

  private mutating func begin(_ requests: [FleetRunner.Request]) async throws {
    var events: [Engine.Event] = []
    var silent: [HostName] = []
    var notes: [StoredEvent] = []
    for request in requests {
      let taker = FenceTaker(runner: runner, engine: engine, request: request, silent: silent)
      switch try await taker.take() {
      case .failure(let outcome):
        outcomes[request.service] = outcome.outcome
        engine.outOfReach.append(request.service)
        runner.observe(.left(request.service))
      case .success(let taken):
        silent = taken.silent
        for failure in taken.passedOver {
          runner.observe(.passedOver(request.service, failure))
          notes.append(failure.passedOver(request.service, at: ports.time.wall()))
        }
        engine.install(taken.record)
        fences[request.service] = taken.fence
        awaited.append(request.service)
        events.append(.acquired(request.service, taken.fence))
        events += taken.inputs.map { .input(request.service, $0) }
        if let command = request.command {
          own.insert(command.id)
          events.append(.input(request.service, .command(command)))
        }
        watch(request.service)
      }
    }
    if !notes.isEmpty {
      try ports.store.commit([], events: notes, fleet: runner.fleet.name)
      runner.observe(.committed([], notes))
    }
    if !awaited.isEmpty { try step(events) }
  }

  /// Listens to every gateway that the service's tables go to: another policy may bring others.
  private mutating func watch(_ service: ServiceName) {
    guard let record = engine.record(service) else { return }
    let send = send
    let gateways = ports.gateways
    for id in engine.view(for: service).gateways(of: record) where watched.insert(Watch(service: service, gateway: id)).inserted {
      helpers.append(
        Task {
          for await news in gateways.watch(service, gateway: id) {
            switch news {
            case .fact(let fact): send.yield(.events([.input(service, .gateway(fact))]))
            case .traffic(let fact): send.yield(.events([.input(service, .traffic(fact))]))
            case .unreachable(let why): send.yield(.events([.input(service, .gatewayUnreachable(id, why))]))
            }
          }
        })
    }
  }

  // MARK: The loop

  private mutating func handle(_ signal: Signal) throws {
    switch signal {
    case .events(let events): try step(events)
    // Also where there is no command: what another process has done may be what is waited for.
    case .inbox: try obey(try commands(for: awaited.filter { engine.drives($0) && leaving[$0] == nil }))
    case .rested(let service):
      guard leaving[service] == nil, outcomes[service] != nil, engine.isResting(service), !isTiedUp(service) else { return }
      let last = try commands(for: [service])
      if last.isEmpty { leave(service) } else { try obey(last) }
    case .left(let service):
      leaving[service] = nil
      runner.observe(.left(service))
      for other in awaited where engine.isResting(other) { send.yield(.rested(other)) }
    case .interrupted:
      interruptions += 1
      if interruptions > 1 { return giveUp() }
      after(runner.options.interruptPatience, .giveUp)
      let wall = ports.time.wall()
      try step(
        awaited.filter { engine.drives($0) }.map { service in
          .input(service, .command(Command(id: "interrupt-\(wall.milliseconds)", by: runner.options.owner, at: wall, verb: .interrupt)))
        })
    case .giveUp: giveUp()
    case .gateTimedOut(let service):
      gateTimers[service] = nil
      if let gate = engine.record(service)?.rollout?.gate, outcomes[service] == nil { outcomes[service] = .waiting(gate) }
    case .leaseDue(let service):
      leaseTimers[service] = nil
      renewLease(service)
      keepLease(service)
    }
  }

  private mutating func giveUp() {
    for service in awaited where outcomes[service] == nil { outcomes[service] = .interrupted }
  }

  private func commands(for services: [ServiceName]) throws -> [StoredCommand] {
    try ports.store.takeCommands(runner.fleet.name, for: services, now: ports.time.wall())
  }

  private mutating func obey(_ commands: [StoredCommand]) throws {
    try step(commands.map { .input($0.service, .command($0.command)) }, commands)
  }

  /// `left` are the commands among the events that others left in the inbox: they are answered in the transaction that makes them count.
  private mutating func step(_ events: [Engine.Event], _ left: [StoredCommand] = []) throws {
    let wall = ports.time.wall()
    engine.zones = zones(events, at: wall)
    let effects = try ports.store.exclusively { try decide(events, left, wall) }
    for effect in effects { try perform(effect) }
    for service in awaited where engine.drives(service) {
      watch(service)
      timeGate(service)
      keepLease(service)
    }
  }

  /// Decides on what stands: what other processes have reserved is seen, and what is decided is durable before any of them decides.
  private mutating func decide(_ events: [Engine.Event], _ left: [StoredCommand], _ wall: WallTime) throws -> [Engine.Effect] {
    try refresh()
    let known = engine.cordons
    let effects = engine.handle(events, now: ports.time.monotonic(), wall: wall)
    let heard = engine.cordons.words.filter { known.word(on: $0.host) != $0 }
    if !heard.isEmpty { try ports.store.hear(heard, fleet: runner.fleet.name) }
    var refused: [String: Refusal] = [:]
    var isCommitted = false
    for case .refuse(_, let command, let refusal) in effects { refused[command] = refusal }
    let answers = left.map { stored in
      CommandAnswer(command: stored.command.id, verdict: refused[stored.command.id].map { .refused($0) } ?? .taken)
    }
    for case .commit(let records, let events) in effects {
      try ports.store.commit(records, events: events, answers: answers, fleet: runner.fleet.name)
      isCommitted = true
    }
    if !isCommitted, !answers.isEmpty { try ports.store.commit([], events: [], answers: answers, fleet: runner.fleet.name) }
    // What was taken counts for how the service ends.
    for stored in left where refused[stored.command.id] == nil && engine.drives(stored.service) { outcomes[stored.service] = nil }
    return effects
  }

  /// Takes in what other processes of this machine have done to the services that are theirs.
  private mutating func refresh() throws {
    let records = engine.records
    let changes = try ports.store.changes(runner.fleet.name, since: mark) {
      Dictionary(uniqueKeysWithValues: records.map { ($0.service, $0.revision) })
    }
    guard let changes else { return }
    mark = changes.mark
    // One whose fence this run has is its own from then on: it may go on from a copy that is newer than what the store has.
    for record in changes.records where fences[record.service] == nil && leaving[record.service] == nil { engine.install(record) }
    for word in changes.cordons.words { engine.cordons.hear(word) }
  }

  /// The time zones that windows name, as they are now.
  private func zones(_ events: [Engine.Event], at wall: WallTime) -> [ZoneOffset] {
    var policies = awaited.compactMap { engine.record($0)?.policy }
    for case .input(_, .command(let command)) in events {
      if case .apply(let policy, _, _, _, _, _) = command.verb { policies.append(policy) }
    }
    let names = Set(policies.flatMap { $0.windows ?? [] }.map(\.zone)).sorted()
    return names.compactMap { name in ports.time.offset(of: name, at: wall).map { ZoneOffset(zone: name, offset: $0) } }
  }

  private mutating func perform(_ effect: Engine.Effect) throws {
    switch effect {
    // It was, with what was decided.
    case .commit(let records, let events): runner.observe(.committed(records, events))
    case .cancel(let service, let attempt):
      tasks.removeValue(forKey: AttemptKey(service: service, attempt: attempt))?.cancel()
    case .dispatch(let service, let attempt): dispatch(service, attempt)
    case .cordon(let word): passOn(word)
    case .refuse(let service, let command, let refusal):
      if own.contains(command) { outcomes[service] = .refused(refusal) } else { try tell(refusal, of: service) }
    case .wake(let wait):
      timer?.cancel()
      timer = later(wait, .events([.tick]))
    case .rest(let service, let rest):
      switch rest {
      case .done(let end): outcomes[service] = outcomes[service] ?? .done(end)
      // Where it was not this run that was interrupted, it is a gate like others: who typed another command is told what stands there.
      case .waiting(.interrupted) where interruptions > 0: outcomes[service] = .interrupted
      case .waiting(let gate): outcomes[service] = outcomes[service] ?? .waiting(gate)
      case .fenceLost(let failure):
        outcomes[service] = .failed(failure)
        runner.observe(.left(service))
      }
      send.yield(.rested(service))
    }
  }

  /// Whoever left the command in the inbox finds the refusal among the events.
  private func tell(_ refusal: Refusal, of service: ServiceName) throws {
    let event = RecordEvent(.warning, "command-refused", "refused: \(refusal.message)")
    let stored = StoredEvent(service: service, at: ports.time.wall(), rollout: engine.record(service)?.rollout?.number, event: event)
    try ports.store.commit([], events: [stored], fleet: runner.fleet.name)
    runner.observe(.committed([], [stored]))
  }

  private mutating func dispatch(_ service: ServiceName, _ attempt: Attempt) {
    guard let record = engine.record(service), let fence = fences[service] else { return }
    runner.observe(.attempt(service, attempt))
    let performer = AttemptPerformer(ports: ports, fleet: runner.fleet, record: record, fence: fence, places: copyPlaces(record))
    let send = send
    let observe = runner.observe
    let key = AttemptKey(service: service, attempt: attempt.id)
    let told = attempt.action.host.flatMap { telling[$0]?.task }
    tasks[key] = Task {
      await told?.value
      let result = await performer.perform(attempt)
      if Task.isCancelled { return }
      observe(.outcome(service, attempt, result))
      send.yield(.events([.input(service, .outcome(attempt: attempt.id, result))]))
    }
  }

  /// What was said of a host while it could not be reached, or before hosts kept such words, is told it now.
  private mutating func passOn(_ word: Cordon) {
    guard let host = runner.fleet.host(word.host), telling[word.host]?.word != word else { return }
    let hosts = ports.hosts
    telling[word.host] = (word, Task { _ = await hosts.leave(word, on: host) })
  }

  /// A gate that may open by itself is waited at for a bounded time.
  private mutating func timeGate(_ service: ServiceName) {
    let gate = engine.record(service)?.rollout?.gate
    if let gate, gate.opensByItself, !gate.endsByTime {
      if gateTimers[service] == nil { gateTimers[service] = later(runner.options.gatePatience, .gateTimedOut(service)) }
    } else {
      gateTimers.removeValue(forKey: service)?.cancel()
    }
  }

  /// While gateways would fall back without a controller, they hear of this one four times in the time that they wait.
  private mutating func keepLease(_ service: ServiceName) {
    guard let fallBack = engine.record(service)?.table.content?.split?.fallBack else {
      leaseTimers.removeValue(forKey: service)?.cancel()
      return
    }
    if leaseTimers[service] == nil { leaseTimers[service] = later(Milliseconds(fallBack.after.value / 4), .leaseDue(service)) }
  }

  private mutating func renewLease(_ service: ServiceName) {
    guard let record = engine.record(service), let fence = fences[service] else { return }
    let gateways = ports.gateways
    for id in engine.view(for: service).gateways(of: record) {
      Task { await gateways.renewLease(service, fence: fence, gateway: id) }
    }
  }

  private func later(_ wait: Milliseconds, _ signal: Signal) -> Task<Void, Never> {
    let send = send
    let time = ports.time
    return Task {
      do { try await time.sleep(for: wait) } catch { return }
      send.yield(signal)
    }
  }

  private mutating func after(_ wait: Milliseconds, _ signal: Signal) { helpers.append(later(wait, signal)) }

  private func copyPlaces(_ record: ServiceRecord) -> [Host] {
    CopyPlaces.choose(fleet: runner.fleet, record: record)
  }

  // MARK: Ending

  /// Leaves the newest copy everywhere, then lets go of the fence, while other services go on: whoever wants something of this one has it at once.
  private mutating func leave(_ service: ServiceName) {
    guard engine.drives(service), let fence = fences.removeValue(forKey: service), let record = engine.record(service) else { return }
    engine.letGo(service)
    gateTimers.removeValue(forKey: service)?.cancel()
    leaseTimers.removeValue(forKey: service)?.cancel()
    let performer = AttemptPerformer(ports: ports, fleet: runner.fleet, record: record, fence: fence, places: copyPlaces(record))
    let send = send
    leaving[service] = Task {
      await performer.leave()
      send.yield(.left(service))
    }
  }

  /// Whether one of this run goes on under the other's name, and has not come to its end: users are handed from one to the other.
  private func isTiedUp(_ service: ServiceName) -> Bool {
    awaited.contains { other in
      guard other != service, outcomes[other] == nil, engine.drives(other) else { return false }
      return engine.record(service)?.policy.formerly == other || engine.record(other)?.policy.formerly == service
    }
  }

  /// Lets go of what is still held.
  private mutating func end() async {
    for task in tasks.values { task.cancel() }
    for (_, told) in telling.sorted(by: { $0.key < $1.key }) { await told.task.value }
    for service in fences.keys.sorted() { leave(service) }
    for (service, task) in leaving.sorted(by: { $0.key < $1.key }) {
      await task.value
      runner.observe(.left(service))
    }
  }
}

/// Where copies of a record lie: two reachable hosts, in different racks where there are two.
package enum CopyPlaces {
  package static func choose(fleet: Fleet, record: ServiceRecord) -> [Host] {
    var chosen: [Host] = []
    let hosts = fleet.hosts.filter { record.host($0.name)?.reach.isReachable ?? false }
    if let first = hosts.first { chosen.append(first) }
    if let second = hosts.first(where: { $0.rack != chosen.first?.rack }) ?? hosts.dropFirst().first { chosen.append(second) }
    return chosen
  }
}
