import SluiceModel
import SluiceRollout

/// A rule of DESIGN section 4 broken on purpose, to see that the simulation finds it. Nothing of it is in the brain: it is in what passes between
/// the brain and the simulated world.
package enum Sabotage: String, Sendable, CaseIterable {
  /// Rule 1: one more than allowed is taken out.
  case floorLessOne
  /// Rule 2: one more than allowed is added.
  case capAndOne
  /// Rule 2: a stop that could not be sent, or of which nothing was heard, counts as done.
  case unknownIsGone
  /// Rule 3: a stop is sent together with the table that drains.
  case stopsBeforeAcknowledgement
  /// Rule 3: a retired instance's address is free before the gateways have forgotten it.
  case portReusedAtOnce
  /// Rule 3: a host gives an instance the first port that no instance of its own service has.
  case otherServicesUnseen
  /// Section 3: the controller does not know which service comes after which.
  case afterIgnored
  /// Rule 4: waves go over racks.
  case rackOrderIgnored
  /// Rule 4: the loss of a rack is not thought of.
  case rackLossIgnored
  /// Rule 4: the racks need not be even.
  case skewIgnored
  /// Rule 5: whoever goes on with a rollout takes a new salt.
  case saltChanges
  /// Rule 6: a gateway sends the users of the stable release to the canary as soon as a target of stable is not healthy.
  case stableSpills
  /// Rule 6: what is not healthy counts as healthy, so users are sent there.
  case sickIsHealthy
  /// Rule 7: a dead host speaks against the release.
  case deadHostCondemns
  /// Rule 7: no failure is too many.
  case budgetIgnored
  /// Rule 7: gateways call healthy what has died with its release.
  case deadIsHealthy
  /// Rule 2: a host on which nothing can be written says that it has stopped something.
  case unwrittenIsDone
  /// Rule 3: a gateway that refuses a table is taken at its word that it was asked.
  case refusalIsYes
  /// Rule 7: every check of an analysis is taken as passed.
  case checkAssumed
  /// Rule 7: that a task cannot be undone is forgotten.
  case wayBackForgotten
  /// Section 4, tasks: whoever takes over runs the task anew.
  case taskRunAnew
  /// Section 4, tasks: it counts as done when it has begun.
  case taskNotAwaited
  /// Section 3: the controller does not know the windows.
  case windowsIgnored
  /// Section 7: whoever takes over has forgotten the freeze.
  case freezeForgotten
  /// Rule 8: hosts and gateways do what an older fence asks.
  case anyFence
  /// Rule 8: they compare with < where it must be ≤: a fence as high as theirs, of another owner, passes.
  case fenceBelowOnly
  /// Rule 9: an outcome is never told.
  case outcomeLost
  /// Rule 9: time is taken from the wall clock.
  case holdByWallClock
  /// Rule 10: an outcome is taken twice.
  case outcomeTwice
  /// Rule 10: what a gateway tells again counts again.
  case trafficTwice
  /// Each target is judged by its own release's check: all are judged by the newest's.
  case oneCheckForAll
  /// Whose route it is: nobody looks whether another service has it.
  case routesUnseen
  /// Whose route it is: the other name has it before it serves.
  case takenUnserved
  /// Whose route it is: a gateway that is left gives nobody's request to anybody from the first table on.
  case leftAtOnce
  /// Rule 2: a host neither tells of the slots that others hold nor refuses to give them twice.
  case strangersUnseen
  /// Who is believed: whoever has signed a copy.
  case anySigner
  /// Who is believed: a place that says how old its copy is.
  case ageBelieved
  /// Where the record lives: whoever takes the fence goes on from what its own database has.
  case copiesUnseen
  /// Rule 11: the log of an instance that failed is kept as it is, with a secret in it.
  case secretKept

  /// The rule of DESIGN section 4 that it breaks, or the word of the manifest or the operator.
  package var rule: String {
    switch self {
    case .floorLessOne: "1"
    case .capAndOne, .unknownIsGone, .unwrittenIsDone: "2"
    case .strangersUnseen: "2"
    case .refusalIsYes, .stopsBeforeAcknowledgement, .portReusedAtOnce, .otherServicesUnseen: "3"
    case .afterIgnored: "after"
    case .rackOrderIgnored, .rackLossIgnored, .skewIgnored: "4"
    case .saltChanges: "5"
    case .stableSpills, .sickIsHealthy: "6"
    case .deadIsHealthy, .deadHostCondemns, .budgetIgnored, .checkAssumed, .wayBackForgotten: "7"
    case .taskRunAnew, .taskNotAwaited: "task"
    case .windowsIgnored: "windows"
    case .freezeForgotten: "freeze"
    case .anyFence, .fenceBelowOnly: "8"
    case .outcomeLost, .holdByWallClock: "9"
    case .outcomeTwice, .trafficTwice: "10"
    case .secretKept: "11"
    case .oneCheckForAll: "probe"
    case .routesUnseen, .takenUnserved: "route"
    case .leftAtOnce: "move"
    case .anySigner, .ageBelieved: "trust"
    case .copiesUnseen: "copy"
    }
  }

  /// What the broken controller believes the manifest says.
  func policy(_ policy: ServicePolicy) -> ServicePolicy {
    var wrong = policy
    if self == .afterIgnored { wrong.after = nil }
    if self == .routesUnseen { wrong.route?.hosts = [policy.name.rawValue] }
    if self == .skewIgnored { wrong.placement.maxSkew = nil }
    if self == .windowsIgnored { wrong.windows = nil }
    if self == .budgetIgnored { wrong.failureBudget = .count(1_000) }
    guard case .rolling(var rolling) = policy.strategy else { return wrong }
    switch self {
    case .floorLessOne: rolling.maxUnavailable = .count(rolling.maxUnavailable.roundedDown(of: policy.replicas) + 1)
    case .capAndOne: rolling.maxSurge = .count(rolling.maxSurge.roundedUp(of: policy.replicas) + 1)
    case .rackOrderIgnored: rolling.rackOrder = false
    case .rackLossIgnored: rolling.rackLossFloor = nil
    default: break
    }
    wrong.strategy = .rolling(rolling)
    return wrong
  }
}

extension ServiceRecord {
  /// What has begun, and has not ended for all that is known, counts as never begun.
  mutating func runTaskAnew() {
    for index in releases.indices where releases[index].task?.stage == .running {
      releases[index].task?.number += 1
      releases[index].task?.stage = .recording
    }
  }
}
