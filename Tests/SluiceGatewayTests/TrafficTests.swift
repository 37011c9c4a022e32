import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  /// What both sides' users meet, as it is counted and told.
  @Suite(.timeLimit(.minutes(3))) struct TrafficTests {
    @Test func `under load and a change of generation every answer is counted once, where it was admitted`() async throws {
      try await withGateway(loops: 3, upstreams: 3) { gateway, upstreams in
        func table(_ version: UInt64, _ share: Int) -> RouteTable {
          TestGateway.split(version, stable: [upstreams[0], upstreams[1]], canary: [upstreams[2]], share: share)
        }
        try await gateway.serve(table(1, 3_000))
        let load = LoadClients()
        async let running: Void = load.run(16, gateway)
        try await gateway.until("load") { $0.total.completed > 400 }
        try await gateway.put(table(2, 6_000))
        try await gateway.until("load") { $0.total.completed > 1_200 }
        load.end()
        await running
        let tally = load.now
        #expect(tally.lost.isEmpty && tally.refused == 0)
        func told(_ generation: UInt64) async throws -> TrafficReport {
          let done = try await gateway.until("ended") { $0.total.inFlight == 0 }
          #expect(done.total.completed == tally.answered)
          return try await gateway.traffic(generation) { _ in true }
        }
        let (first, second) = (try await told(1), try await told(2))
        var sum = first.canary
        for side in [first.stable, second.canary, second.stable] {
          #expect(side.requests > 50)
          if side != first.canary { sum += side }
        }
        #expect(sum.requests == tally.answered)
        #expect(sum.latency.total == tally.answered && sum.exposures == tally.answered)
        #expect(sum.failures == 0 && sum.spilled == 0 && sum.failedExposures == 0)
        #expect(first.canary.requests + second.canary.requests == upstreams[2].requestCount)
      }
    }

    @Test func `a request that outlives its generation counts there, and one whose client left counts nowhere`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000))
        let slow = try await gateway.client()
        try await slow.send("GET /slow/600 HTTP/1.1\r\nHost: a\r\nX-User: anna\r\n\r\n")
        let leaver = try await gateway.client()
        try await leaver.send("POST /upload HTTP/1.1\r\nHost: a\r\nX-User: anna\r\nContent-Length: 500\r\n\r\nhello")
        try await gateway.until("in flight") { $0.total.inFlight == 2 }
        try await gateway.put(TestGateway.split(2, stable: [upstreams[0]], canary: [upstreams[1]], share: 0))
        await leaver.close()
        #expect(try await slow.response().body == "slow u2")
        #expect(try await slow.ask("anna").body == "u1")
        await slow.close()
        try await gateway.until("ended") { $0.total.inFlight == 0 && $0.total.gone == 1 }
        let first = try await gateway.traffic(1) { $0.canary.requests == 1 }
        #expect(first.stable.requests == 0 && first.canary.failures == 0)
        #expect((first.canary.latency.quantile(1) ?? 0) > 500_000)
        let second = try await gateway.traffic(2) { $0.stable.requests == 1 }
        #expect(second.canary.requests == 0)
      }
    }

    @Test func `failures are 5xx of the service, of the gateway in its place, and answers broken off; a 4xx is none`() async throws {
      let scripts: [String: TestUpstream.Script] = [
        "bad": .init(text: "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        "missing": .init(text: "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
        "silent": .init(text: "", closes: true),
        "half": .init(text: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", closes: true),
      ]
      try await withGateway(loops: 1, upstreams: 2, scripts: scripts) { gateway, upstreams in
        var table = TestGateway.split(
          1, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000, window: .minutes(60))
        table.timeouts.response = Milliseconds(300)
        try await gateway.serve(table)
        for (path, status) in [("/raw/bad", 500), ("/raw/missing", 404), ("/raw/silent", 502), ("/slow/5000", 504), ("/", 200)] {
          let client = try await gateway.client()
          #expect(try await client.ask("anna", path: path).status == status)
          await client.close()
        }
        let client = try await gateway.client()
        try await client.send("GET /raw/half HTTP/1.1\r\nHost: a\r\nX-User: otto\r\n\r\n")
        #expect(String(decoding: try await client.end(), as: UTF8.self).hasSuffix("half"))
        await client.close()
        let report = try await gateway.traffic(1) { $0.canary.requests == 6 }
        #expect(report.canary.failures == 4)
        #expect(report.canary.exposures == 2 && report.canary.failedExposures == 2)
        #expect(report.canary.latency.total == 6)
      }
    }

    @Test func `an answer that its own client stops to take counts for neither side`() async throws {
      try await withGateway(loops: 1, upstreams: 2) { gateway, upstreams in
        var table = TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000)
        table.timeouts.idle = Milliseconds(300)
        try await gateway.serve(table)
        let stuck = try await gateway.client()
        try await stuck.setReading(false)
        try await stuck.send("GET /big/30000000 HTTP/1.1\r\nHost: a\r\nX-User: anna\r\n\r\n")
        try await gateway.until("cut off") { $0.total.cutOff == 1 }
        let client = try await gateway.client()
        #expect(try await client.ask("anna").body == "u2")
        await client.close()
        let report = try await gateway.traffic(1) { $0.canary.requests > 0 }
        #expect(report.canary.requests == 1 && report.canary.failures == 0)
        await stuck.close()
      }
    }

    @Test func `a tunnel counts when it is made`() async throws {
      let accept = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
      try await withGateway(upstreams: 2, scripts: ["tunnel": .init(text: accept)]) { gateway, upstreams in
        try await gateway.serve(TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000))
        let client = try await gateway.client()
        try await client.send("GET /raw/tunnel HTTP/1.1\r\nHost: a\r\nX-User: anna\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        try await client.expect(accept)
        try await client.send("ping")
        try await client.expect("ping")
        try await gateway.traffic(1) { $0.canary.requests == 1 && $0.canary.failures == 0 }
        await client.close()
        try await gateway.until("ended") { $0.total.longLived == 0 }
        let report = try await gateway.traffic(1) { _ in true }
        #expect(report.canary.requests == 1 && upstreams[1].requestCount == 1)
      }
    }

    @Test func `a watcher hears of traffic when it comes and when it changes, and no more`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000))
        let watcher = try await gateway.watcher()
        let client = try await gateway.client()
        _ = try await client.ask("anna")
        var heard: [Int] = []
        while heard.last != 1 {
          if case .traffic(let report) = try await watcher.line() { heard.append(report.canary.requests) }
        }
        #expect(heard.first == 0 || heard == [1])
        var heartbeats = 0
        while heartbeats < 3 {
          switch try await watcher.line() {
          case .heartbeat: heartbeats += 1
          case .traffic(let report): Issue.record("nothing has changed since \(heard): \(report)")
          case .snapshot, .service, .removed: break
          }
        }
        await watcher.close()
        await client.close()
      }
    }

    @Test func `metrics tell of both sides over all generations`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000))
        let client = try await gateway.client()
        _ = try await client.ask("anna")
        try await gateway.put(TestGateway.split(2, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000))
        _ = try await client.ask("anna")
        _ = try await client.ask()
        try await gateway.put(TestGateway.table(3, [(1, upstreams[0], .active)]))
        let admin = try await gateway.adminClient()
        let text = try await admin.request("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body
        for line in [
          "sluice_split_requests_total{service=\"shop\",side=\"canary\"} 2",
          "sluice_split_requests_total{service=\"shop\",side=\"stable\"} 1",
          "sluice_split_failures_total{service=\"shop\",side=\"canary\"} 0",
          "sluice_split_head_seconds_bucket{service=\"shop\",side=\"canary\",le=\"+Inf\"} 2",
          "sluice_split_head_seconds_bucket{service=\"shop\",side=\"canary\",le=\"67.108864\"} 2",
          "sluice_split_head_seconds_count{service=\"shop\",side=\"canary\"} 2",
        ] {
          #expect(text.contains("\n\(line)\n"), "\(line) in \(text)")
        }
        await admin.close()
        await client.close()
      }
    }
  }
}
