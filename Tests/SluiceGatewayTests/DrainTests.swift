import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(3))) struct DrainTests {
    @Test func `a drained target gets nothing more, what it was given is answered, and its count is exact`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        var clients: [RawClient] = []
        for _ in 0..<8 {
          let client = try await gateway.client()
          try await client.send("GET /slow/2500 HTTP/1.1\r\nHost: a\r\n\r\n")
          clients.append(client)
        }
        try await gateway.until("in flight") { $0.targets[0].inFlight == 8 }
        let both = TestGateway.table(2, [(1, upstreams[0], .active), (2, upstreams[1], .active)])
        try await gateway.serve(both)
        let drained = try await gateway.put(TestGateway.table(3, [(1, upstreams[0], .draining), (2, upstreams[1], .active)]))
        #expect(drained.revision == Revision(epoch: 1, version: 3))
        #expect(drained.targets[0].state == .draining)
        #expect(drained.targets[0].inFlight == 8)
        let before = upstreams[0].requestCount
        let next = try await gateway.client()
        for _ in 0..<20 {
          let response = try await next.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
          #expect(response.body == "u2")
        }
        await next.close()
        for client in clients {
          let response = try await client.response()
          #expect(response.body == "slow u1")
          await client.close()
        }
        #expect(upstreams[0].requestCount == before)
        let status = try await gateway.until("drained") { $0.targets[0].state == .drained }
        #expect(status.targets[0].inFlight == 0)
        #expect(status.targets[0].completed == 8)
      }
    }

    @Test func `two hundred table changes under load lose nothing, and no target is used after it is drained`() async throws {
      try await withGateway(upstreams: 3) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, upstreams.enumerated().map { ($0 + 1, $1, .active) }))
        let load = LoadClients()
        async let running: Void = load.run(24, gateway)
        for version in 2...201 {
          let out = version % 3
          let table = TestGateway.table(
            UInt64(version), upstreams.enumerated().map { ($0 + 1, $1, $0 == out ? .draining : .active) },
            balance: version % 2 == 0 ? .leastConnections : .roundRobin)
          try await gateway.put(table)
          let status = try await gateway.until("drained \(version)") { $0.targets[out].state == .drained }
          #expect(status.targets[out].inFlight == 0)
          // Once it is drained nothing comes any more, until it is wanted again.
          let settled = upstreams[out].requestCount
          if version % 10 == 0 {
            try await Task.sleep(for: .milliseconds(20))
            #expect(upstreams[out].requestCount == settled)
          }
        }
        load.end()
        await running
        let tally = load.now
        #expect(tally.lost.isEmpty, "\(tally.lost.prefix(5)) of \(tally.sent)")
        #expect(tally.refused == 0)
        #expect(tally.answered == tally.sent)
        #expect(tally.sent > 1_000)
        let status = try await gateway.until("settled") { $0.total.inFlight == 0 }
        #expect(status.total.admitted == tally.sent)
        #expect(status.total.completed == tally.sent)
      }
    }

    @Test func `instances replaced one by one under load lose nothing`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        var running: [(Int, TestUpstream, RouteTable.Target.State)] = upstreams.enumerated().map { ($0 + 1, $1, .active) }
        var version: UInt64 = 1
        try await gateway.serve(TestGateway.table(version, running))
        let load = LoadClients()
        async let loading: Void = load.run(16, gateway)
        for number in 3...12 {
          let fresh = try await TestUpstream("u\(number)", on: gateway.group)
          running.append((number, fresh, .active))
          version += 1
          try await gateway.serve(TestGateway.table(version, running))
          running[0].2 = .draining
          version += 1
          try await gateway.put(TestGateway.table(version, running))
          try await gateway.until("drained") { $0.targets[0].state == .drained }
          let old = running.removeFirst().1
          try await old.stop()
          version += 1
          try await gateway.put(TestGateway.table(version, running))
        }
        load.end()
        await loading
        let tally = load.now
        #expect(tally.lost.isEmpty, "\(tally.lost.prefix(5)) of \(tally.sent)")
        #expect(tally.answered == tally.sent)
        for (_, upstream, _) in running where !upstreams.contains(where: { $0 === upstream }) { try await upstream.stop() }
      }
    }

    @Test func `a target that leaves the table with requests in flight is shown until they have ended`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("GET /slow/2000 HTTP/1.1\r\nHost: a\r\n\r\n")
        try await gateway.until("in flight") { $0.total.inFlight == 1 }
        try await gateway.put(TestGateway.table(2, [(2, upstreams[1], .active)]))
        let during = try await gateway.status()
        #expect(during.targets.count == 2)
        #expect(during.targets[1].state == .draining && during.targets[1].inFlight == 1)
        let response = try await client.response()
        #expect(response.body == "slow u1")
        await client.close()
        try await gateway.until("gone") { $0.targets.count == 1 }
      }
    }

    @Test func `tunnels are counted apart, and cut at their deadline when their target drains`() async throws {
      try await withGateway(upstreams: 2, scripts: WithGateway.ProxyTests.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("GET /raw/upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        let switched = try await client.response()
        #expect(switched.status == 101)
        #expect(switched.field("Upgrade") == "echo")
        try await client.send("ping")
        try await client.expect("ping")
        let open = try await gateway.status()
        #expect(open.targets[0].longLived == 1 && open.targets[0].inFlight == 0)
        #expect(open.total.longLived == 1)
        let table = TestGateway.table(2, [(1, upstreams[0], .draining), (2, upstreams[1], .active)], longLived: Milliseconds(300))
        let draining = try await gateway.put(table)
        #expect(draining.targets[0].state == .draining)
        try await client.send("pong")
        try await client.expect("pong")
        _ = try await client.end()
        await client.close()
        let after = try await gateway.until("drained") { $0.targets[0].state == .drained }
        #expect(after.targets[0].cutOff == 1)
        #expect(after.total.longLived == 0)
      }
    }

    @Test func `a tunnel that either side closes is complete, and half-closed passes on`() async throws {
      try await withGateway(scripts: WithGateway.ProxyTests.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("GET /raw/upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly")
        let switched = try await client.response()
        #expect(switched.status == 101)
        try await client.expect("early")
        try await client.shutOutput()
        _ = try await client.end()
        await client.close()
        let status = try await gateway.until("ended") { $0.total.longLived == 0 }
        #expect(status.total.completed == 1)
      }
    }

    @Test func `the last request of a draining target that moves to another ends the drain, and watchers hear of it`() async throws {
      try await withGateway { gateway, upstreams in
        // Nobody takes its connections: once their queue is full, connecting hangs.
        let stuck = try Listener(share: false, backlog: 4_096)
        let timeouts = RouteTimeouts(connect: .seconds(1), response: .seconds(10), idle: .seconds(10))
        func table(_ version: UInt64, moves: Bool) -> RouteTable {
          var table = TestGateway.table(version, [(2, upstreams[0], moves ? .active : .draining)], timeouts: timeouts)
          table.pools[0].targets.append(
            .init(
              instance: InstanceID(service: TestGateway.service, number: 1), address: "127.0.0.1", port: stuck.port,
              state: moves ? .draining : .active))
          table.probe = .init(kind: .tcp, interval: Milliseconds(20), timeout: .seconds(2), rise: 1, fall: 1_000)
          return table
        }
        try await gateway.put(table(1, moves: false))
        try await gateway.until("healthy") { $0.targets[1].state == .serving }
        stuck.fill()
        let client = try await gateway.client()
        try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try await gateway.until("connecting") { $0.total.inFlight == 1 }
        let watcher = try await gateway.adminClient()
        try await watcher.send("GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try await watcher.take("a head") { Response.headEnd($0) }
        let drained = try await gateway.put(table(2, moves: true))
        #expect(drained.targets.first { $0.instance.number == 1 }?.inFlight == 1)
        // Nobody asks from here on: the gateway tells by itself.
        try await watcher.line { $0.targets.contains { $0.instance.number == 1 && $0.state == .drained } }
        #expect(try await client.response().body == "u1")
        await client.close()
        await watcher.close()
      }
    }
  }
}
