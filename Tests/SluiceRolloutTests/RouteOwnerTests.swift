import SluiceModel
import SluiceTraffic
import Testing

@testable import SluiceRollout

/// A route has one owner, can be handed on to the same service under another name, and goes away with it.
@Suite struct RouteOwnerTests {
  private func claim(_ service: ServiceName, hosts: [String] = [], path: String = "/", gateway: GatewayName = "edge") -> RouteClaim {
    let keys = RouteKey.keys(hosts: hosts, path: path, preview: [])
    return RouteClaim(service: service, routes: keys.map { GatewayRoute(gateway: gateway, key: $0) })
  }

  @Test func `claims meet where gateway, path and a host are the same`() {
    let shop = claim("shop", hosts: ["shop.example.com", "www.example.com"], path: "/api/")
    #expect(claim("store", hosts: ["WWW.example.com."], path: "/api").conflict(with: shop)?.key.description == "www.example.com/api")
    #expect(claim("store", hosts: ["other.example.com"], path: "/api").conflict(with: shop) == nil)
    #expect(claim("store", hosts: ["www.example.com"]).conflict(with: shop) == nil, "a longer path is another route")
    #expect(claim("store", hosts: ["www.example.com"], path: "/api", gateway: "other").conflict(with: shop) == nil)
    #expect(claim("store").conflict(with: claim("shop"))?.description == "any host, any path at gateway edge")
    #expect(claim("store", hosts: ["[::1]"]).conflict(with: claim("shop", hosts: ["0:0:0:0:0:0:0:1"])) != nil, "one address, two spellings")
    #expect(claim("store").conflict(with: claim("shop", hosts: ["shop.example.com"])) == nil, "a named host goes before any host")
  }

  @Test func `what another service has is refused, and its owner named`() throws {
    var bench = Bench(Bench.policy { $0.route = Route(gateway: "edge", hosts: ["shop.example.com"]) })
    bench.take(epoch: 1)
    bench.view.claims = ["other": claim("other", hosts: ["shop.example.com"])]
    let refusal = #expect(throws: Refusal.self) { try bench.apply(1) }
    #expect(refusal?.message == "shop.example.com/ at gateway edge belongs to service other")
    #expect(refusal?.remedy.contains("formerly: other") == true && refusal?.remedy.contains("sluice remove other") == true)
    #expect(bench.record.rollout == nil && bench.record.releases.isEmpty)
  }

  @Test func `its own route is nobody else's, and both that have it from before may go on`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.view.claims = ["shop": claim("shop"), "other": claim("other")]
    try bench.apply(2)
    #expect(bench.record.rollout != nil)
  }

  @Test func `what a rollout may have to come back to is given away only with its end`() throws {
    var bench = try Bench.released(Bench.policy { $0.route = Route(gateway: "edge", hosts: ["old.example.com"]) })
    let old = try #require(RouteClaim(bench.record.policy)?.routes.first)
    try bench.apply(2) { $0.route = Route(gateway: "edge", hosts: ["new.example.com"]) }
    #expect(bench.record.claim?.routes.map(\.key.host) == ["new.example.com", "old.example.com"])
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.claim?.routes.contains(old) == false)
  }

  @Test func `under another name it comes up beside itself, and takes the route when all of it serves`() throws {
    var bench = Bench(Bench.policy { $0.formerly = "store" })
    bench.take(epoch: 1)
    bench.view.claims = ["store": claim("store")]
    try bench.apply(1)
    bench.run { bench in bench.record.instances.contains { $0.phase == .warming(acknowledged: nil) } }
    #expect(bench.record.takeover == .waiting)
    #expect(bench.record.table.content?.takesFrom == "store" && bench.record.table.content?.idle == [ReleaseNumber(1)])
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.takeover == .done)
    #expect(bench.record.table.content?.idle == nil && bench.record.table.content?.takesFrom == "store")
    #expect(bench.record.gateways.allSatisfy { $0.revision == bench.record.table.revision })
  }

  @Test func `a rename that fails leaves the route where it is`() throws {
    var bench = Bench(Bench.policy { $0.formerly = "store" })
    bench.take(epoch: 1)
    bench.view.claims = ["store": claim("store")]
    bench.unhealthy = [2]
    try bench.apply(1)
    bench.run()
    #expect(bench.record.ended?.result == .failed && bench.record.takeover == .waiting)
    #expect(bench.record.instances.isEmpty)
  }

  /// How the service stands that goes on in the place of another.
  private func standing(rollout: Int?, _ result: RolloutEnd.Result?, hasTakenOver: Bool) -> Standing {
    var record = ServiceRecord(
      policy: Bench.policy {
        $0.name = "store"
        $0.formerly = "shop"
      })
    record.stable = hasTakenOver ? Goal(release: ReleaseNumber(1), replicas: 1) : nil
    record.takeover = hasTakenOver ? .done : .waiting
    if let rollout {
      record.rollout = Rollout(
        number: rollout, cause: "apply", by: "anna", startedAt: WallTime(milliseconds: 0),
        goal: Goal(release: ReleaseNumber(1), replicas: 1),
        origin: Goal(release: nil, replicas: 0), now: .zero)
    }
    return Standing(record)
  }

  @Test func `the old name is removed once the new one has its route`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.view.standings = [standing(rollout: 1, nil, hasTakenOver: false)]
    try bench.command(.remove(successor: "store"))
    #expect(bench.record.rollout?.gate == .after("store", goesOn: true) && bench.serving.count == 3)
    bench.view.standings = [standing(rollout: nil, .succeeded, hasTakenOver: true)]
    bench.run()
    #expect(bench.record.removal?.successor == "store" && bench.record.instances.isEmpty && bench.record.stable == nil)
    #expect(bench.record.gateways.isEmpty && bench.record.claim == nil)
    #expect(
      bench.sent.last { $0.object == .gateway(GatewayID(gateway: "edge", host: "g1")) }
        == .removeTable(GatewayID(gateway: "edge", host: "g1")))
  }

  @Test func `where the new name never comes to serve the old one stays`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.view.standings = [standing(rollout: nil, .failed, hasTakenOver: false)]
    try bench.command(.remove(successor: "store"))
    bench.run()
    #expect(bench.record.removal == nil && bench.serving.count == 3 && bench.record.ended?.result == .failed)
    #expect(!bench.sent.contains(where: isStop))
  }

  @Test func `a removed service is drained, and its route and instances are gone; an apply begins it anew`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.inFlight = [2: 1]
    try bench.command(.remove(successor: nil))
    bench.run { bench in bench.open.isEmpty && bench.record.instances.count == 1 }
    #expect(bench.record.removal == nil && bench.record.table.content != nil, "it drains under its route")
    bench.inFlight = [:]
    bench.tell(.gateway(bench.fact(GatewayID(gateway: "edge", host: "g1"))))
    bench.run()
    #expect(bench.record.removal?.by == "anna" && bench.record.instances.isEmpty && bench.record.gateways.isEmpty)
    #expect(throws: Refusal.self) { try bench.command(.remove(successor: nil)) }
    try bench.apply(2)
    bench.run()
    #expect(bench.record.removal == nil && bench.serving.count == 3 && bench.record.stable?.release == ReleaseNumber(2))
  }

  /// A first release that has failed, and of which an instance was lost with its host.
  private static func failedFirst() throws -> Bench {
    var bench = Bench(Bench.policy { $0.failureBudget = .count(0) })
    bench.take(epoch: 1)
    try bench.apply(1)
    bench.unhealthy = [3]
    bench.run { $0.serving.count == 2 }
    bench.tell(.hostUnreachable("a1", "no route"))
    bench.run()
    return bench
  }

  @Test func `a first release that failed leaves its route, also where an instance was lost with its host`() throws {
    let bench = try Self.failedFirst()
    #expect(bench.record.ended?.result == .failed && bench.record.instances.map(\.phase) == [.lost])
    #expect(bench.record.claim == nil && bench.record.gateways.allSatisfy { $0.revision == nil })
    #expect(bench.sent.contains(.removeTable(GatewayID(gateway: "edge", host: "g1"))))
  }

  @Test func `what is found again of a first release that failed is stopped without a table: its route may be another's`() throws {
    var bench = try Self.failedFirst()
    bench.sent = []
    let lost = bench.record.instances[0]
    // The gateway does not answer the controller that hears of the host again.
    bench.silent = [GatewayID(gateway: "edge", host: "g1")]
    bench.take(epoch: 2)
    bench.tell(.gatewayUnreachable(GatewayID(gateway: "edge", host: "g1"), "no route"))
    bench.tell(
      .host(
        HostFact(
          host: "a1", generation: 9, instances: [InstanceFact(number: lost.number, port: lost.port, running: true)], releases: [])))
    bench.run()
    #expect(bench.sent.contains(.stop("a1", instance: lost.number)) && !bench.sent.contains(where: isTable), "\(bench.sent)")
    #expect(bench.record.instances.isEmpty && bench.record.table.isEmpty)
  }

  @Test func `with a host that cannot be reached its route is away, and it can be removed once the host is back`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.tell(.hostUnreachable("a1", "no route"))
    try bench.command(.remove(successor: nil))
    bench.run()
    #expect(bench.record.removal == nil && bench.record.isRouteAway && bench.record.claim == nil && bench.record.gateways.isEmpty)
    #expect(bench.record.ended?.result == .degraded)
    bench.tell(.host(HostFact(host: "a1", generation: 9)))
    bench.run()
    try bench.command(.remove(successor: nil))
    bench.run()
    #expect(bench.record.removal != nil && bench.record.instances.isEmpty)
  }

  @Test func `what was stopped on purpose is started, not scaled, and has its route again`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.command(.stop)
    bench.run()
    try bench.command(.giveUpRoute)
    #expect(throws: Refusal.self) { try bench.command(.scale(2)) }
    #expect(bench.record.rollout == nil && bench.record.routeGivenUp == true)
    try bench.command(.start)
    bench.run()
    #expect(bench.record.routeGivenUp == nil && bench.record.claim != nil && bench.serving.count == 3)
    // So it is where it was scaled to nothing.
    try bench.command(.scale(0))
    bench.run()
    try bench.command(.giveUpRoute)
    let claim = RouteClaim(service: "other", routes: RouteClaim(bench.record.policy)?.routes ?? [])
    bench.view.claims = ["other": claim]
    #expect(throws: Refusal.self) { try bench.command(.scale(2)) }
    bench.view.claims = [:]
    try bench.command(.scale(2))
    bench.run()
    #expect(bench.record.routeGivenUp == nil && bench.serving.count == 2)
  }

  @Test func `a stopped service can give up its route, and takes it back only where it is free`() throws {
    var bench = try Bench.released(Bench.policy())
    #expect(throws: Refusal.self) { try bench.command(.giveUpRoute) }
    try bench.command(.stop)
    bench.run()
    #expect(bench.record.claim != nil)
    try bench.command(.giveUpRoute)
    bench.run()
    #expect(bench.record.claim == nil && bench.record.gateways.isEmpty)
    bench.view.claims = ["other": claim("other")]
    #expect(throws: Refusal.self) { try bench.command(.start) }
    bench.view.claims = [:]
    try bench.command(.start)
    bench.run()
    #expect(bench.serving.count == 3 && bench.record.claim != nil)
  }
}
