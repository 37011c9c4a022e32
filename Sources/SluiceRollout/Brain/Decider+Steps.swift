import SluiceModel

extension Decider {
  // MARK: Steps

  /// The pools of the step are complete: its share is decided, made known, sent, and held for as long as the step says.
  mutating func holdStep(_ rollout: Rollout, _ plan: StepPlan) {
    guard let step = rollout.step, let audience = rollout.audience, let release = rollout.goal.release else { return }
    let isAnothers = audience.release != release
    if isAnothers, !rollout.takesOver(plan) { return }
    switch step.stage {
    case .filling:
      guard isWell(release) else { return }
      change { $0.stage = .recording }
      progress()
    case .recording:
      // Another controller that goes on from a copy is to know where users were sent: see the outcome of `replicate`.
      open(.replicate)
    case .holding:
      if isAnothers || audience.share != plan.share {
        guard isWell(release) else { return change { $0.stage = .filling } }
        let salt = isAnothers ? rollout.salt(of: record.service) : audience.salt
        record.rollout?.audience = Audience(release: release, share: plan.share, salt: salt)
        note(.info, "split", "step \(step.index + 1): release \(release) gets \(plan.share)")
        if let words = record.stableIsDown { note(.warning, "stable-down", words) }
        return
      }
      // The table of this pass says so; the time counts from when every gateway has it.
      guard isSent(plan.share) else { return }
      let time = now
      let since = step.since ?? time
      if step.since == nil {
        change { $0.since = time }
        beginAnalysis(plan)
      }
      wait(step, plan, since: since)
    }
  }

  /// What was counted under another share says nothing of this one's time.
  private mutating func beginAnalysis(_ plan: StepPlan) {
    record.rollout?.analysis?.beginStep()
    if let analysis = plan.analysis { record.rollout?.analysis?.follow(analysis) }
  }

  /// What is not healthy yet, or has just fallen ill, gets no more users.
  private func isWell(_ release: ReleaseNumber) -> Bool {
    let pool = record.instances.filter { $0.release == release && $0.condemned == nil && $0.takesPlace }
    return !pool.isEmpty && pool.allSatisfy(\.isServing)
  }

  /// A gateway that users come through and that has not told yet what it counted while nobody listened.
  private func unheard(_ step: StepState) -> GatewayID? { step.unheard.first { requiredGateways.contains($0) } }

  private mutating func wait(_ step: StepState, _ plan: StepPlan, since: Milliseconds) {
    let number = step.index + 1
    if let analysis = plan.analysis { askChecks(step, analysis) }
    if step.promoted {
      // The operator goes on without a verdict, but not before what was counted in a gap of control was judged.
      if plan.analysis != nil, let gateway = unheard(step) {
        record.rollout?.gate = .counts(step: number, gateway)
        return
      }
      return nextStep(step)
    }
    let end = since + plan.hold
    if now < end {
      record.rollout?.gate = .holding(step: number, plan.share, until: end)
      return wake(at: end)
    }
    if let why = step.asks { return ask(step, plan, why) }
    // A share by hand waits for the operator's word alone.
    if let analysis = plan.analysis, step.byHand == nil {
      // What was counted while nobody looked (`unheard`) belongs to the verdict too.
      guard let state = record.rollout?.analysis, unheard(step) == nil, state.verdict(analysis) == .pass else {
        let last = since + plan.maxHold
        if now >= last { return ask(step, plan, "its analysis has had no verdict for \(plan.maxHold) (maxHold)") }
        record.rollout?.gate = .analysis(step: number, plan.share, until: last)
        return wake(at: last)
      }
      let judgement = state.judge(analysis)
      record.rollout?.judgement = judgement
    }
    if plan.approve || step.byHand != nil { return ask(step, plan, "") }
    nextStep(step)
  }

  private mutating func ask(_ step: StepState, _ plan: StepPlan, _ why: String) {
    let words = [why, record.stableIsDown ?? ""].filter { !$0.isEmpty }.joined(separator: "; ")
    let gate = Gate.approval(step: step.index + 1, plan.share, words)
    record.rollout?.gate = gate
    guard step.asks == nil else { return }
    change { $0.asks = why }
    note(.info, "approval-needed", gate.description)
  }

  private mutating func nextStep(_ step: StepState) {
    if let rollout = record.rollout, isFrozen(rollout) || !step.promoted && isOutsideWindows(rollout) { return }
    abandonChecks()
    let next = step.index + 1
    let count = record.steps.count
    note(.info, "step-ended", "step \(next) of \(count) has ended")
    record.rollout?.step = next < count ? StepState(index: next) : nil
    progress()
  }

  /// Whether the table that every gateway has is the one with that share.
  private func isSent(_ share: Audience.Share) -> Bool {
    guard let content = record.table.content, let release = record.rollout?.audience?.release else { return false }
    switch share {
    case .nobody: return content.idle?.contains(release) ?? true
    // Where the others' pool is gone, there is nothing to split.
    case .users(let users): return content.split?.share == users || content.split == nil && content.sendsAll(to: release)
    case .shared: return true
    case .everybody: return !(content.idle?.contains(release) ?? false) && content.split == nil
    }
  }

  private mutating func change(_ body: (inout StepState) -> Void) {
    guard var step = record.rollout?.step else { return }
    body(&step)
    record.rollout?.step = step
  }

  /// Who gets which release, by what serves now: what was moved back is told.
  mutating func steerAudience() {
    if let text = record.steerAudience() { note(.warning, "split", text) }
  }
}
