import SluiceRollout

/// The exit codes of DESIGN section 8.
package enum ExitReason: Int32, CaseIterable, Sendable {
  case done = 0
  /// Nothing was left half-done.
  case failed = 1
  /// `plan`: something would change.
  case changesPending = 2
  /// At a gate, for an operator.
  case waiting = 3
  /// Failed, and all of it rolled back.
  case rolledBack = 4
  case degraded = 5
  case usage = 64
  /// Another controller has it.
  case held = 75
  /// Resumable.
  case interrupted = 130

  /// The worst of several, in the order in which an operator wants to hear of them.
  package static func worst(_ reasons: [ExitReason]) -> ExitReason {
    let order: [ExitReason] = [.interrupted, .failed, .held, .waiting, .rolledBack, .degraded]
    return order.first { reasons.contains($0) } ?? .done
  }
}

extension FleetRunner.Outcome {
  /// How a command ends that came to this. `asked`: going back was what the operator wanted, by `rollback` or by `rollout abort`.
  package func exit(askedToGoBack asked: Bool) -> ExitReason {
    switch self {
    case .done(nil): return .done
    case .done(let end?):
      // A rollback that was begun and came back to what it was to leave is none that went well; one that was aborted by a word is.
      let isWanted = asked && (end.cause != "rollback" || end.byOperator == true)
      return switch end.result {
      case .succeeded: .done
      case .degraded: .degraded
      case .rolledBack: isWanted ? .done : .rolledBack
      case .failed: isWanted ? .done : .failed
      }
    case .waiting(.interrupted): return .interrupted
    case .waiting: return .waiting
    // Another controller has taken the fence in mid-run.
    case .failed(let failure) where failure.kind == .fenced: return .held
    case .refused, .failed: return .failed
    case .held: return .held
    case .interrupted: return .interrupted
    }
  }
}
