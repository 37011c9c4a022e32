import SluiceEngine
import SluiceModel
import SluiceRollout

/// Checks of an analysis: what they answer, and what must be true when a step ends.
extension Simulation {
  struct CheckKey: Hashable {
    var rollout: Int
    var step: Int
    var name: String
  }

  mutating func ask(_ of: Int, _ attempt: Attempt, _ name: String, _ record: ServiceRecord) {
    let timeout = record.analysis?.checks.first { $0.name == name }?.timeout ?? .seconds(10)
    if standingFaults.contains(.checkHangs) {
      let failure = Failure(.check, "\(name) did not answer within \(timeout)")
      return push(time + timeout.value, .answers(of, attempt, .failed(failure), nil))
    }
    let result: AttemptResult
    if standingFaults.contains(.checkInDoubt) {
      result = .inDoubt("nobody knows what \(name) has answered")
    } else if standingFaults.contains(.checkFails) || record.rollout?.goal.release.flatMap({ flaw(of: $0, in: record) }) == .checks {
      result = .failed(Failure(.check, "\(name) exited with status 1"))
    } else {
      result = .succeeded(.nothing)
    }
    after(1...2_000, .answers(of, attempt, result, nil))
  }

  /// What a check has really answered.
  mutating func count(_ attempt: Attempt, _ result: AttemptResult) {
    guard case .check(let name, let step) = attempt.action, case .succeeded = result,
      let rollout = engine?.record(service)?.rollout?.number
    else { return }
    scene.passes[CheckKey(rollout: rollout, step: step, name: name), default: 0] += 1
  }

  /// Rule 7: a step ends when each of its checks has passed as often as it must.
  mutating func checkPasses(_ rollout: Rollout, _ step: StepState, _ analysis: Analysis) {
    guard !scene.stateWasLost else { return }
    for check in analysis.checks {
      let passes = scene.passes[CheckKey(rollout: rollout.number, step: step.index, name: check.name)] ?? 0
      if passes < check.count {
        violate("7", "step \(step.index + 1) ends, and check \(check.name) has passed \(passes) times of \(check.count)")
      }
    }
  }
}

extension Scenario.Flaw {
  /// Whether that analysis can find it.
  func isSeen(by analysis: Analysis) -> Bool {
    switch self {
    case .errors: analysis.maxErrorRate != nil
    case .slow: analysis.p99 != nil
    case .checks: !analysis.checks.isEmpty
    }
  }
}
