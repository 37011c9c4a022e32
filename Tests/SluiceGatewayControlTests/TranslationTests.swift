import SluiceEngine
import SluiceGatewayAPI
import SluiceModel
import SluiceRollout
import SluiceTraffic
import Testing

@testable import SluiceGatewayControl

@Suite struct TranslationTests {
  @Test func `a table keeps all that the record says`() {
    let table = RouteTable(
      content(
        [target(1, release: 2, port: 20_000), target(2, release: 1, port: 20_001, draining: true), target(3, release: 2, port: 20_002)],
        probe: .http(path: "/healthz", status: 204), hold: .seconds(20)),
      revision: revision(8), service: "shop", fence: ann)
    let expected = RouteTable(
      service: "shop", fence: ann, revision: revision(8), hosts: ["shop.example.com"], path: "/api", balance: .roundRobin,
      pools: [
        .init(
          release: ReleaseNumber(1),
          targets: [.init(instance: InstanceID(service: "shop", number: 2), address: "127.0.0.1", port: 20_001, state: .draining)]),
        .init(
          release: ReleaseNumber(2),
          targets: [
            .init(instance: InstanceID(service: "shop", number: 1), address: "127.0.0.1", port: 20_000),
            .init(instance: InstanceID(service: "shop", number: 3), address: "127.0.0.1", port: 20_002),
          ]),
      ],
      probe: .init(kind: .http(path: "/healthz", status: 204), interval: Milliseconds(20), timeout: Milliseconds(500), rise: 2, fall: 2),
      timeouts: RouteTimeouts(), drain: .init(longLived: .seconds(7)), hold: .seconds(20))
    #expect(table == expected)
  }

  @Test func `each release's targets keep their own check, and the check of most that stand is the one that old gateways go by`() {
    let other = ReadinessCheck(probe: .http(path: "/up", status: 200, host: "shop", headers: ["X": "1"]), interval: .seconds(5))
    var content = content(
      [
        target(1, port: 1), target(2, port: 2), target(3, port: 3, draining: true), target(4, release: 2, port: 4),
        target(5, release: 2, port: 5),
      ], probe: .exec(command: ["check"]))
    content.checks = [TableCheck(release: ReleaseNumber(1), readiness: other)]
    func table() -> RouteTable { RouteTable(content, revision: revision(8), service: "shop", fence: ann) }
    // As many stand of both: the older.
    #expect(table().probe == .init(other) && table().pools.map(\.probe) == [nil, .init(content.readiness)])
    #expect(table().probedTargets.map(\.probe.interval) == [other, other, other, content.readiness, content.readiness].map(\.interval))
    content.targets[1] = target(2, port: 2, draining: true)
    #expect(table().probe == .init(content.readiness) && table().pools.map(\.probe) == [.init(other), nil])
    guard case .http("/up", 200, "shop", ["X": "1"])? = table().pools[0].probe?.kind else { return #expect(Bool(false)) }
  }

  @Test func `numbers that no controller can go on from count for nothing`() {
    func target(_ number: Int, inFlight: Int) -> TargetStatus {
      TargetStatus(
        instance: InstanceID(service: "shop", number: number), release: ReleaseNumber(1), address: "10.0.0.1", port: 1, state: .serving,
        health: .healthy, since: WallTime(milliseconds: 0), lastProbe: "", inFlight: inFlight, longLived: .max)
    }
    let report = SwitchReport(state: .open, pending: nil, since: RequestCounts())
    let status = ServiceStatus(
      service: "shop", fence: Fence(owner: "x", epoch: .max), revision: Revision(epoch: 3, version: .max), record: nil, switch: report,
      total: RequestCounts(), panicking: false, targets: [target(1, inFlight: .max), target(.max, inFlight: 0), target(.min, inFlight: 0)])
    let fact = GatewayFact(status, gateway: edge)
    #expect(fact.revision == nil && fact.targets.map(\.instance) == [1] && fact.targets[0].inFlight == 2 * Bounds.number)
  }

  @Test func `a command cannot be run by a gateway, so it asks for the port`() {
    #expect(RouteTable.Probe(ReadinessCheck(probe: .exec(command: ["check"]))).kind == .tcp)
  }

  @Test(
    arguments: [
      (.serving, .healthy, true, 5), (.serving, .unhealthy, false, 5), (.serving, .unknown, false, 5), (.warming, .unknown, false, 5),
      (.draining, .healthy, false, 5), (.drained, .healthy, false, 0),
    ] as [(TargetMachine.State, HealthMachine.Health, Bool, Int)])
  func `healthy is what gets new requests, and only drained is empty`(
    state: TargetMachine.State, health: HealthMachine.Health, healthy: Bool, inFlight: Int
  ) {
    func fact(_ requests: Int, _ tunnels: Int) -> TargetFact {
      TargetFact(
        TargetStatus(
          instance: InstanceID(service: "shop", number: 4), release: ReleaseNumber(1), address: "10.0.0.1", port: 1, state: state,
          health: health,
          since: WallTime(milliseconds: 0), lastProbe: "status 200", inFlight: requests, longLived: tunnels))
    }
    #expect(fact(3, 2) == TargetFact(instance: 4, healthy: healthy, probe: "status 200", inFlight: inFlight))
    // A loop may not have taken the table yet: draining with a count of zero is not drained.
    #expect(fact(0, 0).inFlight == (state == .draining ? 1 : 0))
  }

  @Test func `the machine is read from the owner`() {
    #expect(ann.machine == "laptop.1234")
    #expect(Fence(owner: "odd", epoch: 1).machine == "odd")
  }
}
