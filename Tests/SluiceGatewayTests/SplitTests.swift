import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  /// Who is sent where.
  @Suite(.timeLimit(.minutes(3))) struct SplitTests {
    /// Asks for each user once, over several connections with requests sent ahead, and gives who answered, by user.
    static func answers(_ users: Range<Int>, _ gateway: TestGateway) async throws -> [String] {
      let batches = stride(from: users.lowerBound, to: users.upperBound, by: 100).map { $0..<min($0 + 100, users.upperBound) }
      return try await withThrowingTaskGroup(of: (Int, [String]).self) { group in
        for worker in 0..<4 {
          group.addTask {
            let client = try await gateway.client()
            var names: [String] = []
            for batch in batches where batch.lowerBound / 100 % 4 == worker {
              try await client.send(batch.map { "GET / HTTP/1.1\r\nHost: a\r\nX-User: user-\($0)\r\n\r\n" }.joined())
              for _ in batch { names.append(try await client.response().body) }
            }
            await client.close()
            return (worker, names)
          }
        }
        var byWorker: [Int: [String]] = [:]
        for try await (worker, names) in group { byWorker[worker] = names }
        return batches.flatMap { batch in
          defer { byWorker[batch.lowerBound / 100 % 4]!.removeFirst(batch.count) }
          return Array(byWorker[batch.lowerBound / 100 % 4]!.prefix(batch.count))
        }
      }
    }

    @Test func `each share of 10 000 users is met, nobody moves back while it grows, and each is where the rule says`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        var before: [String] = []
        for (version, share) in [100, 1_000, 5_000, 10_000].enumerated() {
          try await gateway.serve(
            TestGateway.split(UInt64(version + 1), stable: [upstreams[0]], canary: [upstreams[1]], share: share))
          let names = try await SplitTests.answers(0..<10_000, gateway)
          let canary = names.count { $0 == "u2" }
          let expected = Double(share)
          let spread = (expected * (1 - expected / 10_000)).squareRoot()
          #expect(abs(Double(canary) - expected) <= 3 * spread, "\(canary) of \(share)")
          for (user, name) in names.enumerated() {
            #expect(name == (TestGateway.side("user-\(user)", share: share) == .canary ? "u2" : "u1"))
          }
          for (earlier, now) in zip(before, names) where earlier == "u2" { #expect(now == "u2") }
          before = names
        }
      }
    }

    @Test func `the lists go before a tester's word, that before the bucket, and no target sees the secret`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        let table = TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 5_000) {
          $0.allow = ["listed", "both"]
          $0.deny = ["denied", "both"]
          $0.override = TestGateway.override
        }
        try await gateway.serve(table)
        let client = try await gateway.client()
        let inside = (0...).lazy.map { "in-\($0)" }.first { TestGateway.side($0, share: 5_000) == .canary }!
        let outside = (0...).lazy.map { "out-\($0)" }.first { TestGateway.side($0, share: 5_000) == .stable }!
        let word = { (side: String) in "X-Split: \(side) \(TestGateway.secret)\r\n" }
        let cases: [(user: String?, fields: String, answered: String)] = [
          (inside, "", "u2"), (outside, "", "u1"), ("listed", "", "u2"), ("denied", "", "u1"), ("both", "", "u1"), (nil, "", "u1"),
          (outside, word("canary"), "u2"), (inside, word("stable"), "u1"), ("denied", word("canary"), "u1"),
          ("listed", word("stable"), "u2"), (nil, word("canary"), "u2"),
          (outside, "x-SPLIT: canary \(TestGateway.secret)\r\n", "u2"), (outside, "X-Split: canary wrong\r\n", "u1"),
          (inside, "X-Split: stable wrong\r\n", "u2"), (outside, "X-Split: canary\r\nX-Split: canary \(TestGateway.secret)\r\n", "u1"),
          (outside, word("Canary"), "u1"), (inside, "X-Split:\r\n", "u2"),
        ]
        for (user, fields, answered) in cases {
          let response = try await client.ask(user, fields + "X-Splits: stays\r\n")
          #expect(response.body == answered, "\(user ?? "nobody") with \(fields)")
        }
        await client.close()
        let heads = upstreams.flatMap(\.heads)
        #expect(heads.count == cases.count)
        for head in heads {
          #expect(!head.lowercased().contains("x-split:"), "\(head)")
          #expect(!head.contains(TestGateway.secret))
          #expect(head.contains("X-Splits: stays\r\n"))
        }
      }
    }

    @Test func `without a split the field of a former override passes as any other`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        _ = try await client.ask(nil, "X-Split: canary x\r\n")
        await client.close()
        #expect(upstreams[0].heads.first?.contains("X-Split: canary x\r\n") == true)
      }
    }

    @Test func `users of one connection, sent ahead of each other, go each to their own side`() async throws {
      try await withGateway(loops: 1, upstreams: 2) { gateway, upstreams in
        try await gateway.serve(TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 5_000))
        let users = (0..<40).map { "user-\($0)" }
        let client = try await gateway.client()
        try await client.send(users.map { "POST /upload HTTP/1.1\r\nHost: a\r\nX-User: \($0)\r\nContent-Length: 2\r\n\r\nab" }.joined())
        for user in users { #expect(try await client.response().status == 200, "\(user)") }
        await client.close()
        let canaries = users.filter { TestGateway.side($0, share: 5_000) == .canary }
        for (upstream, mine) in [(upstreams[0], users.filter { !canaries.contains($0) }), (upstreams[1], canaries)] {
          #expect(!mine.isEmpty)
          #expect(upstream.heads.map { Response(Array($0.utf8)).field("X-User") } == mine)
        }
      }
    }

    @Test func `a held request is decided about when it is let go, by the table that stands then`() async throws {
      try await withGateway(loops: 1, upstreams: 2) { gateway, upstreams in
        let table = TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 0) { $0.override = TestGateway.override }
        try await gateway.serve(table)
        try await gateway.turn(.queue)
        let client = try await gateway.client()
        try await client.send("GET / HTTP/1.1\r\nHost: a\r\nX-User: anna\r\nX-Split: nonsense\r\n\r\n")
        try await gateway.until("held") { $0.total.waiting == 1 }
        var next = table
        next.revision.version = 2
        next.split?.generation.version = 2
        next.split?.share = .whole
        try await gateway.put(next)
        try await gateway.turn(.open)
        #expect(try await client.response().body == "u2")
        await client.close()
        #expect(upstreams[1].heads.first?.contains("X-Split") == false)
        let report = try await gateway.traffic(2) { $0.canary.requests == 1 }
        #expect(report.stable.requests == 0)
      }
    }

    @Test func `a request that waits for the first probe of its targets is placed when they are known`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        for upstream in upstreams { upstream.setHealthy(false) }
        var table = TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000)
        table.hold = .seconds(20)
        try await gateway.put(table)
        let client = try await gateway.client()
        try await client.send("GET / HTTP/1.1\r\nHost: a\r\nX-User: anna\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try await gateway.until("held") { $0.total.waiting == 1 }
        // The canary comes first: its user need not wait for the stable side, the user without a key must.
        upstreams[1].setHealthy(true)
        #expect(try await client.response().body == "u2")
        try await gateway.until("held") { $0.total.waiting == 1 }
        upstreams[0].setHealthy(true)
        #expect(try await client.response().body == "u1")
        await client.close()
      }
    }

    @Test func `an idle pool is probed and gets no user's request`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        var table = TestGateway.table(1, [(1, upstreams[0], .active)])
        table.pools.append(TestGateway.pool(2, .idle, [upstreams[1]]))
        try await gateway.serve(table)
        let status = try await gateway.status()
        #expect(status.targets.map(\.health) == [.healthy, .healthy])
        let names = try await SplitTests.answers(0..<200, gateway)
        #expect(names.allSatisfy { $0 == "u1" })
        #expect(upstreams[1].requestCount == 0)
        // Not even when there is nobody else.
        upstreams[0].setHealthy(false)
        try await gateway.until("unhealthy") { $0.targets[0].health == .unhealthy }
        let client = try await gateway.client()
        #expect(try await client.ask("anna").status == 503)
        await client.close()
        #expect(upstreams[1].requestCount == 0)
      }
    }

    @Test func `a preview's host reaches its release only, is not counted, gets no cookie, and hides the override`() async throws {
      try await withGateway(upstreams: 3) { gateway, upstreams in
        let issuing = UserKey(source: .cookie("sluice"), absent: .issue, issued: UserKey.IssuedCookie(name: "sluice"))
        var table = TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 10_000, user: issuing) {
          $0.override = TestGateway.override
        }
        table.pools.append(TestGateway.pool(3, .idle, [upstreams[2]]))
        table.preview = RouteTable.Preview(hosts: ["Preview.example.com"], release: ReleaseNumber(3))
        try await gateway.serve(table)
        let client = try await gateway.client()
        for host in ["preview.example.com", "PREVIEW.example.com:80"] {
          let response = try await client.ask(nil, "X-Split: stable \(TestGateway.secret)\r\n", host: host)
          #expect(response.body == "u3")
          #expect(response.field("Set-Cookie") == nil)
        }
        #expect(upstreams[2].heads.allSatisfy { !$0.contains("X-Split") })
        let user = try await client.ask(nil, host: "other.example.com")
        #expect(user.body == "u2")
        #expect(user.field("Set-Cookie") != nil)
        let report = try await gateway.traffic(1) { $0.canary.requests == 1 }
        #expect(report.stable.requests == 0)
        #expect(try await gateway.status().total.completed == 3)
        // It has no other pool to go to, and a closed switch closes it too.
        upstreams[2].setHealthy(false)
        try await gateway.until("unhealthy") { $0.targets[2].health == .unhealthy }
        #expect(try await client.ask(nil, host: "preview.example.com").status == 503)
        upstreams[2].setHealthy(true)
        try await gateway.until("healthy") { $0.targets[2].health == .healthy }
        try await gateway.turn(.closed)
        #expect(try await client.ask(nil, host: "preview.example.com").status == 503)
        await client.close()
      }
    }
  }
}
