package import SluiceModel

/// What a service shall look like once a rollout has ended.
package struct Goal: Hashable, Codable, Sendable {
  /// nil: no instance of any release.
  package var release: ReleaseNumber?
  package var replicas: Int
  package var secrets: String
  /// Instances that are replaced whatever their release: a restart.
  package var renew: [Int]

  package init(release: ReleaseNumber?, replicas: Int, secrets: String = "", renew: [Int] = []) {
    self.release = release
    self.replicas = replicas
    self.secrets = secrets
    self.renew = renew
  }

  /// Whether the same is to stand in the end, whatever is replaced on the way.
  package func isSame(as other: Goal) -> Bool {
    var same = other
    same.renew = renew
    return same == self
  }
}

/// A service on its way from one goal to another.
package struct Rollout: Hashable, Codable, Sendable {
  package let number: Int
  /// What started it: `apply`, `rollback`, `scale` …
  package let cause: String
  /// Who started it.
  package let by: String
  package let startedAt: WallTime
  package var goal: Goal
  /// Where it goes back to.
  package let origin: Goal
  package var direction: Direction
  package var stage: Stage
  package var wave: Wave?
  /// How many waves have begun.
  package var waves: Int
  /// The hosts that get the release's files before the first wave; nil: they are to be foreseen, for the first time or since something has
  /// changed.
  package var staging: [HostName]?
  package var failures: [CountedFailure]
  /// Hooks that are due, in order; while one of them is, nothing new is begun.
  package var hooks: [HookCall]
  /// What it waits for, as last decided.
  package var gate: Gate?
  /// When something last got better, in active time; gates push it ahead.
  package var progressAt: Milliseconds
  /// The end of the pause between two waves.
  package var restUntil: Milliseconds?
  package var pausedBy: String?
  /// What it stands at and an operator must settle.
  package var stoppedBy: Failure?
  /// Ctrl-C: nothing new is begun.
  package var interrupted: Bool
  /// The operator allowed the floor to be broken (recorded).
  package var overridesFloor: Bool
  /// The policy that `origin` stood under, where this rollout brought another.
  @Boxed package var formerPolicy: ServicePolicy?
  /// How often a port was found taken by something else and another one was tried.
  package var portsTaken: Int
  /// The release that it was begun for, also when it goes back; nil in records of before this was kept.
  package let wanted: ReleaseNumber?
  /// The step it is in, where the strategy goes by steps; nil before and after them.
  package var step: StepState?
  /// The first table by which users were split: what gateways counted before it is of another rollout.
  package var splitSince: Revision?
  /// What the canary's users have met, and what follows from it.
  @Boxed package var analysis: AnalysisState?
  /// What the analysis found when it last decided something.
  package var judgement: Judgement?
  /// How many instances of the stable release an operator has asked for in mid-rollout; nil: as many as `origin` says.
  package var stableReplicas: Int?
  /// The service that goes on in the place of this one, which is to be removed once that serves; nil: there is none.
  package var successor: ServiceName?
  /// Rollouts of other services that were waited for; nil: none.
  package var awaited: [Awaited]?
  /// Who gets which release, while two are kept apart; nil: all of them serve all users.
  package var audience: Audience?

  package enum Direction: Hashable, Codable, Sendable {
    case forward
    case back(because: String, byOperator: Bool)

    package var isForward: Bool { self == .forward }
  }

  /// Each stage follows the one before it; going back returns to `preparing` once.
  package enum Stage: String, Codable, Sendable {
    case preparing, preDeploy, waves, postDeploy, closing
  }

  package init(number: Int, cause: String, by: String, startedAt: WallTime, goal: Goal, origin: Goal, now: Milliseconds) {
    self.number = number
    self.cause = cause
    self.by = by
    self.startedAt = startedAt
    self.goal = goal
    self.origin = origin
    direction = .forward
    stage = .preparing
    waves = 0
    failures = []
    hooks = []
    progressAt = now
    interrupted = false
    overridesFloor = false
    portsTaken = 0
    wanted = goal.release
  }
}

extension Rollout {
  /// How many instances the stable release shall have while the rollout goes by steps.
  package var stableWanted: Int { stableReplicas ?? origin.replicas }

  /// Whether it goes back because an operator has said so.
  var wentBackByWord: Bool { if case .back(_, byOperator: true) = direction { true } else { false } }

  /// New with each rollout, and the same on whatever machine it goes on.
  func salt(of service: ServiceName) -> String { "\(service)/\(number)" }
}

/// A rollout of another service that is to end first.
package struct Awaited: Hashable, Codable, Sendable {
  package var service: ServiceName
  package var rollout: Int
}

/// A hook that is due.
package struct HookCall: Hashable, Codable, Sendable {
  package var point: HookPoint
  package var wave: Int?

  package init(_ point: HookPoint, wave: Int? = nil) {
    self.point = point
    self.wave = wave
  }

  /// Whether its failure fails the rollout; the others only tell somebody.
  package var decides: Bool {
    switch point {
    case .preDeploy, .preWave, .postWave: true
    case .postDeploy, .failed, .rolledBack: false
    }
  }
}

/// One failure that counts against the budget.
package struct CountedFailure: Hashable, Codable, Sendable {
  package var instance: Int?
  package var host: HostName?
  package var failure: Failure
  /// Whether it speaks against the release, not against a host.
  package var condemnsRelease: Bool

  package init(instance: Int?, host: HostName?, failure: Failure, condemnsRelease: Bool) {
    self.instance = instance
    self.host = host
    self.failure = failure
    self.condemnsRelease = condemnsRelease
  }
}

/// One batch of replacements, begun together and ended together. Which instance takes whose place is fixed when it begins.
package struct Wave: Hashable, Codable, Sendable {
  package let number: Int
  package let replacements: [Replacement]
  package var stage: Stage
  /// Requests are held at the gateways while it runs (recreate).
  package let holds: Bool

  package enum Stage: String, Codable, Sendable {
    case recording, preWave, running, postWave
  }

  package init(number: Int, replacements: [Replacement], holds: Bool) {
    self.number = number
    self.replacements = replacements
    self.holds = holds
    stage = .recording
  }
}

/// An instance that goes, one that comes, or both.
package struct Replacement: Hashable, Codable, Sendable {
  package enum Order: String, Codable, Sendable {
    /// The new one serves before the old one drains.
    case newFirst
    /// The old one is gone before the new one starts.
    case oldFirst
  }

  package var old: Int?
  package var new: Int?
  package var order: Order

  package init(old: Int?, new: Int?, order: Order) {
    self.old = old
    self.new = new
    self.order = order
  }
}

/// A named thing that a rollout waits for, and what to type.
package enum Gate: Hashable, Codable, Sendable {
  case paused(by: String)
  /// `onFailure: pause`, or going back failed too.
  case failed(Failure)
  case gatewayUnreachable(GatewayID, String)
  /// A gateway does not take the newest table and goes on with an older one: why, and what mends it.
  case tableRefused(GatewayID, String, remedy: String)
  /// Stopping one more would break the floor, because faults have taken some already.
  case servingFloor(serving: Int, floor: Int)
  case rackLossFloor(RackName, remaining: Int, floor: Int)
  case interrupted
  /// How the task of a release has ended on its host cannot be known, for this reason.
  case task(ReleaseNumber, HostName, String)
  /// A service that comes first is being rolled out, and that goes on by itself or waits for an operator.
  case after(ServiceName, goesOn: Bool)
  /// Outside its maintenance windows, which open next at that time.
  case window([String], opens: WallTime?)
  /// An operator has frozen it, for this reason.
  case frozen(by: String, String)
  /// A step lasts until that active time.
  case holding(step: Int, Audience.Share, until: Milliseconds)
  /// A step has lasted long enough, and its analysis has no verdict yet; it may take until that active time.
  case analysis(step: Int, Audience.Share, until: Milliseconds)
  /// A step is to end, as an operator has said, and what a gateway counted while nobody listened is still to be judged.
  case counts(step: Int, GatewayID)
  /// A step has lasted long enough and an operator is to say that it may end: why.
  case approval(step: Int, Audience.Share, String)

  /// Whether time or the world may open it without an operator.
  package var opensByItself: Bool {
    switch self {
    case .gatewayUnreachable, .tableRefused, .servingFloor, .rackLossFloor, .holding, .analysis, .counts: true
    case .after(_, let goesOn): goesOn
    case .window(_, let opens): opens != nil
    case .paused, .failed, .interrupted, .approval, .task, .frozen: false
    }
  }

  /// Whether it ends by a time that is known: nobody loses patience with it.
  package var endsByTime: Bool {
    switch self {
    case .holding, .analysis, .after: true
    case .counts, .paused, .failed, .gatewayUnreachable, .tableRefused, .servingFloor, .rackLossFloor, .interrupted, .approval, .task,
      .window, .frozen:
      false
    }
  }

  /// Whether the wait counts towards `progressDeadline`: too few that serve may be the new release's own doing, and a table that is refused the
  /// manifest's.
  package var isCounted: Bool {
    switch self {
    case .servingFloor, .rackLossFloor, .tableRefused: true
    case .gatewayUnreachable, .paused, .failed, .interrupted, .holding, .analysis, .counts, .approval, .task, .after, .window, .frozen:
      false
    }
  }

  /// What it waits for, in one sentence.
  package var description: String {
    switch self {
    case .paused(let by): "paused by \(by)"
    case .failed(let failure): "stopped: \(failure.message)"
    case .gatewayUnreachable(let gateway, let why): "gateway \(gateway) does not answer (\(why))"
    case .tableRefused(let gateway, let why, _):
      "the table is refused, and the one before it stands: \(why.hasPrefix("gateway \(gateway)") ? why : "gateway \(gateway): \(why)")"
    case .servingFloor(let serving, let floor):
      "\(serving) instances serve and the floor is \(floor): none may be taken out until others are healthy again"
    case .rackLossFloor(let rack, let remaining, let floor):
      "were \(rack) lost now, \(remaining) instances would remain, and rackLossFloor is \(floor)"
    case .interrupted: "interrupted"
    case .after(let service, goesOn: true): "\(service) comes first (after): its rollout is under way"
    case .after(let service, goesOn: false): "\(service) comes first (after), and its rollout waits for you"
    case .window(let windows, nil): "outside its windows (\(windows.joined(separator: "; "))): their time zone is not known on this machine"
    case .window(let windows, _): "outside its windows (\(windows.joined(separator: "; ")))"
    case .frozen(let by, let why): "frozen by \(by)\(why.isEmpty ? "" : ": \(why)")"
    case .task(let release, let host, let why): "the task of release \(release) on \(host) is in doubt: \(why)"
    case .holding(let step, .everybody, _): "step \(step): all users are on the new release, the old one is kept for a while"
    case .holding(let step, let share, _): "step \(step): \(share) on the new release, for the time of the step"
    case .analysis(let step, let share, _): "step \(step): \(share) on the new release; its analysis has no verdict yet"
    case .counts(let step, let gateway): "step \(step) ends once gateway \(gateway) has told what it counted while nobody listened"
    case .approval(let step, let share, let why):
      "step \(step): \(share) on the new release; \(why.isEmpty ? "" : "\(why); ")it goes on when you say so"
    }
  }

  /// What the operator can type. `canGoBack`: whether an abort would be taken.
  package func remedy(service: ServiceName, canGoBack: Bool = true) -> String {
    let back = canGoBack ? "sluice rollout abort \(service)" : "mend it with a newer release: sluice apply"
    let goesBack = canGoBack ? "\(back) goes back" : back
    return switch self {
    case .paused, .interrupted: "sluice rollout resume \(service)"
    case .holding, .approval: "sluice rollout promote \(service), or \(back)"
    case .analysis: "sluice rollout why \(service) shows what it lacks; sluice rollout promote \(service) goes on without it"
    case .counts(_, let gateway): "sluice gateway status \(gateway.host); where no user reaches it, sluice gateway exclude \(gateway.host)"
    case .after(let other, _): "sluice status \(other) shows how far that is; then sluice rollout resume \(service)"
    case .window: "sluice rollout resume \(service) when one is open; now: change windows and apply again"
    case .frozen: "sluice unfreeze \(service)"
    case .task:
      "sluice rollout retry \(service) runs it again, sluice rollout promote \(service) takes it as done, \(goesBack)"
    case .failed: "sluice rollout retry \(service), or \(back)"
    case .gatewayUnreachable(let gateway, _):
      "bring \(gateway.host) back, or, when no user reaches it, sluice gateway exclude \(gateway.host)"
    case .tableRefused(_, _, let remedy):
      "\(remedy.isEmpty ? "put the route right in the manifest" : remedy), then sluice apply; \(goesBack)"
    case .rackLossFloor:
      "lower strategy.rolling.rackLossFloor, raise maxSurge or replicas; \(goesBack)"
    case .servingFloor: "sluice status \(service) shows which are unhealthy; \(goesBack)"
    }
  }
}

/// How a rollout ended.
package struct RolloutEnd: Hashable, Codable, Sendable {
  package enum Result: String, Codable, Sendable {
    /// Every instance is as the goal says.
    case succeeded
    /// As the goal says on the hosts that could be reached.
    case degraded
    /// Back where it came from, all of it.
    case rolledBack
    /// It never got to change anything, or there was nothing to go back to and all was removed.
    case failed

    /// For people.
    package var words: String {
      switch self {
      case .succeeded: "succeeded"
      case .degraded: "ended degraded"
      case .rolledBack: "rolled back"
      case .failed: "failed"
      }
    }
  }

  package var number: Int
  package var cause: String
  package var by: String
  package var result: Result
  package var release: ReleaseNumber?
  /// The release that was to be reached, where that is known: another one than `release` after going back.
  package var wanted: ReleaseNumber?
  package var startedAt: WallTime
  package var endedAt: WallTime
  /// Why it did not simply succeed.
  package var reason: String
  package var failures: [CountedFailure]
  /// What the canary's analysis found, where it decided something.
  package var judgement: Judgement?
  /// Going back was an operator's word; nil: it did not go back, or it went of itself.
  package var byOperator: Bool?

  package init(
    number: Int, cause: String, by: String, result: Result, release: ReleaseNumber?, wanted: ReleaseNumber? = nil, startedAt: WallTime,
    endedAt: WallTime, reason: String, failures: [CountedFailure], judgement: Judgement? = nil, byOperator: Bool? = nil
  ) {
    self.number = number
    self.cause = cause
    self.by = by
    self.result = result
    self.release = release
    self.wanted = wanted
    self.startedAt = startedAt
    self.endedAt = endedAt
    self.reason = reason
    self.failures = failures
    self.judgement = judgement
    self.byOperator = byOperator
  }
}
