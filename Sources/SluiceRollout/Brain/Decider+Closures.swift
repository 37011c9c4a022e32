import SluiceModel

/// What keeps a release from beginning, or from going further: other services that come first, windows, a freeze. Going back is never kept.
extension Decider {
  /// Before anything of a rollout is begun; true while it waits, or has failed.
  mutating func isKeptFromBeginning(_ rollout: Rollout) -> Bool {
    if rollout.direction.isForward, rollout.waves == 0, let successor = rollout.successor { return waits(for: [successor], rollout) }
    guard rollout.direction.isForward, rollout.cause == "apply", rollout.waves == 0 else { return isFrozen(rollout) }
    // How those end counts that come first, also while it is frozen.
    let isLater = waits(for: policy.after ?? [], rollout)
    guard let rollout = record.rollout else { return true }
    return isFrozen(rollout) || isLater || isOutsideWindows(rollout)
  }

  /// Releases and restarts stand still: what an operator types to mend something does not.
  mutating func isFrozen(_ rollout: Rollout) -> Bool {
    guard let freeze = record.freeze, rollout.direction.isForward, rollout.cause == "apply" || rollout.cause == "restart" else {
      return false
    }
    record.rollout?.gate = .frozen(by: freeze.by, freeze.reason)
    progress()
    return true
  }

  /// True while no window is open.
  mutating func isOutsideWindows(_ rollout: Rollout) -> Bool {
    guard let windows = policy.windows, !windows.isEmpty, rollout.cause == "apply" else { return false }
    var next: Milliseconds?
    for window in windows {
      guard let offset = view.offset(of: window.zone) else { continue }
      let local = wall.milliseconds + offset.value
      if window.isOpen(atLocal: local) { return false }
      if let wait = window.opens(afterLocal: local) { next = min(next ?? wait, wait) }
    }
    let opens = next.map { WallTime(milliseconds: wall.milliseconds + $0.value) }
    record.rollout?.gate = .window(windows.map(\.text), opens: opens)
    progress()
    // Clocks are set, and change with the season: looked at again at least twice an hour.
    if let next { wake(at: now + min(next, .minutes(30))) }
    return true
  }

  /// Waits for the rollouts of the services that come first, or that go on in its place, and fails when one of them did.
  private mutating func waits(for others: [ServiceName], _ rollout: Rollout) -> Bool {
    for name in others {
      let standing = view.standings.first { $0.service == name }
      // Of one that is out of reach no end would ever be heard.
      if let number = standing?.rollout, standing?.isOutOfReach == false {
        noteAwaited(name, number)
        record.rollout?.gate = .after(name, goesOn: standing?.goesOn ?? true)
        progress()
        return true
      }
      if let why = reasonAgainst(name, standing) {
        turnRound(
          Failure(
            .host, "\(record.service) \(rollout.successor == name ? "gives its route to \(name)" : "comes after \(name) (after)"), \(why)",
            remedy: "sluice status \(name) shows what happened; then apply again"),
          condemnsRelease: false)
        return true
      }
    }
    return false
  }

  /// The rollouts of services that come first and are under way before anything of this one is begun: how those end counts, also where this one
  /// is stopped meanwhile.
  mutating func noteAwaited(_ rollout: Rollout) {
    guard rollout.direction.isForward, rollout.cause == "apply", rollout.waves == 0 else { return }
    for name in policy.after ?? [] {
      guard let standing = view.standings.first(where: { $0.service == name }), !standing.isOutOfReach, let number = standing.rollout else {
        continue
      }
      noteAwaited(name, number)
    }
  }

  private mutating func noteAwaited(_ name: ServiceName, _ number: Int) {
    let known = record.rollout?.awaited ?? []
    if known.contains(where: { $0.service == name }) { return }
    record.rollout?.awaited = known + [Awaited(service: name, rollout: number)]
  }

  private func reasonAgainst(_ name: ServiceName, _ standing: Standing?) -> String? {
    if standing?.isOutOfReach == true { return "which could not be applied" }
    if record.rollout?.successor == name {
      guard let standing else { return "which is not there" }
      return standing.hasTakenOver ? nil : "which does not serve in its place"
    }
    guard let number = record.rollout?.awaited?.first(where: { $0.service == name })?.rollout, let end = standing?.ended,
      end.number >= number
    else { return nil }
    switch end.result {
    case .succeeded, .degraded: return nil
    case .failed, .rolledBack: return "which \(end.result.words)"
    }
  }
}
