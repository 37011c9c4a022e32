import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(2))) struct UpstreamFaultTests {
    static func get(_ name: String) -> String { "GET /raw/\(name) HTTP/1.1\r\nHost: a\r\n\r\n" }

    @Test func `an answer that cannot be understood or does not come is 502, and the connection goes on`() async throws {
      try await withGateway(scripts: WithGateway.ProxyTests.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        for name in ["garbage", "both", "flood", "silent"] {
          let response = try await client.request(Self.get(name))
          // A flood of interim answers is passed on up to its bound.
          var final = response
          while final.status == 100 { final = try await client.response() }
          #expect(final.status == 502, "\(name)")
        }
        let response = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(response.body == "u1")
        await client.close()
        let status = try await gateway.until("settled") { $0.total.inFlight == 0 }
        #expect(status.total.failed == 4)
        #expect(status.total.completed == 1)
        #expect(status.total.admitted == 5)
      }
    }

    @Test func `an answer that breaks off is seen to be broken, and counted as cut off`() async throws {
      try await withGateway(scripts: WithGateway.ProxyTests.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        for (name, wanted) in [("half", "half"), ("halfchunk", "5\r\nhel"), ("badchunk", ""), ("reset", "until the")] {
          let client = try await gateway.client()
          try await client.send(Self.get(name))
          let all = Response(try await client.end())
          #expect(all.status == 200 || name == "badchunk" || name == "reset", "\(name)")
          if name == "half" || name == "halfchunk" { #expect(all.body == wanted, "\(name)") }
          await client.close()
        }
        try await gateway.until("counted") { $0.total.cutOff == 4 && $0.total.inFlight == 0 }
      }
    }

    @Test func `octets after an answer are dropped with their connection`() async throws {
      try await withGateway(scripts: WithGateway.ProxyTests.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        for _ in 0..<3 {
          let response = try await client.request(Self.get("more"))
          #expect(response.body == "ok")
        }
        let next = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(next.body == "u1")
        await client.close()
      }
    }

    @Test func `a target that closes after each answer loses no request, POST neither`() async throws {
      try await withGateway(scripts: WithGateway.ProxyTests.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        for index in 0..<200 {
          let post = "POST /raw/then-close HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
          let response = try await client.request(index % 2 == 0 ? post : Self.get("then-close"))
          #expect(response.status == 200, "request \(index)")
        }
        await client.close()
        let status = try await gateway.until("settled") { $0.total.inFlight == 0 }
        #expect(status.total.completed == 200)
        #expect(status.total.failed == 0)
      }
    }

    @Test func `a request whose target refuses the connection goes to another`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        let table = TestGateway.table(1, [(1, upstreams[0], .active), (2, upstreams[1], .active)], balance: .roundRobin)
        try await gateway.serve(table)
        try await upstreams[0].stop()
        let client = try await gateway.client()
        for _ in 0..<20 {
          let response = try await client.request("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
          #expect(response.body == "got 5")
        }
        await client.close()
        try await gateway.until("unhealthy") { $0.targets[0].health == .unhealthy }
      }
    }

    @Test func `with no target left the answer is 503 and says so`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        upstreams[0].setHealthy(false)
        try await gateway.until("unhealthy") { $0.targets[0].health == .unhealthy }
        let client = try await gateway.client()
        let response = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(response.status == 503)
        #expect(response.body.contains("no healthy target"))
        #expect(response.field("Retry-After") == "1")
        upstreams[0].setHealthy(true)
        try await gateway.until("healthy") { $0.targets[0].health == .healthy }
        let well = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(well.status == 200)
        await client.close()
        let status = try await gateway.status()
        #expect(status.total.unserved == 1)
        #expect(status.targets[0].lastProbe.contains("200"))
      }
    }

    @Test func `a target that hangs is 504 after the response time`() async throws {
      try await withGateway(scripts: WithGateway.ProxyTests.scripts) { gateway, upstreams in
        let timeouts = RouteTimeouts(connect: Milliseconds(500), response: Milliseconds(200), idle: .seconds(5))
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)], timeouts: timeouts))
        let client = try await gateway.client()
        let response = try await client.request(Self.get("hang"))
        #expect(response.status == 504)
        let next = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(next.status == 200)
        await client.close()
      }
    }

    @Test func `a client that leaves is counted as gone and its target's connection ends`() async throws {
      try await withGateway(scripts: WithGateway.ProxyTests.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nhello")
        try await gateway.until("admitted") { $0.total.inFlight == 1 }
        await client.close()
        let status = try await gateway.until("gone") { $0.total.gone == 1 }
        #expect(status.total.inFlight == 0)
        #expect(upstreams[0].requestCount == 1)
      }
    }

    @Test func `a slow reader of a large answer costs a bounded amount, and gets all of it`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.setReading(false)
        let size = 30_000_000
        try await client.send("GET /big/\(size) HTTP/1.1\r\nHost: a\r\n\r\n")
        try await gateway.until("under way") { $0.total.inFlight == 1 }
        // The target cannot be done while the client reads nothing: what is in between is bounded.
        try await Task.sleep(for: .milliseconds(200))
        let status = try await gateway.status()
        #expect(status.total.inFlight == 1)
        try await client.setReading(true)
        let octets = try await client.end(of: size)
        #expect(octets == size)
        await client.close()
      }
    }
  }
}
