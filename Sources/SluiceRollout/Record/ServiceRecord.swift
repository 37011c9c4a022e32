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
  /// The release before `stable`: where a rollback that names none goes to.
  package var previous: ReleaseNumber?
  /// The releases that succeeded one after another up to the one that stands, without those that were gone back from; nil in records of
  /// before this was kept.
  package var way: [ReleaseNumber]?
  /// Releases whose spec is no longer kept: those that failed, or were superseded. In order of their numbers; nil: none.
  @Boxed package var past: [PastRelease]?
  /// The number of the release that comes next; nil: the one after the last of `releases`.
  package var nextRelease: Int?
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

  /// A record that begins under a fence. Where that is not the first, another may have begun before, of which nothing is to be found: what runs of
  /// that, on hosts that do not answer now, has other numbers.
  package init(policy: ServicePolicy, begunUnder epoch: UInt64) {
    self.init(policy: policy)
    nextInstance += 1_000 * Int(min(max(epoch, 1) - 1, 100_000))
  }

  package var service: ServiceName { policy.name }
  /// Whether it has the other's policy: most often the very same value, which costs nothing to find out.
  func hasPolicy(of other: ServiceRecord) -> Bool { _policy == other._policy }
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

  /// Not serving as far as is known, and yet it may be: none of `gateways` calls it unhealthy. One may not have been asked yet, or what it says
  /// has only just been heard.
  ///
  /// Rule 1 lets nothing that may be serving go as if it cost nothing.
  package func mayServe(_ instance: Instance, gateways: [GatewayID]) -> Bool {
    guard instance.phase == .serving, instance.condemned == nil, instance.healthySince == nil, carriesUsers(instance.release) else {
      return false
    }
    return !gateways.isEmpty && gateways.allSatisfy { gateway($0)?.verdict(on: instance) != .unhealthy }
  }

  /// Whether the instance was there before the wave that runs, and belongs to none: how it ends says nothing of the rollout.
  func isLeftover(_ number: Int) -> Bool { rollout?.wave?.replacements.contains { $0.new == number } != true }

  /// Whether there are fewer instances of the release than are to stand; of another one than is wanted there are never too few.
  func lacks(_ release: ReleaseNumber) -> Bool {
    guard let goal, goal.release == release else { return false }
    return instances.count { $0.release == release && $0.condemned == nil && $0.takesPlace && !$0.isLost } < goal.replicas
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
  /// Slots that services hold of which nothing is known here; nil: none.
  package var strangers: Int?
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
  /// It does not take what it was given last; nil: it does, or was given nothing since.
  package var refusal: TableRefusal?
  /// Users come to the route through others until it has found healthy all that serve: until then its word on health does not count; nil: it does.
  package var joins: Bool?

  package init(id: GatewayID) {
    self.id = id
    reach = .unknown
    excluded = false
    targets = []
    joins = true
  }

  package func target(_ instance: Int) -> TargetFact? { targets.index(of: instance, by: \.instance).map { targets[$0] } }

  /// Whether it has refused that table, or ones before it for the same reason, so often that asking again says nothing new.
  package func refuses(_ revision: Revision) -> Bool {
    guard let refusal, self.revision != revision else { return false }
    return refusal.revision == revision && refusal.tries >= TableRefusal.patience
  }

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
