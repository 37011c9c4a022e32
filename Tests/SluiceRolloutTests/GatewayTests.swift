import SluiceModel
import Testing

@testable import SluiceRollout

/// What a gateway's silence, age and return mean to a rollout (DESIGN section 4, rules 1 and 3).
@Suite struct GatewayTests {
  let first = GatewayID(gateway: "edge", host: "g1")
  let second = GatewayID(gateway: "edge", host: "g2")

  @Test func `a gateway that falls silent in mid-wave does not make the old instances cost nothing`() throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 6) { $0.strategy = .rolling(Rolling(maxUnavailable: .count(2), maxSurge: .count(0))) }, gateways: 2)
    try bench.apply(2)
    bench.run { $0.record.rollout?.wave?.stage == .recording }
    bench.tell(.gatewayUnreachable(second, "no heartbeat"))
    bench.silent = [second]
    bench.run(steps: 50)
    #expect(bench.targets(draining: true).isEmpty)
    #expect(bench.targets(draining: false).count == 6)
  }

  @Test func `an excluded gateway is not waited for, and is given the current table once it is heard of`() throws {
    var bench = try Bench.released(Bench.policy(), gateways: 2)
    bench.tell(.gatewayUnreachable(second, "no heartbeat"))
    bench.silent = [second]
    try bench.command(.exclude(second, true))
    try bench.apply(2)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(bench.record.gateway(second)?.revision != bench.record.table.revision)
    bench.silent = []
    bench.tell(.gateway(GatewayFact(gateway: second, revision: Revision(epoch: 1, version: 1))))
    #expect(bench.open.map(\.action) == [.setTable(second, bench.record.table.revision)])
    bench.run()
    #expect(bench.record.gateway(second)?.revision == bench.record.table.revision)
  }

  @Test func `what drains and goes back in counts as serving only under a table that lets it in`() throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 2) { $0.strategy = .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(0))) }, gateways: 2)
    try bench.apply(2)
    bench.inFlight = [1: 3, 2: 3]
    bench.run { !$0.targets(draining: true).isEmpty && $0.open.isEmpty }
    let draining = try #require(bench.targets(draining: true).first)
    #expect(bench.serving.count == 1)
    try bench.command(.abort)
    #expect(bench.targets(draining: true).isEmpty)
    // Both gateways call it healthy, and both still have the table in which it drains.
    for id in [first, second] { bench.tell(.gateway(bench.fact(id))) }
    #expect(!bench.serving.contains(draining))
    let table = try bench.attempt { if case .setTable(first, _) = $0 { true } else { false } }
    bench.end(table, bench.answer(table))
    #expect(!bench.serving.contains(draining))
    bench.run()
    #expect(bench.serving.contains(draining))
    #expect(bench.record.ended?.result == .rolledBack)
  }

  @Test func `a fact that is older than what the same gateway process has acknowledged changes nothing`() throws {
    var bench = try Bench.released(Bench.policy())
    let revision = bench.record.table.revision
    var current = bench.fact(first)
    current.boot = "boot-1"
    bench.tell(.gateway(current))
    bench.tell(.gateway(GatewayFact(gateway: first, revision: Revision(epoch: 1, version: 1), targets: [], boot: "boot-1")))
    #expect(bench.record.gateway(first)?.revision == revision)
    #expect(bench.serving.count == 3)
    #expect(bench.open.isEmpty)
    // Started again with what its disk held: it is given the newest.
    bench.tell(.gateway(GatewayFact(gateway: first, revision: Revision(epoch: 1, version: 1), targets: [], boot: "boot-2")))
    #expect(bench.open.map(\.action) == [.setTable(first, revision)])
    // And with nothing at all.
    bench.run()
    bench.tell(.gateway(GatewayFact(gateway: first, revision: nil, targets: [], boot: "boot-3")))
    #expect(bench.open.map(\.action) == [.setTable(first, revision)])
    #expect(bench.serving.isEmpty)
  }

  @Test func `a record that is older than the gateways' table goes on from a newer one`() throws {
    var bench = try Bench.released(Bench.policy())
    let ahead = Revision(epoch: 1, version: bench.record.table.revision.version + 7)
    try bench.takeOver(
      epoch: 2, ["a1", "b1", "c1"].map { .host(bench.fact($0)) } + [.gateway(GatewayFact(gateway: first, revision: ahead))])
    #expect(bench.record.table.revision == Revision(epoch: 2, version: ahead.version + 1))
    #expect(bench.serving.isEmpty)
    bench.run()
    #expect(bench.serving.count == 3)
  }

  @Test(arguments: [true, false])
  func `what newer tables may have drained, on a host that is not heard, is let in by an older copy only where users are sent to it`(
    isSentTo: Bool
  ) throws {
    var bench = try Bench.released(Bench.policy())
    let away = try #require(bench.record.instances.first)
    let seen = bench.fact(away.host)
    var facts: [Input] = [.hostUnreachable(away.host, "no route")]
    for instance in bench.record.instances.dropFirst() { facts.append(.host(bench.fact(instance.host))) }
    let targets = bench.record.instances.map { TargetFact(instance: $0.number, healthy: isSentTo || $0.number != away.number) }
    let ahead = Revision(epoch: 1, version: bench.record.table.revision.version + 2)
    facts.append(.gateway(GatewayFact(gateway: first, revision: ahead, targets: targets)))
    try bench.takeOver(epoch: 2, facts)
    #expect(bench.targets(draining: true) == (isSentTo ? [] : [away.number]))
    bench.run()
    #expect(bench.targets(draining: true) == (isSentTo ? [] : [away.number]), "it is as unknown as it was")
    bench.tell(.host(seen))
    bench.run()
    #expect(bench.serving.count == 3 && bench.targets(draining: true).isEmpty)
  }

  @Test func `a stop waits for every gateway's acknowledgement, then for nothing in flight, then for the deadline`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 1), gateways: 2)
    try bench.apply(2)
    bench.inFlight = [1: 4]
    bench.run { !$0.targets(draining: true).isEmpty }
    let tables = bench.open.filter { isTable($0.action) }
    #expect(tables.count == 2)
    bench.end(tables[0], bench.answer(tables[0]))
    bench.pass(.seconds(60))
    #expect(!bench.open.contains { isStop($0.action) })
    bench.end(tables[1], bench.answer(tables[1]))
    bench.pass(.seconds(19))
    #expect(!bench.open.contains { isStop($0.action) })
    bench.pass(.seconds(1))
    #expect(bench.open.contains { isStop($0.action) })
    #expect(bench.kinds().contains("drain-deadline"))
  }

  @Test func `a rollout does not close before every gateway has the last table`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 1) { $0.strategy = .recreate(Recreate()) }, gateways: 2)
    try bench.apply(2)
    bench.run { bench in
      bench.record.table.content?.hold == nil && bench.record.instances.contains { $0.release == ReleaseNumber(2) && $0.isServing }
    }
    #expect(bench.record.rollout != nil)
    #expect(bench.open.filter { isTable($0.action) }.count == 2)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(bench.record.gateways.allSatisfy { $0.revision == bench.record.table.revision })
  }

  @Test func `what a copy knows only as reserved, and runs, is not stopped before the gateways have said whether they route to it`() throws
  {
    var first = Bench(Bench.policy(replicas: 1), gateways: 2)
    first.take(epoch: 1)
    try first.apply(1)
    first.run { $0.open.contains { $0.action == .replicate } }
    var second = first
    first.run()
    #expect(first.serving.count == 1)
    let instance = try #require(first.record.instances.first)
    let gateways = first.record.gateways.map(\.id)
    second.silent = Set(gateways)
    second.take(epoch: 2)
    for id in gateways { second.tell(.gatewayUnreachable(id, "no route")) }
    let running = InstanceFact(number: instance.number, port: instance.port, running: true)
    second.tell(.host(HostFact(host: instance.host, generation: 9, instances: [running], releases: [Digest("digest-1")])))
    try second.command(.abort)
    #expect(!second.sent.contains(where: isStop))
    #expect(second.record.rollout?.gate == .gatewayUnreachable(gateways[0], "no route"))
    second.silent = []
    for id in gateways { second.tell(.gateway(first.fact(id))) }
    #expect(!second.sent.contains(where: isStop) && second.targets(draining: false).isEmpty)
    second.run()
    #expect(second.sent.count(where: isStop) == 1 && second.record.ended?.result == .failed && second.record.instances.isEmpty)
  }

  @Test func `what gateways have in service is not taken out by a copy from before it was let in`() throws {
    var first = Bench(Bench.policy(replicas: 2))
    first.take(epoch: 1)
    try first.apply(1)
    first.run { $0.open.contains { $0.action == .replicate } }
    var second = first
    first.run { $0.serving.count == 2 }
    let gateway = self.first
    try second.takeOver(epoch: 2, Self.running(first) + [.gateway(first.fact(gateway))])
    #expect(second.targets(draining: false).count == 2 && !second.sent.contains(where: isStop))
    second.run()
    #expect(second.serving.count == 2 && second.record.ended?.result == .succeeded)
  }

  /// As a claim tells of what hosts run.
  private static func running(_ bench: Bench) -> [Input] {
    bench.record.instances.map {
      .host(
        HostFact(
          host: $0.host, generation: 9, instances: [InstanceFact(number: $0.number, port: $0.port, running: true)],
          releases: [Digest("digest-1"), Digest("digest-2")]))
    }
  }

  @Test func `an abort on a copy from before a wave takes nothing out that has taken over its users`() throws {
    var first = try Bench.released(Bench.policy(replicas: 1))
    try first.apply(2)
    first.run { $0.open.contains { $0.action == .replicate } }
    var second = first
    first.run { $0.record.instances.map(\.number) == [2] && $0.serving == [2] }
    try second.takeOver(epoch: 9, Self.running(first) + [.gateway(first.fact(self.first))], then: .abort)
    #expect(second.record.rollout?.direction.isForward == false)
    #expect(second.targets(draining: false).contains(2) && !second.sent.contains(where: isStop), "users have nothing else")
    second.run()
    #expect(second.record.ended?.result == .rolledBack && second.serving.count == 1)
    #expect(second.record.instances.map(\.release) == [ReleaseNumber(1)])
  }

  @Test func `a table that was taken away by a controller that did not live to hear of it is gone`() throws {
    var bench = try Bench.released(Bench.policy())
    let has = bench.fact(first)
    var booted = has
    (booted.boot, booted.sequence) = ("boot", 5)
    bench.tell(.gateway(booted))
    #expect(bench.record.gateway(first)?.revision != nil)
    var none = GatewayFact(gateway: first, revision: nil)
    (none.boot, none.sequence) = ("boot", 6)
    bench.tell(.gateway(none))
    #expect(bench.record.gateway(first)?.revision != nil, "it was on its way while the table was acknowledged")
    try bench.takeOver(epoch: 2, [.gateway(none)])
    #expect(bench.record.gateway(first)?.revision == nil && bench.sent.contains(where: isTable))
  }

  @Test func `where the record is lost a gateway that has a table of it finishes its requests before what it routes to is stopped`() throws
  {
    let running = try Bench.released(Bench.policy(), gateways: 2)
    var bench = Bench(Bench.policy { $0.route = Route(gateway: "front") }, gateways: 2)
    bench.view = FleetView(
      fleet: bench.view.fleet,
      gateways: [
        Gateway(name: "edge", fleet: "test", hosts: ["g1"], listen: [ListenAddress(address: "10.0.9.1", port: 80)]),
        Gateway(name: "front", fleet: "test", hosts: ["g2"], listen: [ListenAddress(address: "10.0.9.2", port: 80)]),
      ])
    let instance = try #require(running.record.instances.first)
    let front = GatewayID(gateway: "front", host: "g2")
    var routing = running.fact(first)
    routing.targets[0].inFlight = 1
    bench.inFlight = [instance.number: 1]
    try bench.takeOver(
      epoch: 2,
      [
        .host(
          HostFact(
            host: instance.host, generation: 9, instances: [InstanceFact(number: instance.number, port: instance.port, running: true)])),
        .gateway(routing), .gateway(GatewayFact(gateway: front, revision: nil)),
      ], then: bench.applying(1))
    bench.run(steps: 30) { $0.record.gateway(first)?.revision == $0.record.table.revision && $0.open.isEmpty }
    #expect(bench.record.table.content?.content(for: first).targets.allSatisfy(\.draining) == true)
    #expect(!bench.sent.contains(.stop(instance.host, instance: instance.number)), "it has a request in flight there")
    bench.inFlight = [:]
    bench.tell(.gateway(bench.fact(first)))
    bench.run()
    #expect(bench.sent.contains(.stop(instance.host, instance: instance.number)) && bench.sent.contains(.removeTable(first)))
    #expect(bench.record.ended?.result == .succeeded && bench.record.gateways.map(\.id) == [front])
  }
}
