import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  /// How a gateway knows a user, and the cookie it gives to those it does not know.
  @Suite(.timeLimit(.minutes(3))) struct UserSourceTests {
    static let issued = UserKey.IssuedCookie(name: "sluice", lifetime: .minutes(60), secure: true, sameSite: .strict)

    /// A user known as `source` says, and half of all in the canary.
    static func table(
      _ upstreams: [TestUpstream], _ source: UserKey.Source, _ absent: UserKey.Absent = .stable, version: UInt64 = 1
    ) -> RouteTable {
      TestGateway.split(
        version, stable: [upstreams[0]], canary: [upstreams[1]], share: 5_000,
        user: UserKey(source: source, absent: absent, issued: issued))
    }

    /// The upstream that this key's user is answered by.
    static func name(_ key: String) -> String { TestGateway.side(key, share: 5_000) == .canary ? "u2" : "u1" }

    @Test func `a client without a key is given one, which decides at once and from then on`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(UserSourceTests.table(upstreams, .cookie("uid"), .issue))
        let client = try await gateway.client()
        var keys: Set<String> = []
        var seen: Set<String> = []
        for _ in 0..<40 {
          let first = try await client.ask()
          let cookie = try #require(first.field("Set-Cookie"))
          let parts = cookie.split(separator: "; ").map(String.init)
          #expect(parts.dropFirst() == ["Path=/", "Max-Age=3600", "HttpOnly", "SameSite=Strict", "Secure"])
          let key = String(try #require(parts.first).dropFirst("sluice=".count))
          #expect(parts[0].hasPrefix("sluice=") && key.count == 32 && keys.insert(key).inserted)
          #expect(first.body == UserSourceTests.name(key))
          seen.insert(first.body)
          let again = try await client.ask(nil, "Cookie: a=1; sluice=\(key)\r\n")
          #expect(again.body == first.body)
          #expect(again.field("Set-Cookie") == nil)
          // The source goes before the cookie that is issued in its place.
          let known = try await client.ask(nil, "Cookie: uid=anna\r\nCookie: sluice=\(key)\r\n")
          #expect(known.body == UserSourceTests.name("anna"))
          #expect(known.field("Set-Cookie") == nil)
        }
        #expect(seen == ["u1", "u2"])
        await client.close()
      }
    }

    @Test func `the cookie is on the service's own final answer only, and only while a split stands`() async throws {
      let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n|HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno"
      try await withGateway(
        upstreams: 2,
        scripts: ["interim": .init(text: interim, pause: 5), "silent": .init(text: "", closes: true)]
      ) { gateway, upstreams in
        var table = UserSourceTests.table(upstreams, .cookie("uid"), .issue)
        try await gateway.serve(table)
        let client = try await gateway.client()
        let hint = try await client.ask(path: "/raw/interim")
        #expect(hint.status == 103 && hint.field("Set-Cookie") == nil)
        let final = try await client.response()
        #expect(final.status == 404 && final.body == "no" && final.field("Set-Cookie")?.hasPrefix("sluice=") == true)
        let old = try await client.request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(old.status == 200 && old.field("Set-Cookie") != nil && old.field("Connection") == "keep-alive")
        let broken = try await client.ask(path: "/raw/silent")
        #expect(broken.status == 502 && broken.field("Set-Cookie") == nil)
        try await gateway.turn(.closed)
        let refused = try await client.ask()
        #expect(refused.status == 503 && refused.field("Set-Cookie") == nil)
        try await gateway.turn(.open)
        table.revision.version = 2
        table.split = nil
        table.pools[1].role = .serving
        try await gateway.put(table)
        let plain = try await client.ask()
        #expect(plain.status == 200 && plain.field("Set-Cookie") == nil)
        await client.close()
      }
    }

    @Test func `a user is known by a query parameter, or by a token's claim in a field or a cookie`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        let client = try await gateway.client()
        // {"sub":"eve@example.com"}
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmVAZXhhbXBsZS5jb20ifQ."
        let eve = UserSourceTests.name("eve@example.com")
        let otto = UserSourceTests.name("otto")
        try #require(eve == "u2" && otto == "u1")
        try await gateway.serve(UserSourceTests.table(upstreams, .query("user"), version: 1))
        #expect(try await client.ask(path: "/?x=1&user=eve%40example.com").body == eve)
        #expect(try await client.ask(path: "/?user=otto").body == otto)
        try await gateway.put(UserSourceTests.table(upstreams, .jwtClaim("sub", cookie: nil), version: 2))
        #expect(try await client.ask(nil, "Authorization: Bearer \(token)\r\n").body == eve)
        #expect(try await client.ask(nil, "Authorization: Bearer \(token).x\r\nCookie: jwt=\(token)\r\n").body == "u1")
        try await gateway.put(UserSourceTests.table(upstreams, .jwtClaim("sub", cookie: "jwt"), version: 3))
        #expect(try await client.ask(nil, "Cookie: a=b; jwt=\(token)\r\n").body == eve)
        #expect(try await client.ask(nil, "Authorization: Bearer \(token)\r\n").body == "u1")
        await client.close()
      }
    }

    @Test func `a client's address is what trusted proxies tell, and the last resort where the table says so`() async throws {
      let addresses = (1...9).map { "192.0.2.\($0)" }
      try await withGateway(upstreams: 2, trusted: ["127.0.0.0/8", "10.0.0.0/8"]) { gateway, upstreams in
        try await gateway.serve(UserSourceTests.table(upstreams, .clientAddress))
        let client = try await gateway.client()
        for address in addresses {
          let name = UserSourceTests.name(address)
          for told in [
            address, "198.51.100.1, \(address)", "\(address), 10.1.2.3", "\(address):4711 , 127.0.0.1", "::FFFF:\(address)",
            "x\r\nX-Forwarded-For: \(address)",
          ] {
            #expect(try await client.ask(nil, "X-Forwarded-For: \(told)\r\n").body == name, "\(told)")
          }
        }
        let six = UserSourceTests.name("2001:db8::7")
        #expect(try await client.ask(nil, "X-Forwarded-For: [2001:db8::7]:80, 10.0.0.1\r\n").body == six)
        #expect(try await client.ask(nil, "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n").body == UserSourceTests.name("10.0.0.1"))
        #expect(try await client.ask().body == UserSourceTests.name("127.0.0.1"))
        #expect(try await client.ask(nil, "X-Forwarded-For: ,\r\n").body == UserSourceTests.name("127.0.0.1"))
        try await gateway.put(UserSourceTests.table(upstreams, .header("X-User"), .clientAddress, version: 2))
        for address in addresses {
          #expect(try await client.ask(nil, "X-Forwarded-For: \(address)\r\n").body == UserSourceTests.name(address))
          #expect(try await client.ask(address, "X-Forwarded-For: 192.0.2.77\r\n").body == UserSourceTests.name(address))
        }
        await client.close()
      }
    }

    @Test func `nobody outside the trusted networks chooses an address`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(UserSourceTests.table(upstreams, .clientAddress))
        let client = try await gateway.client()
        let mine = UserSourceTests.name("127.0.0.1")
        let other = try #require((1...99).map { "192.0.2.\($0)" }.first { UserSourceTests.name($0) != mine })
        #expect(try await client.ask(nil, "X-Forwarded-For: \(other)\r\n").body == mine)
        await client.close()
      }
    }
  }
}
