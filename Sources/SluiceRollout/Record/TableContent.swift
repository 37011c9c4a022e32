package import SluiceModel

/// A table that a gateway has refused.
package struct TableRefusal: Hashable, Codable, Sendable {
  /// After so many tries it is a gate.
  package static let patience = 3

  package var revision: Revision
  /// How often for this reason, whatever the table.
  package var tries: Int
  package var failure: Failure

  package init(revision: Revision, tries: Int, failure: Failure) {
    self.revision = revision
    self.tries = tries
    self.failure = failure
  }
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

  /// Whether that release gets requests, and no split keeps some of them from it.
  func sendsAll(to release: ReleaseNumber) -> Bool {
    split == nil && !(idle?.contains(release) ?? false) && targets.contains { $0.release == release && !$0.draining }
  }

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
