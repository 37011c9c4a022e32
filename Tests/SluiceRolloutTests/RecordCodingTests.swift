import Foundation
import SluiceModel
import Testing

@testable import SluiceRollout

/// The record is read by other controllers, and by later versions: how values are kept in memory must not show in it.
@Suite struct RecordCodingTests {
  private func fields(_ value: some Encodable) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(value)) as? [String: Any])
  }

  @Test func `a value that is kept beside its record is encoded in its place`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2) { $0.minHealthyTime = .seconds(1) }
    let record = try fields(bench.record)
    #expect((record["policy"] as? [String: Any])?["name"] as? String == "shop")
    #expect((record["ended"] as? [String: Any])?["result"] as? String == "succeeded")
    #expect(((record["table"] as? [String: Any])?["content"] as? [String: Any])?["targets"] as? [Any] != nil)
    let rollout = try #require(record["rollout"] as? [String: Any])
    #expect((rollout["formerPolicy"] as? [String: Any])?["replicas"] as? Int == 3)
    #expect(rollout["analysis"] == nil)
    let decoded = try JSONDecoder().decode(ServiceRecord.self, from: JSONEncoder().encode(bench.record))
    #expect(decoded == bench.record)
  }

  @Test func `where it is nil it is left out`() throws {
    let record = ServiceRecord(policy: Bench.policy())
    let encoded = try fields(record)
    #expect(encoded["ended"] == nil && encoded["policy"] != nil)
    #expect((encoded["table"] as? [String: Any])?["content"] == nil)
    #expect(try JSONDecoder().decode(ServiceRecord.self, from: JSONEncoder().encode(record)) == record)
  }

  @Test func `copies of a boxed value are changed apart`() {
    let one = ServiceRecord(policy: Bench.policy())
    var other = one
    #expect(one == other)
    other.policy.replicas = 7
    #expect(one.policy.replicas == 3 && other.policy.replicas == 7 && one != other)
    other.policy.replicas = 3
    #expect(one == other && one.hashValue == other.hashValue)
  }
}
