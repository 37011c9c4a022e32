import PortContracts
import SluiceEngine
import SluiceStore
import Testing

/// The laws that the simulated database keeps too.
@Suite struct ContractTests {
  private struct Subject: StoreSubject {
    let directory: TemporaryDirectory
    let database: SQLiteStore

    init() throws {
      directory = try TemporaryDirectory()
      database = try SQLiteStore(directory: directory.path, fleet: prod)
    }

    var store: any StorePort { database }
    func reopened() throws -> any StorePort { try SQLiteStore(directory: directory.path, fleet: prod) }
  }

  @Test(arguments: StoreContract.laws) func `a database`(keeps law: Law<any StoreSubject>) async throws {
    let subject = try Subject()
    await #expect(throws: Never.self) { try await law.check(subject) }
  }
}
