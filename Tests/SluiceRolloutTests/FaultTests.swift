import SluiceModel
import Testing

@testable import SluiceRollout

/// Hosts, ports and gateways that fail or come back at an awkward moment.
@Suite struct FaultTests {
  @Test func `a rollout that moved nothing since a host is lost does not end as degraded success`() throws {
    // Three places for three: with a host gone there is none for a replacement, and none may be stopped first.
    var bench = try Bench.released(
      Bench.policy(replicas: 3) {
        $0.failureBudget = .count(1)
        $0.strategy = .rolling(Rolling(maxUnavailable: .count(0), maxSurge: .count(1)))
      }, slots: 1)
    try bench.apply(2)
    bench.run { $0.open.contains { isStage($0.action) } }
    bench.tell(.hostUnreachable("c1", "no route"))
    bench.run()
    #expect(bench.record.ended?.result == .failed, "\(String(describing: bench.record.ended))")
    #expect(bench.record.stable?.release == ReleaseNumber(1))
    #expect(bench.serving == [1, 2])
  }

  @Test func `a host that is known to be unreachable is not asked again and again`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 2) { $0.failureBudget = .count(1) })
    try bench.apply(2)
    bench.run { $0.record.instances.contains { $0.phase == .serving && $0.release == ReleaseNumber(2) } }
    bench.tell(.hostUnreachable("b1", "no route"))
    bench.sent = []
    bench.run()
    #expect(bench.record.rollout == nil)
    #expect(!bench.sent.contains { $0.host == "b1" }, "\(bench.sent)")
  }

  @Test func `the port of an instance that has gone is free again, and one that something else has is not`() throws {
    var bench = try Bench.released(Bench.policy { $0.ports = PortRange(from: 8080, to: 8082) })
    let own = HostFact(
      host: "a1", generation: 9, instances: [InstanceFact(number: 1, port: 8080, running: true)],
      releases: bench.record.host("a1")?.releases ?? [], listening: [8080, 8082])
    bench.tell(.host(own))
    #expect(bench.record.host("a1")?.listening == [8082])
    try bench.apply(2)
    bench.run { $0.record.instance(4) != nil }
    #expect(bench.record.instance(4)?.port == 8081)
    bench.run()
    try bench.apply(3)
    bench.run { $0.record.instance(7) != nil }
    #expect(bench.record.instance(7)?.port == 8080, "the first one's port serves again")
  }

  @Test func `a gateway that is silent is the named gate, also when an instance cannot be stopped`() throws {
    var bench = try Bench.released(Bench.policy(), gateways: 2)
    try bench.apply(2)
    let edge = GatewayID(gateway: "edge", host: "g2")
    bench.run { $0.record.instance(4)?.phase == .serving }
    bench.silent = [edge]
    bench.tell(.gatewayUnreachable(edge, "no heartbeat"))
    bench.run(steps: 20)
    guard case .gatewayUnreachable(edge, _)? = bench.record.rollout?.gate else {
      Issue.record("the gate is \(String(describing: bench.record.rollout?.gate))")
      return
    }
    #expect(!bench.sent.contains(where: isStop))
  }

  @Test func `an included gateway has the table before anything more is taken out`() throws {
    var bench = try Bench.released(Bench.policy(), gateways: 2)
    let edge = GatewayID(gateway: "edge", host: "g2")
    bench.silent = [edge]
    bench.tell(.gatewayUnreachable(edge, "no heartbeat"))
    try bench.command(.exclude(edge, true))
    try bench.apply(2)
    bench.run { $0.record.rollout?.waves == 2 }
    try bench.command(.exclude(edge, false))
    bench.silent = []
    bench.sent = []
    bench.tell(.gateway(bench.fact(edge)))
    bench.run { $0.sent.contains(where: isStop) || $0.record.rollout == nil }
    let table = try #require(bench.sent.firstIndex { if case .setTable(edge, _) = $0 { true } else { false } })
    let stop = try #require(bench.sent.firstIndex(where: isStop))
    #expect(table < stop)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `a wave ends when what it was to take away may stay after all`() throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 1) { $0.strategy = .rolling(Rolling(maxUnavailable: .count(0), maxSurge: .count(1))) }, racks: 1)
    // Its host is drained, and it is sick: it costs nothing, and there is no other place.
    bench.cordon(["a1"])
    bench.unhealthy = [1]
    bench.tell(.gateway(bench.fact(GatewayID(gateway: "edge", host: "g1"))))
    try bench.command(.settle(cause: "drain", overrideFloor: true))
    bench.run { $0.record.rollout?.wave?.stage == .recording }
    bench.record.rollout?.overridesFloor = false
    bench.cordon([])
    bench.unhealthy = []
    bench.tell(.gateway(bench.fact(GatewayID(gateway: "edge", host: "g1"))))
    bench.run()
    #expect(bench.record.rollout == nil && bench.serving == [1], "\(String(describing: bench.record.rollout))")
  }

  @Test func `aborted while the old one drains from the only port, it goes back in and nothing waits for the place`() throws {
    var bench = try Bench.released(
      Bench.policy {
        $0.ports = PortRange(from: 8080, to: 8080)
        $0.strategy = .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(0)))
      })
    try bench.apply(2)
    bench.inFlight = [1: 1]
    bench.run { if case .draining(_, acknowledged: .some)? = $0.phase(1) { true } else { false } }
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.rollout == nil && bench.serving == [1, 2, 3], "\(bench.record.instances)")
  }

  @Test func `after a take-over nothing that drains is stopped before each gateway was heard: it may have a newer table`() throws {
    var bench = try Bench.released(Bench.policy())
    let edge = GatewayID(gateway: "edge", host: "g1")
    try bench.apply(2)
    bench.inFlight = [1: 1]
    bench.run { if case .draining(_, acknowledged: .some)? = $0.phase(1) { true } else { false } }
    // This may be a copy: a controller whose record is lost may have gone back, and sent users to it again.
    bench.open = []
    bench.sent = []
    bench.inFlight = [:]
    bench.silent = [edge]
    bench.take(epoch: 2)
    bench.tell(.gatewayUnreachable(edge, "no route"))
    bench.pass(.seconds(60))
    #expect(!bench.sent.contains(where: isStop))
    bench.silent = []
    bench.tell(.gateway(bench.fact(edge)))
    #expect(bench.sent.contains(.stop("a1", instance: 1)))
  }

  @Test func `a drain's deadline begins anew with the word of a gateway that is included again`() throws {
    var bench = try Bench.released(Bench.policy(), gateways: 2)
    let edge = GatewayID(gateway: "edge", host: "g2")
    bench.silent = [edge]
    bench.tell(.gatewayUnreachable(edge, "no heartbeat"))
    try bench.command(.exclude(edge, true))
    try bench.apply(2)
    bench.inFlight = [1: 2]
    bench.run { if case .draining(_, acknowledged: .some)? = $0.phase(1) { true } else { false } }
    bench.pass(.seconds(15))
    try bench.command(.exclude(edge, false))
    bench.silent = []
    let late = try #require(bench.record.table.revision as Revision?)
    bench.tell(.gateway(bench.fact(edge, revision: late)))
    bench.pass(.seconds(6))
    #expect(!bench.sent.contains(where: isStop), "it has had six of its twenty seconds")
    bench.pass(.seconds(15))
    #expect(bench.sent.contains(where: isStop))
  }

  @Test func `a record from before the first table goes over that of gateways that are ahead of it, and then takes it away`() throws {
    var bench = Bench(Bench.policy(), gateways: 1)
    bench.take(epoch: 1)
    try bench.apply(1)
    bench.run { $0.record.rollout?.wave != nil }
    // A copy from here is gone on from, after the fleet went further.
    let edge = GatewayID(gateway: "edge", host: "g1")
    bench.tell(.takenOver(Fence(owner: "later", epoch: 3)))
    bench.tell(.gateway(GatewayFact(gateway: edge, revision: Revision(epoch: 2, version: 9))))
    let hosts = ["a1", "b1", "c1"].enumerated()
    for (index, host) in hosts {
      let running = InstanceFact(number: index + 1, port: 20_000, running: true)
      bench.tell(.host(HostFact(host: HostName(host), generation: 50, instances: [running], releases: [Digest("digest-1")])))
    }
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.rollout == nil && bench.record.instances.isEmpty, "\(bench.record.instances)")
    // A first release that has failed leaves nothing behind, its route included.
    #expect(bench.sent.contains(.removeTable(edge)) && bench.record.gateway(edge)?.revision == nil && bench.record.claim == nil)
    #expect(bench.record.table.revision > Revision(epoch: 2, version: 9))
  }

  @Test func `lost instances that come back make room before anything new comes`() throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 3) { $0.strategy = .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(0))) })
    // Four exist: one that was lost has been replaced and is there again.
    bench.tell(.hostUnreachable("c1", "no route"))
    try bench.command(.settle(cause: "settle", overrideFloor: false))
    bench.run()
    #expect(bench.serving.count == 3)
    let fact = HostFact(
      host: "c1", generation: 99, instances: [InstanceFact(number: 3, port: 20_000, running: true)], releases: [], listening: [])
    bench.tell(.host(fact))
    try bench.apply(2, secrets: "new")
    var most = 0
    bench.run { bench in
      most = max(most, bench.record.instances.count(where: \.isExisting))
      return false
    }
    #expect(most <= 4)
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 3)
  }

  @Test func `with rack order a first release fills one rack after another, in a wave each`() throws {
    var bench = Bench(
      Bench.policy(replicas: 6) {
        $0.strategy = .rolling(Rolling(maxUnavailable: .count(0), maxSurge: .count(1), rackOrder: true))
      }, hostsPerRack: 2)
    bench.take(epoch: 1)
    try bench.apply(1)
    var waves: [Set<HostName>] = []
    bench.run { bench in
      let hosts = Set(bench.record.rollout?.wave?.replacements.compactMap { $0.new.flatMap { bench.record.instance($0)?.host } } ?? [])
      if !hosts.isEmpty, waves.last != hosts { waves.append(hosts) }
      return false
    }
    #expect(waves == [["a1", "a2"], ["b1", "b2"], ["c1", "c2"]])
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `a dead host that is drained holds nothing up: what it had comes up elsewhere in one go, and counts against no budget`() throws
  {
    var bench = try Bench.released(Bench.policy())
    bench.cordon(["a1"])
    try bench.command(.settle(cause: "drain", overrideFloor: false))
    bench.tell(.hostUnreachable("a1", "no route"))
    bench.run()
    #expect(bench.record.rollout == nil, "\(String(describing: bench.record.rollout?.stoppedBy))")
    #expect(bench.record.ended?.result == .degraded && bench.serving.count == 3 && !bench.hosts.contains("a1"))
  }

  @Test func `where there is no place, each host says why`() throws {
    var bench = try Bench.released(Bench.policy { $0.failureBudget = .count(2) }, slots: 1)
    bench.cordon(["b1"])
    bench.tell(.hostUnreachable("c1", "no route"))
    try bench.apply(2)
    bench.run()
    let said = try #require(bench.record.rollout?.stoppedBy)
    #expect(said.message.contains("no eligible host"))
    #expect(said.output == "a1: all of its 1 slots are taken\nb1: drained\nc1: unreachable: no route")
  }

  @Test func `an uneven spread that could not be helped is told`() throws {
    var bench = Bench(Bench.policy(replicas: 4) { $0.ports = PortRange(from: 20_000, to: 20_003) }, racks: 2, slots: 4)
    bench.take(epoch: 1)
    bench.tell(.host(HostFact(host: "b1", generation: 1, listening: [20_000, 20_001, 20_002])))
    try bench.apply(1)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(bench.hosts == ["a1", "a1", "a1", "b1"])
    let told = bench.events.first { $0.kind == "spread-exceeded" }
    #expect(told?.text.hasPrefix("rack rack-a has 3 instances where an even spread gives it 2") == true, "\(String(describing: told))")
  }
}
