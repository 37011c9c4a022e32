package import SluiceModel

/// A whole second pool, seen by its preview only; then all users at once; then the old pool for a while. Rolled back the same way, unasked.
extension BlueGreen: ReleaseStrategy {
  package func bounds(replicas: Int) -> Bounds { Bounds(floor: replicas, cap: 2 * replicas, surge: replicas) }

  package func steps(replicas: Int, isRollback: Bool) -> [StepPlan] {
    let analysis = checks.isEmpty || isRollback ? nil : Analysis(minRequests: 0, checks: checks)
    return [
      StepPlan(instances: replicas, share: .nobody, maxHold: .minutes(30), approve: approve && !isRollback, analysis: analysis),
      StepPlan(instances: replicas, share: .everybody, hold: keepOld),
    ]
  }
}
