import ArgumentParser
import SluiceEngine
import SluiceRollout

/// The exit codes of DESIGN section 7.
enum ExitStatus {
  static let failed = ExitCode(1)
  static let changesPending = ExitCode(2)
  static let waiting = ExitCode(3)
  static let rolledBack = ExitCode(4)
  static let degraded = ExitCode(5)
  static let usage = ExitCode(64)
  static let held = ExitCode(75)
  static let interrupted = ExitCode(130)

  /// The code of one service's outcome. `asked`: going back was what the operator wanted.
  static func of(_ outcome: FleetRunner.Outcome, askedToGoBack asked: Bool) -> ExitCode {
    switch outcome {
    case .done(nil): .success
    case .done(let end?):
      switch end.result {
      case .succeeded: .success
      case .degraded: degraded
      case .rolledBack: asked ? .success : rolledBack
      case .failed: asked ? .success : failed
      }
    case .waiting(.interrupted): interrupted
    case .waiting: waiting
    // Another controller has taken the fence in mid-run.
    case .failed(let failure) where failure.kind == .fenced: held
    case .refused, .failed: failed
    case .held: held
    case .interrupted: interrupted
    }
  }

  /// The worst of several, in the order in which an operator wants to hear of them.
  static func worst(_ codes: [ExitCode]) -> ExitCode {
    let order: [ExitCode] = [interrupted, failed, held, waiting, rolledBack, degraded]
    return order.first { codes.contains($0) } ?? .success
  }
}
