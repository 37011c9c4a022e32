import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(2))) struct ChaosTests {
    @Test func `whatever clients send and targets answer, every admitted request ends in one count`() async throws {
      try await withGateway(upstreams: 2, scripts: ProxyTests.scripts) { gateway, upstreams in
        let timeouts = RouteTimeouts(connect: Milliseconds(500), response: Milliseconds(500), idle: Milliseconds(500))
        let targets: [(Int, TestUpstream, RouteTable.Target.State)] = [(1, upstreams[0], .active), (2, upstreams[1], .active)]
        try await gateway.serve(TestGateway.table(1, targets, timeouts: timeouts))
        await withTaskGroup(of: Void.self) { group in
          for seed in 0..<12 { group.addTask { await Self.client(UInt64(seed), gateway) } }
        }
        let status = try await gateway.until("settled", within: .seconds(20)) { $0.total.inFlight == 0 && $0.total.longLived == 0 }
        let total = status.total
        #expect(total.admitted > 200)
        #expect(total.admitted == total.completed + total.failed + total.cutOff + total.gone)
        #expect(total.waiting == 0)
        // It still serves.
        let client = try await gateway.client()
        let response = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(response.status == 200)
        await client.close()
      }
    }

    private static func client(_ seed: UInt64, _ gateway: TestGateway) async {
      var random = Seeded(seed)
      let names = ProxyTests.scripts.keys.sorted()
      for _ in 0..<40 {
        var octets: [UInt8] = []
        for _ in 0..<(1 + Int(random.next() % 3)) {
          switch random.next() % 5 {
          case 0: octets += RequestCorpus.all.randomElement(using: &random)!.octets
          case 1: octets += Array("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".utf8)
          case 2: octets += Array("POST /raw/early HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789".utf8)
          default:
            let upgrade = random.next() % 4 == 0 ? "Connection: Upgrade\r\nUpgrade: echo\r\n" : ""
            octets += Array("GET /raw/\(names.randomElement(using: &random)!) HTTP/1.1\r\nHost: a\r\n\(upgrade)\r\n".utf8)
          }
        }
        if random.next() % 3 == 0, !octets.isEmpty { octets.removeLast(Int(random.next() % UInt64(octets.count))) }
        // A connection that the gateway has closed meanwhile is part of the game.
        guard let client = try? await gateway.client() else { continue }
        var rest = octets[...]
        while !rest.isEmpty {
          let count = min(rest.count, 1 + Int(random.next() % 200))
          guard (try? await client.send(Array(rest.prefix(count)))) != nil else { break }
          rest = rest.dropFirst(count)
        }
        if random.next() % 2 == 0 {
          _ = try? await client.take(within: .milliseconds(Int64(random.next() % 100))) { $0.count > 20 ? $0.count : nil }
        }
        await client.close()
      }
    }
  }
}
