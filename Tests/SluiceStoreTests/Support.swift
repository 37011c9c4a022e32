import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore
import Testing

/// A directory of its own, gone with the last reference.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "sluice-store-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

let prod: FleetName = "prod"

func record(_ service: ServiceName = "shop", epoch: UInt64 = 1, version: UInt64 = 1, replicas: Int = 3) -> ServiceRecord {
  var record = ServiceRecord(policy: ServicePolicy(name: service, fleet: prod, replicas: replicas, hooks: [.preWave: "w", .failed: "f"]))
  record.fence = Fence(owner: "ann@laptop", epoch: epoch)
  record.version = version
  return record
}

/// A record in which most kinds of value occur.
func richRecord() -> ServiceRecord {
  var rich = record(epoch: 7, version: UInt64.max / 2)
  rich.releases = [
    Release(
      number: ReleaseNumber(1), digest: Digest(String(repeating: "a", count: 64)),
      spec: ReleaseSpec(
        artifact: Digest(String(repeating: "b", count: 64)),
        run: RunSpec(command: ["bin/shop", "${PORT}"], env: ["B": "2", "A": "1", "C": "\"/ü"]),
        readiness: ReadinessCheck(probe: .http(path: "/healthz", status: 200))), status: .bad("it \"crashed\""))
  ]
  rich.instances = [
    Instance(
      number: 1, release: ReleaseNumber(1), host: "a1", address: "10.0.0.1", port: 20_000, secrets: "0",
      phase: .stopping)
  ]
  rich.attempts = [
    Attempt(id: 4, action: .setTable(GatewayID(gateway: "edge", host: "g1"), Revision(epoch: 7, version: 2)), openedAt: .seconds(4))
  ]
  rich.backoffs = [Backoff(object: .staging("a1", ReleaseNumber(1)), tries: 2, notBefore: .seconds(9))]
  rich.rollout = Rollout(
    number: 2, cause: "apply", by: "ann", startedAt: WallTime(milliseconds: 1_700_000_000_000),
    goal: Goal(release: ReleaseNumber(1), replicas: 3),
    origin: Goal(release: nil, replicas: 0), now: .seconds(1))
  rich.rollout?.gate = .failed(Failure(.readiness, "no answer", output: "503"))
  rich.ended = end(1)
  return rich
}

func end(_ number: Int, _ result: RolloutEnd.Result = .succeeded, at: Int64 = 2_000) -> RolloutEnd {
  RolloutEnd(
    number: number, cause: "apply", by: "ann", result: result, release: ReleaseNumber(number), startedAt: WallTime(milliseconds: 1_000),
    endedAt: WallTime(milliseconds: at), reason: "", failures: [])
}

func event(_ text: String, service: ServiceName = "shop", at: Int64 = 1) -> StoredEvent {
  StoredEvent(
    service: service, at: WallTime(milliseconds: at), rollout: 1, event: RecordEvent(.info, "noted", text, instance: 3, host: "a1"))
}

func command(_ id: String, _ verb: Command.Verb = .abort) -> StoredCommand {
  StoredCommand(service: "shop", command: Command(id: id, by: "ann", at: WallTime(milliseconds: 5), verb: verb))
}

/// The next element, or nil when none comes within the bound.
func next(of stream: AsyncStream<Void>, within bound: Duration = .seconds(10)) async -> Void? {
  await withTaskGroup(of: Void?.self) { group in
    group.addTask {
      for await element in stream { return element }
      return nil
    }
    group.addTask {
      try? await Task.sleep(for: bound)
      return nil
    }
    defer { group.cancelAll() }
    return await group.next() ?? nil
  }
}
