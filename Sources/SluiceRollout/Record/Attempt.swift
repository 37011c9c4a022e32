package import SluiceModel

/// One try of one action. It has one outcome, or is in doubt.
package struct Attempt: Hashable, Codable, Sendable {
  /// Unique within the service, rising.
  package let id: Int
  package let action: Action
  /// When it was decided, in the record's active time.
  package let openedAt: Milliseconds

  package init(id: Int, action: Action, openedAt: Milliseconds) {
    self.id = id
    self.action = action
    self.openedAt = openedAt
  }
}

/// Everything the brain can ask of the world. Each is idempotent: asking again after an unknown outcome does no harm.
package enum Action: Hashable, Codable, Sendable {
  /// Reads the host's facts again.
  case observe(HostName)
  /// Brings the release's files to the host: nothing where the digest is there.
  case stage(HostName, ReleaseNumber)
  /// Ensures the instance runs: claims its slot and port, writes its unit, starts it.
  case start(HostName, instance: Int)
  /// Asks the instance, by way of the host, until it is ready or `startTimeout` has passed.
  case checkReady(HostName, instance: Int)
  /// `preStop`, signal, `killAfter`, kill; ends when the port is seen closed.
  case stop(HostName, instance: Int)
  /// Gives one gateway the whole table.
  case setTable(GatewayID, Revision)
  /// Runs a user's executable on the controller.
  case hook(HookPoint, wave: Int?)
  /// The service is no longer behind this gateway: it forgets the table.
  case removeTable(GatewayID)
  /// Ensures that this run of the release's task has begun on the host, and waits for its end.
  case task(HostName, ReleaseNumber, number: Int)
  /// Asks a check of the canary's analysis, on the controller.
  case check(String, step: Int)
  /// Copies the record to the gateways and two hosts.
  case replicate

  /// What the action is about: at most one attempt is open per object.
  package var object: AttemptObject {
    switch self {
    case .observe(let host): .host(host)
    case .stage(let host, let release): .staging(host, release)
    case .start(_, let instance), .checkReady(_, let instance), .stop(_, let instance): .instance(instance)
    case .setTable(let gateway, _), .removeTable(let gateway): .gateway(gateway)
    case .hook: .hook
    case .task: .task
    case .check(let name, _): .check(name)
    case .replicate: .replica
    }
  }

  /// Whether it concerns a rollout as such: with that it is given up.
  var isOfTheRollout: Bool {
    switch self {
    case .hook, .task, .check, .replicate: true
    case .observe, .stage, .start, .checkReady, .stop, .setTable, .removeTable: false
    }
  }

  /// The host it is sent to, if any.
  package var host: HostName? {
    switch self {
    case .observe(let host), .stage(let host, _), .start(let host, _), .checkReady(let host, _), .stop(let host, _), .task(let host, _, _):
      host
    case .setTable, .removeTable, .hook, .check, .replicate: nil
    }
  }
}

/// What attempts are serialised by.
package enum AttemptObject: Hashable, Codable, Sendable {
  case host(HostName)
  case staging(HostName, ReleaseNumber)
  case instance(Int)
  case gateway(GatewayID)
  case hook
  case task
  case check(String)
  case replica
}

/// The objects that attempts are open on.
struct OccupiedObjects: Hashable, Sendable {
  /// The numbers of instances, rising.
  private var instances: [Int] = []
  private var others: Set<AttemptObject> = []

  init(_ attempts: [Attempt]) { for attempt in attempts { insert(attempt.action.object) } }

  func contains(_ object: AttemptObject) -> Bool {
    if case .instance(let number) = object { instances.index(of: number, by: \.self) != nil } else { others.contains(object) }
  }

  mutating func insert(_ object: AttemptObject) {
    guard case .instance(let number) = object else {
      others.insert(object)
      return
    }
    let place = instances.partitioningIndex { $0 >= number }
    if place == instances.count || instances[place] != number { instances.insert(number, at: place) }
  }

  mutating func remove(_ object: AttemptObject) {
    if case .instance(let number) = object {
      if let place = instances.index(of: number, by: \.self) { instances.remove(at: place) }
    } else {
      others.remove(object)
    }
  }
}

/// How an attempt ended.
package enum AttemptResult: Hashable, Codable, Sendable {
  /// Done; what was seen along with it.
  case succeeded(Seen)
  /// It was tried and failed: asking again would fail again, unless something changes.
  case failed(Failure)
  /// The host or gateway could not be reached, so nothing was done.
  case unreachable(String)
  /// It was sent, and whether it took effect is unknown: look, then decide.
  case inDoubt(String)

  /// What an outcome brings with it.
  package enum Seen: Hashable, Codable, Sendable {
    case nothing
    /// The host's generation after the action.
    case host(generation: UInt64)
    case facts(HostFact)
    case gateway(GatewayFact)
    /// How the stop went: whether the kill was needed.
    case stopped(generation: UInt64, killed: Bool)
  }
}

/// What went wrong, in the words an operator needs at 3 in the morning.
package struct Failure: Hashable, Codable, Sendable {
  package enum Kind: String, Codable, Sendable {
    /// The command does not exist, exits at once, or the runtime refused it.
    case start
    /// It runs, and never answered its readiness check.
    case readiness
    /// Another process has the port.
    case portTaken
    /// Instances of other services have all of the host's slots.
    case slotsTaken
    /// The host lacks something: space, a tool, a right.
    case host
    /// The artifact or a secret could not be brought.
    case staging
    /// The host or gateway has a newer fence.
    case fenced
    case gateway
    case hook
    /// The release's task ended with an error.
    case task
    /// The release's task has ended, and nobody knows how.
    case interrupted
    case stop
    /// A check of the analysis did not pass.
    case check
    /// The canary's users met more errors, or waited longer, than is tolerated.
    case analysis
    /// The controller was told to stop it.
    case cancelled
    /// The host takes no instances: an operator has drained it.
    case drained
  }

  package var kind: Kind
  /// One sentence: what happened and why.
  package var message: String
  /// The last output of the check or command, and of the instance's log.
  package var output: String
  /// What to do next; may be empty.
  package var remedy: String
  /// Where a newer fence stands: that fence, if it was told.
  package var holder: Fence?
  /// Where the host takes no instances: by whose word.
  package var cordon: Cordon?

  package init(
    _ kind: Kind, _ message: String, output: String = "", remedy: String = "", holder: Fence? = nil, cordon: Cordon? = nil
  ) {
    self.holder = holder
    self.cordon = cordon
    self.kind = kind
    self.message = message
    self.output = output
    self.remedy = remedy
  }
}
