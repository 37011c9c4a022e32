import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(3))) struct FallBackTests {
    static func table(_ version: UInt64, _ upstreams: [TestUpstream], leastTargets: Int = 1) -> RouteTable {
      TestGateway.split(version, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000) {
        $0.allow = ["anna"]
        $0.override = TestGateway.override
        $0.controllerLost = RouteTable.FallBack(after: .seconds(1), leastTargets: leastTargets)
      }
    }

    @Test func `without a controller all users go to stable until another table comes, over a restart too`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(FallBackTests.table(1, upstreams))
        let word = "X-Split: canary \(TestGateway.secret)\r\n"
        let client = try await gateway.client()
        #expect(try await client.ask("anna").body == "u2")
        #expect(try await gateway.status().split == SplitStatus(generation: Revision(epoch: 1, version: 1), share: .whole))
        let watcher = try await gateway.watcher()
        try await watcher.line { $0.split?.fallenBack != nil }
        await watcher.close()
        let since = try await gateway.status().split?.fallenBack
        for user in ["anna", "otto"] { #expect(try await client.ask(user, word).body == "u1") }
        await client.close()
        #expect(upstreams[0].heads.allSatisfy { !$0.contains("X-Split") })
        // A controller that is heard again does not change it: its table does.
        #expect(try await gateway.lease().split?.fallenBack == since)
        try gateway.halt()
        try gateway.start()
        #expect(try await gateway.status().split?.fallenBack == since)
        let again = try await gateway.client()
        #expect(try await again.ask("anna", word).body == "u1")
        #expect(try await gateway.put(FallBackTests.table(1, upstreams)).split?.fallenBack == since)
        #expect(try await gateway.put(FallBackTests.table(2, upstreams)).split?.fallenBack == nil)
        #expect(try await again.ask("anna").body == "u2")
        await again.close()
      }
    }

    @Test func `a lease is taken from who holds the fence, and from nobody of whom nothing stands here`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        let unknown = await #expect(throws: TestGateway.Refused.self) { try await gateway.lease() }
        #expect(unknown?.error.reason == .notFound)
        try await gateway.serve(FallBackTests.table(1, upstreams))
        let held = try await gateway.lease()
        #expect(held.revision == Revision(epoch: 1, version: 1) && held.fence == TestGateway.fence)
        for fence in [Fence(owner: "other", epoch: 1), Fence(owner: "test", epoch: 0)] {
          let refused = await #expect(throws: TestGateway.Refused.self) { try await gateway.lease(fence) }
          #expect(refused?.error.reason == .fenceHeld && refused?.error.holder == TestGateway.fence)
        }
        let next = Fence(owner: "other", epoch: 2)
        #expect(try await gateway.lease(next).fence == next)
        await #expect(throws: TestGateway.Refused.self) { try await gateway.lease() }
      }
    }
  }
}

/// The same decisions without a clock: `ServiceControl` is told the time.
@Suite struct FallBackDecisionTests {
  static let wall = WallTime(milliseconds: 77)

  static func table(_ version: UInt64, after: Milliseconds = .seconds(120), leastTargets: Int = 2) -> RouteTable {
    func target(_ number: Int) -> RouteTable.Target {
      RouteTable.Target(instance: InstanceID(service: "shop", number: number), address: "127.0.0.1", port: 1_000 + number)
    }
    return RouteTable(
      service: "shop", fence: TestGateway.fence, revision: Revision(epoch: 1, version: version),
      pools: [
        RouteTable.Pool(release: ReleaseNumber(1), targets: [target(1), target(2)]),
        RouteTable.Pool(release: ReleaseNumber(2), role: .canary, targets: [target(3)]),
      ],
      split: RouteTable.Split(
        share: BasisPoints(1_000), salt: "s", generation: Revision(epoch: 1, version: version), user: TestGateway.byHeader,
        controllerLost: RouteTable.FallBack(after: after, leastTargets: leastTargets)),
      probe: RouteTable.Probe(kind: .tcp, rise: 1, fall: 1))
  }

  /// A service with this table whose first `healthy` targets are healthy.
  static func control(_ table: RouteTable, healthy: Int) throws -> ServiceControl {
    var control = ServiceControl(service: "shop")
    _ = try control.put(table, now: WallTime(milliseconds: 1))
    for (_, target) in table.targets.prefix(healthy) { _ = control.probed(TargetKey(target), passed: true, text: "", now: wall) }
    control.renewLease(now: .seconds(10))
    return control
  }

  @Test func `only after the whole time, and only while enough serving targets are healthy`() throws {
    var control = try Self.control(Self.table(1), healthy: 1)
    func due(_ now: Milliseconds) -> Bool { control.fallBackIfDue(now: now, wall: Self.wall) }
    #expect(!due(.seconds(500)))
    _ = control.probed(TargetKey(Self.table(1).targets[2].target), passed: true, text: "", now: Self.wall)
    #expect(!due(.seconds(500)))
    _ = control.probed(TargetKey(Self.table(1).targets[1].target), passed: true, text: "", now: Self.wall)
    #expect(!due(Milliseconds(129_999)))
    let serial = control.serial
    #expect(due(.seconds(130)))
    #expect(control.serial > serial && control.lease.fallenBack == Self.wall)
    #expect(!due(.seconds(131)))
  }

  @Test func `failing targets that panic would use can not carry everybody`() throws {
    var control = try Self.control(Self.table(1), healthy: 2)
    for (_, target) in Self.table(1).targets { _ = control.probed(TargetKey(target), passed: false, text: "", now: Self.wall) }
    #expect(control.eligibility.panicking && control.eligibility.eligible == [true, true, false])
    let due = control.fallBackIfDue(now: .seconds(500), wall: Self.wall)
    #expect(!due)
  }

  @Test func `a restart counts from its start, and keeps what has fallen back`() throws {
    var control = try Self.control(Self.table(1), healthy: 2)
    var restarted = ServiceControl(restored: control.stored, now: Self.wall, monotonic: .seconds(400))
    let early = restarted.fallBackIfDue(now: .seconds(519), wall: Self.wall)
    let late = restarted.fallBackIfDue(now: .seconds(520), wall: Self.wall)
    #expect(!early && late)
    let fallen = control.fallBackIfDue(now: .seconds(500), wall: Self.wall)
    #expect(fallen)
    let kept = try AdminJSON.decode(StoredService.self, AdminJSON.encode(control.stored))
    restarted = ServiceControl(restored: kept, now: WallTime(milliseconds: 99), monotonic: .seconds(501))
    #expect(restarted.lease.fallenBack == Self.wall)
    _ = try restarted.put(Self.table(1), now: Self.wall)
    #expect(restarted.lease.fallenBack == Self.wall)
    _ = try restarted.put(Self.table(2), now: Self.wall)
    #expect(restarted.lease.fallenBack == nil)
  }

  @Test func `a table that says nothing of a lost controller never falls back`() throws {
    var table = Self.table(1)
    table.split?.controllerLost = nil
    var control = try Self.control(table, healthy: 3)
    let due = control.fallBackIfDue(now: .seconds(100_000), wall: Self.wall)
    #expect(!due)
  }
}
