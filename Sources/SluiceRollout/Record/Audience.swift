package import SluiceModel

/// Whom one release of two gets while a rollout goes by steps. It is decided, and durable, before any gateway is told.
package struct Audience: Hashable, Codable, Sendable {
  /// The release that users are moved to, or away from.
  package let release: ReleaseNumber
  package var share: Share
  /// Of the rollout that began it: the same for all its shares (DESIGN section 4, rule 5).
  package let salt: String

  package init(release: ReleaseNumber, share: Share, salt: String) {
    self.release = release
    self.share = share
    self.salt = salt
  }

  package enum Share: Hashable, Codable, Sendable {
    /// None of the route's users; its targets are probed, and a preview reaches them.
    case nobody
    /// The users whose bucket is below it; the others go to the stable release.
    case users(BasisPoints)
    /// Any request, as it does to the stable release: where neither could carry all.
    case shared
    /// All of them, and none to the stable release.
    case everybody
  }
}

extension Audience.Share: CustomStringConvertible {
  package var description: String {
    switch self {
    case .nobody: "no users"
    case .users(let share): "\(share) of users"
    case .shared: "any user"
    case .everybody: "all users"
    }
  }
}

/// Where a rollout by steps stands.
package struct StepState: Hashable, Codable, Sendable {
  /// Of the strategy's steps, from 0.
  package let index: Int
  package var stage: Stage
  /// Since when every gateway has its share, in active time; nil while one has not.
  package var since: Milliseconds?
  /// An operator's share in the place of the step's.
  package var byHand: BasisPoints?
  /// It has lasted long enough, and an operator is to say that it may end: why; nil while nobody is asked.
  package var asks: String?
  /// Gateways that have not told since the last take-over what they have counted meanwhile.
  package var unheard: [GatewayID]
  /// An operator has said so.
  package var promoted: Bool

  /// Each follows the one before it.
  package enum Stage: String, Codable, Sendable {
    /// Its instances come.
    case filling
    /// Its share is being made known before it is acted upon.
    case recording
    case holding
  }

  package init(index: Int) {
    self.index = index
    stage = .filling
    unheard = []
    promoted = false
  }
}

extension ServiceRecord {
  /// Whether users are sent to instances of that release, as decided.
  package func carriesUsers(_ release: ReleaseNumber) -> Bool {
    guard let audience = rollout?.audience else { return true }
    if release == audience.release { return audience.share != .nobody }
    if release == rollout?.origin.release { return audience.share != .everybody }
    // Promoted in full before the users of a superseded release were back: it serves beside the stable one.
    switch audience.share {
    case .shared: return true
    case .users, .nobody: return rollout.map { $0.step == nil && $0.direction.isForward && $0.goal.release == release } ?? false
    case .everybody: return false
    }
  }

  /// Whether that release's instances are the only ones that a table could send new requests to, so that there are no two sides to split
  /// users over. Whoever got them all in this way keeps them until others serve.
  func isAlone(_ audience: Audience, in content: TableContent) -> Bool {
    let new = content.targets.filter { !$0.draining }
    guard new.contains(where: { $0.release == audience.release }) else { return false }
    if !new.contains(where: { $0.release != audience.release && carriesUsers($0.release) }) { return true }
    guard let before = table.content, before.split == nil, before.sendsAll(to: audience.release) else { return false }
    return !instances.contains { $0.release != audience.release && serves($0) }
  }

  /// Healthy, in every gateway's pool, not draining, and of a release that users are sent to: what the serving floor counts.
  package func serves(_ instance: Instance) -> Bool { instance.isServing && carriesUsers(instance.release) }

  /// The places in `instances` of those that serve.
  package var serving: [Int] {
    var places: [Int] = []
    places.reserveCapacity(instances.count)
    for place in instances.indices where instances[place].isServing { places.append(place) }
    return rollout?.audience == nil ? places : places.filter { carriesUsers(instances[$0].release) }
  }

  /// That nobody answers the users who are not sent to the new release; nil: somebody does, or there are none.
  package var stableIsDown: String? {
    guard let rollout, rollout.direction.isForward, let audience = rollout.audience, audience.release == rollout.goal.release,
      case .users = audience.share, let stable = rollout.origin.release,
      !instances.contains(where: { $0.release == stable && $0.isServing })
    else { return nil }
    return "no instance of the stable release \(stable) serves, so nobody answers the other users until the new one is promoted"
  }

  /// The steps of the rollout under way.
  package var steps: [StepPlan] {
    guard let rollout else { return [] }
    return policy.strategy.rules.steps(replicas: rollout.goal.replicas, isRollback: rollout.cause == "rollback")
  }

  /// What the canary's analysis says of what has been counted so far; nil where nothing is asked or counted.
  package var judgement: Judgement? {
    guard let state = rollout?.analysis, let analysis else { return rollout?.judgement }
    return state.judge(analysis)
  }

  /// By what the canary under way is judged: its step's analysis, and while the rest is replaced the canary's; nil: by nothing.
  package var analysis: Analysis? {
    if let plan = stepPlan { return plan.analysis }
    guard rollout?.audience != nil, case .canary(let canary) = policy.strategy else { return nil }
    return canary.analysis
  }

  /// The step that the rollout is in; nil once the rest is being replaced, and where the strategy has none.
  package var stepPlan: StepPlan? {
    guard let step = rollout?.step else { return nil }
    let steps = steps
    guard step.index < steps.count else { return nil }
    var plan = steps[step.index]
    if let share = step.byHand {
      let replicas = rollout?.goal.replicas ?? 0
      plan.share = .users(share)
      plan.instances = max(plan.instances, min(replicas, Amount.share(share).roundedUp(of: replicas)))
    } else if case .users(let planned) = plan.share, case .users(let has)? = rollout?.audience?.share, has > planned {
      // An operator gave it more in the step before.
      plan.share = .users(has)
    }
    return plan
  }
}
