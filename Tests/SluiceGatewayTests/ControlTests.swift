import Glibc
import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Synchronization
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(3))) struct ControlTests {
    @Test func `a closed switch lets what was admitted finish, refuses the rest, and its report adds up`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        var slow: [RawClient] = []
        for _ in 0..<10 {
          let client = try await gateway.client()
          try await client.send("GET /slow/2500 HTTP/1.1\r\nHost: a\r\n\r\n")
          slow.append(client)
        }
        try await gateway.until("in flight") { $0.total.inFlight == 10 }
        let closed = try await gateway.turn(.closed)
        #expect(closed.switch.state == .closed)
        #expect(closed.switch.since.admitted == 10)
        let client = try await gateway.client()
        for _ in 0..<7 {
          let response = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
          #expect(response.status == 503)
          #expect(response.field("Retry-After") == "1")
        }
        for client in slow {
          let response = try await client.response()
          #expect(response.body == "slow u1")
          await client.close()
        }
        let report = try await gateway.until("finished") { $0.total.inFlight == 0 }.switch.since
        #expect(report.admitted == 10 && report.completed == 10 && report.refused == 7 && report.inFlight == 0)
        #expect(report.cutOff == 0 && report.gone == 0 && report.failed == 0)
        // A new table does not open it.
        try await gateway.put(TestGateway.table(2, [(1, upstreams[0], .active)], balance: .roundRobin))
        let still = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(still.status == 503)
        try await gateway.turn(.open)
        let open = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(open.status == 200)
        await client.close()
      }
    }

    @Test func `a queue holds requests and lets them go in order, and refuses what is too many or too long`() async throws {
      try await withGateway(loops: 1) { gateway, upstreams in
        let queue = RouteTable.Queue(requests: 5, wait: Milliseconds(60_000))
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)], queue: queue))
        try await gateway.turn(.queue)
        var held: [RawClient] = []
        for index in 0..<5 {
          let client = try await gateway.client()
          try await client.send("POST /held\(index) HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
          held.append(client)
          try await gateway.until("held") { $0.total.waiting == index + 1 }
        }
        let sixth = try await gateway.client()
        let refused = try await sixth.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(refused.status == 503)
        #expect(refused.body.contains("queue is full"))
        await held.removeLast().close()
        try await gateway.until("abandoned") { $0.total.abandoned == 1 && $0.total.waiting == 4 }
        #expect(upstreams[0].requestCount == 0)
        let opened = try await gateway.turn(.open)
        #expect(opened.total.waiting == 0)
        for client in held {
          let response = try await client.response()
          #expect(response.status == 200)
          await client.close()
        }
        let paths = upstreams[0].heads.map { String($0.split(separator: " ")[1]) }
        #expect(Set(paths) == ["/held0", "/held1", "/held2", "/held3"])
        try await gateway.put(
          TestGateway.table(2, [(1, upstreams[0], .active)], queue: RouteTable.Queue(requests: 5, wait: Milliseconds(100))))
        try await gateway.turn(.queue)
        let late = try await sixth.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(late.status == 503)
        #expect(late.body.contains("paused for too long"))
        await sixth.close()
      }
    }

    @Test func `an order for later fires once at its time, can be cancelled, and is refused in the past`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let now = try await gateway.gatewayStatus().clock
        let pending = try await gateway.turn(.closed, at: WallTime(milliseconds: now.milliseconds + 700))
        #expect(pending.switch.state == .open)
        #expect(pending.switch.pending?.state == .closed)
        try await gateway.until("fired") { $0.switch.state == .closed && $0.switch.pending == nil }
        try await gateway.turn(.open)
        try await gateway.turn(.closed, at: WallTime(milliseconds: now.milliseconds + 3_600_000))
        let body = try AdminJSON.encode(FenceOrder(fence: TestGateway.fence))
        let cancelled = try await gateway.admin("DELETE", "/v1/services/shop/switch/at", body, as: ServiceStatus.self)
        #expect(cancelled.switch.pending == nil && cancelled.switch.state == .open)
        await #expect(throws: TestGateway.Refused.self) {
          try await gateway.turn(.closed, at: WallTime(milliseconds: now.milliseconds - 60_000))
        }
      }
    }

    @Test func `a lower fence has no effect, and a claim returns what stands`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let record = RecordOrder(
          fence: TestGateway.fence, record: RecordCopy(revision: Revision(epoch: 1, version: 9), content: "c2VjcmV0"))
        let kept = try await gateway.admin("PUT", "/v1/services/shop/record", AdminJSON.encode(record), as: ServiceStatus.self)
        #expect(kept.record == Revision(epoch: 1, version: 9))
        let next = Fence(owner: "other", epoch: 2)
        let claim = try await gateway.admin(
          "PUT", "/v1/services/shop/fence", AdminJSON.encode(FenceOrder(fence: next)), as: ClaimReply.self)
        #expect(claim.status.fence == next)
        #expect(claim.record == record.record)
        #expect(claim.table?.revision == Revision(epoch: 1, version: 1))
        for body in [try AdminJSON.encode(TestGateway.table(2, []))] {
          let refused = await #expect(throws: TestGateway.Refused.self) {
            _ = try await gateway.admin("PUT", "/v1/services/shop/table", body, as: ServiceStatus.self)
          }
          #expect(refused?.error.reason == .fenceHeld)
          #expect(refused?.error.holder == next)
        }
        await #expect(throws: TestGateway.Refused.self) { try await gateway.turn(.closed) }
        let status = try await gateway.status()
        #expect(status.switch.state == .open && status.revision == Revision(epoch: 1, version: 1))
      }
    }

    @Test func `an older table, or the same revision with other content, is refused with what stands`() async throws {
      try await withGateway { gateway, upstreams in
        let table = TestGateway.table(5, [(1, upstreams[0], .active)])
        try await gateway.serve(table)
        let again = try await gateway.put(table)
        #expect(again.revision == table.revision)
        for (version, reason) in [(4, AdminError.Reason.staleRevision), (5, .conflictingRevision)] as [(UInt64, AdminError.Reason)] {
          let other = TestGateway.table(version, [(1, upstreams[0], .draining)])
          let refused = await #expect(throws: TestGateway.Refused.self) { try await gateway.put(other) }
          #expect(refused?.error.reason == reason)
          #expect(refused?.error.current == table.revision)
        }
      }
    }

    @Test func `a table that cannot be served is refused with the reason`() async throws {
      try await withGateway { gateway, upstreams in
        let good = TestGateway.table(1, [(1, upstreams[0], .active)])
        let breakings: [(inout RouteTable) -> Void] = [
          { $0.pools[0].targets[0].address = "localhost" }, { $0.pools[0].targets[0].port = 0 }, { $0.path = "x" },
          { $0.pools[0].targets.append($0.pools[0].targets[0]) }, { $0.hosts = ["a/b"] }, { $0.probe.rise = 0 },
          { $0.pools[0].role = .canary }, { $0.service = "other" }, { $0.revision.epoch = 7 },
        ]
        for breaking in breakings {
          var table = good
          breaking(&table)
          let refused = await #expect(throws: TestGateway.Refused.self) { try await gateway.put(table) }
          #expect(refused?.error.reason == .badRequest)
        }
        await #expect(throws: TestGateway.Refused.self) { try await gateway.status() }
      }
    }

    @Test func `after a restart the same table, switch, health and fence stand before the first request`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(3, [(1, upstreams[0], .active)]))
        try await gateway.turn(.closed)
        try gateway.halt()
        try gateway.start()
        let status = try await gateway.status()
        #expect(status.revision == Revision(epoch: 1, version: 3))
        #expect(status.switch.state == .closed)
        #expect(status.fence == TestGateway.fence)
        #expect(status.targets[0].health == .healthy && status.targets[0].state == .serving)
        try await gateway.turn(.open)
        let client = try await gateway.client()
        let response = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(response.status == 200)
        await client.close()
        try await gateway.turn(.closed, at: WallTime(milliseconds: gateway.gatewayStatus().clock.milliseconds + 300))
        try gateway.halt()
        try await Task.sleep(for: .milliseconds(400))
        try gateway.start()
        let fired = try await gateway.status()
        #expect(fired.switch.state == .closed && fired.switch.pending == nil)
      }
    }

    @Test func `a damaged state file is replaced by the one before, loudly`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        try await gateway.put(TestGateway.table(2, [(1, upstreams[0], .active)], balance: .roundRobin))
        try gateway.halt()
        let path = "\(gateway.statePath)/shop.service.state"
        #expect(truncate(path, 100) == 0)
        try gateway.start()
        let whole = try await gateway.gatewayStatus()
        #expect(whole.degraded?.contains("damaged") == true)
        #expect(whole.services.first?.revision != nil)
        #expect(gateway.log.lines.withLock { $0.contains { $0.hasPrefix("DEGRADED") } })
        let client = try await gateway.client()
        let response = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(response.status == 200)
        await client.close()
        // A table put anew heals it.
        try await gateway.put(TestGateway.table(9, [(1, upstreams[0], .active)]))
        let healed = try await gateway.gatewayStatus()
        #expect(healed.degraded == nil)
      }
    }

    @Test func `a watcher sees a snapshot, then each change, and a heartbeat`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let watcher = try await gateway.adminClient()
        try await watcher.send("GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try await watcher.take("a head") { Response.headEnd($0) }
        guard case .snapshot(let gatewayStatus) = try await watcher.line() else {
          Issue.record("no snapshot first")
          return
        }
        #expect(gatewayStatus.services.map(\.service) == ["shop"])
        upstreams[0].setHealthy(false)
        try await watcher.line { $0.targets[0].health == .unhealthy }
        upstreams[0].setHealthy(true)
        try await watcher.line { $0.targets[0].health == .healthy }
        try await gateway.put(TestGateway.table(2, [(1, upstreams[0], .draining)]))
        try await watcher.line { $0.revision?.version == 2 && $0.targets[0].state == .drained }
        try await gateway.turn(.closed)
        try await watcher.line { $0.switch.state == .closed }
        while true { if case .heartbeat = try await watcher.line() { break } }
        await watcher.close()
      }
    }

    @Test func `a drained gateway says so at its health address, and again after a restart`() async throws {
      try await withGateway { gateway, _ in
        func health() async throws -> Int {
          let client = try await RawClient.connect(gateway.healthPort, on: gateway.group)
          defer { Task { await client.close() } }
          return try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status
        }
        var seen = try await health()
        #expect(seen == 200)
        _ = try await gateway.admin("PUT", "/v1/gateway/drain", as: GatewayStatus.self)
        seen = try await health()
        #expect(seen == 503)
        try gateway.halt()
        try gateway.start()
        seen = try await health()
        #expect(seen == 503)
        _ = try await gateway.admin("PUT", "/v1/gateway/undrain", as: GatewayStatus.self)
        seen = try await health()
        #expect(seen == 200)
      }
    }

    @Test func `the admin socket is for its owner, and two gateways cannot share a state`() async throws {
      try await withGateway { gateway, _ in
        var info = stat()
        #expect(stat("\(gateway.directory)/admin.sock", &info) == 0)
        #expect(info.st_mode & 0o777 == 0o600)
        #expect(throws: StateStore.Failure.self) { try gateway.start() }
      }
    }

    @Test func `what is in flight when the gateway ends is answered first`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("GET /slow/2500 HTTP/1.1\r\nHost: a\r\n\r\n")
        try await gateway.until("in flight") { $0.total.inFlight == 1 }
        async let answer = client.response()
        try gateway.halt()
        let response = try await answer
        #expect(response.body == "slow u1")
        #expect(response.field("Connection") == "close")
        await client.close()
      }
    }
  }
}

extension RawClient {
  /// The next line of a watch.
  func line() async throws -> WatchLine {
    let chunk = try await take("a line") { octets in
      guard let end = octets.firstIndex(of: 10), octets[end...].dropFirst().contains(10) else { return nil }
      let size = Int(String(decoding: octets[..<(end - 1)], as: UTF8.self), radix: 16) ?? 0
      return octets.count >= end + 1 + size + 2 ? end + 1 + size + 2 : nil
    }
    let start = chunk.firstIndex(of: 10)! + 1
    return try AdminJSON.decode(WatchLine.self, Array(chunk[start...]))
  }

  /// Reads lines until a service's status is as wanted.
  func line(_ wanted: (ServiceStatus) -> Bool) async throws {
    for _ in 0..<200 { if case .service(let status) = try await line(), wanted(status) { return } }
    throw Unmet(description: "no such line among 200")
  }
}
