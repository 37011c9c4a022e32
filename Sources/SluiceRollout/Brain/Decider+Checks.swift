import SluiceModel

extension Decider {
  /// Asks the checks of a step that are due, each again and again while the step lasts.
  mutating func askChecks(_ step: StepState, _ analysis: Analysis) {
    guard !analysis.checks.isEmpty else { return }
    var state = record.rollout?.analysis ?? AnalysisState(for: analysis)
    for check in analysis.checks where record.openAttempt(on: .check(check.name)) == nil {
      let due = state.nextAsk(check.name) ?? now
      guard due <= now else {
        wake(at: due)
        continue
      }
      if open(.check(check.name, step: step.index)) { state.asked(check.name, next: now + check.interval) }
    }
    if record.rollout?.analysis != state { record.rollout?.analysis = state }
  }

  /// A step has ended, whatever its checks would say.
  mutating func abandonChecks() {
    for attempt in record.attempts {
      if case .check = attempt.action.object { abandon(attempt.action.object) }
    }
  }
}

extension Absorber {
  /// What a check has answered in the step that the rollout is in; `failure` is nil where it passed.
  mutating func checked(_ name: String, step: Int, failure: Failure?) {
    guard record.rollout?.step?.index == step else { return }
    record.rollout?.analysis?.checked(name, passed: failure == nil, last: failure?.message ?? "")
    if let failure { note(.warning, "check-failed", "\(name): \(failure.message)") }
    judgeNow()
  }
}
