/// How a service moves from one release to another.
package enum Strategy: Hashable, Codable, Sendable {
  case rolling(Rolling)
  case blueGreen(BlueGreen)
  case canary(Canary)
  case recreate(Recreate)
}

extension Strategy {
  /// Every check that it may ask, in the manifest's order.
  package var checks: [AnalysisCheck] {
    switch self {
    case .rolling, .recreate: []
    case .blueGreen(let blueGreen): blueGreen.checks
    case .canary(let canary): ([canary.analysis] + canary.steps.map(\.analysis)).flatMap { $0?.checks ?? [] }
    }
  }

  /// With every check's command run in that folder.
  package func anchored(_ folder: String) -> Strategy {
    switch self {
    case .rolling, .recreate: return self
    case .blueGreen(var blueGreen):
      blueGreen.checks = blueGreen.checks.map { $0.anchored(folder) }
      return .blueGreen(blueGreen)
    case .canary(var canary):
      canary.analysis?.anchor(folder)
      for index in canary.steps.indices { canary.steps[index].analysis?.anchor(folder) }
      return .canary(canary)
    }
  }
}

extension Analysis {
  fileprivate mutating func anchor(_ folder: String) { checks = checks.map { $0.anchored(folder) } }
}

/// Replaces instances in waves.
package struct Rolling: Hashable, Codable, Sendable {
  package var maxUnavailable: Amount
  package var maxSurge: Amount
  /// A wave lies in one rack, and the next rack begins when the last is healthy.
  package var rackOrder: Bool
  /// What must remain if any one whole rack were lost, checked on the state after each stop.
  package var rackLossFloor: Amount?
  package var pauseBetween: Milliseconds

  package init(
    maxUnavailable: Amount = .count(0), maxSurge: Amount = .count(1), rackOrder: Bool = false, rackLossFloor: Amount? = nil,
    pauseBetween: Milliseconds = .zero
  ) {
    self.maxUnavailable = maxUnavailable
    self.maxSurge = maxSurge
    self.rackOrder = rackOrder
    self.rackLossFloor = rackLossFloor
    self.pauseBetween = pauseBetween
  }
}

/// Starts a whole second pool beside the first, moves all users to it at once, and keeps the first for a while.
package struct BlueGreen: Hashable, Codable, Sendable {
  /// Host names that reach the new pool before users do.
  package var preview: [String]
  /// Whether an operator's `promote` is waited for before users move.
  package var approve: Bool
  /// How long the old pool stays up afterwards, so that one step goes back.
  package var keepOld: Milliseconds
  /// Asked before users move.
  package var checks: [AnalysisCheck]

  package init(preview: [String] = [], approve: Bool = false, keepOld: Milliseconds = .seconds(30), checks: [AnalysisCheck] = []) {
    self.preview = preview
    self.approve = approve
    self.keepOld = keepOld
    self.checks = checks
  }
}

/// Gives the new release to a growing share of users, and judges it by what they meet.
package struct Canary: Hashable, Codable, Sendable {
  package var steps: [CanaryStep]
  /// User keys that are always in the canary, and never in it.
  package var allow: [String]
  package var deny: [String]
  /// A header by which testers choose the pool themselves.
  package var override: TesterHeader?
  package var controllerLost: ControllerLost
  package var analysis: Analysis?
  /// How the rest is replaced after the last step.
  package var maxSurge: Amount

  package init(
    steps: [CanaryStep], allow: [String] = [], deny: [String] = [], override: TesterHeader? = nil,
    controllerLost: ControllerLost = ControllerLost(), analysis: Analysis? = nil, maxSurge: Amount = .share(BasisPoints(2_500))
  ) {
    self.steps = steps
    self.allow = allow
    self.deny = deny
    self.override = override
    self.controllerLost = controllerLost
    self.analysis = analysis
    self.maxSurge = maxSurge
  }
}

/// One stage of a canary.
package struct CanaryStep: Hashable, Codable, Sendable {
  package var users: BasisPoints
  /// How many instances the canary has; nil: as many as its share of `replicas`, at least one.
  package var instances: Amount?
  /// The least time it lasts; longer while the analysis has no verdict.
  package var hold: Milliseconds
  /// The most time an analysis without a verdict may extend it; then an operator is asked.
  package var maxHold: Milliseconds
  /// Whether it ends only with an operator's `promote`.
  package var approve: Bool
  /// In the place of the canary's.
  package var analysis: Analysis?

  package init(
    users: BasisPoints, instances: Amount? = nil, hold: Milliseconds = .zero, maxHold: Milliseconds? = nil, approve: Bool = false,
    analysis: Analysis? = nil
  ) {
    self.users = users
    self.instances = instances
    self.hold = hold
    self.maxHold = maxHold ?? max(hold * 6, .minutes(30))
    self.approve = approve
    self.analysis = analysis
  }
}

/// A header by which testers choose the pool, as a manifest declares it.
package struct TesterHeader: Hashable, Codable, Sendable {
  package var header: String
  /// Where the word is read that guards it.
  package var secret: SecretSource
  /// SHA-256 of the salt and that word; nil until a release is applied.
  package var digest: Digest?
  /// Random, so that the digest, which is copied to hosts, cannot be looked up in a list; nil: none (Sluice 0.1).
  package var salt: String?

  package init(header: String, secret: SecretSource, digest: Digest? = nil, salt: String? = nil) {
    self.header = header
    self.secret = secret
    self.digest = digest
    self.salt = salt
  }
}

/// A request header that chooses the pool: `canary SECRET` or `stable SECRET`. Gateways take it off before they pass the request on.
package struct SplitOverride: Hashable, Codable, Sendable {
  package var header: String
  /// SHA-256 of the salt and the secret, which itself is nowhere kept.
  package var digest: Digest
  /// What is hashed before the secret; nil: nothing. Gateways of 0.1 do not know it.
  package var salt: String?

  package init(header: String, digest: Digest, salt: String? = nil) {
    self.header = header
    self.digest = digest
    self.salt = salt
  }
}

/// What the gateways do on their own when no controller has been heard in a canary.
package struct ControllerLost: Hashable, Codable, Sendable {
  package enum Then: String, Hashable, Codable, Sendable, CaseIterable {
    /// All users go to the stable release, as long as it is whole.
    case stable
    /// Everything stays as it is.
    case stay
  }

  package var after: Milliseconds
  package var then: Then

  package init(after: Milliseconds = .minutes(2), then: Then = .stable) {
    self.after = after
    self.then = then
  }
}

/// Stops all, then starts all; requests wait at the gateway for at most `queue`.
package struct Recreate: Hashable, Codable, Sendable {
  package var queue: Milliseconds

  package init(queue: Milliseconds = .seconds(20)) { self.queue = queue }
}
