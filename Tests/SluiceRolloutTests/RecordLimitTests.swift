import SluiceModel
import SluiceRollout
import Testing

/// Numbers of a record are bounded where they enter (DESIGN section 2).
@Suite struct RecordLimitTests {
  private func record(_ change: (inout ServiceRecord) -> Void = { _ in }) -> ServiceRecord {
    var record = ServiceRecord(policy: ServicePolicy(name: "shop", fleet: "prod", replicas: 3))
    record.fence = Fence(owner: "anna", epoch: 7)
    record.nextInstance = 9
    record.instances = [
      Instance(number: 8, release: ReleaseNumber(1), host: "a1", address: "10.0.0.1", port: 20_000, secrets: "", phase: .serving)
    ]
    change(&record)
    return record
  }

  @Test func `an ordinary record is within all bounds`() {
    #expect(record().limitFault == nil)
    #expect(record { $0.fence?.epoch = 1 << 48 }.limitFault == nil)
  }

  @Test func `what is beyond them is named`() {
    let beyond: [(String, (inout ServiceRecord) -> Void)] = [
      ("epoch is 18446744073709551615", { $0.fence?.epoch = .max }), ("version is", { $0.version = 1 << 49 }),
      ("nextInstance", { $0.nextInstance = .max }), ("nextAttempt is 0", { $0.nextAttempt = 0 }), ("nextRollout", { $0.nextRollout = -1 }),
      ("instance is 8", { $0.nextInstance = 8 }), ("replicas", { $0.policy.replicas = .max }), ("scale", { $0.scale = -1 }),
      ("a port is 65536", { $0.policy.ports.to = 65_536 }), ("a port is 0", { $0.policy.ports.from = 0 }),
      ("the range of ports", { $0.policy.ports = PortRange(from: 30_000, to: 20_000) }),
      ("startTimeout", { $0.policy.startTimeout = Milliseconds(.max) }), ("activeTime", { $0.activeTime = Milliseconds(-1) }),
      (
        "a host's generation",
        { record in
          var host = HostState(name: "a1")
          host.generation = .max
          record.hosts = [host]
        }
      ),
      ("a revision's epoch", { $0.table.revision.epoch = .max }),
      (
        "a step is -1",
        { record in
          record.rollout = Rollout(
            number: 1, cause: "apply", by: "anna", startedAt: WallTime(milliseconds: 0), goal: Goal(release: nil, replicas: 3),
            origin: Goal(release: nil, replicas: 0), now: .zero)
          record.rollout?.step = StepState(index: -1)
        }
      ),
      (
        "the wave is",
        { record in
          record.rollout = Rollout(
            number: 1, cause: "apply", by: "anna", startedAt: WallTime(milliseconds: 0), goal: Goal(release: nil, replicas: 3),
            origin: Goal(release: nil, replicas: 0), now: .zero)
          record.rollout?.wave = Wave(number: .max, replacements: [], holds: false)
        }
      ),
      ("replicas is", { $0.stable = Goal(release: nil, replicas: .max) }),
    ]
    for (word, change) in beyond {
      #expect(record(change).limitFault?.contains(word) == true, "\(word): \(record(change).limitFault ?? "nothing")")
    }
  }
}
