package import SluiceEngine
package import SluiceModel
import SluiceRollout

/// What becomes of a hook or a check that is asked for.
package enum Fate: Hashable, CaseIterable, Sendable {
  case succeeds
  case fails
  case hangs
  /// It is asked, and nobody hears the answer.
  case isCutOff
}

/// A machine on which hooks can be run.
package protocol HookSubject: Sendable {
  var hooks: any HookPort { get }
  /// A hook that ends so.
  func hook(that fate: Fate) throws -> String
}

/// What every runner of hooks does.
package enum HookContract {
  package static let laws: [Law<any HookSubject>] = [
    Law("a hook that ends well has succeeded, with nothing seen") { subject in
      try demandPassed(try await run(.succeeds, subject))
    },
    Law("one that fails has failed as a hook, says so, and may be run again") { subject in
      for _ in 0..<2 { try demandFailed(try await run(.fails, subject), as: .hook) }
      try demandPassed(try await run(.succeeds, subject))
    },
    Law("one that hangs is not taken for done") { subject in
      let result = try await run(.hangs, subject)
      if case .succeeded = result { throw BrokenLaw(description: "\(result)") }
    },
  ]

  private static func run(_ fate: Fate, _ subject: any HookSubject) async throws -> AttemptResult {
    let record = ServiceRecord(policy: ServicePolicy(name: "shop", fleet: "prod", replicas: 3))
    return await subject.hooks.run(HookCall(.preWave, wave: 1), command: try subject.hook(that: fate), record: record, attempt: 1)
  }
}

/// A machine from which checks can be asked.
package protocol CheckSubject: Sendable {
  var checks: any CheckPort { get }
  /// A check that is answered so, and has half a second for it.
  func check(that fate: Fate) throws -> AnalysisCheck
}

/// What everything that asks checks does.
package enum CheckContract {
  package static let laws: [Law<any CheckSubject>] = [
    Law("a check that passes has succeeded, with nothing seen") { subject in
      try demandPassed(try await ask(.succeeds, subject))
    },
    Law("one that does not pass, or not in time, has failed as a check and says why") { subject in
      for fate in [Fate.fails, .hangs] { try demandFailed(try await ask(fate, subject), as: .check) }
    },
    Law("one that was not asked to its end is in doubt: it speaks neither for the canary nor against it") { subject in
      let result = try await ask(.isCutOff, subject)
      guard case .inDoubt(let why) = result, !why.isEmpty else { throw BrokenLaw(description: "\(result)") }
    },
  ]

  private static func ask(_ fate: Fate, _ subject: any CheckSubject) async throws -> AttemptResult {
    let check = try subject.check(that: fate)
    var policy = ServicePolicy(name: "shop", fleet: "prod", replicas: 3)
    let analysis = Analysis(checks: [check])
    policy.strategy = .canary(Canary(steps: [CanaryStep(users: BasisPoints(1_000))], analysis: analysis))
    return await subject.checks.ask(check, step: 0, record: ServiceRecord(policy: policy))
  }
}

private func demandPassed(_ result: AttemptResult, line: UInt = #line) throws {
  try demand(result == .succeeded(.nothing), "\(result)", line: line)
}

/// It failed so, and says why.
private func demandFailed(_ result: AttemptResult, as kind: Failure.Kind, line: UInt = #line) throws {
  guard case .failed(let failure) = result, failure.kind == kind, !failure.message.isEmpty else {
    throw BrokenLaw(description: "\(result) (line \(line))")
  }
}
