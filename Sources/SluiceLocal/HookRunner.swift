internal import Foundation
internal import Glibc
internal import SluiceEngine
internal import SluiceModel
package import SluiceRollout

/// Runs a user's executable at a named point of a rollout, in the folder it lies in.
///
/// It finds `SLUICE_ATTEMPT_ID` (unique for every attempt; a hook that was interrupted is run again under another), `SLUICE_HOOK`,
/// `SLUICE_SERVICE`, `SLUICE_FLEET`, `SLUICE_RELEASE`, `SLUICE_WAVE`, `SLUICE_ROLLOUT` and `SLUICE_DIRECTION` in its environment (empty where
/// there is none), and the same with more as one JSON object on its standard input.
package struct HookRunner: HookPort {
  private let timeLimit: Duration
  private let grace: Duration

  /// After `timeLimit` it is sent SIGTERM, and SIGKILL after `grace`, with all its children.
  package init(timeLimit: Duration = .seconds(300), grace: Duration = .seconds(5)) {
    self.timeLimit = timeLimit
    self.grace = grace
  }

  package func run(_ call: HookCall, command: String, record: ServiceRecord, attempt: Int) async -> AttemptResult {
    let report = HookReport(call, record: record, attempt: attempt)
    if let hash = HookReference.hash(command) {
      // It came with a copy of the record: nothing that does is run here.
      return .failed(
        Failure(
          .hook, "the hook \(call.point.rawValue) of \(record.service) is not known on this machine (its hash \(hash.short))",
          remedy: "give the manifest: sluice rollout resume \(record.service) -f PATH"))
    }
    let name = "the \(call.point.rawValue) hook \(command)"
    if let problem = LocalProgram.problem(command, called: name) {
      return .failed(Failure(.hook, problem.message, remedy: problem.remedy))
    }
    var hook = LocalCommand(program: command, environment: report.environment, timeLimit: timeLimit, grace: grace)
    if let slash = command.lastIndex(of: "/") { hook.workingDirectory = slash == command.startIndex ? "/" : String(command[..<slash]) }
    let outcome: LocalCommand.Outcome
    do {
      hook.input = try report.json()
      outcome = try await hook.run()
    } catch {
      return .failed(
        Failure(
          .hook, "\(name) cannot be started (\(error))", remedy: "Its first line must name an interpreter that exists here, as #!/bin/sh"))
    }
    let output = outcome.text
    let remedy = "Put it right, then sluice rollout retry \(record.service)"
    switch outcome.end {
    case .exited(0): return .succeeded(.nothing)
    case .exited(let status): return .failed(Failure(.hook, "\(name) exited with status \(status)", output: output, remedy: remedy))
    case .signalled(let signal): return .failed(Failure(.hook, "\(name) was killed by signal \(signal)", output: output, remedy: remedy))
    case .timedOut:
      return .failed(Failure(.hook, "\(name) did not end within \(timeLimit) and was stopped", output: output, remedy: remedy))
    case .cancelled: return .inDoubt("\(name) was stopped before it ended")
    }
  }
}
