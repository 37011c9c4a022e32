import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(2))) struct ProxyTests {
    @Test func `requests on one connection are answered one after the other, and the target sees who asks`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        for _ in 0..<3 {
          let response = try await client.request(
            "GET /a HTTP/1.1\r\nHost: shop\r\nConnection: keep-alive\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
          #expect(response.status == 200)
          #expect(response.body == "u1")
        }
        let head = upstreams[0].heads[0]
        #expect(
          head == "GET /a HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop\r\n\r\n"
        )
        #expect(upstreams[0].requestCount == 3)
        await client.close()
        try await gateway.until("settled") { $0.total.completed == 3 && $0.total.inFlight == 0 }
      }
    }

    @Test func `the address list of a trusted proxy is kept and added to`() async throws {
      try await withGateway(trusted: ["127.0.0.0/8"]) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n")
        #expect(upstreams[0].heads[0].contains("X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\n"))
        #expect(upstreams[0].heads[0].contains("X-Forwarded-Proto: https\r\n"))
        #expect(!upstreams[0].heads[0].contains("X-Forwarded-Proto: http\r\n"))
        await client.close()
      }
    }

    @Test func `requests sent ahead are all answered in order`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        let one = "GET /slow/10 HTTP/1.1\r\nHost: a\r\n\r\n"
        let two = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        let three = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
        try await client.send(one + two + three + two)
        var bodies: [String] = []
        for _ in 0..<4 { bodies.append(try await client.response().body) }
        #expect(bodies == ["slow u1", "got 5", "u1", "got 5"])
        await client.close()
      }
    }

    @Test func `bodies pass by length and by chunks, whatever pieces they come in`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let chunked = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        let plain = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"
        for text in [chunked, plain] {
          let octets = Array(text.utf8)
          let expected = text == plain ? "got 11" : "got 26"
          let client = try await gateway.client()
          for cut in stride(from: 1, to: octets.count, by: 3) {
            try await client.send(Array(octets[..<cut]))
            try await client.send(Array(octets[cut...]))
            let response = try await client.response()
            #expect(response.body == expected, "split at \(cut)")
          }
          await client.close()
        }
      }
    }

    @Test func `a large upload and a large answer pass whole`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        let size = 5_000_000
        async let sending: Void = client.send(
          Array("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n".utf8) + [UInt8](repeating: 97, count: size))
        let uploaded = try await client.response()
        try await sending
        #expect(uploaded.body == "got \(size)")
        try await client.send("GET /big/\(size) HTTP/1.1\r\nHost: a\r\n\r\n")
        let octets = try await client.end(of: size)
        #expect(octets == size)
        await client.close()
      }
    }

    static let scripts: [String: TestUpstream.Script] = [
      "close": .init(text: "HTTP/1.1 200 OK\r\n\r\nuntil the end", closes: true),
      "chunks": .init(
        text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhe|llo\r\n0|\r\n\r\n", pause: 5),
      "old": .init(text: "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\nKeep-Alive: timeout=9\r\n\r\nold"),
      "none": .init(text: "HTTP/1.1 204 No Content\r\n\r\n"),
      "same": .init(text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"),
      "early": .init(text: "HTTP/1.1 413 Big\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig", closes: true, atHead: true),
      "hints": .init(text: "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", pause: 5),
      "continue": .init(text: "HTTP/1.1 100 Continue\r\n\r\n", atHead: true),
      "head": .init(text: "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
      "silent": .init(text: "", closes: true),
      "half": .init(text: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", closes: true),
      "halfchunk": .init(text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", closes: true),
      "badchunk": .init(text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
      "garbage": .init(text: "what?\r\n\r\n"),
      "both": .init(text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
      "more": .init(text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"),
      "flood": .init(text: String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 50)),
      "reset": .init(text: "HTTP/1.1 200 OK\r\n\r\nuntil the|", pause: 20, resets: true),
      "then-close": .init(text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", closes: true),
      "upgrade": .init(text: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"),
      "hang": .init(text: "|", pause: 3_600_000),
    ]

    @Test func `answers of every framing end where they end`() async throws {
      try await withGateway(scripts: Self.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        func get(_ name: String, method: String = "GET") -> String { "\(method) /raw/\(name) HTTP/1.1\r\nHost: a\r\n\r\n" }
        let chunks = try await client.request(get("chunks"))
        #expect(chunks.body == "5\r\nhello\r\n0\r\n\r\n")
        let old = try await client.request(get("old"))
        #expect(old.head == "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        let none = try await client.request(get("none"))
        #expect(none.status == 204)
        let same = try await client.request(get("same"))
        #expect(same.status == 304)
        let head = try await client.request(get("head", method: "HEAD"), toHead: true)
        #expect(head.field("Content-Length") == "1000")
        let hints = try await client.request(get("hints"))
        #expect(hints.status == 103)
        let final = try await client.response()
        #expect(final.body == "ok")
        try await client.send(get("close"))
        let rest = String(decoding: try await client.end(), as: UTF8.self)
        #expect(rest == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")
        await client.close()
        let status = try await gateway.until("settled") { $0.total.completed == 7 && $0.total.inFlight == 0 }
        #expect(status.total.failed == 0 && status.total.cutOff == 0)
      }
    }

    @Test func `a client of HTTP 1.0 gets no chunks and no interim answers`() async throws {
      try await withGateway(scripts: Self.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let first = try await gateway.client()
        try await first.send("GET /raw/chunks HTTP/1.0\r\n\r\n")
        let plain = Response(try await first.end())
        #expect(plain.body == "hello")
        #expect(plain.field("Transfer-Encoding") == nil)
        #expect(upstreams[0].heads[0].hasPrefix("GET /raw/chunks HTTP/1.1\r\nHost: 127.0.0.1:\(upstreams[0].port)\r\n"))
        await first.close()
        let second = try await gateway.client()
        let kept = try await second.request("GET /raw/hints HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\n")
        #expect(kept.status == 200)
        #expect(kept.field("Connection") == "keep-alive")
        let again = try await second.request("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        #expect(again.field("Connection") == "close")
        _ = try await second.end()
        await second.close()
      }
    }

    @Test func `an answer before the body's end reaches the client`() async throws {
      try await withGateway(scripts: Self.scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("POST /raw/early HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
        let response = try await client.response()
        #expect(response.status == 413)
        #expect(response.body == "big")
        // What is left of the body is read and dropped, and the next request on the connection is served.
        try await client.send([UInt8](repeating: 97, count: 200_000))
        let next = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(next.body == "u1")
        await client.close()
      }
    }

    @Test func `Expect is passed on, and the body follows the interim answer`() async throws {
      var scripts = Self.scripts
      scripts["expect"] = .init(
        text: "HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", atHead: true, pause: 30)
      try await withGateway(scripts: scripts) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("POST /raw/expect HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        let interim = try await client.response()
        #expect(interim.status == 100)
        try await client.send("hello")
        let final = try await client.response()
        #expect(final.body == "ok")
        await client.close()
        // A final answer instead: whether the body follows cannot be told, so the connection ends.
        let refused = try await gateway.client()
        try await refused.send("POST /raw/early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        let answer = try await refused.response()
        #expect(answer.status == 413)
        #expect(answer.field("Connection") == "close")
        _ = try await refused.end()
        await refused.close()
      }
    }

    @Test func `a client that shuts its side after the request still gets the answer`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.send("GET /slow/50 HTTP/1.1\r\nHost: a\r\n\r\n")
        try await client.shutOutput()
        let answer = Response(try await client.end())
        #expect(answer.body == "slow u1")
        await client.close()
      }
    }
  }
}

extension RawClient {
  /// Counts the octets of the next answer's body, which is this long.
  func end(of size: Int) async throws -> Int {
    let head = try await take("a head") { Response.headEnd($0) }
    precondition(!head.isEmpty)
    return try await take("a body") { $0.count >= size ? size : nil }.count
  }
}
