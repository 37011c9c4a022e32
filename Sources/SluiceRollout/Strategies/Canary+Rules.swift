package import SluiceModel

/// A small second pool that a growing share of users goes to; then waves, the split following capacity. A rollback is waves only: what it goes
/// back to has been judged before.
extension Canary: ReleaseStrategy {
  package func bounds(replicas: Int) -> Bounds {
    Bounds(floor: replicas, cap: 2 * replicas, surge: max(1, maxSurge.roundedUp(of: replicas)))
  }

  package func steps(replicas: Int, isRollback: Bool) -> [StepPlan] {
    if isRollback { return [] }
    return steps.map { step in
      StepPlan(
        instances: pool(for: step, of: replicas), share: .users(step.users), hold: step.hold, maxHold: step.maxHold, approve: step.approve,
        analysis: step.analysis ?? analysis)
    }
  }

  /// As many as the share of users needs, or as the step says; at least one.
  private func pool(for step: CanaryStep, of replicas: Int) -> Int {
    min(replicas, max(1, (step.instances ?? .share(step.users)).roundedUp(of: replicas)))
  }
}
