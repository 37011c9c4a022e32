import SluiceModel

extension Absorber {
  /// Where two releases are kept apart, and a stable one is there to compare with, a rollout goes by its strategy's steps.
  ///
  /// `inherited` is who got the release of a rollout that this one supersedes: those users go back to the stable release first.
  mutating func beginSteps(inheriting inherited: Audience?) {
    guard let rollout = record.rollout, rollout.direction.isForward, let goal = rollout.goal.release, let stable = rollout.origin.release,
      goal != stable, rollout.origin.replicas > 0, rollout.goal.replicas > 0, !view.processes(of: record.policy.route).isEmpty,
      !record.steps.isEmpty
    else { return }
    record.rollout?.step = StepState(index: 0)
    let salt = rollout.salt(of: record.service)
    let superseded = record.instances.filter { $0.release != stable && $0.release != goal && $0.condemned == nil && $0.isServing }
    if let inherited, inherited.release != goal {
      record.rollout?.audience = inherited
    } else if let other = superseded.first {
      record.rollout?.audience = Audience(release: other.release, share: .shared, salt: salt)
    } else {
      record.rollout?.audience = Audience(release: goal, share: .nobody, salt: salt)
    }
  }

  /// What users met counts once, and a canary that fails its analysis goes back at once, whatever it was waiting for.
  mutating func take(_ fact: TrafficFact) {
    guard let rollout = record.rollout, let since = rollout.splitSince, fact.generation >= since, var state = rollout.analysis else {
      return
    }
    state.take(gateway: fact.gateway, boot: fact.boot, generation: fact.generation, canary: fact.canary, stable: fact.stable)
    record.rollout?.analysis = state
    record.rollout?.step?.unheard.removeAll { $0 == fact.gateway }
    judgeNow()
  }

  /// A canary that fails goes back at once, whatever the rollout waits for.
  mutating func judgeNow() {
    guard let rollout = record.rollout, rollout.direction.isForward, rollout.stoppedBy == nil, let analysis = record.analysis,
      let state = rollout.analysis
    else { return }
    guard state.verdict(analysis) == .fail else { return }
    let judgement = state.judge(analysis)
    guard let finding = judgement.findings.first(where: { $0.verdict == .fail }) else { return }
    record.rollout?.judgement = judgement
    var decider = Decider(record: record, view: view, wall: WallTime(milliseconds: 0))
    decider.turnRound(
      Failure(
        .analysis, "analysis: \(finding.rule): \(finding.text)", remedy: "sluice rollout why \(record.service) shows what was counted"),
      condemnsRelease: true)
    record = decider.record
    events += decider.events
  }

  /// The operator's word that a step may end.
  mutating func promote(full: Bool, _ command: Command) throws(Refusal) {
    guard let rollout = record.rollout else {
      throw Refusal("no rollout of \(record.service) is under way", remedy: "sluice status \(record.service) shows what stands")
    }
    guard rollout.direction.isForward else {
      throw Refusal("the rollout of \(record.service) goes back", remedy: "sluice apply begins another")
    }
    if settleTask(isDone: true, by: command.by) { return }
    guard let step = rollout.step, let plan = record.stepPlan else {
      throw Refusal(
        "the rollout of \(record.service) is in no step: it goes on by itself",
        remedy: "sluice status \(record.service) shows how far it is")
    }
    if !full, step.stage != .holding {
      if let failure = rollout.stoppedBy {
        throw Refusal(
          "step \(step.index + 1) is not reached, and its rollout has stopped: \(failure.message)",
          remedy: "sluice rollout retry \(record.service), sluice rollout abort \(record.service), or promote --full: no more steps")
      }
      throw Refusal(
        "step \(step.index + 1) is not reached yet: its instances are being started",
        remedy: "sluice status \(record.service) --watch; or sluice rollout promote \(record.service) --full")
    }
    record.rollout?.pausedBy = nil
    record.rollout?.interrupted = false
    // Whoever promotes has seen why it stopped.
    record.rollout?.stoppedBy = nil
    record.rollout?.progressAt = record.activeTime
    if full {
      // Users follow the capacity from here on; who has the new release keeps it.
      record.rollout?.step = nil
      return note(.warning, "promoted", "\(command.by) promotes release \(rollout.goal.release ?? ReleaseNumber(0)) to all users")
    }
    record.rollout?.step?.promoted = true
    note(.info, "promoted", "\(command.by) ends step \(step.index + 1) (\(plan.share))")
  }

  /// A share by hand: it stands until the operator promotes, sets another one, or aborts.
  mutating func split(_ share: BasisPoints, _ command: Command) throws(Refusal) {
    guard let rollout = record.rollout, rollout.direction.isForward, let step = rollout.step, case .canary = record.policy.strategy else {
      throw Refusal(
        "\(record.service) has no canary whose users could be chosen",
        remedy: "give it strategy.canary and apply a new release; sluice rollout pause \(record.service) holds it where it is")
    }
    if let failure = rollout.stoppedBy {
      throw Refusal(
        "the rollout of \(record.service) has stopped: \(failure.message)",
        remedy: "sluice rollout retry \(record.service), or sluice rollout abort \(record.service)")
    }
    var anew = StepState(index: step.index)
    anew.byHand = share
    record.rollout?.step = anew
    record.rollout?.pausedBy = nil
    record.rollout?.interrupted = false
    note(.warning, "split-by-hand", "\(command.by) gives the new release \(share) of users")
  }
}
