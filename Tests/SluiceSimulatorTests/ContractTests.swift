import PortContracts
import Testing

/// The simulated world keeps what the engine relies on, law by law as the real hosts and gateways do.
@Suite struct ContractTests {
  @Test(arguments: HostContract.laws) func `a simulated host`(keeps law: Law<any HostSubject>) async throws {
    try await law.check(SimulatedPorts())
  }

  @Test(arguments: GatewayContract.laws) func `a simulated gateway`(keeps law: Law<any GatewaySubject>) async throws {
    try await law.check(SimulatedPorts())
  }
}
