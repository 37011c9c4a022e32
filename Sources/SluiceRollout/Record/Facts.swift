package import SluiceModel
package import SluiceTraffic

/// What one look at a host showed about one service.
package struct HostFact: Hashable, Codable, Sendable {
  package var host: HostName
  /// Raised by every script that changes the host; a fact of a lower one is old.
  package var generation: UInt64
  package var instances: [InstanceFact]
  /// Digests of the releases that are unpacked there.
  package var releases: [Digest]
  /// Ports that something listens on, of any owner.
  package var listening: [Int]
  /// What was last said of whether it takes instances; nil: nothing that the host knows of.
  package var cordon: Cordon?
  /// The ports of all instances of other services that have slots there, also of services that this controller has never heard of; nil: it does
  /// not tell.
  package var held: [Int]?

  package init(
    host: HostName, generation: UInt64, instances: [InstanceFact] = [], releases: [Digest] = [], listening: [Int] = [],
    cordon: Cordon? = nil, held: [Int]? = nil
  ) {
    self.host = host
    self.generation = generation
    self.instances = instances
    self.releases = releases
    self.listening = listening
    self.cordon = cordon
    self.held = held
  }
}

/// One instance as its host shows it.
package struct InstanceFact: Hashable, Codable, Sendable {
  package var number: Int
  package var port: Int
  /// Something keeps its program running: it is up, or its supervisor is about to start it again.
  package var running: Bool
  /// How its program ended, where it is not up at this moment: in the pause before its next start (`running`), or for good.
  package var ended: EndedFact?

  package init(number: Int, port: Int, running: Bool, ended: EndedFact? = nil) {
    self.number = number
    self.port = port
    self.running = running
    self.ended = ended
  }
}

/// How an instance's program ended, as its host tells it.
package struct EndedFact: Hashable, Codable, Sendable {
  package enum Cause: String, Hashable, Codable, Sendable {
    /// By itself.
    case exited
    /// Its supervisor has given it up after too many failures in a row: what Sluice 0.1 started.
    case givenUp
    /// Whoever started it again is gone: the supervisor was killed, the host booted, the unit stopped by hand.
    case unsupervised
    /// Its unit was removed from the host.
    case unitRemoved
    /// It went on in the background: what listens on its port is not what is supervised.
    case background
  }

  package var cause: Cause
  /// By the host's clock; nil where it does not know.
  package var since: WallTime?
  /// What the program ended with; nil where a signal ended it, or nobody knows.
  package var exitStatus: Int?
  /// The number of the signal that ended it.
  package var signal: Int?
  /// How often it was started again since Sluice started it.
  package var restarts: Int

  package init(_ cause: Cause, since: WallTime? = nil, exitStatus: Int? = nil, signal: Int? = nil, restarts: Int = 0) {
    self.cause = cause
    self.since = since
    self.exitStatus = exitStatus
    self.signal = signal
    self.restarts = restarts
  }
}

/// What one gateway says about one service.
package struct GatewayFact: Hashable, Codable, Sendable {
  package var gateway: GatewayID
  /// The table that is live on every one of its loops; nil when it has none for the service.
  package var revision: Revision?
  package var targets: [TargetFact]
  /// New with each start of the gateway; nil where it does not tell.
  package var boot: String?
  /// Of two facts of one start, the one with the higher number is the newer; nil where it does not tell.
  package var sequence: UInt64?
  /// It sends all users to the stable release, because it has heard of no controller.
  package var fellBack: Bool
  /// What the table asks for and another service has there; nil: nothing.
  package var lost: [LostRoute]?

  package init(
    gateway: GatewayID, revision: Revision?, targets: [TargetFact] = [], boot: String? = nil, sequence: UInt64? = nil,
    fellBack: Bool = false, lost: [LostRoute]? = nil
  ) {
    self.gateway = gateway
    self.revision = revision
    self.targets = targets
    self.boot = boot
    self.sequence = sequence
    self.fellBack = fellBack
    self.lost = lost
  }

  /// What it says of that instance.
  package func target(_ instance: Int) -> TargetFact? { targets.first { $0.instance == instance } }
}

/// What one gateway has counted of both sides of a split, since its start and the split's first table.
package struct TrafficFact: Hashable, Sendable {
  package var gateway: GatewayID
  package var boot: String
  package var generation: Revision
  package var canary: ReleaseTraffic
  package var stable: ReleaseTraffic

  package init(gateway: GatewayID, boot: String, generation: Revision, canary: ReleaseTraffic, stable: ReleaseTraffic) {
    self.gateway = gateway
    self.boot = boot
    self.generation = generation
    self.canary = canary
    self.stable = stable
  }
}

/// One target as a gateway measures it.
package struct TargetFact: Hashable, Codable, Sendable {
  package var instance: Int
  package var healthy: Bool
  /// Why it is not healthy: the last probe's words.
  package var probe: String
  /// Requests admitted and not yet ended, long-lived connections included.
  package var inFlight: Int

  package init(instance: Int, healthy: Bool, probe: String = "", inFlight: Int = 0) {
    self.instance = instance
    self.healthy = healthy
    self.probe = probe
    self.inFlight = inFlight
  }
}

/// Whether a host or gateway can be reached, as last seen.
package enum Reach: Hashable, Codable, Sendable {
  case unknown
  case reachable
  case unreachable(String)

  package var isReachable: Bool { self == .reachable }
}
