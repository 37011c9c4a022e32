import SluiceModel

extension ServiceRecord {
  /// Moves users on as the new pool grows, or back as far as the stable one can carry them (DESIGN section 4, rules 5 and 6). Returns what is
  /// to be told where users were moved back.
  mutating func steerAudience() -> String? {
    guard let rollout, let audience = rollout.audience else { return nil }
    guard rollout.direction.isForward, audience.release == rollout.goal.release else { return withdraw(audience, rollout) }
    if rollout.step == nil { follow(audience, rollout) }
    return nil
  }

  /// Whether users who are sent to that instance's release would miss it: on the way forward nothing of it would be left, on the way back less than
  /// those carry who are with it already.
  func isMissed(_ instance: Instance) -> Bool {
    guard let rollout, let audience = rollout.audience, instance.release == rollout.goal.release, serves(instance) else { return false }
    let left = instances.count { $0.release == instance.release && $0.isServing } - 1
    if rollout.direction.isForward { return audience.release == instance.release && audience.share != .nobody && left == 0 }
    guard case .users(let share) = audience.share, audience.release != instance.release else { return false }
    return left * 10_000 < (10_000 - share.value) * rollout.goal.replicas - rollout.goal.replicas
  }

  /// The rest is being replaced: the new release gets what it can carry, and never less than it had.
  private mutating func follow(_ audience: Audience, _ rollout: Rollout) {
    if instances.allSatisfy({ $0.release == audience.release || $0.phase == .lost }) {
      self.rollout?.audience = nil
      return
    }
    let serving = instances.count { $0.release == audience.release && $0.isServing }
    let carried = BasisPoints(serving * 10_000 / max(1, rollout.goal.replicas))
    switch audience.share {
    case .everybody, .shared: return
    case _ where carried == .whole: self.rollout?.audience?.share = .everybody
    case .users(let share): self.rollout?.audience?.share = .users(max(share, carried))
    case .nobody:
      // Promoted in full before its first step: where users can be told apart, they follow the capacity.
      if policy.route?.user != nil, carried > .zero { self.rollout?.audience?.share = .users(carried) }
    }
  }

  /// The stable release takes back what it can carry; a superseded one makes way for the steps of the next.
  private mutating func withdraw(_ audience: Audience, _ rollout: Rollout) -> String? {
    let isForward = rollout.direction.isForward
    let stable = rollout.origin.release
    let wanted = isForward ? rollout.stableWanted : rollout.goal.replicas
    let beside = isForward && rollout.step == nil ? rollout.goal.release : nil
    // What the wave takes away now carries nobody from then on.
    let leaving = beside == nil ? [] : rollout.wave?.replacements.filter { isServing($0.new) }.compactMap(\.old) ?? []
    let serving = instances.count {
      ($0.release == stable || $0.release == beside) && $0.isServing && !leaving.contains($0.number)
    }
    let share = withdrawn(audience.share, carried: serving, of: wanted)
    let isMoved = share != audience.share
    if isMoved { self.rollout?.audience?.share = share }
    let remains = instances.contains { $0.release != stable && $0.phase != .lost && (!isForward || $0.release == audience.release) }
    // What is gone has no users, also where the stable release could not take them back.
    if !remains {
      let salt = rollout.salt(of: service)
      let next = rollout.goal.release.map { Audience(release: $0, share: .nobody, salt: salt) }
      self.rollout?.audience = isForward && rollout.step != nil ? next : nil
    }
    let others = beside == nil ? "the stable release has" : "the others have"
    return isMoved ? "release \(audience.release) gets \(share): \(others) \(serving) of \(wanted) instances" : nil
  }

  private func isServing(_ number: Int?) -> Bool { number.flatMap { instance($0) }?.isServing ?? false }

  private func withdrawn(_ share: Audience.Share, carried: Int, of wanted: Int) -> Audience.Share {
    if carried >= wanted { return .nobody }
    let rest = BasisPoints(10_000 - carried * 10_000 / wanted)
    switch share {
    case .nobody: return .nobody
    case .users(let users): return .users(min(users, rest))
    case .shared: return .shared
    case .everybody:
      if carried == 0 { return .everybody }
      return policy.route?.user == nil ? .shared : .users(rest)
    }
  }
}
