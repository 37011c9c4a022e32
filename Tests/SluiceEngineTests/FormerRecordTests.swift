import Foundation
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceEngine

/// Records as Sluice 0.1 wrote them.
@Suite struct FormerRecordTests {
  private struct Stored: Decodable {
    var record: ServiceRecord
  }

  /// In the first step of a canary that is judged, its controller killed.
  private static func canary() throws -> ServiceRecord {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let file = tests.appending(path: "EndToEndTests/Fixtures/sluice-0.1-canary.json")
    return try JSONDecoder().decode(Stored.self, from: Data(contentsOf: file)).record
  }

  private static func engine(_ record: ServiceRecord) -> Engine {
    func host(_ name: HostName, _ rack: RackName, _ address: String, slots: Int) -> SluiceModel.Host {
      SluiceModel.Host(name: name, rack: rack, address: address, slots: slots)
    }
    let racks = [
      Rack(name: "rack-a", hosts: [host("a1", "rack-a", "10.0.0.11", slots: 4), host("g1", "rack-a", "10.0.0.2", slots: 0)]),
      Rack(name: "rack-b", hosts: [host("b1", "rack-b", "10.0.0.12", slots: 4)]),
      Rack(name: "rack-c", hosts: [host("c1", "rack-c", "10.0.0.13", slots: 4)]),
    ]
    let gateway = Gateway(name: "edge", fleet: "rig", hosts: ["g1"], listen: [ListenAddress(address: "0.0.0.0", port: 80)])
    return Engine(fleet: Fleet(name: "rig", racks: racks), gateways: [gateway], records: [record], cordons: [])
  }

  @Test func `a canary that 0.1 had begun is read with its step, and its plan leads to the end`() throws {
    let record = try Self.canary()
    let rollout = try #require(record.rollout)
    #expect(rollout.step?.index == 0 && rollout.step?.stage == .holding && record.instances.count == 4)
    let release = try #require(record.releases.last)
    let verb = Command.Verb.apply(policy: record.policy, digest: release.digest, spec: release.spec, secrets: "", force: false)
    var rehearsal = Rehearsal(engine: Self.engine(record), service: "shop")
    let plan = try rehearsal.run(Command(id: "plan", by: "ann", at: WallTime(milliseconds: 0), verb: verb))
    #expect(plan.end == .succeeded && plan.obstacle == nil, "\(String(describing: plan.obstacle))")
    #expect(plan.steps.map(\.number) == [1, 2] && !plan.waves.isEmpty)
  }
}
