package import SluiceModel
package import SluiceRollout

/// What the engine asks of hosts. Every call carries the fence; a host with a newer one does nothing and says so.
package protocol HostPort: Sendable {
  /// One round trip: raises the fence, reads the facts, and brings the record's copy where the host has one.
  func claim(_ claim: FenceClaim, on host: Host, ports: PortRange) async -> ClaimAnswer<HostFact>
  /// A claim that came to nothing elsewhere: whoever held the fence before holds it again.
  func withdraw(_ service: ServiceName, fence: Fence, on host: Host) async
  /// Carries out one attempt's action.
  func perform(_ order: HostOrder, on host: Host) async -> AttemptResult
  /// Leaves the record's copy. True when it is durable there.
  func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to host: Host) async -> Bool
  /// A clean end: anyone may take the fence now. Also removes what no release in `keep` needs.
  func release(_ service: ServiceName, fence: Fence, keep: [Digest], on host: Host) async
  /// Leaves an operator's word on the host, unless a newer one lies there; it is told with every fact of the host from then on. The one that
  /// lies there then; nil where it could not be left.
  func leave(_ word: Cordon, on host: Host) async -> Cordon?
}

/// What the engine asks of gateways.
package protocol GatewayPort: Sendable {
  func claim(_ claim: FenceClaim, gateway: GatewayID) async -> ClaimAnswer<GatewayFact>
  /// A claim that came to nothing elsewhere: whoever held the fence before holds it again, unless something was ordered with the new one.
  func withdraw(_ service: ServiceName, fence: Fence, gateway: GatewayID) async
  /// The whole table; answered when it is live on every loop and durable.
  func setTable(_ content: TableContent, revision: Revision, service: ServiceName, fence: Fence, gateway: GatewayID) async -> AttemptResult
  func removeTable(service: ServiceName, fence: Fence, gateway: GatewayID) async -> AttemptResult
  func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to gateway: GatewayID) async -> Bool
  /// Tells the gateway that the service's controller is there: see `TableSplit.FallBack`. A gateway that cannot be reached is found out elsewhere.
  func renewLease(_ service: ServiceName, fence: Fence, gateway: GatewayID) async
  /// Facts as they change, until the task is cancelled; it reconnects by itself. Soon after an order was answered the facts come once more:
  /// the answer and the stream may overtake each other.
  func watch(_ service: ServiceName, gateway: GatewayID) -> AsyncStream<GatewayNews>
}

/// One thing heard from a gateway's stream.
package enum GatewayNews: Hashable, Sendable {
  case fact(GatewayFact)
  /// What users met, while a split stands: each second in which it changed, and when the watch begins.
  case traffic(TrafficFact)
  case unreachable(String)
}

/// What the engine asks of this machine.
package protocol HookPort: Sendable {
  func run(_ call: HookCall, command: String, record: ServiceRecord, attempt: Int) async -> AttemptResult
}

/// A question of a canary's analysis, asked from this machine.
package protocol CheckPort: Sendable {
  /// Succeeds where the check passes, fails where it does not; in doubt where it was not asked to its end.
  func ask(_ check: AnalysisCheck, step: Int, record: ServiceRecord) async -> AttemptResult
}

/// Durable state. A commit is whole or not at all, and durable when it returns.
package protocol StorePort: Sendable {
  func load(_ fleet: FleetName) throws -> StoredFleet
  /// Writes the records, then appends the events, and tells whoever left a command what became of it.
  func commit(_ records: [ServiceRecord], events: [StoredEvent], answers: [CommandAnswer], fleet: FleetName) throws
  /// Keeps the words that are newer than what is kept.
  func hear(_ words: [Cordon], fleet: FleetName) throws
  /// Commands that other processes left for the one that has these services; each is handed out once. One that has lain there for longer than
  /// `CommandAnswer.expiry` is not: whoever left it has gone.
  func takeCommands(_ fleet: FleetName, for services: [ServiceName], now: WallTime) throws -> [StoredCommand]
  /// What other processes of this machine have committed since `mark`; nil: nothing. `known`: how old the records at hand are.
  func changes(_ fleet: FleetName, since mark: Int64?, known: () -> [ServiceName: Revision]) throws -> StoreChanges?
  /// No other process of this machine does the same meanwhile: what is read, decided and committed in it is decided on what stands. For moments
  /// only.
  func exclusively<Value>(_ work: () throws -> Value) throws -> Value
  /// Turns a record into bytes and back, for the copies on hosts and gateways.
  func encode(_ record: ServiceRecord) throws -> [UInt8]
  func decode(_ bytes: [UInt8]) throws -> ServiceRecord
}

extension StorePort {
  package func commit(_ records: [ServiceRecord], events: [StoredEvent], fleet: FleetName) throws {
    try commit(records, events: events, answers: [], fleet: fleet)
  }
}

/// Time from outside: nothing in the engine reads a clock.
package protocol Timekeeper: Sendable {
  /// Monotonic, from any origin.
  func monotonic() -> Milliseconds
  func wall() -> WallTime
  func sleep(for time: Milliseconds) async throws
  /// How far a time zone's clocks are ahead of UTC at that time; nil: it is not known here.
  func offset(of zone: String, at wall: WallTime) -> Milliseconds?
}

/// What the store knows of a fleet.
package struct StoredFleet: Hashable, Sendable {
  package var records: [ServiceRecord]
  package var cordons: Cordons

  package init(records: [ServiceRecord] = [], cordons: Cordons = []) {
    self.records = records
    self.cordons = cordons
  }
}

/// What other processes of this machine have changed.
package struct StoreChanges: Hashable, Sendable {
  /// Where the next look goes on.
  package var mark: Int64
  /// Those that are not as they were known.
  package var records: [ServiceRecord]
  /// All that are kept.
  package var cordons: Cordons

  package init(mark: Int64, records: [ServiceRecord], cordons: Cordons) {
    self.mark = mark
    self.records = records
    self.cordons = cordons
  }
}

/// What became of a command that was left in the inbox: written in the transaction that makes it count, or that refuses it.
package struct CommandAnswer: Hashable, Codable, Sendable {
  package enum Verdict: Hashable, Codable, Sendable {
    case taken
    case refused(Refusal)
    /// Nobody has taken it in time.
    case expired
  }

  /// How long a command waits to be taken.
  package static let expiry = Milliseconds.minutes(1)

  package var command: String
  package var verdict: Verdict

  package init(command: String, verdict: Verdict) {
    self.command = command
    self.verdict = verdict
  }
}

/// A command in the inbox.
package struct StoredCommand: Hashable, Codable, Sendable {
  package var service: ServiceName
  package var command: Command

  package init(service: ServiceName, command: Command) {
    self.service = service
    self.command = command
  }
}

/// One event with its service and time.
package struct StoredEvent: Hashable, Codable, Sendable {
  package var service: ServiceName
  package var at: WallTime
  package var rollout: Int?
  package var event: RecordEvent

  package init(service: ServiceName, at: WallTime, rollout: Int?, event: RecordEvent) {
    self.service = service
    self.at = at
    self.rollout = rollout
    self.event = event
  }
}

/// Asks to act on a service from now on.
package struct FenceClaim: Hashable, Codable, Sendable {
  package var service: ServiceName
  package var fence: Fence
  /// Identifies the controller's machine: its own dead fences may be taken at once.
  package var machine: String
  package var since: WallTime
  /// Take it from a holder that is believed dead.
  package var takeOver: Bool

  package init(service: ServiceName, fence: Fence, machine: String, since: WallTime, takeOver: Bool) {
    self.service = service
    self.fence = fence
    self.machine = machine
    self.since = since
    self.takeOver = takeOver
  }
}

/// Who holds a fence, as the host or gateway says.
package struct FenceHolder: Hashable, Codable, Sendable {
  package var fence: Fence
  package var machine: String
  package var since: WallTime
  /// It ended cleanly: anyone may take it with a higher epoch.
  package var released: Bool

  package init(fence: Fence, machine: String, since: WallTime, released: Bool) {
    self.fence = fence
    self.machine = machine
    self.since = since
    self.released = released
  }
}

/// What a host or gateway answers to a claim.
package enum ClaimAnswer<Seen: Hashable & Sendable>: Hashable, Sendable {
  case granted(Seen, SignedCopy?)
  case refused(FenceHolder)
  case unreachable(String)
  /// It was reached and something is wrong with it: a missing right or tool.
  case failed(Failure)
}

/// An action on a host, with all that it needs.
package struct HostOrder: Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    case observe
    case stage(Release)
    case start(Instance, Release)
    case checkReady(Instance, Release)
    /// One run of the release's task, with the secrets of that version.
    case task(Release, number: Int, secrets: String)
    /// nil: its release is in no record (an orphan).
    case stop(Instance, Release?)
  }

  package var service: ServiceName
  package var fence: Fence
  /// Unique within the service.
  package var attempt: Int
  package var policy: ServicePolicy
  package var kind: Kind

  package init(service: ServiceName, fence: Fence, attempt: Int, policy: ServicePolicy, kind: Kind) {
    self.service = service
    self.fence = fence
    self.attempt = attempt
    self.policy = policy
    self.kind = kind
  }
}
