import PortContracts
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

/// What the engine relies on, kept by a host behind a real sshd as by the simulated one.
@Suite("A host keeps what the engine relies on", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)))
struct ContractTests {
  @Test(arguments: HostContract.laws) func keeps(_ law: Law<any HostSubject>) async throws {
    try await Bench.run { bench in await #expect(throws: Never.self) { try await law.check(bench) } }
  }
}

extension Bench: HostSubject {
  var hosts: any HostPort { hands }

  func release(_ number: Int, sick: Bool) async throws -> Release {
    try await release(number) { spec in if sick { spec.run.env["FAULT"] = "unhealthy" } }
  }

  func instance(_ number: Int, of release: Release) async throws -> Instance { try await instance(number, of: release, port: nil) }

  /// Its sshd listens there.
  func crowded(_ number: Int, of release: Release) async throws -> Instance { try await instance(number, of: release, port: at.port) }
}
