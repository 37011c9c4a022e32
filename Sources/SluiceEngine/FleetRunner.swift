package import SluiceModel
package import SluiceRollout

/// The thin shell around `Engine`: performs its effects through the ports and brings back what happened.
package struct FleetRunner: Sendable {
  /// What one run is about.
  package struct Request: Sendable {
    package var service: ServiceName
    /// The record to start from when there is none anywhere: a first apply brings its policy.
    package var initial: ServicePolicy?
    /// nil: only go on with what is under way.
    package var command: Command?
    /// Whether `initial` may become a first record, or only tells which hosts and gateways to ask.
    package var createsRecord: Bool

    package init(service: ServiceName, initial: ServicePolicy?, command: Command?, createsRecord: Bool = true) {
      self.service = service
      self.initial = initial
      self.command = command
      self.createsRecord = createsRecord
    }
  }

  /// How a service ended, for the exit code.
  package enum Outcome: Hashable, Sendable {
    /// The end of the rollout that ran; nil when there was nothing to do.
    case done(RolloutEnd?)
    case waiting(Gate)
    case refused(Refusal)
    case held(FenceHolder)
    case failed(Failure)
    case interrupted
  }

  /// What an onlooker may show: after every commit, and for each attempt.
  package enum News: Sendable {
    case claiming(ServiceName, Fence)
    /// A host or gateway took no part in the claim and is worked around: what is wrong with it.
    case passedOver(ServiceName, Failure)
    /// The fence was let go of: another process may have the service from now on.
    case left(ServiceName)
    case committed([ServiceRecord], [StoredEvent])
    case attempt(ServiceName, Attempt)
    case outcome(ServiceName, Attempt, AttemptResult)
  }

  package struct Ports: Sendable {
    package var hosts: any HostPort
    package var gateways: any GatewayPort
    package var hooks: any HookPort
    package var checks: any CheckPort
    package var store: any StorePort
    package var trust: any TrustPort
    package var time: any Timekeeper

    package init(
      hosts: any HostPort, gateways: any GatewayPort, hooks: any HookPort, checks: any CheckPort, store: any StorePort,
      trust: any TrustPort, time: any Timekeeper
    ) {
      self.trust = trust
      self.hosts = hosts
      self.gateways = gateways
      self.hooks = hooks
      self.checks = checks
      self.store = store
      self.time = time
    }
  }

  package struct Options: Sendable {
    package var owner: String
    package var machine: String
    package var takeOver: Bool
    /// Whether the owner of a fence, who was on this machine, still runs: a live one is not taken over unasked.
    package var isLive: @Sendable (String) -> Bool
    /// How long to stay at a gate that may open by itself.
    package var gatePatience: Milliseconds
    /// How long after an interruption open attempts may take before they are left in doubt.
    package var interruptPatience: Milliseconds
    /// How long a claim waits for the hosts that are left when a majority has granted it.
    package var claimPatience: Milliseconds

    package init(
      owner: String, machine: String, takeOver: Bool = false, gatePatience: Milliseconds = .minutes(1),
      interruptPatience: Milliseconds = .seconds(3), claimPatience: Milliseconds = .seconds(5),
      isLive: @escaping @Sendable (String) -> Bool = { _ in false }
    ) {
      self.isLive = isLive
      self.owner = owner
      self.machine = machine
      self.takeOver = takeOver
      self.gatePatience = gatePatience
      self.interruptPatience = interruptPatience
      self.claimPatience = claimPatience
    }
  }

  let fleet: Fleet
  let gateways: [Gateway]
  let ports: Ports
  let options: Options
  let observe: @Sendable (News) -> Void

  package init(fleet: Fleet, gateways: [Gateway], ports: Ports, options: Options, observe: @escaping @Sendable (News) -> Void) {
    self.fleet = fleet
    self.gateways = gateways
    self.ports = ports
    self.options = options
    self.observe = observe
  }

  /// Takes the fences, gives the commands, and performs what the engine asks for until every service rests. Throws what the store throws.
  ///
  /// `interruptions` yields once for each Ctrl-C; `inbox` whenever another process has left a command in the store.
  package func run(
    _ requests: [Request], interruptions: AsyncStream<Void>, inbox: AsyncStream<Void>
  ) async throws -> [ServiceName: Outcome] {
    let stored = try ports.store.load(fleet.name)
    let engine = Engine(fleet: fleet, gateways: gateways, records: stored.records, cordons: stored.cordons)
    var session = RunnerSession(runner: self, engine: engine)
    return try await session.run(requests, interruptions: interruptions, inbox: inbox)
  }

  /// Takes the fences and commits the newest copy of each record, without deciding anything: what runs stays as it stands.
  ///
  /// Throws what the store throws.
  package func adopt(_ requests: [Request]) async throws -> [ServiceName: Result<ServiceRecord, NotTaken>] {
    let stored = try ports.store.load(fleet.name)
    let engine = Engine(fleet: fleet, gateways: gateways, records: stored.records, cordons: stored.cordons)
    var found: [ServiceName: Result<ServiceRecord, NotTaken>] = [:]
    for request in requests {
      switch try await FenceTaker(runner: self, engine: engine, request: request).take() {
      case .failure(let outcome): found[request.service] = .failure(outcome)
      case .success(let taken):
        try ports.store.hear(taken.inputs.compactMap(\.told), fleet: fleet.name)
        var record = taken.record
        record.fence = taken.fence
        record.version += 1
        let now = ports.time.wall()
        for failure in taken.passedOver { observe(.passedOver(request.service, failure)) }
        try ports.store.commit([record], events: taken.passedOver.map { $0.passedOver(request.service, at: now) }, fleet: fleet.name)
        let places = CopyPlaces.choose(fleet: fleet, record: record)
        await AttemptPerformer(ports: ports, fleet: fleet, record: record, fence: taken.fence, places: places).leave()
        found[request.service] = .success(record)
      }
    }
    return found
  }

  /// Tells of something that was met beside the decisions: kept in the service's history, and shown. Throws what the store throws.
  func tell(_ event: RecordEvent, of service: ServiceName, rollout: Int? = nil) throws {
    let stored = StoredEvent(service: service, at: ports.time.wall(), rollout: rollout, event: event)
    try ports.store.commit([], events: [stored], fleet: fleet.name)
    observe(.committed([], [stored]))
  }
}

extension Input {
  /// What a host told of whether it takes instances.
  fileprivate var told: Cordon? { if case .host(let fact) = self { fact.cordon } else { nil } }
}

extension Failure {
  /// How the history tells that a host or gateway took no part in a claim.
  func passedOver(_ service: ServiceName, at time: WallTime) -> StoredEvent {
    let next = remedy.isEmpty ? "" : "; next: \(remedy)"
    let event = RecordEvent(.warning, "passed-over", "\(message): it is left out as if it could not be reached\(next)")
    return StoredEvent(service: service, at: time, rollout: nil, event: event)
  }
}
