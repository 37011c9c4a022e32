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
    case leaseDue(ServiceName)
  }

  private let runner: FleetRunner
  private var engine: Engine
  private var fences: [ServiceName: Fence] = [:]
  private var outcomes: [ServiceName: FleetRunner.Outcome] = [:]
  private var awaited: [ServiceName] = []
  private var tasks: [AttemptKey: Task<Void, Never>] = [:]
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
        if awaited.allSatisfy({ outcomes[$0] != nil }) { break }
      }
    }
    await end()
    return outcomes
  }

  // MARK: Beginning

  private mutating func begin(_ requests: [FleetRunner.Request]) async throws {
    var events: [Engine.Event] = []
    for request in requests {
      let taker = FenceTaker(runner: runner, engine: engine, request: request)
      switch try await taker.take() {
      case .failure(let outcome):
        outcomes[request.service] = outcome.outcome
        engine.outOfReach.append(request.service)
      case .success(let taken):
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
    case .inbox:
      let commands = try ports.store.takeCommands(runner.fleet.name)
      // A drain from another terminal comes with other cordons.
      engine.cordons = try ports.store.load(runner.fleet.name).cordons
      try step(commands.map { .input($0.service, .command($0.command)) })
    case .interrupted:
      interruptions += 1
      if interruptions > 1 { return giveUp() }
      after(runner.options.interruptPatience, .giveUp)
      let wall = ports.time.wall()
      try step(
        awaited.map { service in
          .input(service, .command(Command(id: "interrupt-\(wall.milliseconds)", by: runner.options.owner, at: wall, verb: .interrupt)))
        })
    case .giveUp: giveUp()
    case .gateTimedOut(let service):
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

  private mutating func step(_ events: [Engine.Event]) throws {
    let wall = ports.time.wall()
    engine.zones = zones(events, at: wall)
    let effects = engine.handle(events, now: ports.time.monotonic(), wall: wall)
    for effect in effects { try perform(effect) }
    for service in awaited {
      watch(service)
      timeGate(service)
      keepLease(service)
    }
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
    case .commit(let records, let events):
      try ports.store.commit(records, events: events, fleet: runner.fleet.name)
      runner.observe(.committed(records, events))
    case .cancel(let service, let attempt):
      tasks.removeValue(forKey: AttemptKey(service: service, attempt: attempt))?.cancel()
    case .dispatch(let service, let attempt): dispatch(service, attempt)
    case .refuse(let service, let command, let refusal):
      if own.contains(command) { outcomes[service] = .refused(refusal) } else { try tell(refusal, of: service) }
    case .wake(let wait):
      timer?.cancel()
      timer = later(wait, .events([.tick]))
    case .rest(let service, let rest):
      switch rest {
      case .done(let end): outcomes[service] = outcomes[service] ?? .done(end)
      case .waiting(.interrupted): outcomes[service] = .interrupted
      case .waiting(let gate): outcomes[service] = outcomes[service] ?? .waiting(gate)
      case .fenceLost(let failure): outcomes[service] = .failed(failure)
      }
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
    tasks[key] = Task {
      let result = await performer.perform(attempt)
      if Task.isCancelled { return }
      observe(.outcome(service, attempt, result))
      send.yield(.events([.input(service, .outcome(attempt: attempt.id, result))]))
    }
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

  /// Leaves the newest copy everywhere, then lets go of the fence.
  private mutating func end() async {
    for task in tasks.values { task.cancel() }
    for (service, fence) in fences.sorted(by: { $0.key < $1.key }) {
      guard let record = engine.record(service) else { continue }
      if case .failed(let failure)? = outcomes[service], failure.kind == .fenced { continue }
      let performer = AttemptPerformer(ports: ports, fleet: runner.fleet, record: record, fence: fence, places: copyPlaces(record))
      await performer.leave()
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
