import PortContracts
import SluiceSimulator
import Testing

/// The simulated world keeps what the engine relies on, law by law as the real ports do.
@Suite struct ContractTests {
  @Test(arguments: HostContract.laws) func `a simulated host`(keeps law: Law<any HostSubject>) async throws {
    await #expect(throws: Never.self) { try await law.check(SimulatedPorts()) }
  }

  @Test(arguments: GatewayContract.laws) func `a simulated gateway`(keeps law: Law<any GatewaySubject>) async throws {
    await #expect(throws: Never.self) { try await law.check(SimulatedPorts()) }
  }

  @Test(arguments: StoreContract.laws) func `a simulated database`(keeps law: Law<any StoreSubject>) async throws {
    await #expect(throws: Never.self) { try await law.check(SimulatedDatabase()) }
  }

  @Test(arguments: HookContract.laws) func `a simulated hook`(keeps law: Law<any HookSubject>) async throws {
    await #expect(throws: Never.self) { try await law.check(SimulatedPorts()) }
  }

  @Test(arguments: CheckContract.laws) func `a simulated check`(keeps law: Law<any CheckSubject>) async throws {
    await #expect(throws: Never.self) { try await law.check(SimulatedPorts()) }
  }

  @Test(arguments: [Sabotage.anyFence, .fenceBelowOnly]) func `a world that lets a wrong fence act does not keep them`(_ sabotage: Sabotage)
    async
  {
    var broken = 0
    for law in HostContract.laws {
      do { try await law.check(SimulatedPorts(sabotage)) } catch is BrokenLaw { broken += 1 } catch { Issue.record(error) }
    }
    for law in GatewayContract.laws {
      do { try await law.check(SimulatedPorts(sabotage)) } catch is BrokenLaw { broken += 1 } catch { Issue.record(error) }
    }
    #expect(broken > 0)
  }
}
