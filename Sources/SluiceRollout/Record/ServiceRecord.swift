package import SluiceModel

/// All that is decided about a service. `absorb` and `decide` are the only ones to change it; a copy of it is all another controller needs to go on.
package struct ServiceRecord: Hashable, Codable, Sendable {
  /// Who may act on the service; nil until the first fence was taken.
  package var fence: Fence?
  /// Rises with every commit.
  package var version: UInt64
  @Boxed package var policy: ServicePolicy
  /// In order of their numbers.
  package var releases: [Release]
  /// What the last rollout that succeeded has left: where a rollback goes, once there is a newer one.
  package var stable: Goal?
  /// The release before `stable`.
  package var previous: ReleaseNumber?
  /// An operator's number of replicas, over the manifest's.
  package var scale: Int?
  /// In order of their numbers.
  package var instances: [Instance]
  /// In order of their names.
  package var hosts: [HostState]
  package var gateways: [GatewayState]
  package var table: TableState
  package var rollout: Rollout?
  @Boxed package var ended: RolloutEnd?
  /// Attempts without an outcome, in order of their ids.
  package var attempts: [Attempt]
  package var backoffs: [Backoff]
  /// How long controllers have looked after this record: monotonic, kept over crashes, so that no deadline is counted while nobody looks.
  package var activeTime: Milliseconds
  /// When it was written last, for people: nothing is decided by it.
  package var committedAt: WallTime?
  /// An operator lets no release begin or go further.
  package var freeze: Freeze?
  /// The newest release whose task cannot be undone: none before it can be gone back to.
  package var noWayBack: ReleaseNumber?
  /// It was ended for good; an apply begins it anew. Nil: it was not.
  package var removal: Removal?
  /// How far it has taken over the route of the service that `policy.formerly` names; nil: it takes over nothing.
  package var takeover: Takeover?
  /// It is stopped, and an operator has let others have its route.
  package var routeGivenUp: Bool?
  package var nextInstance: Int
  package var nextAttempt: Int
  package var nextRollout: Int
  /// Commands that have been absorbed, the newest last: each counts once.
  package var commands: [String]

  package init(policy: ServicePolicy) {
    self.policy = policy
    version = 0
    releases = []
    instances = []
    hosts = []
    gateways = []
    table = TableState()
    attempts = []
    backoffs = []
    activeTime = .zero
    nextInstance = 1
    nextAttempt = 1
    nextRollout = 1
    commands = []
  }

  package var service: ServiceName { policy.name }
  package var revision: Revision { Revision(epoch: fence?.epoch ?? 0, version: version) }

  /// Whether a rollout is under way. (`rollout != nil` would copy it to compare it.)
  package var isRolling: Bool { if case .some = rollout { true } else { false } }

  package func instance(_ number: Int) -> Instance? { instances.index(of: number, by: \.number).map { instances[$0] } }
  package func release(_ number: ReleaseNumber) -> Release? { releases.first { $0.number == number } }
  package func host(_ name: HostName) -> HostState? { hosts.index(of: name, by: \.name).map { hosts[$0] } }
  package func gateway(_ id: GatewayID) -> GatewayState? { gateways.first { $0.id == id } }
  package func attempt(_ id: Int) -> Attempt? { attempts.index(of: id, by: \.id).map { attempts[$0] } }
  package func openAttempt(on object: AttemptObject) -> Attempt? { attempts.first { $0.action.object == object } }
  /// Whether anything is not as in the other; what changes most often is looked at first.
  package func differs(from other: ServiceRecord) -> Bool {
    nextAttempt != other.nextAttempt || attempts.count != other.attempts.count || !instances.stand(as: other.instances) || self != other
  }

  /// How many instances may hold a process: what the cap counts.
  package var existing: Int { instances.indices.count { instances[$0].isExisting } }
  /// Whether the host is known to have the release's files.
  func isStaged(_ release: Digest, on name: HostName) -> Bool {
    hosts.index(of: name, by: \.name).map { hosts[$0].releases.contains(release) } ?? false
  }
  /// Whether the newest table names it.
  func isRouted(_ instance: Int) -> Bool { table.content?.targets.index(of: instance, by: \.instance) != nil }

  /// Not serving as far as is known, and yet it may be: no gateway calls it unhealthy, and one of `gateways` cannot be asked.
  ///
  /// Rule 1 lets nothing that may be serving go as if it cost nothing.
  package func mayServe(_ instance: Instance, gateways: [GatewayID]) -> Bool {
    guard instance.phase == .serving, instance.condemned == nil, instance.healthySince == nil, carriesUsers(instance.release) else {
      return false
    }
    let verdicts = gateways.map { gateway($0)?.verdict(on: instance) ?? .unknown }
    return verdicts.contains(.unknown) && !verdicts.contains(.unhealthy)
  }

  /// Whether its instances hold the slots and ports that those of `other` do.
  package func holdsTheSame(as other: ServiceRecord) -> Bool {
    instances.count == other.instances.count
      && instances.indices.allSatisfy { index in
        instances[index].number == other.instances[index].number && instances[index].port == other.instances[index].port
          && instances[index].host == other.instances[index].host
      }
      && policy.placement.require == other.policy.placement.require
  }

  /// Whether none of the rack's hosts that could have an instance can be reached.
  package func isLost(_ rack: Rack) -> Bool {
    let hosts = rack.hosts.filter { $0.slots > 0 }
    return !hosts.isEmpty && hosts.allSatisfy { if case .unreachable? = host($0.name)?.reach { true } else { false } }
  }

  /// What shall be, rollout or none.
  package var goal: Goal? { rollout?.goal ?? stable }
}

/// Who keeps a service as it is, and why.
package struct Freeze: Hashable, Codable, Sendable {
  package var by: String
  package var at: WallTime
  /// May be empty.
  package var reason: String
}

/// One immutable version of the service.
package struct Release: Hashable, Codable, Sendable {
  package enum Status: Hashable, Codable, Sendable {
    case candidate
    case succeeded
    /// Applying its digest again is refused without `--force`.
    case bad(String)
  }

  package let number: ReleaseNumber
  /// SHA-256 over `spec`'s canonical form.
  package let digest: Digest
  @Boxed package private(set) var spec: ReleaseSpec
  package var status: Status
  /// What has become of its task; nil: it has not begun.
  package var task: TaskRun?

  package init(number: ReleaseNumber, digest: Digest, spec: ReleaseSpec, status: Status = .candidate) {
    self.number = number
    self.digest = digest
    self.spec = spec
    self.status = status
  }
}

/// What the record remembers of a host.
package struct HostState: Hashable, Codable, Sendable {
  package let name: HostName
  package var reach: Reach
  /// Of the last outcome or fact: older ones are ignored.
  package var generation: UInt64
  package var releases: [Digest]
  /// Ports that others listen on.
  package var listening: [Int]
  /// Something sent to it is in doubt: nothing more is sent until it was looked at.
  package var needsLook: Bool
  /// When its facts were last taken, in active time; nil: never.
  package var lookedAt: Milliseconds?

  package init(name: HostName) {
    self.name = name
    reach = .unknown
    generation = 0
    releases = []
    listening = []
    needsLook = false
  }
}

/// What the record remembers of a gateway process.
package struct GatewayState: Hashable, Codable, Sendable {
  package let id: GatewayID
  package var reach: Reach
  /// An operator has taken it out of users' way.
  package var excluded: Bool
  /// The table it has acknowledged on every loop.
  package var revision: Revision?
  /// In order of their instances.
  package var targets: [TargetFact]
  /// Which start of it said so last.
  package var boot: String?
  /// The number of the newest status of that start.
  package var sequence: UInt64?
  /// It has sent all users to the stable release because it heard of no controller; nil: it has not.
  package var fellBack: Bool?
  /// It has been heard since the fence was taken; nil: it has not, and may have tables that this record does not know of.
  package var heard: Bool?
  /// The service's users are moved away from it; nil: it belongs to the route.
  package var departure: Departure?

  package init(id: GatewayID) {
    self.id = id
    reach = .unknown
    excluded = false
    targets = []
  }

  package func target(_ instance: Int) -> TargetFact? { targets.index(of: instance, by: \.instance).map { targets[$0] } }
  func knows(_ instance: Int) -> Bool { targets.index(of: instance, by: \.instance) != nil }

  /// What it says of an instance: nothing while it cannot be asked, or while its table is from before the instance was let in.
  package func verdict(on instance: Instance) -> Verdict {
    guard reach.isReachable, let revision, let since = instance.admittedBy, revision >= since,
      let place = targets.index(of: instance.number, by: \.instance)
    else { return .unknown }
    return targets[place].healthy ? .healthy : .unhealthy
  }

  /// Leaves `healthy` true for those of the instances only that it calls so; both are in order of the instances' numbers.
  func withdraw(_ healthy: inout [Bool], of instances: [Instance]) {
    let asked = reach.isReachable ? revision : nil
    var target = targets.startIndex
    for index in instances.indices {
      while target < targets.endIndex, targets[target].instance < instances[index].number { target += 1 }
      let isNamed = target < targets.endIndex && targets[target].instance == instances[index].number
      guard let asked, let since = instances[index].admittedBy, isNamed, asked >= since, targets[target].healthy else {
        healthy[index] = false
        continue
      }
    }
  }

  package enum Verdict: Hashable, Sendable { case healthy, unhealthy, unknown }
}

/// The newest table that was decided.
package struct TableState: Hashable, Codable, Sendable {
  /// Its version rises with every change of `content`.
  package var revision: Revision
  @Boxed package var content: TableContent?

  package init() { revision = Revision(epoch: 0, version: 0) }

  /// Whether nothing is routed.
  package var isEmpty: Bool { if case .none = content { true } else { false } }
}

/// A route's whole table: what each gateway is given, as `content(for:)` says.
package struct TableContent: Hashable, Codable, Sendable {
  package var route: Route
  /// Of the newest release that is wanted, and of all that `checks` does not name.
  package var readiness: ReadinessCheck
  package var drain: DrainPolicy
  /// In order of their instances.
  package var targets: [TableTarget]
  /// Requests wait, at most so long, while this stands.
  package var hold: Milliseconds?
  /// Releases that users are not sent to; nil: none.
  package var idle: [ReleaseNumber]?
  package var split: TableSplit?
  package var preview: TablePreview?
  /// Releases with another check, in order: each target is judged by what its own release promised. Nil: none.
  package var checks: [TableCheck]?
  /// The service whose requests come here as soon as any release of this table is not idle; nil: nobody's.
  package var takesFrom: ServiceName?
  /// Gateways that are left; nil: none.
  package var departures: [TableDeparture]?

  package init(route: Route, readiness: ReadinessCheck, drain: DrainPolicy, targets: [TableTarget], hold: Milliseconds?) {
    self.route = route
    self.readiness = readiness
    self.drain = drain
    self.targets = targets
    self.hold = hold
  }

  package func target(_ instance: Int) -> TableTarget? { targets.index(of: instance, by: \.instance).map { targets[$0] } }

  /// How the targets of a release are judged.
  package func check(of release: ReleaseNumber) -> ReadinessCheck {
    checks?.first { $0.release == release }?.readiness ?? readiness
  }
}

/// How the targets of one release are judged.
package struct TableCheck: Hashable, Codable, Sendable {
  package let release: ReleaseNumber
  package let readiness: ReadinessCheck

  package init(release: ReleaseNumber, readiness: ReadinessCheck) {
    self.release = release
    self.readiness = readiness
  }
}

/// Which users go to one release of a table.
package struct TableSplit: Hashable, Codable, Sendable {
  package var release: ReleaseNumber
  package var share: BasisPoints
  package var salt: String
  /// The first table with these users: gateways count anew with each.
  package var generation: Revision
  package var user: UserKey
  package var allow: [String]
  package var deny: [String]
  package var override: SplitOverride?
  package var userWindow: Milliseconds
  /// When gateways that hear of no controller send all users to the stable release, as long as so many of its targets serve.
  package var fallBack: FallBack?

  package struct FallBack: Hashable, Codable, Sendable {
    package var after: Milliseconds
    package var leastTargets: Int

    package init(after: Milliseconds, leastTargets: Int) {
      self.after = after
      self.leastTargets = leastTargets
    }
  }

  package init(
    release: ReleaseNumber, share: BasisPoints, salt: String, generation: Revision, user: UserKey, allow: [String] = [],
    deny: [String] = [], override: SplitOverride? = nil, userWindow: Milliseconds = .zero, fallBack: FallBack? = nil
  ) {
    self.release = release
    self.share = share
    self.salt = salt
    self.generation = generation
    self.user = user
    self.allow = allow
    self.deny = deny
    self.override = override
    self.userWindow = userWindow
    self.fallBack = fallBack
  }

  /// Whether the same users go the same ways, so that counting goes on.
  func sends(theSameAs other: TableSplit) -> Bool {
    var same = other
    same.generation = generation
    same.fallBack = fallBack
    return same == self
  }
}

/// Host names that reach one release only.
package struct TablePreview: Hashable, Codable, Sendable {
  package var hosts: [String]
  package var release: ReleaseNumber

  package init(hosts: [String], release: ReleaseNumber) {
    self.hosts = hosts
    self.release = release
  }
}

/// One instance as the table names it.
package struct TableTarget: Hashable, Codable, Sendable {
  package var instance: Int
  package var release: ReleaseNumber
  package var address: String
  package var port: Int
  package var draining: Bool

  package init(instance: Int, release: ReleaseNumber, address: String, port: Int, draining: Bool) {
    self.instance = instance
    self.release = release
    self.address = address
    self.port = port
    self.draining = draining
  }

  init(_ instance: Instance, draining: Bool) {
    self.init(instance: instance.number, release: instance.release, address: instance.address, port: instance.port, draining: draining)
  }

  /// Whether it is what `init(_:draining:)` would make.
  func names(_ instance: Instance, draining: Bool) -> Bool {
    self.instance == instance.number && self.draining == draining && port == instance.port && release == instance.release
      && address == instance.address
  }
}

/// When an object may be tried again.
package struct Backoff: Hashable, Codable, Sendable {
  package let object: AttemptObject
  package var tries: Int
  package var notBefore: Milliseconds

  package init(object: AttemptObject, tries: Int, notBefore: Milliseconds) {
    self.object = object
    self.tries = tries
    self.notBefore = notBefore
  }
}
