import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension TestGateway {
  /// A table of another service than `shop`.
  static func table(
    of service: ServiceName, _ version: UInt64, _ upstream: TestUpstream, hosts: [String], path: String = "/", from: ServiceName? = nil,
    state: RouteTable.Target.State = .active, role: RouteTable.Pool.Role = .serving
  ) -> RouteTable {
    var table = table(version, [(1, upstream, state)], hosts: hosts, path: path)
    table.service = service
    table.takesFrom = from
    table.pools[0].role = role
    table.pools[0].targets[0].instance.service = service
    return table
  }

  @discardableResult
  func put(_ table: RouteTable, as service: ServiceName) async throws -> ServiceStatus {
    try await admin("PUT", "/v1/services/\(service)/table", AdminJSON.encode(table), as: ServiceStatus.self)
  }

  func status(of service: ServiceName) async throws -> ServiceStatus {
    try await admin("GET", "/v1/services/\(service)", as: ServiceStatus.self)
  }

  @discardableResult
  func until(_ service: ServiceName, _ what: String, _ wanted: (ServiceStatus) -> Bool) async throws -> ServiceStatus {
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      let status = try await status(of: service)
      if wanted(status) { return status }
      guard ContinuousClock.now < deadline else { throw RawClient.Unmet(description: "\(service) never \(what): \(status)") }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Who answers a request for that host.
  func answer(_ host: String, path: String = "/") async throws -> String {
    let client = try await client()
    let response = try await client.request("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
    await client.close()
    return response.body
  }

  func refusal(_ table: RouteTable, as service: ServiceName) async throws -> AdminError? {
    do { try await put(table, as: service) } catch let refused as Refused { return refused.error }
    return nil
  }
}

extension WithGateway {
  @Suite(.timeLimit(.minutes(3))) struct RouteOwnerTests {
    @Test func `what another service holds is refused with its name, in every spelling, as preview too`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.put(TestGateway.table(of: "shop", 1, upstreams[0], hosts: ["shop.example.com", "::1"]), as: "shop")
        for host in ["shop.example.com", "SHOP.Example.com", "shop.example.com.", "::1", "[0:0::1]"] {
          let error = try #require(
            try await gateway.refusal(TestGateway.table(of: "store", 1, upstreams[1], hosts: ["x", host]), as: "store"), "\(host)")
          #expect(error.reason == .routeTaken && error.reason.status == 409 && error.taken?.owner == "shop", "\(error)")
          #expect(error.error.contains("belongs to service shop"))
        }
        var preview = TestGateway.table(of: "store", 1, upstreams[1], hosts: ["store.example.com"])
        preview.preview = RouteTable.Preview(hosts: ["Shop.example.com"], release: ReleaseNumber(1))
        #expect(try await gateway.refusal(preview, as: "store")?.reason == .routeTaken)
        // Another path of the host is another route, and so is every host that nobody names.
        try await gateway.put(TestGateway.table(of: "store", 1, upstreams[1], hosts: ["shop.example.com"], path: "/api"), as: "store")
        try await gateway.put(TestGateway.table(of: "store", 2, upstreams[1], hosts: []), as: "store")
        // What is given up is free.
        _ = try await gateway.admin(
          "DELETE", "/v1/services/shop", AdminJSON.encode(FenceOrder(fence: TestGateway.fence)), as: ServiceStatus.self)
        try await gateway.put(TestGateway.table(of: "store", 3, upstreams[1], hosts: ["shop.example.com"]), as: "store")
      }
    }

    @Test func `requests for an IPv6 address find its route, with any spelling and port`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.put(TestGateway.table(of: "six", 1, upstreams[0], hosts: ["2001:db8::1"]), as: "six")
        try await gateway.put(TestGateway.table(of: "api", 1, upstreams[1], hosts: ["[2001:db8::1]"], path: "/api"), as: "api")
        try await gateway.until("six", "serves") { $0.targets.allSatisfy { $0.health == .healthy } }
        try await gateway.until("api", "serves") { $0.targets.allSatisfy { $0.health == .healthy } }
        for host in ["[2001:db8::1]", "[2001:DB8::1]:8080", "[2001:db8:0:0:0:0:0:1]:80"] {
          #expect(try await gateway.answer(host) == "u1", "\(host)")
          #expect(try await gateway.answer(host, path: "/api/x") == "u2", "\(host)")
        }
        let other = try await gateway.answer("[2001:db8::2]")
        #expect(other != "u1" && other != "u2")
      }
    }

    @Test func `a route goes over at once when its new service serves, without a lost request, and back`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.put(TestGateway.table(of: "shop", 1, upstreams[0], hosts: ["a"]), as: "shop")
        try await gateway.until("shop", "serves") { $0.targets.allSatisfy { $0.health == .healthy } }
        let slow = try await gateway.client()
        try await slow.send("GET /slow/1500 HTTP/1.1\r\nHost: a\r\n\r\n")
        try await gateway.until("shop", "in flight") { $0.total.inFlight == 1 }
        upstreams[1].setHealthy(false)
        let waiting = try await gateway.put(TestGateway.table(of: "store", 1, upstreams[1], hosts: ["a"], from: "shop"), as: "store")
        let route = RouteKey(host: "a", path: "/")
        #expect(waiting.lost == [LostRoute(route: route, owner: "shop", awaited: true)])
        #expect(try await gateway.answer("a") == "u1")
        upstreams[1].setHealthy(true)
        try await gateway.until("store", "has its route") { $0.lost == nil }
        #expect(try await gateway.answer("a") == "u2")
        let old = try await gateway.status(of: "shop")
        #expect(old.lost == [LostRoute(route: route, owner: "store")] && old.total.inFlight == 1)
        // Its later tables, which only drain, are taken.
        try await gateway.put(TestGateway.table(of: "shop", 2, upstreams[0], hosts: ["a"], state: .draining), as: "shop")
        #expect(try await gateway.answer("a") == "u2")
        let finished = try await slow.response()
        #expect(finished.body == "slow u1")
        await slow.close()
        try gateway.halt()
        try gateway.start()
        #expect(try await gateway.answer("a") == "u2")
        #expect(try await gateway.status(of: "shop").lost == [LostRoute(route: route, owner: "store")])
        try await gateway.put(TestGateway.table(of: "shop", 3, upstreams[0], hosts: ["a"]), as: "shop")
        #expect(try await gateway.answer("a") == "u2")
        try await gateway.until("shop", "serves") { $0.targets.allSatisfy { $0.health == .healthy } }
        try await gateway.put(TestGateway.table(of: "shop", 4, upstreams[0], hosts: ["a"], from: "store"), as: "shop")
        #expect(try await gateway.answer("a") == "u1")
      }
    }

    @Test func `a closed switch stays closed when the route goes over`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.put(TestGateway.table(of: "shop", 1, upstreams[0], hosts: ["a"]), as: "shop")
        try await gateway.turn(.closed)
        try await gateway.put(TestGateway.table(of: "store", 1, upstreams[1], hosts: ["a"], from: "shop"), as: "store")
        let taken = try await gateway.until("store", "has its route") { $0.lost == nil }
        #expect(taken.switch.state == .closed)
      }
    }

    /// As a gateway of before routes had owners left it: two services with one route.
    @Test func `restored state with a conflict serves the first, and says so`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.put(TestGateway.table(of: "shop", 1, upstreams[0], hosts: ["a"]), as: "shop")
        try await gateway.put(TestGateway.table(of: "store", 1, upstreams[1], hosts: ["b"]), as: "store")
        for name: ServiceName in ["shop", "store"] {
          try await gateway.until(name, "serves") { $0.targets.allSatisfy { $0.health == .healthy } }
        }
        try gateway.halt()
        let store = StateStore(directory: gateway.statePath)
        guard case .good(let octets) = store.load("store.service.state", accept: { _ in true }) else { return #expect(Bool(false)) }
        var stored = try AdminJSON.decode(StoredService.self, octets)
        stored.table?.hosts = ["A."]
        try store.write("store.service.state", AdminJSON.encode(stored))
        try gateway.start()
        #expect(try await gateway.answer("a") == "u1")
        let degraded = try #require(try await gateway.gatewayStatus().degraded)
        #expect(degraded.contains("store asks for what another service has") && degraded.contains("a/ (shop has it)"), "\(degraded)")
        #expect(try await gateway.status(of: "store").lost == [LostRoute(route: RouteKey(host: "a", path: "/"), owner: "shop")])
        try await gateway.put(TestGateway.table(of: "store", 2, upstreams[1], hosts: ["b"]), as: "store")
        #expect(try await gateway.gatewayStatus().degraded == nil)
      }
    }
  }
}
