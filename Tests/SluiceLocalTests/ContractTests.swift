import PortContracts
import SluiceEngine
import SluiceLocal
import SluiceModel
import Testing

/// The laws that simulated hooks and checks keep too.
@Suite struct ContractTests {
  private struct Machine: HookSubject, CheckSubject {
    let directory: TemporaryDirectory

    var hooks: any HookPort { HookRunner(timeLimit: .milliseconds(500), grace: .milliseconds(100)) }
    var checks: any CheckPort { CheckRunner() }

    func hook(that fate: Fate) throws -> String { try directory.script("hook", body(fate)) }

    func check(that fate: Fate) throws -> AnalysisCheck {
      let program = fate == .isCutOff ? "/no/such/check" : try directory.script("check", body(fate))
      return AnalysisCheck(name: "smoke", kind: .command([program], directory: directory.path), timeout: .init(500))
    }

    private func body(_ fate: Fate) -> String {
      switch fate {
      case .succeeds, .isCutOff: "exit 0"
      case .fails: "exit 1"
      case .hangs: "exec sleep 30"
      }
    }
  }

  @Test(arguments: HookContract.laws) func `a hook`(keeps law: Law<any HookSubject>) async throws {
    let machine = Machine(directory: try TemporaryDirectory())
    await #expect(throws: Never.self) { try await law.check(machine) }
  }

  @Test(arguments: CheckContract.laws) func `a check`(keeps law: Law<any CheckSubject>) async throws {
    let machine = Machine(directory: try TemporaryDirectory())
    await #expect(throws: Never.self) { try await law.check(machine) }
  }
}
