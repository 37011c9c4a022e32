import SluiceModel

/// A rule of DESIGN section 4 broken on purpose, to see that the simulation finds it.
package enum Sabotage: String, Sendable, CaseIterable {
  /// Rule 1: one more than allowed is taken out.
  case floorLessOne
  /// Rule 2: one more than allowed is added.
  case capAndOne
  /// Rule 3: a stop is sent together with the table that drains.
  case stopsBeforeAcknowledgement
  /// Rule 3: a retired instance's address is free before the gateways have forgotten it.
  case portReusedAtOnce
  /// Rules 2 and 7: a stop that could not be sent counts as done.
  case unknownIsGone
  /// Rule 8: a host does what an older fence asks.
  case anyFence
  /// Rule 9: an outcome is never told.
  case outcomeLost

  /// What the broken controller believes the manifest says.
  func policy(_ policy: ServicePolicy) -> ServicePolicy {
    guard case .rolling(var rolling) = policy.strategy, self == .floorLessOne || self == .capAndOne else { return policy }
    if self == .floorLessOne { rolling.maxUnavailable = .count(rolling.maxUnavailable.roundedDown(of: policy.replicas) + 1) }
    if self == .capAndOne { rolling.maxSurge = .count(rolling.maxSurge.roundedUp(of: policy.replicas) + 1) }
    var wrong = policy
    wrong.strategy = .rolling(rolling)
    return wrong
  }
}
