import SluiceModel
import Testing

@testable import SluiceRollout

/// `rackLossFloor` where faults and operators have changed what stands.
@Suite struct RackLossTests {
  @Test func `what goes from the rack whose loss is feared makes that loss no worse`() throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 4) {
        $0.strategy = .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(1), rackLossFloor: .count(2)))
        $0.failureBudget = .count(4)
      }, racks: 2, slots: 6)
    // A rack is gone already: with the other one everything would be lost, whichever of its instances goes.
    bench.tell(.hostUnreachable("b1", "no route"))
    try bench.apply(2)
    bench.run()
    #expect(bench.record.rollout == nil)
    #expect(bench.record.instances.count { $0.isServing && $0.release == ReleaseNumber(2) } == 4)
  }

  @Test func `a host that is drained and undrained leaves no wave that waits for its rack`() throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 3) {
        $0.strategy = .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(1), rackLossFloor: .count(1)))
      }, racks: 2)
    let crowded = try #require(["a1", "b1"].first { host in bench.hosts.count { $0 == HostName(host) } == 2 })
    bench.cordon([HostName(crowded)])
    try bench.command(.settle(cause: "drain", overrideFloor: false))
    bench.run(steps: 200) {
      if case .rackLossFloor? = $0.record.rollout?.gate { true } else { false }
    }
    #expect(bench.record.rollout != nil)
    bench.cordon([])
    try bench.command(.settle(cause: "undrain", overrideFloor: false))
    bench.run()
    #expect(bench.record.rollout == nil)
    #expect(bench.serving.count == 3)
  }

  @Test func `while a rack is lost no second loss is planned for, and going back gets to its end`() throws {
    let policy = Bench.policy(replicas: 6) {
      $0.strategy = .rolling(Rolling(maxSurge: .count(2), rackOrder: true, rackLossFloor: .count(4)))
    }
    var bench = try Bench.released(policy, hostsPerRack: 2)
    try bench.apply(2)
    bench.run { $0.record.rollout?.wave?.number == 2 && $0.record.rollout?.wave?.stage == .running }
    for host in ["c1", "c2"] as [HostName] { bench.tell(.hostUnreachable(host, "no route")) }
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack && bench.serving.count == 6)
    #expect(bench.events.count { $0.kind == "rack-lost" && $0.text == "rack-c is lost: none of its hosts c1, c2 can be reached" } == 1)
  }
}
