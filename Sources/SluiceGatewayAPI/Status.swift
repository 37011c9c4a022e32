package import SluiceModel
package import SluiceTraffic

/// What became of requests. Always: `admitted = completed + failed + cutOff + gone + inFlight + longLived`.
package struct RequestCounts: Hashable, Codable, Sendable {
  /// Given to a target.
  package var admitted: Int
  /// Answered by the service, whole.
  package var completed: Int
  /// Answered by the gateway in the service's place (502, 504), because the target did not.
  package var failed: Int
  /// Ended before the answer was whole: the target broke off, or a deadline cut it.
  package var cutOff: Int
  /// The client left first.
  package var gone: Int
  /// Admitted and not ended, tunnels left out.
  package var inFlight: Int
  /// Tunnels open now.
  package var longLived: Int
  /// Not admitted: refused by the switch, or held longer than allowed.
  package var refused: Int
  /// Not admitted: no target could take it.
  package var unserved: Int
  /// Not admitted: the client left while it was held.
  package var abandoned: Int
  /// Held now at `queue`, or waiting for the first probe of any target.
  package var waiting: Int

  package init(
    admitted: Int = 0, completed: Int = 0, failed: Int = 0, cutOff: Int = 0, gone: Int = 0, inFlight: Int = 0,
    longLived: Int = 0, refused: Int = 0, unserved: Int = 0, abandoned: Int = 0, waiting: Int = 0
  ) {
    self.admitted = admitted
    self.completed = completed
    self.failed = failed
    self.cutOff = cutOff
    self.gone = gone
    self.inFlight = inFlight
    self.longLived = longLived
    self.refused = refused
    self.unserved = unserved
    self.abandoned = abandoned
    self.waiting = waiting
  }
}

/// Where a service's switch stands and what it did.
package struct SwitchReport: Hashable, Codable, Sendable {
  package var state: SwitchMachine.State
  /// An order that waits for its time.
  package var pending: SwitchMachine.Pending?
  /// Since the switch last moved (or the process began). Its `admitted` starts with what was in flight at that moment, so the numbers
  /// add up.
  package var since: RequestCounts

  package init(state: SwitchMachine.State, pending: SwitchMachine.Pending?, since: RequestCounts) {
    self.state = state
    self.pending = pending
    self.since = since
  }
}

/// One target, as measured.
package struct TargetStatus: Hashable, Codable, Sendable {
  package var instance: InstanceID
  package var release: ReleaseNumber
  package var address: String
  package var port: Int
  package var state: TargetMachine.State
  package var health: HealthMachine.Health
  /// When `health` took its value.
  package var since: WallTime
  /// What the last probe saw, for people; empty before the first.
  package var lastProbe: String
  /// Requests in flight over all event loops, tunnels left out.
  package var inFlight: Int
  /// Tunnels open now.
  package var longLived: Int
  package var admitted: Int
  package var completed: Int
  package var failed: Int
  package var cutOff: Int
  package var gone: Int
  /// How often the gateway answered in its place or broke its answer off, by kind (as in `/metrics`); nil: never, or from a gateway that does
  /// not tell.
  package var faults: [String: Int]?
  /// What the last such fault was, for people, and when.
  package var lastFault: String?
  package var lastFaultAt: WallTime?

  package init(
    instance: InstanceID, release: ReleaseNumber, address: String, port: Int, state: TargetMachine.State, health: HealthMachine.Health,
    since: WallTime, lastProbe: String, inFlight: Int = 0, longLived: Int = 0, admitted: Int = 0, completed: Int = 0, failed: Int = 0,
    cutOff: Int = 0, gone: Int = 0, faults: [String: Int]? = nil, lastFault: String? = nil, lastFaultAt: WallTime? = nil
  ) {
    self.instance = instance
    self.release = release
    self.address = address
    self.port = port
    self.state = state
    self.health = health
    self.since = since
    self.lastProbe = lastProbe
    self.inFlight = inFlight
    self.longLived = longLived
    self.admitted = admitted
    self.completed = completed
    self.failed = failed
    self.cutOff = cutOff
    self.gone = gone
    self.faults = faults
    self.lastFault = lastFault
    self.lastFaultAt = lastFaultAt
  }
}

/// One service at one gateway.
package struct ServiceStatus: Hashable, Codable, Sendable {
  package var service: ServiceName
  /// The fence that stands.
  package var fence: Fence
  /// The table that is live on every event loop; nil when there is none.
  package var revision: Revision?
  /// The age of the record copy kept here.
  package var record: Revision?
  package var `switch`: SwitchReport
  /// Since this process began.
  package var total: RequestCounts
  /// Whether nearly all targets fail together, so that all of them are used.
  package var panicking: Bool
  package var targets: [TargetStatus]
  /// Rises with every status of the service that this process gives: of two, the one with the higher number is the newer, whichever came first.
  /// Nil from a gateway that does not count yet.
  package var sequence: UInt64?
  /// The process that gives it; nil from a gateway that does not tell.
  package var boot: String?
  /// How the split stands; nil while there is none.
  package var split: SplitStatus?
  /// What the table asks for and another service has, on every event loop; nil: it has all that it asks for.
  package var lost: [LostRoute]?

  package init(
    service: ServiceName, fence: Fence, revision: Revision?, record: Revision?, switch: SwitchReport, total: RequestCounts, panicking: Bool,
    targets: [TargetStatus], sequence: UInt64? = nil, boot: String? = nil, split: SplitStatus? = nil, lost: [LostRoute]? = nil
  ) {
    self.service = service
    self.fence = fence
    self.revision = revision
    self.record = record
    self.switch = `switch`
    self.total = total
    self.panicking = panicking
    self.targets = targets
    self.sequence = sequence
    self.boot = boot
    self.split = split
    self.lost = lost
  }
}

/// A split as a gateway carries it out.
package struct SplitStatus: Hashable, Codable, Sendable {
  package var generation: Revision
  package var share: BasisPoints
  /// Since when all users go to the serving pools because no controller was heard; nil: the split stands.
  package var fallenBack: WallTime?

  package init(generation: Revision, share: BasisPoints, fallenBack: WallTime? = nil) {
    self.generation = generation
    self.share = share
    self.fallenBack = fallenBack
  }
}

/// What both sides of a split have met since this process began and the split's generation stands: cumulative, so that a reader with a cursor
/// counts nothing twice.
package struct TrafficReport: Hashable, Codable, Sendable {
  package var service: ServiceName
  package var generation: Revision
  package var canary: ReleaseTraffic
  package var stable: ReleaseTraffic

  package init(service: ServiceName, generation: Revision, canary: ReleaseTraffic, stable: ReleaseTraffic) {
    self.service = service
    self.generation = generation
    self.canary = canary
    self.stable = stable
  }
}

/// One gateway process: `GET /v1/status`.
package struct GatewayStatus: Hashable, Codable, Sendable {
  /// New with each start of the process.
  package var boot: String
  package var version: String
  package var pid: Int
  /// The gateway's clock when it answered.
  package var clock: WallTime
  /// Whether the health address answers 503, to take this gateway out of whatever stands in front of it.
  package var draining: Bool
  /// Why the gateway runs on older state than it should; nil when all is well.
  package var degraded: String?
  /// What else an operator must know, a strange listener on the gateway's port above all; nil: nothing, or from a gateway that does not tell.
  package var warnings: [String]?
  /// Client connections open now.
  package var connections: Int
  package var services: [ServiceStatus]

  package init(
    boot: String, version: String, pid: Int, clock: WallTime, draining: Bool, degraded: String?, connections: Int,
    services: [ServiceStatus],
    warnings: [String]? = nil
  ) {
    self.boot = boot
    self.version = version
    self.pid = pid
    self.clock = clock
    self.draining = draining
    self.degraded = degraded
    self.connections = connections
    self.services = services
    self.warnings = warnings
  }
}

/// One line of `GET /v1/watch` (NDJSON): a snapshot first, then a line for each change, and a heartbeat each second.
package enum WatchLine: Hashable, Codable, Sendable {
  case snapshot(gateway: GatewayStatus)
  /// Health changed, a drain ended, a table or switch became live.
  case service(status: ServiceStatus)
  case removed(service: ServiceName)
  /// Each second in which it changed, and after the snapshot; also for the generation before the present one while its last requests end.
  case traffic(report: TrafficReport)
  case heartbeat(clock: WallTime)
}
