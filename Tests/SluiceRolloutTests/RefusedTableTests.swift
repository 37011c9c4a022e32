import SluiceModel
import Testing

@testable import SluiceRollout

/// Tables that gateways refuse, and the ways on and back from there.
@Suite struct RefusedTableTests {
  private func isRefused(_ bench: Bench) -> Bool { if case .tableRefused? = bench.record.rollout?.gate { true } else { false } }

  /// A first release whose route no gateway takes.
  private func refusedAtFirst() throws -> Bench {
    var bench = Bench(Bench.policy())
    bench.take(epoch: 1)
    bench.refuses = "\"::1\" is no host name"
    try bench.apply(1)
    bench.run(until: isRefused)
    try #require(isRefused(bench))
    return bench
  }

  @Test func `it is a gate after three tries, and turns nothing round`() throws {
    let bench = try refusedAtFirst()
    #expect(bench.record.rollout?.direction.isForward == true && bench.record.rollout?.failures.isEmpty == true)
    #expect(bench.kinds().count { $0 == "table-refused" } == 3)
    let gate = try #require(bench.record.rollout?.gate)
    #expect(gate.description == "the table is refused, and the one before it stands: gateway edge/g1: \"::1\" is no host name")
    #expect(gate.remedy(service: "shop").hasPrefix("put it right, then sluice apply; "))
  }

  @Test func `it is tried now and again, quietly, and goes on where it is taken`() throws {
    var bench = try refusedAtFirst()
    let told = bench.events.count
    for _ in 0..<3 { bench.pass(.seconds(31)); bench.run(until: isRefused) }
    #expect(bench.events.count == told, "it was told before")
    bench.refuses = nil
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 3)
  }

  @Test func `an abort ends, though the table of the way back is refused as well`() throws {
    var bench = try refusedAtFirst()
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.rollout == nil && bench.record.ended?.result == .failed && bench.record.ended?.byOperator == true)
    #expect(bench.record.instances.isEmpty && bench.record.table.isEmpty)
  }

  @Test func `nothing that gets better is progress: the deadline counts, and it ends`() throws {
    var bench = try refusedAtFirst()
    let began = bench.record.activeTime
    bench.run()
    #expect(bench.record.rollout == nil && bench.record.ended?.result == .failed)
    #expect(bench.record.ended?.reason.contains("is no host name") == true)
    #expect(bench.record.activeTime - began <= .minutes(11))
  }

  @Test func `a newer apply with the route put right goes on from there`() throws {
    var bench = try refusedAtFirst()
    bench.refuses = nil
    try bench.apply(1) { $0.route?.hosts = ["shop.example.com"] }
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 3)
  }

  @Test func `a retry tries at once`() throws {
    var bench = try refusedAtFirst()
    bench.refuses = nil
    try bench.command(.retry)
    #expect(bench.open.contains { isTable($0.action) })
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `what was routed before stays so, where a later release's tables and those of its way back are refused`() throws {
    var bench = try Bench.released(Bench.policy(), gateways: 2)
    let before = bench.record.gateways.map(\.revision)
    bench.refuses = "no more of these"
    try bench.apply(2)
    bench.run(until: isRefused)
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.rollout == nil && bench.record.ended?.result == .rolledBack)
    #expect(bench.serving == [1, 2, 3] && bench.record.instances.count == 3)
    #expect(bench.record.gateways.map(\.revision) == before, "the last accepted table stands")
    #expect(bench.record.attempts.isEmpty, "nothing is sent for ever")
  }

  @Test func `an instance that a gateway has in its table is not stopped while the table without it is refused`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2)
    bench.run { $0.record.instance(4)?.phase == .serving }
    bench.refuses = "no more of these"
    try bench.command(.abort)
    bench.run(until: isRefused)
    #expect(isRefused(bench) && bench.record.instance(4) != nil && !bench.sent.contains { $0 == .stop("a1", instance: 4) })
    bench.refuses = nil
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack && bench.serving == [1, 2, 3])
  }

  @Test func `on the way back a wave takes away what is refused`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 2) { $0.strategy = .recreate(Recreate()) }, gateways: 2)
    let second = GatewayID(gateway: "edge", host: "g2")
    bench.refusesRelease = (second, ReleaseNumber(2))
    try bench.apply(2)
    bench.run { $0.record.instances.contains { $0.release == ReleaseNumber(2) && $0.phase == .warming(acknowledged: nil) } }
    // What has come serves by the other gateway's word.
    try bench.command(.exclude(second, true))
    bench.run(steps: 60) { $0.serving.count == 2 }
    try bench.command(.exclude(second, false))
    bench.run(until: isRefused)
    try #require(isRefused(bench))
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack && bench.serving.count == 2)
    #expect(bench.record.instances.allSatisfy { $0.release == ReleaseNumber(1) })
  }

  @Test func `a gateway that is included with a table from long ago, and refuses the new ones, keeps nobody from going back`() throws {
    var bench = try Bench.released(Bench.policy(), gateways: 2)
    let second = GatewayID(gateway: "edge", host: "g2")
    bench.refusesRelease = (second, ReleaseNumber(2))
    try bench.apply(2)
    try bench.command(.exclude(second, true))
    bench.run { $0.record.instances.count { $0.release == ReleaseNumber(2) && $0.isServing } == 2 && $0.record.rollout?.wave?.number == 3 }
    try bench.command(.exclude(second, false))
    #expect(bench.record.gateway(second)?.joins == true, "its word counts once it has found well what serves")
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack && bench.serving.count == 3, "\(bench.kinds())")
    #expect(bench.record.instances.allSatisfy { $0.release == ReleaseNumber(1) })
    #expect(bench.record.gateways.allSatisfy { $0.joins == nil && $0.revision == bench.record.table.revision })
  }
}
