import SluiceModel
import Testing

@testable import SluiceRollout

/// Slots, ports, files and racks.
@Suite struct PlacementTests {
  @Test func `a release is not turned round because a host was drained that has no substitute`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 1), racks: 1)
    try bench.apply(2)
    bench.run { $0.serving == [2] && $0.record.rollout?.waves == 1 }
    bench.cordon(["a1"])
    try bench.command(.settle(cause: "drain", overrideFloor: false))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving == [2])
  }

  @Test(arguments: [false, true])
  func `a drain without a substitute is blocked, and going back from it ends where it began, well or sick`(_ isSick: Bool) throws {
    var bench = try Bench.released(Bench.policy(replicas: 1) { $0.onFailure = .pause }, racks: 1)
    if isSick { bench.end(1) }
    bench.cordon(["a1"])
    try bench.command(.settle(cause: "drain", overrideFloor: false))
    bench.run()
    #expect(bench.record.rollout?.stoppedBy?.message.contains("no eligible host") == true)
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.rollout == nil && bench.serving == (isSick ? [] : [1]) && !bench.sent.contains(where: isStop))
    #expect(bench.record.instances.map(\.number) == [1])
  }

  @Test func `an instance is started only where its release's files are`() throws {
    var bench = try Bench.released(Bench.policy(), slots: 2)
    try bench.apply(2)
    bench.run { $0.record.rollout?.stage == .waves }
    // The files vanish from a host that was staged, as when a wave uses a host that the plan did not.
    let facts = HostFact(host: "a1", generation: 99, instances: [InstanceFact(number: 1, port: 20_000, running: true)])
    bench.tell(.host(facts))
    bench.sent = []
    bench.run { $0.sent.contains(where: isStart) || $0.record.rollout == nil }
    let stage = try #require(bench.sent.firstIndex { $0 == .stage("a1", ReleaseNumber(2)) })
    let start = try #require(bench.sent.firstIndex(where: isStart))
    #expect(stage < start)
  }

  @Test func `one fixed port: the new instance waits until the old one's address is in no table`() throws {
    var bench = try Bench.released(
      Bench.policy {
        $0.ports = PortRange(from: 8080, to: 8080)
        $0.strategy = .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(0)))
      })
    try bench.apply(2)
    bench.run { $0.sent.contains(where: isStop) }
    bench.end(try bench.attempt(isStop), .succeeded(.stopped(generation: 5, killed: false)))
    #expect(!bench.open.contains { isStart($0.action) })
    bench.end(try bench.attempt(isTable), bench.answer(try bench.attempt(isTable)))
    #expect(bench.open.contains { isStart($0.action) })
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `a port that others listen on is left alone`() throws {
    var bench = Bench(Bench.policy(replicas: 1), racks: 1)
    bench.take(epoch: 1)
    bench.tell(.host(HostFact(host: "a1", generation: 1, listening: [20_000])))
    try bench.apply(1)
    bench.run()
    #expect(bench.record.instances.map(\.port) == [20_001])
  }

  @Test func `an instance that is found gone, and whose port another service has by now, comes elsewhere`() throws {
    var bench = try Bench.released(Bench.policy { $0.failureBudget = .count(1) })
    let gone = try #require(bench.record.instance(1))
    var other = ServiceRecord(policy: ServicePolicy(name: "cart", fleet: "test", replicas: 1))
    other.instances = [
      Instance(number: 1, release: ReleaseNumber(1), host: gone.host, address: gone.address, port: gone.port, secrets: "", phase: .serving)
    ]
    bench.view = FleetView(
      occupancy: Occupancy(map: FleetMap(bench.view.fleet), cordons: [], records: [other]), gateways: bench.view.gateways)
    bench.tell(.host(HostFact(host: gone.host, generation: 50, releases: [Digest("digest-1")], listening: [gone.port])))
    #expect(bench.phase(1) == .retired && !bench.open.contains { isStart($0.action) })
    bench.run()
    try bench.command(.settle(cause: "settle", overrideFloor: false))
    bench.run()
    #expect(bench.serving.count == 3 && !bench.record.instances.contains { $0.host == gone.host && $0.port == gone.port })
  }

  @Test func `what is only reserved gives way where another service has its port by now, and comes elsewhere`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2)
    bench.run { $0.open.contains { $0.action == .replicate } }
    let reserved = try #require(bench.record.instances.first { $0.phase == .reserved })
    var other = ServiceRecord(policy: ServicePolicy(name: "cart", fleet: "test", replicas: 1))
    other.instances = [
      Instance(
        number: 1, release: ReleaseNumber(1), host: reserved.host, address: reserved.address, port: reserved.port, secrets: "",
        phase: .serving)
    ]
    bench.view = FleetView(
      occupancy: Occupancy(map: FleetMap(bench.view.fleet), cordons: [], records: [other]), gateways: bench.view.gateways)
    bench.run()
    #expect(bench.kinds().contains("port-given-away") && bench.record.ended?.result == .succeeded)
    #expect(!bench.sent.contains(.start(reserved.host, instance: reserved.number)))
    #expect(bench.serving.count == 3 && !bench.record.instances.contains { $0.host == reserved.host && $0.port == reserved.port })
  }

  @Test func `files go to the hosts that were foreseen once, and to others where one of those is lost meanwhile`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 2) { $0.failureBudget = .count(1) }, racks: 2, hostsPerRack: 3, slots: 1)
    try bench.apply(2)
    let foreseen = try #require(bench.record.rollout?.staging)
    #expect(Set(bench.open.compactMap(\.action.host)) == Set(foreseen) && foreseen.count == 2)
    bench.end(bench.open[0], .succeeded(.nothing))
    #expect(bench.record.rollout?.staging == foreseen && bench.sent.count { isStage($0) } == 2)
    bench.tell(.hostUnreachable(foreseen[1], "no route"))
    let anew = try #require(bench.record.rollout?.staging)
    #expect(!anew.contains(foreseen[1]) && bench.open.contains { isStage($0.action) && $0.action.host != foreseen[1] })
    bench.run()
    #expect(bench.record.rollout == nil && bench.serving.count == 2)
  }

  @Test func `the address of a lost instance that is really gone is held until no table names it`() throws {
    var bench = try Bench.released(Bench.policy { $0.failureBudget = .count(1) })
    let host = try #require(bench.record.instance(1)?.host)
    bench.tell(.hostUnreachable(host, "no route"))
    #expect(bench.phase(1) == .lost)
    bench.tell(.host(HostFact(host: host, generation: 50, releases: [Digest("digest-1")])))
    #expect(bench.phase(1) == .retired)
    #expect(!bench.targets(draining: false).contains(1) && !bench.targets(draining: true).contains(1))
    bench.run()
    #expect(bench.record.instance(1) == nil)
  }

  @Test func `an old instance that its wave takes away is not started again when it is found gone`() throws {
    var bench = try Bench.released(
      Bench.policy { $0.strategy = .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(0))) })
    try bench.apply(2)
    bench.run { $0.record.rollout?.wave != nil }
    let replacement = try #require(bench.record.rollout?.wave?.replacements.first)
    let old = try #require(replacement.old.flatMap { bench.record.instance($0) })
    let new = try #require(replacement.new.flatMap { bench.record.instance($0) })
    // Another controller had gone on: the old one is stopped, the new one runs.
    bench.tell(.takenOver(Fence(owner: "other", epoch: 2)))
    bench.tell(
      .host(
        HostFact(
          host: old.host, generation: 77, instances: [InstanceFact(number: new.number, port: new.port, running: true)],
          releases: [Digest("digest-1"), Digest("digest-2")])))
    bench.sent = []
    bench.tell(.gateway(GatewayFact(gateway: GatewayID(gateway: "edge", host: "g1"), revision: Revision(epoch: 1, version: 50))))
    bench.run()
    #expect(!bench.sent.contains(.start(old.host, instance: old.number)))
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `a host that has lost its generation is believed when the fence is taken`() throws {
    var bench = try Bench.released(Bench.policy())
    let host = try #require(bench.record.instance(1)?.host)
    bench.tell(.host(HostFact(host: host, generation: 40, instances: [InstanceFact(number: 1, port: 20_000, running: true)])))
    bench.tell(.takenOver(Fence(owner: "test", epoch: 2)))
    bench.tell(.host(HostFact(host: host, generation: 0)))
    #expect(bench.phase(1) == .starting)
  }

  @Test func `a wave with rack order lies in one rack, and the racks come one after another`() throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 6) { $0.strategy = .rolling(Rolling(maxUnavailable: .count(2), maxSurge: .count(1), rackOrder: true)) },
      hostsPerRack: 2)
    try bench.apply(2)
    var racks: [RackName] = []
    var last = 0
    bench.run { bench in
      if let wave = bench.record.rollout?.wave, wave.number != last {
        last = wave.number
        let touched = wave.replacements.flatMap { [$0.old, $0.new] }.compactMap { $0.flatMap { bench.record.instance($0) } }
        let here = Set(touched.compactMap { bench.view.host($0.host)?.rack })
        #expect(here.count == 1)
        if let rack = here.first, racks.last != rack { racks.append(rack) }
      }
      return false
    }
    #expect(racks == ["rack-a", "rack-b", "rack-c"])
    #expect(bench.record.ended?.result == .succeeded)
  }

  // MARK: Balance

  /// How many instances serve in racks a, b and c.
  private func spread(_ bench: Bench) -> [Int] { ["a", "b", "c"].map { rack in bench.hosts.count { $0.rawValue.hasPrefix(rack) } } }

  @Test func `after a rack was lost and has come back, its share is brought back and what was left there goes, one by one above the floor`()
    throws
  {
    var bench = try Bench.released(Bench.policy(replicas: 6) { $0.failureBudget = .count(2) }, hostsPerRack: 2)
    let onC = bench.record.instances.filter { $0.host.rawValue.hasPrefix("c") }
    for host in ["c1", "c2"] as [HostName] { bench.tell(.hostUnreachable(host, "no route")) }
    try bench.apply(2)
    bench.run()
    #expect(bench.record.ended?.result == .degraded && spread(bench) == [3, 3, 0])
    for instance in onC {
      let fact = InstanceFact(number: instance.number, port: instance.port, running: true)
      bench.tell(.host(HostFact(host: instance.host, generation: 99, instances: [fact], releases: [Digest("digest-1")])))
    }
    bench.sent = []
    try bench.apply(2)
    bench.run { bench in
      if bench.record.rollout != nil { #expect(bench.serving.count >= 6) }
      return false
    }
    #expect(bench.record.ended?.result == .succeeded && spread(bench) == [2, 2, 2])
    #expect(onC.allSatisfy { bench.record.instance($0.number) == nil })
    #expect(bench.sent.count(where: isStart) == 2, "no more was moved than the spread asks for")
    // Nothing is left to do.
    bench.sent = []
    try bench.apply(2)
    #expect(bench.record.rollout == nil && bench.sent.isEmpty)
  }

  @Test func `two racks with as many as they may have leave a third one its share`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 4), slots: 4)
    #expect(spread(bench) == [2, 1, 1])
    bench.cordon(["c1"])
    try bench.command(.settle(cause: "drain", overrideFloor: false))
    bench.run()
    #expect(spread(bench) == [2, 2, 0])
    bench.cordon([])
    try bench.command(.settle(cause: "undrain", overrideFloor: false))
    bench.run()
    #expect(spread(bench).sorted() == [1, 1, 2] && bench.record.rollout == nil)
    // The old ones' racks come first, as long as enough is left for the others.
    bench.sent = []
    try bench.apply(2)
    bench.run { bench in
      if bench.record.rollout != nil { #expect(bench.serving.count >= 4) }
      return false
    }
    #expect(bench.record.ended?.result == .succeeded && spread(bench).sorted() == [1, 1, 2])
  }

  @Test func `where the other racks have no place, the spread stays as it is`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 4) { $0.placement.maxSkew = nil }, racks: 2, slots: 4)
    let racks = Set(bench.hosts)
    #expect(racks.count >= 1)
    bench.view = FleetView(
      fleet: Fleet(
        name: "test",
        racks: bench.view.fleet.racks.map { rack in
          Rack(
            name: rack.name,
            hosts: rack.hosts.map { host in
              var host = host
              if rack.name == "rack-b" { host.slots = max(1, bench.hosts.count { $0 == host.name }) }
              return host
            })
        }), gateways: bench.view.gateways)
    try bench.apply(1) { $0.placement.maxSkew = 1 }
    bench.run()
    #expect(bench.record.rollout == nil && bench.serving.count == 4)
  }

  @Test func `preferred hosts are taken first, as far as the spread and their slots let them`() throws {
    var bench = Bench(Bench.policy(replicas: 3) { $0.placement.prefer = ["disk": "ssd"] }, racks: 2, hostsPerRack: 2, slots: 1)
    let racks = bench.view.fleet.racks.map { rack in
      Rack(
        name: rack.name,
        hosts: rack.hosts.map { host in
          var host = host
          if host.name == "a2" || host.name == "b2" { host.labels["disk"] = "ssd" }
          return host
        })
    }
    bench.view = FleetView(fleet: Fleet(name: "test", racks: racks), gateways: bench.view.gateways)
    bench.take(epoch: 1)
    try bench.apply(1)
    bench.run()
    #expect(bench.hosts == ["a1", "a2", "b2"])
    try bench.command(.scale(4))
    bench.run()
    #expect(bench.hosts == ["a1", "a2", "b1", "b2"])
  }

  @Test func `an occupancy that follows one service's record is the one that is made anew`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 5) { $0.placement.require = [:] }, hostsPerRack: 2)
    var other = bench.record.policy
    other.name = "web"
    var records = [bench.record, ServiceRecord(policy: other)]
    records[1].instances = bench.record.instances.prefix(3).map { instance in
      Instance(
        number: instance.number, release: instance.release, host: instance.host, address: instance.address, port: instance.port + 500,
        secrets: "")
    }
    let map = FleetMap(bench.view.fleet)
    var followed = Occupancy(map: map, cordons: ["b1"], records: records)
    for count in [7, 2, 4] {
      try bench.command(.scale(count))
      bench.run()
      records[0] = bench.record
      followed = followed.replacing(bench.record)
      let anew = Occupancy(map: map, cordons: ["b1"], records: records)
      for host in map.hosts.indices {
        #expect(followed.held(on: host) == anew.held(on: host))
        #expect(followed.count(ofOthersThan: "web", on: host) == anew.count(ofOthersThan: "web", on: host))
      }
      #expect(followed.room(labels: [:]) == anew.room(labels: [:]))
      #expect(followed.holdings(of: "shop") == anew.holdings(of: "shop"))
    }
  }
}
