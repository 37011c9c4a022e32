import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(2))) struct RefusalTests {
    @Test func `what the corpus refuses is answered with its status, closed, and never reaches a target`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        var refused = 0
        for example in RequestCorpus.all {
          guard case .refused(let fault) = example.expected else { continue }
          refused += 1
          let client = try await gateway.client()
          try await client.send(example.octets)
          let answer = Response(try await client.end())
          #expect(answer.status == Self.status(of: fault), "\(example.name)")
          #expect(answer.field("Connection") == "close", "\(example.name)")
          await client.close()
        }
        #expect(refused > 60)
        #expect(upstreams[0].requestCount == 0)
      }
    }

    static func status(of fault: HeadFault) -> Int {
      switch fault {
      case .malformed: 400
      case .targetTooLong: 414
      case .tooBig, .tooManyOptions: 431
      case .notImplemented: 501
      case .version: 505
      }
    }

    @Test func `a bad chunk ends the request at the target, and is 400 for the client`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        try await client.send("0\n\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        let answer = Response(try await client.end())
        #expect(answer.status == 400)
        await client.close()
        #expect(!upstreams[0].heads.contains { $0.contains("smuggled") })
      }
    }

    @Test func `a head that is not finished in time is 408, and an idle connection is closed without a word`() async throws {
      let limits = GatewayConfiguration.Limits(headTime: Milliseconds(200), keepAlive: Milliseconds(300))
      try await withGateway(limits: limits) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let slow = try await gateway.client()
        try await slow.send("GET / HTTP/1.1\r\nHo")
        let answer = Response(try await slow.end())
        #expect(answer.status == 408)
        await slow.close()
        let idle = try await gateway.client()
        let first = try await idle.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(first.status == 200)
        let rest = try await idle.end()
        #expect(rest.isEmpty)
        await idle.close()
      }
    }

    @Test func `a head sent octet by octet is served`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        for octet in Array("GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n".utf8) { try await client.send([octet]) }
        let response = try await client.response()
        #expect(response.body == "u1")
        await client.close()
      }
    }

    @Test func `routes are told apart by host and path, and what has none is 404`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(
          TestGateway.table(1, [(1, upstreams[0], .active)], hosts: ["shop.example.com"], path: "/api"))
        let client = try await gateway.client()
        let cases: [(String, String, Int)] = [
          ("shop.example.com", "/api", 200), ("SHOP.example.com:8080", "/api/x?y", 200), ("shop.example.com.", "/api?x", 200),
          ("shop.example.com", "/apix", 404), ("shop.example.com", "/", 404), ("other.example.com", "/api", 404), ("shop", "/api", 404),
        ]
        for (host, path, status) in cases {
          let response = try await client.request("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
          #expect(response.status == status, "\(host)\(path)")
        }
        let absolute = try await client.request("GET http://shop.example.com/api HTTP/1.1\r\nHost: evil\r\n\r\n")
        #expect(absolute.status == 200)
        #expect(upstreams[0].heads.last!.hasPrefix("GET /api HTTP/1.1\r\nHost: shop.example.com\r\n"))
        #expect(!upstreams[0].heads.last!.contains("evil"))
        await client.close()
      }
    }
  }
}
