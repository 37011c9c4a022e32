import SluiceModel
import Testing

@testable import SluiceRollout

/// A service that moves to other gateways: the ones it leaves keep its route until its users had time to follow.
@Suite struct GatewayMoveTests {
  let old = GatewayID(gateway: "edge", host: "g1")
  let new = GatewayID(gateway: "front", host: "g2")

  /// A service behind `edge`, and a gateway `front` beside it.
  private func moving(onFailure: FailureAction = .rollback) throws -> Bench {
    var bench = try Bench.released(
      Bench.policy {
        $0.onFailure = onFailure
        $0.progressDeadline = .minutes(1)
      }, gateways: 2)
    let fleet = bench.view.fleet
    bench.view = FleetView(
      fleet: fleet,
      gateways: [
        Gateway(name: "edge", fleet: "test", hosts: ["g1"], listen: [ListenAddress(address: "10.0.9.1", port: 80)]),
        Gateway(name: "front", fleet: "test", hosts: ["g2"], listen: [ListenAddress(address: "10.0.9.2", port: 80)]),
      ])
    // What was told of g2 as a gateway of `edge` is nothing to this.
    bench.record.gateways.removeAll { $0.id.host == "g2" }
    return bench
  }

  private func removal(_ bench: Bench, _ id: GatewayID) -> Bool { bench.sent.contains(.removeTable(id)) }

  @Test func `the old gateway keeps the route until the new one has it, finds its targets healthy, and users had drain timeout to follow`()
    throws
  {
    var bench = try moving()
    bench.sent = []
    try bench.apply(1) { $0.route = Route(gateway: "front", hosts: ["shop.example.com"]) }
    #expect(bench.record.rollout != nil, "a move is a rollout: it waits, fails and goes back like one")
    bench.run(steps: 200) { $0.record.gateway(new)?.revision != nil && $0.open.isEmpty }
    #expect(bench.record.table.content?.content(for: old).route.hosts == [], "users of the old one ask as they did")
    #expect(bench.record.table.content?.content(for: new).route.hosts == ["shop.example.com"])
    bench.pass(.seconds(19))
    #expect(!removal(bench, old) && bench.record.table.content?.content(for: old).targets.allSatisfy { !$0.draining } == true)
    bench.pass(.seconds(2))
    #expect(bench.record.table.content?.content(for: old).targets.allSatisfy(\.draining) == true, "no new request")
    #expect(bench.record.table.content?.content(for: new).targets.allSatisfy { !$0.draining } == true)
    #expect(bench.serving.count == 3 && !removal(bench, old))
    bench.run()
    #expect(removal(bench, old) && bench.record.gateways.map(\.id) == [new])
    #expect(bench.record.ended?.result == .succeeded && !bench.sent.contains(where: isStop))
  }

  @Test func `users have nobody to follow while what is new comes up: their time counts from when it serves`() throws {
    var bench = try moving()
    try bench.command(.stop)
    bench.run()
    bench.sent = []
    try bench.apply(2) { $0.route = Route(gateway: "front") }
    bench.unhealthy = [4, 5, 6]
    bench.run(steps: 200) {
      $0.open.isEmpty && $0.record.table.content?.targets.isEmpty == false && $0.record.gateway(new)?.revision != nil
    }
    #expect(bench.record.gateway(old)?.departure?.stage == .open(since: nil))
  }

  @Test func `what the old gateway has in flight is finished before it forgets the route`() throws {
    var bench = try moving()
    bench.sent = []
    bench.inFlight = [1: 2]
    try bench.apply(1) { $0.route = Route(gateway: "front") }
    bench.run {
      if case .closed(_, acknowledged: _?)? = $0.record.gateway(old)?.departure?.stage { $0.open.isEmpty } else { false }
    }
    bench.pass(.seconds(10))
    #expect(!removal(bench, old))
    bench.inFlight = [:]
    bench.tell(.gateway(bench.fact(old)))
    #expect(removal(bench, old))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && !bench.kinds().contains("drain-deadline"))
  }

  @Test func `where the new gateway refuses the route nothing changes`() throws {
    var bench = try moving()
    let before = bench.record.policy.route
    try bench.apply(1) { $0.route = Route(gateway: "front") }
    for _ in 0..<40 where bench.record.rollout?.direction.isForward == true {
      if let table = bench.open.first(where: { $0.action.object == .gateway(new) }) {
        bench.end(table, .failed(Failure(.gateway, "the route belongs to another service")))
      } else if let other = bench.open.first {
        bench.end(other, bench.answer(other))
      } else {
        bench.pass(.seconds(1))
      }
    }
    bench.run()
    #expect(bench.record.policy.route == before && bench.record.ended?.result == .failed)
    #expect(bench.record.gateways.map(\.id) == [old] && bench.record.gateway(old)?.departure == nil)
    #expect(!removal(bench, old) && bench.serving.count == 3)
  }

  @Test func `where the new gateway never finds a target healthy the old one serves on, and it goes back`() throws {
    var bench = try moving()
    try bench.apply(1) { $0.route = Route(gateway: "front") }
    bench.run(steps: 100) { $0.record.gateway(new)?.revision != nil && $0.open.isEmpty }
    var sick = bench.fact(new)
    for index in sick.targets.indices { sick.targets[index].healthy = false }
    bench.tell(.gateway(sick))
    bench.pass(.seconds(50))
    #expect(!removal(bench, old) && bench.record.gateway(old)?.departure?.stage == .open(since: nil))
    bench.pass(.seconds(30))
    #expect(bench.record.policy.route?.gateway == "edge")
    bench.run()
    #expect(bench.record.ended?.result == .failed && bench.record.gateways.map(\.id) == [old])
  }

  @Test func `a move that nobody can follow ends also where it was paused after the last wave`() throws {
    var bench = try moving()
    try bench.apply(1) { $0.route = Route(gateway: "front") }
    bench.run(steps: 100) { $0.record.rollout?.stage == .closing && $0.record.gateway(new)?.revision != nil && $0.open.isEmpty }
    bench.unhealthy = [1, 2, 3]
    bench.tell(.gateway(bench.fact(new)))
    try bench.command(.pause)
    bench.pass(.seconds(61))
    #expect(bench.record.policy.route?.gateway == "edge", "it goes back")
  }

  @Test func `what a newer copy's controller has taken from the gateway that is left is not given back by an older copy`() throws {
    var bench = try moving()
    try bench.apply(1) { $0.route = Route(gateway: "front") }
    bench.run(steps: 200) { $0.record.gateway(new)?.revision == $0.record.table.revision && $0.open.isEmpty }
    let table = try #require(bench.record.table.content)
    let ahead = Revision(epoch: 1, version: bench.record.table.revision.version + 3)
    let well = table.targets.map { TargetFact(instance: $0.instance, healthy: true) }
    try bench.takeOver(
      epoch: 2,
      ["a1", "b1", "c1"].map { .host(bench.fact($0)) }
        + [.gateway(GatewayFact(gateway: old, revision: nil)), .gateway(GatewayFact(gateway: new, revision: ahead, targets: well))])
    #expect(!bench.sent.contains { if case .setTable(old, _) = $0 { true } else { false } }, "\(bench.sent)")
    bench.run()
    #expect(bench.record.gateways.map(\.id) == [new] && bench.record.ended?.result == .succeeded)
  }

  @Test func `a host that leaves the gateway keeps the route until the others serve it`() throws {
    var bench = try Bench.released(Bench.policy(), gateways: 2)
    let second = GatewayID(gateway: "edge", host: "g2")
    bench.view = FleetView(
      fleet: bench.view.fleet,
      gateways: [Gateway(name: "edge", fleet: "test", hosts: ["g1"], listen: [ListenAddress(address: "10.0.9.1", port: 80)])])
    bench.sent = []
    try bench.apply(1)
    #expect(!removal(bench, second) && bench.record.gateway(second)?.departure != nil)
    bench.run()
    #expect(removal(bench, second) && bench.record.gateways.map(\.id) == [old] && bench.record.ended?.result == .succeeded)
  }

  @Test func `an excluded gateway that is left is waited for by nobody`() throws {
    var bench = try Bench.released(Bench.policy(), gateways: 2)
    let second = GatewayID(gateway: "edge", host: "g2")
    bench.tell(.gatewayUnreachable(second, "gone"))
    bench.silent = [second]
    try bench.command(.exclude(second, true))
    bench.view = FleetView(
      fleet: bench.view.fleet,
      gateways: [Gateway(name: "edge", fleet: "test", hosts: ["g1"], listen: [ListenAddress(address: "10.0.9.1", port: 80)])])
    try bench.apply(1)
    bench.run()
    #expect(bench.record.rollout == nil && bench.serving.count == 3)
  }

  @Test func `a move together with a release takes nothing out before the new gateway has found well what is there`() throws {
    var bench = try moving()
    bench.sent = []
    try bench.apply(2) { $0.route = Route(gateway: "front") }
    // It has the table, and has probed nothing yet.
    bench.unseen = [new]
    bench.run(steps: 200) { $0.record.gateway(new)?.revision != nil && $0.open.isEmpty }
    bench.pass(.seconds(5))
    #expect(bench.serving.count == 3 && bench.record.rollout?.waves == 0, "what it has not looked at is not down")
    #expect(bench.targets(draining: true).isEmpty && !bench.sent.contains(where: isStop))
    bench.unseen = []
    bench.tell(.gateway(bench.fact(new)))
    #expect(bench.record.rollout?.waves == 1 && bench.record.gateway(new)?.joins == nil)
    var fewest = 3
    bench.run {
      if $0.record.isRolling { fewest = min(fewest, $0.serving.count) }
      return false
    }
    #expect(fewest >= 2 && bench.record.ended?.result == .succeeded && bench.record.stable?.release == ReleaseNumber(2))
  }

  @Test func `nor where the controller has only just taken over, and does not know yet what is healthy`() throws {
    var bench = try moving()
    let verb = bench.applying(2) { $0.route = Route(gateway: "front") }
    try bench.takeOver(epoch: 2, [.gateway(bench.fact(old)), .gateway(GatewayFact(gateway: new, revision: nil))], then: verb)
    #expect(bench.record.gateway(new)?.joins == true)
    bench.unseen = [new]
    bench.run(steps: 200) { $0.record.gateway(new)?.revision != nil && $0.open.isEmpty }
    bench.pass(.seconds(5))
    #expect(bench.record.rollout?.waves == 0 && bench.targets(draining: true).isEmpty)
    bench.unseen = []
    bench.tell(.gateway(bench.fact(new)))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.stable?.release == ReleaseNumber(2))
  }

  @Test func `a new gateway that finds nothing well turns the release round, and says what it does not find`() throws {
    var bench = try moving()
    bench.unseen = [new]
    try bench.apply(2) { $0.route = Route(gateway: "front") }
    bench.run { $0.record.rollout?.direction.isForward == false }
    #expect(bench.record.rollout?.failures.last?.failure.message.contains("gateway front/g2 does not find shop/1") == true)
    bench.run()
    #expect(bench.record.ended?.result == .failed && bench.serving.count == 3 && !bench.sent.contains(where: isStop))
    #expect(bench.record.gateways.map(\.id) == [old])
  }
}
