import PortContracts
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

/// What the engine relies on, kept by a real gateway behind its driver as by the simulated one.
@Suite struct ContractTests {
  @Test(arguments: GatewayContract.laws) func `a gateway`(keeps law: Law<any GatewaySubject>) async throws {
    try await withGateway { gateway in
      try await gateway.start()
      await #expect(throws: Never.self) { try await law.check(gateway) }
    }
  }
}

extension TestGateway: GatewaySubject {
  var gateways: any GatewayPort { driver }
  var gateway: GatewayID { edge }
  var policy: ServicePolicy {
    ServicePolicy(name: "shop", fleet: "test", replicas: 2, route: Route(gateway: "edge", hosts: ["shop.example.com"]))
  }

  func target(_ number: Int, draining: Bool) -> TableTarget {
    TableTarget(instance: number, release: ReleaseNumber(1), address: "127.0.0.1", port: port, draining: draining)
  }
}
