import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(3))) struct ProbeTests {
    /// The upstream answers every path with 200 but `/raw/…`, which a script answers.
    static let scripts = ["down": TestUpstream.Script(text: "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")]

    static func table(_ version: UInt64, _ upstreams: [TestUpstream], _ paths: [String], common: String) -> RouteTable {
      var table = TestGateway.table(version, [])
      table.probe.kind = .http(path: common, status: 200)
      table.pools = zip(upstreams, paths).enumerated().map { index, pair in
        var pool = TestGateway.pool(index + 1, .serving, [pair.0])
        if pair.1 != common {
          pool.probe = table.probe
          pool.probe?.kind = .http(path: pair.1, status: 200)
        }
        return pool
      }
      return table
    }

    @Test func `each target is probed with its own release's check, and none is taken down by another's`() async throws {
      try await withGateway(upstreams: 2, scripts: Self.scripts) { gateway, upstreams in
        try await gateway.serve(Self.table(1, [upstreams[0]], ["/old"], common: "/old"))
        let since = try await gateway.status().targets[0].since
        // The newest release's check is the table's; on the standing one it would fail.
        try await gateway.put(Self.table(2, upstreams, ["/old", "/new"], common: "/new"))
        try await gateway.until("both serve") { $0.targets.count == 2 && $0.targets.allSatisfy { $0.health == .healthy } }
        #expect(try await gateway.status().targets[0].since == since)
        let probes = { (index: Int) in Set(upstreams[index].probes.map { String($0.split(separator: " ")[1]) }) }
        #expect(probes(0) == ["/old"] && probes(1) == ["/new"])
        // A check that is another from now on is asked from now on, in the same rhythm, and what it finds counts.
        try await gateway.put(Self.table(3, upstreams, ["/old2", "/new"], common: "/new"))
        try await Self.until { probes(0).contains("/old2") }
        #expect(try await gateway.status().targets[0].since == since)
        try await gateway.put(Self.table(4, upstreams, ["/raw/down", "/new"], common: "/new"))
        let failed = try await gateway.until("unhealthy") { $0.targets[0].health == .unhealthy }
        #expect(failed.targets[1].health == .healthy && failed.targets[0].lastProbe == "status 404, expected 200")
      }
    }

    @Test func `a check's host and headers are sent`() async throws {
      try await withGateway { gateway, upstreams in
        var table = TestGateway.table(1, [(1, upstreams[0], .active)])
        table.probe.kind = .http(path: "/up", status: 200, host: "shop.example.com", headers: ["X-Probe": "yes", "accept": "text/plain"])
        try await gateway.serve(table)
        let head = try #require(upstreams[0].probes.first)
        #expect(head.hasPrefix("GET /up HTTP/1.1\r\nHost: shop.example.com\r\n"))
        #expect(head.contains("\r\nX-Probe: yes\r\n") && head.contains("\r\naccept: text/plain\r\n") && !head.contains("Accept: */*"))
      }
    }

    private static func until(_ wanted: () -> Bool) async throws {
      let deadline = ContinuousClock.now + .seconds(10)
      while !wanted() {
        guard ContinuousClock.now < deadline else { throw RawClient.Unmet(description: "never") }
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }
}
