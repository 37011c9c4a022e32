import SluiceModel

extension Decider {
  // MARK: Failure

  /// Counts a failure; past the budget the rollout turns round.
  mutating func count(_ failure: CountedFailure) {
    guard let rollout = record.rollout else { return }
    remember(failure)
    let budget = policy.failureBudget.roundedDown(of: rollout.goal.replicas)
    switch rollout.direction {
    case .forward:
      if isForgiven(failure, rollout) { return }
      if counted(rollout) + 1 > budget { turnRound(failure.failure, condemnsRelease: failure.condemnsRelease) }
    case .back:
      // Unreachable hosts cannot be brought back by trying; what fails on reachable ones is tried a few times.
      let tried = rollout.failures.count(where: wasTried) + 1
      if wasTried(failure), tried > budget + 3 { record.rollout?.stoppedBy = failure.failure }
    }
  }

  /// Those of its failures that its budget is for.
  private func counted(_ rollout: Rollout) -> Int { rollout.failures.count { !isForgiven($0, rollout) } }

  /// A host that is not there speaks against a new release going on. Whatever else an operator asks for is wanted with the hosts that there are.
  private func isForgiven(_ failure: CountedFailure, _ rollout: Rollout) -> Bool { rollout.cause != "apply" && !wasTried(failure) }

  /// Failures that decide nothing any more are not kept for ever.
  private mutating func remember(_ failure: CountedFailure) {
    record.rollout?.failures.append(failure)
    guard let failures = record.rollout?.failures, failures.count > 64, let old = failures.firstIndex(where: { !wasTried($0) }),
      record.rollout.map({ !$0.direction.isForward || isForgiven(failures[old], $0) }) ?? false
    else { return }
    record.rollout?.failures.remove(at: old)
  }

  /// Whether the host was there, and trying again there is what may fail for ever.
  private func wasTried(_ failure: CountedFailure) -> Bool {
    failure.failure.kind != .host || (failure.host.flatMap { record.host($0) }?.reach.isReachable ?? true)
  }

  /// Nothing got better for `progressDeadline`.
  mutating func guardDeadline() {
    guard let rollout = record.rollout, rollout.stoppedBy == nil, !rollout.interrupted else { return }
    // A pause takes as long as the operator likes; what goes on meanwhile, a wave, a hook, or the end after the last wave, does not.
    let goesOn = rollout.wave != nil || rollout.stage == .closing || record.openAttempt(on: .hook) != nil
    guard rollout.pausedBy == nil || goesOn else { return }
    let deadline = rollout.progressAt + policy.progressDeadline
    guard now >= deadline else { return wake(at: deadline) }
    let gate = rollout.gate ?? refusedTable
    let why = gate.map { "its gate: \($0.description)" } ?? joining.map { unmet(by: $0) } ?? excludedRoute
    let waited = why.map { "; \($0)" } ?? ""
    let failure = Failure(
      .readiness, "nothing got better for \(policy.progressDeadline) (progressDeadline)\(waited)",
      remedy: record.nextStep ?? gate?.remedy(service: record.service) ?? "sluice events \(record.service) shows what came last")
    note(.failure, "progress-deadline", failure.message)
    if rollout.direction.isForward {
      turnRound(failure, condemnsRelease: false)
    } else {
      record.rollout?.stoppedBy = failure
    }
  }

  /// Where a rollout stands still, its hook may still come to its end, but nobody waits longer for it than for anything else. It is due again
  /// when the rollout goes on.
  mutating func endHangingHook() {
    guard let hook = record.openAttempt(on: .hook), case .hook(let point, _) = hook.action else { return }
    let deadline = hook.openedAt + policy.progressDeadline
    guard now >= deadline else { return wake(at: deadline) }
    note(.failure, "hook-failed", "\(point.rawValue): did not end within \(policy.progressDeadline) (progressDeadline)")
    abandon(.hook)
  }

  /// Whom a hook would have told is worth no wait, also while the rollout is paused: it is not due again.
  mutating func giveUpHangingHook() {
    guard record.openAttempt(on: .hook) != nil else { return }
    endHangingHook()
    guard record.openAttempt(on: .hook) == nil else { return }
    record.rollout?.hooks.removeFirst()
    progress()
  }

  /// Goes back to where the rollout came from, once. `onFailure: pause` and changes that have no way back stop and ask instead.
  mutating func turnRound(_ failure: Failure, condemnsRelease: Bool, byOperator: Bool = false) {
    guard let rollout = record.rollout, rollout.direction.isForward else { return }
    // What turns it round is told at the end with its remedy, also where it is no instance's failure.
    if !byOperator, !rollout.failures.contains(where: { $0.failure == failure }) {
      record.rollout?.failures.append(CountedFailure(instance: nil, host: nil, failure: failure, condemnsRelease: condemnsRelease))
    }
    // Where the release stays, there is still a way back to the gateways that it came from.
    let changesNothing = leadsNowhereElse(rollout) && (rollout.formerPolicy?.route ?? policy.route) == policy.route
    if !byOperator, policy.onFailure == .pause || changesNothing {
      record.rollout?.stoppedBy = failure
      note(.failure, "rollout-stopped", failure.message)
      return
    }
    if let obstacle = record.obstacle(backTo: rollout.origin.release) {
      // Without steps the waves may need less room than two whole pools, and less than all of the old one.
      let full = rollout.step == nil ? nil : "sluice rollout promote \(record.service) --full goes on without steps"
      let remedies = [failure.remedy, obstacle.remedy, full ?? ""].filter { !$0.isEmpty }
      let stop = Failure(
        failure.kind, "\(failure.message); it cannot go back: \(obstacle.message)", output: failure.output,
        remedy: remedies.joined(separator: "; or "))
      record.rollout?.stoppedBy = stop
      return note(.failure, "rollout-stopped", stop.message)
    }
    if condemnsRelease, let release = rollout.goal.release, release != rollout.origin.release, stableIsWell(rollout) {
      for index in record.releases.indices where record.releases[index].number == release {
        record.releases[index].status = .bad(failure.message)
      }
    }
    var back = rollout.origin
    back.renew = record.givenUp(gateways: requiredGateways)
    // Secrets belong to the service, not to the release: they go back only where nothing but them was to change, or nothing has begun.
    if rollout.goal.release != rollout.origin.release, rollout.waves > 0 { back.secrets = rollout.goal.secrets }
    if let replicas = rollout.stableReplicas {
      back.replicas = replicas
    } else if record.scale != nil, rollout.goal.replicas == record.scale, back.replicas != record.scale {
      record.scale = nil
    }
    restorePolicy(rollout)
    // The service that it was called before is still there.
    if record.takeover == .done, rollout.origin.release == nil { record.takeover = .waiting }
    let tells = policy.hooks[.failed] != nil && !byOperator
    record.rollout?.goal = back
    record.rollout?.direction = .back(because: failure.message, byOperator: byOperator)
    record.rollout?.stage = .preparing
    record.rollout?.staging = nil
    record.rollout?.wave = nil
    record.rollout?.step = nil
    record.rollout?.restUntil = nil
    record.rollout?.pausedBy = nil
    record.rollout?.hooks = tells ? [HookCall(.failed)] : []
    for attempt in record.attempts where attempt.action.isOfTheRollout { abandon(attempt.action.object) }
    unwind(to: back, goesBack: true)
    note(byOperator ? .warning : .failure, "rollout-back", "going back: \(failure.message)")
    progress()
  }

  /// Going back would change nothing: what was down is all that was to be replaced.
  private func leadsNowhereElse(_ rollout: Rollout) -> Bool {
    guard rollout.goal.isSame(as: rollout.origin) else { return false }
    if rollout.goal.renew.isEmpty { return true }
    let left = rollout.goal.renew.compactMap { record.instance($0) }
    return !left.isEmpty && left.allSatisfy { $0.down != nil }
  }

  /// The old release is placed, routed and stopped by the old manifest's rules, which it was well under; only the hooks stay the newest.
  private mutating func restorePolicy(_ rollout: Rollout) {
    guard var former = rollout.formerPolicy else { return }
    former.hooks = record.policy.hooks
    record.policy = former
    followPolicy()
    // Before the next table is composed: what is left goes on answering to what it had.
    admitGateways()
  }

  /// A release is only blamed while those it was to replace are well.
  private func stableIsWell(_ rollout: Rollout) -> Bool {
    record.instances.allSatisfy { instance in
      guard instance.release == rollout.origin.release, instance.condemned == nil, instance.phase == .serving else { return true }
      return instance.healthySince != nil
    }
  }

  /// Ends what the last wave had begun, as far as the new goal does not want it: what drains and is wanted goes back in, what serves no
  /// users and is of another release goes. What only is where it should not be has a wave that finds it another place.
  mutating func unwind(to goal: Goal, goesBack: Bool) {
    for instance in record.instances {
      var wanted = instance
      wanted.condemned = nil
      switch instance.phase {
      case .draining: wanted.phase = .warming(acknowledged: nil)
      case .stopping, .retired, .lost: continue
      case .reserved, .starting, .checking, .warming, .serving: break
      }
      let conformity = Conformity(record: record, view: view, goal: goal, goesBack: goesBack)
      var conforms = conformity.holds(wanted)
      // By steps, the stable pool is kept, and made whole, beside the new one.
      if !goesBack, let rollout = record.rollout, rollout.step != nil {
        conforms = conforms || Conformity(record: record, view: view, goal: rollout.origin, goesBack: true).holds(wanted)
      }
      if conforms, instance.condemned != .failed {
        change(instance.number) { $0.condemned = nil }
        continue
      }
      switch (instance.release == goal.release, wanted.phase) {
      case (true, .serving): continue
      case (true, .warming) where !conformity.allows(view.map.index(of: instance.host) ?? FleetMap.nowhere): continue
      default: break
      }
      let mayServe = record.serves(instance) || record.mayServe(instance, gateways: requiredGateways)
      if instance.condemned == nil, !mayServe, !isInService(instance) {
        change(instance.number) { $0.condemned = .stale }
      }
    }
  }

  /// Whether the gateways have it in service under tables from after this record: it may be all that users have, and goes when something else
  /// serves.
  private func isInService(_ instance: Instance) -> Bool {
    let states = requiredGateways.compactMap { record.gateway($0) }.filter(\.reach.isReachable)
    return !states.isEmpty
      && states.allSatisfy { state in
        guard let revision = state.revision, revision > record.table.revision else { return false }
        return state.target(instance.number)?.healthy ?? false
      }
  }

  // MARK: End

  mutating func blocked(_ failure: Failure, _ rollout: Rollout) {
    let budget = policy.failureBudget.roundedDown(of: rollout.goal.replicas)
    let lost = record.instances.contains { $0.phase == .lost }
    // Degraded is as the goal says on what could be reached: what still runs otherwise is no end.
    let conforms = Conformity(record: record, view: view, goal: rollout.goal, goesBack: !rollout.direction.isForward)
    let leaves = record.instances.contains { $0.isExisting && $0.condemned == nil && !conforms.holds($0) }
    if rollout.direction.isForward {
      // The operator has said that less may serve: what had to go is gone, and what has no place yet is told as missing.
      if rollout.overridesFloor {
        record.rollout?.failures.append(CountedFailure(instance: nil, host: nil, failure: failure, condemnsRelease: false))
        return finishWaves(rollout)
      }
      if lost, !leaves, counted(rollout) <= budget { return finishWaves(rollout) }
      turnRound(failure, condemnsRelease: false)
    } else if lost, !leaves {
      finishWaves(rollout)
    } else if rollout.goal.replicas > rollout.origin.replicas {
      // There is no room for what was asked for in mid-rollout: what stood before comes first.
      note(.warning, "scale-dropped", "back to \(rollout.origin.replicas) instances: \(failure.message)")
      record.rollout?.goal.replicas = rollout.origin.replicas
      record.scale = nil
    } else {
      record.rollout?.stoppedBy = failure
    }
  }

  /// Nothing is left to replace: it ends when all that stands is healthy.
  mutating func settle(_ rollout: Rollout) {
    let unhealthy = record.instances.contains { $0.condemned == nil && $0.takesPlace && !$0.isServing && !isAsItWas($0, rollout) }
    if !unhealthy { finishWaves(rollout) }
  }

  /// Who has the word to go back wants to be there: what was not well before need not get well first.
  private func isAsItWas(_ instance: Instance, _ rollout: Rollout) -> Bool {
    guard case .back(_, byOperator: true) = rollout.direction else { return false }
    return instance.release == rollout.goal.release && instance.isSettled
      && requiredGateways.contains { record.gateway($0)?.verdict(on: instance) == .unhealthy }
  }

  private mutating func finishWaves(_ rollout: Rollout) {
    let point: HookPoint = rollout.direction.isForward ? .postDeploy : .rolledBack
    if policy.hooks[point] != nil, isNewRelease(rollout) || !rollout.direction.isForward { record.rollout?.hooks.append(HookCall(point)) }
    record.rollout?.stage = .postDeploy
    // What it was called before has served until now.
    if rollout.direction.isForward, record.takeover == .waiting {
      record.takeover = .done
      note(.info, "route-taken", "\(record.service) takes the route of \(policy.formerly?.rawValue ?? "another service")")
    }
    progress()
  }

  mutating func close(_ rollout: Rollout) {
    // The tables are as the goal wants them at every gateway that counts, and what went is gone.
    guard record.instances.allSatisfy({ $0.condemned == nil || $0.phase == .lost }) else { return }
    let lost = record.instances.filter { $0.phase == .lost }
    let result: RolloutEnd.Result
    var reason = ""
    switch rollout.direction {
    case .forward:
      result = lost.isEmpty && isWhole(rollout) ? .succeeded : .degraded
      if result == .degraded { reason = rollout.failures.last?.failure.message ?? "instances are lost" }
      var reached = rollout.goal
      reached.renew = []
      if let release = rollout.goal.release {
        for index in record.releases.indices where record.releases[index].number == release { record.releases[index].status = .succeeded }
      }
      let walked = record.walked
      if reached.release != nil { record.stable = reached } else { record.stable?.replicas = 0 }
      if let release = reached.release { record.reach(release, along: walked, isRollback: rollout.cause == "rollback") }
      if rollout.isRemoval { remove(rollout, lost: lost) }
    case .back(let because, _):
      result = rollout.waves == 0 || rollout.goal.release == nil ? .failed : .rolledBack
      reason = because
      // What stands is what was gone back to, with the secrets and the number that hold now.
      if record.stable != nil, rollout.goal.release != nil {
        record.stable?.secrets = rollout.goal.secrets
        record.stable?.replicas = rollout.goal.replicas
      }
    }
    if rollout.goal.release != nil,
      let full = Placement.overfullRack(
        of: record.instances.filter { $0.phase != .lost }, record: record, view: view, replicas: rollout.goal.replicas)
    {
      note(
        .warning, "spread-exceeded",
        "rack \(full.rack) has \(full.count) instances where an even spread gives it \(full.share): other racks had no free slot and port")
    }
    record.ended = RolloutEnd(
      number: rollout.number, cause: rollout.cause, by: rollout.by, result: result, release: rollout.goal.release,
      wanted: rollout.wanted, startedAt: rollout.startedAt, endedAt: wall, reason: reason, failures: Array(rollout.failures.suffix(20)),
      judgement: rollout.judgement, byOperator: rollout.wentBackByWord ? true : nil)
    note(
      result == .succeeded ? .info : .warning, "rollout-ended", "\(rollout.cause) \(result.words)\(reason.isEmpty ? "" : ": \(reason)")"
    )
    record.rollout = nil
    record.backoffs = []
    record.trimReleases()
    forgetHosts()
  }

  /// What the fleet does not have any more, and nothing is on.
  private mutating func forgetHosts() {
    let (view, used) = (view, Set(record.instances.map(\.host)))
    record.hosts.removeAny { view.host($0.name) == nil && !used.contains($0.name) }
  }

  /// Nothing of it is left, but for what hosts hold that cannot be reached: then its route is away, and it can be removed again.
  private mutating func remove(_ rollout: Rollout, lost: [Instance]) {
    guard lost.isEmpty else { return record.routeGivenUp = true }
    record.removal = Removal(by: rollout.by, at: wall, successor: rollout.successor)
    (record.stable, record.previous, record.way, record.scale) = (nil, nil, nil, nil)
    note(.info, "service-removed", "\(record.service) is removed\(rollout.successor.map { ": it goes on as \($0)" } ?? "")")
  }

  private func isWhole(_ rollout: Rollout) -> Bool {
    record.instances.count { $0.takesPlace && $0.condemned == nil } >= (rollout.goal.release == nil ? 0 : rollout.goal.replicas)
  }
}
