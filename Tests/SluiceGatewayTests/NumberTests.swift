import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

/// Texts like a JSON text, with one of its numbers at a limit.
enum NumberLimits {
  static let limits = [
    "0", "-1", "1", "2147483648", "4294967296", "9007199254740992", "281474976710657", "9223372036854775806", "9223372036854775807",
    "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775808", "1e300", "-1e300", "0.5", "1e18",
  ]

  /// Where numbers stand outside of strings.
  static func places(_ octets: [UInt8]) -> [Range<Int>] {
    var places: [Range<Int>] = []
    var (at, inString) = (0, false)
    while at < octets.count {
      if octets[at] == UInt8(ascii: "\"") { inString.toggle() }
      let start = at
      while !inString, at < octets.count, octets[at] == UInt8(ascii: "-") || (48...57).contains(octets[at]) { at += 1 }
      if at > start { places.append(start..<at) } else { at += 1 }
    }
    return places
  }

  static func texts(_ octets: [UInt8]) -> [(text: [UInt8], what: String)] {
    places(octets).flatMap { place in
      limits.map { limit in
        let before = String(decoding: octets[max(0, place.lowerBound - 40)..<place.lowerBound], as: UTF8.self)
        return (Array(octets[..<place.lowerBound]) + Array(limit.utf8) + Array(octets[place.upperBound...]), "…\(before)\(limit)")
      }
    }
  }
}

extension WithGateway {
  @Suite(.timeLimit(.minutes(3))) struct NumberTests {
    /// A table that names every number there is.
    static func table(_ upstreams: [TestUpstream]) -> RouteTable {
      var table = TestGateway.split(7, stable: [upstreams[0]], canary: [upstreams[1]], share: 1_000) { split in
        split.controllerLost = RouteTable.FallBack(after: .seconds(60), leastTargets: 1)
      }
      table.hold = .seconds(1)
      table.preview = RouteTable.Preview(hosts: ["preview"], release: ReleaseNumber(2))
      table.pools[1].probe = table.probe
      return table
    }

    /// All orders, each as its path says.
    static func orders(_ upstreams: [TestUpstream]) throws -> [(path: String, body: [UInt8])] {
      let fence = TestGateway.fence
      let record = RecordOrder(fence: fence, record: RecordCopy(revision: Revision(epoch: 1, version: 1), content: "YQ=="))
      return [
        ("table", try AdminJSON.encode(table(upstreams))), ("fence", try AdminJSON.encode(FenceOrder(fence: fence))),
        ("fence/reset", try AdminJSON.encode(FenceReset(standing: fence, fence: fence))),
        ("lease", try AdminJSON.encode(FenceOrder(fence: fence))), ("record", try AdminJSON.encode(record)),
        ("switch", try AdminJSON.encode(SwitchOrder(fence: fence, state: .open, at: WallTime(milliseconds: 2_000_000_000_000)))),
      ]
    }

    /// What an order does to a service, without a gateway around it; false: it was refused.
    private func carryOut(_ path: String, _ body: [UInt8], _ control: inout ServiceControl) throws -> Bool {
      let now = WallTime(milliseconds: 1_900_000_000_000)
      do {
        switch path {
        case "table":
          let table = try AdminJSON.decode(RouteTable.self, body)
          guard table.problem(for: "shop") == nil else { return false }
          _ = try control.put(table, now: now)
          for (target, _) in table.probedTargets { _ = control.probed(TargetKey(target), passed: true, text: "", now: now) }
          _ = control.fallBackIfDue(now: .seconds(1_000_000_000), wall: now)
        case "fence/reset": try control.reset(try AdminJSON.decode(FenceReset.self, body))
        case "record": _ = try control.keep(try AdminJSON.decode(RecordOrder.self, body))
        case "switch":
          _ = try control.order(try AdminJSON.decode(SwitchOrder.self, body), now: now)
          _ = control.tick(now: now)
        default: _ = try control.claim(try AdminJSON.decode(FenceOrder.self, body))
        }
      } catch is AdminError {
        return false
      } catch is DecodingError {
        return false
      }
      return true
    }

    @Test func `a number at any limit is taken or refused, and what would lock everybody out is not taken`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        let admin = try await gateway.adminClient()
        var (asked, taken) = (0, 0)
        for (path, body) in try Self.orders(upstreams) {
          for (text, what) in NumberLimits.texts(body) {
            asked += 1
            var control = ServiceControl(service: "shop")
            _ = try control.claim(FenceOrder(fence: TestGateway.fence))
            if try carryOut(path, text, &control) { taken += 1 }
            #expect(control.standing.fence.isBounded && control.standing.revision?.isBounded != false, "\(path) \(what)")
            #expect(control.record?.revision.isBounded != false, "\(path) \(what)")
            let restored = ServiceControl(restored: control.stored, now: WallTime(milliseconds: 1), monotonic: .zero)
            #expect(restored.table == control.table)
            // Some of them over the wire as well: an answer in words, whatever it is.
            guard asked % 17 == 0 else { continue }
            let head = "PUT /v1/services/shop/\(path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(text.count)\r\n\r\n"
            try await admin.send(Array(head.utf8) + text)
            let response = try await admin.response()
            #expect([200, 400, 404, 409].contains(response.status), "\(path) \(what): \(response.status) \(response.body)")
            guard response.status != 200 else { continue }
            let error = try AdminJSON.decode(AdminError.self, Array(response.body.utf8))
            #expect(!error.error.isEmpty && !error.remedy.isEmpty, "\(path) \(what)")
          }
        }
        await admin.close()
        #expect(asked > 500 && taken > 50 && taken < asked - 200)
        #expect(try await gateway.status().fence.isBounded)
        try gateway.halt()
        try gateway.start()
        #expect(try await gateway.status().fence.isBounded)
      }
    }

    @Test func `a fence that locks everybody out is given back by a reset, and the table goes on to be served`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(5, [(1, upstreams[0], .active)]))
        try gateway.halt()
        // As a gateway of before fences had bounds left it.
        let store = StateStore(directory: gateway.statePath)
        guard case .good(let octets) = store.load("shop.service.state", accept: { _ in true }) else { return #expect(Bool(false)) }
        let high: UInt64 = 1 << 63 - 2
        let text = String(decoding: octets, as: UTF8.self).replacing("\"epoch\":1", with: "\"epoch\":\(high)")
        try store.write("shop.service.state", Array(text.utf8))
        try gateway.start()
        let locked = Fence(owner: "test", epoch: high)
        #expect(try await gateway.status().fence == locked)
        let degraded = try #require(try await gateway.gatewayStatus().degraded)
        #expect(degraded.contains("no controller can exceed") && degraded.contains("--reset-fence"), "\(degraded)")
        let client = try await gateway.client()
        #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").body == "u1")
        for epoch in [2, high + 1] {
          await #expect(throws: TestGateway.Refused.self) {
            let order = FenceOrder(fence: Fence(owner: "me", epoch: epoch))
            _ = try await gateway.admin("PUT", "/v1/services/shop/fence", AdminJSON.encode(order), as: ClaimReply.self)
          }
        }
        let mine = Fence(owner: "me", epoch: 3)
        func reset(_ standing: Fence) async throws -> ClaimReply {
          let order = FenceReset(standing: standing, fence: mine)
          return try await gateway.admin("PUT", "/v1/services/shop/fence/reset", AdminJSON.encode(order), as: ClaimReply.self)
        }
        await #expect(throws: TestGateway.Refused.self) { _ = try await reset(Fence(owner: "test", epoch: 1)) }
        let reply = try await reset(locked)
        #expect(reply.status.fence == mine && reply.table?.revision == Revision(epoch: 0, version: 0))
        #expect(try await gateway.gatewayStatus().degraded == nil)
        #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").body == "u1")
        var next = TestGateway.table(6, [(1, upstreams[0], .active)])
        next.fence = mine
        #expect(try await gateway.put(next).revision == next.revision)
        await client.close()
      }
    }
  }
}
