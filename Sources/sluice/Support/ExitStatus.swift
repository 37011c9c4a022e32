import ArgumentParser
import SluiceEngine

/// The exit codes of DESIGN section 8, as the argument parser throws them: see `ExitReason`.
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
    ExitCode(outcome.exit(askedToGoBack: asked).rawValue)
  }

  /// The worst of several, in the order in which an operator wants to hear of them.
  static func worst(_ codes: [ExitCode]) -> ExitCode {
    ExitCode(ExitReason.worst(codes.compactMap { ExitReason(rawValue: $0.rawValue) }).rawValue)
  }
}
