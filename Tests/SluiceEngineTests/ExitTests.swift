import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceEngine

/// What each command exits with, for each way in which it can end.
@Suite struct ExitTests {
  /// What was typed, and whether going back was the wish.
  private enum Typed: CaseIterable {
    case apply, restart, rollback, abort

    var asksToGoBack: Bool { self == .rollback || self == .abort }
    /// The rollout that ends: a rollback begins one of its own, an abort ends another's.
    var cause: String {
      switch self {
      case .apply, .abort: "apply"
      case .restart: "restart"
      case .rollback: "rollback"
      }
    }
  }

  private func end(_ cause: String, _ result: RolloutEnd.Result, byOperator: Bool? = nil) -> FleetRunner.Outcome {
    let now = WallTime(milliseconds: 0)
    return .done(
      RolloutEnd(
        number: 3, cause: cause, by: "anna", result: result, release: ReleaseNumber(1), startedAt: now, endedAt: now, reason: "",
        failures: [], byOperator: byOperator))
  }

  @Test func `the end of a rollout`() {
    let expected: [(RolloutEnd.Result, [Typed: ExitReason])] = [
      (.succeeded, [.apply: .done, .restart: .done, .rollback: .done, .abort: .done]),
      (.degraded, [.apply: .degraded, .restart: .degraded, .rollback: .degraded, .abort: .degraded]),
      (.rolledBack, [.apply: .rolledBack, .restart: .rolledBack, .rollback: .rolledBack, .abort: .done]),
      (.failed, [.apply: .failed, .restart: .failed, .rollback: .failed, .abort: .done]),
    ]
    for (result, exits) in expected {
      for typed in Typed.allCases {
        let outcome = end(typed.cause, result, byOperator: typed == .abort ? true : nil)
        #expect(outcome.exit(askedToGoBack: typed.asksToGoBack) == exits[typed], "\(typed) that ends \(result)")
      }
    }
  }

  @Test func `a rollback of what was under way is the abort of it, also of another rollback`() {
    #expect(end("apply", .rolledBack, byOperator: true).exit(askedToGoBack: true) == .done)
    #expect(end("rollback", .rolledBack, byOperator: true).exit(askedToGoBack: true) == .done)
    #expect(end("rollback", .rolledBack).exit(askedToGoBack: true) == .rolledBack)
    #expect(end("apply", .rolledBack, byOperator: true).exit(askedToGoBack: false) == .rolledBack, "whoever applied did not get it")
  }

  @Test func `everything else is the same whatever was typed`() {
    let holder = FenceHolder(
      fence: Fence(owner: "b", epoch: 2), machine: "laptop", since: WallTime(milliseconds: 0), released: false)
    let expected: [(FleetRunner.Outcome, ExitReason)] = [
      (.done(nil), .done), (.waiting(.paused(by: "anna")), .waiting), (.waiting(.interrupted), .interrupted),
      (.waiting(.failed(Failure(.start, "no"))), .waiting),
      (.waiting(.tableRefused(GatewayID(gateway: "edge", host: "g1"), "no", remedy: "")), .waiting),
      (.refused(Refusal("no")), .failed), (.held(holder), .held), (.failed(Failure(.host, "no")), .failed),
      (.failed(Failure(.fenced, "no")), .held), (.interrupted, .interrupted),
    ]
    for (outcome, exit) in expected {
      for asked in [true, false] { #expect(outcome.exit(askedToGoBack: asked) == exit, "\(outcome)") }
    }
    #expect(ExitReason.worst([.done, .degraded, .rolledBack]) == .rolledBack && ExitReason.worst([.held, .failed]) == .failed)
    #expect(ExitReason.worst([]) == .done)
  }
}
