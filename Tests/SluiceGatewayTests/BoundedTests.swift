import Glibc
import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  /// Nothing that a client or a target does makes the gateway grow (DESIGN section 6). Its memory is measured from outside.
  @Suite(.timeLimit(.minutes(3))) struct BoundedTests {
    /// What one peer may cost at most, the noise of the measure included. nginx and HAProxy stop at about 3 MB.
    static let bound = 6 << 20
    /// What is tried to be sent: far more than the buffers of the system on the way.
    static let flood = 96 << 20

    static func withProgram(_ body: (GatewayProgram, Listener) throws -> Void) throws {
      let executable = try #require(GatewayProgram.executable, "sluice-gateway is not built beside the tests")
      let target = try Listener(share: false)
      let gateway = try GatewayProgram(executable: executable, target: target.port)
      defer { gateway.stop() }
      // The first connections are those of probes, which want no answer.
      try body(gateway, target)
    }

    @Test(arguments: [false, true])
    func `one client that sends requests ahead costs a bounded amount, whether it reads or not`(reads: Bool) throws {
      try Self.withProgram { gateway, _ in
        let before = gateway.memory
        for host in ["nobody", "a"] {
          let client = try Dialled(port: gateway.port)
          let requests = Array(String(repeating: "GET /x HTTP/1.1\r\nHost: \(host)\r\n\r\n", count: 2_000).utf8)
          let sent = client.flood(requests, limit: reads && host == "nobody" ? 8 << 20 : Self.flood, reading: reads)
          #expect(gateway.memory - before < Self.bound, "\(host): \(sent) octets were taken")
          // The target answers nothing, and who does not read gets nothing: then nothing more may be taken.
          if !reads || host == "a" { #expect(sent < Self.flood, "\(host)") }
        }
      }
    }

    @Test func `a tunnel whose other end reads nothing costs a bounded amount, both ways`() throws {
      try Self.withProgram { gateway, target in
        let client = try Dialled(port: gateway.port)
        try client.sendAll(Array("GET /t HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".utf8))
        let other = try Self.acceptUser(target)
        try other.sendAll(Array("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".utf8))
        let before = gateway.memory
        let piece = [UInt8](repeating: 120, count: 65_536)
        #expect(client.flood(piece, limit: Self.flood, reading: false) < Self.flood)
        #expect(gateway.memory - before < Self.bound, "to the target")
        #expect(other.flood(piece, limit: Self.flood, reading: false) < Self.flood)
        #expect(gateway.memory - before < Self.bound, "to the client")
      }
    }

    @Test func `an upload that its target does not read, and an answer that its client does not, cost a bounded amount`() throws {
      try Self.withProgram { gateway, target in
        let before = gateway.memory
        let client = try Dialled(port: gateway.port)
        try client.sendAll(Array("POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".utf8))
        // Chunks of one octet, each with an extension as long as is allowed.
        let chunk = Array("1;\(String(repeating: "e", count: 1_000))\r\nx\r\n".utf8)
        let chunks = Array(repeatElement(chunk, count: 64).joined())
        #expect(client.flood(chunks, limit: Self.flood, reading: false) < Self.flood)
        let reader = try Dialled(port: gateway.port)
        try reader.sendAll(Array("GET /d HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        var other = try Self.acceptUser(target)
        if try !Self.head(other).hasPrefix("GET") { other = try Self.acceptUser(target) }
        try other.sendAll(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8))
        #expect(other.flood(chunks, limit: Self.flood, reading: false) < Self.flood)
        #expect(gateway.memory - before < Self.bound)
      }
    }

    /// The next connection that carries a user's request: probes connect and say nothing.
    static func acceptUser(_ target: Listener) throws -> Dialled {
      for _ in 0..<2_000 {
        let one = target.accept()
        var waits = pollfd(fd: one.descriptor, events: Int16(POLLIN), revents: 0)
        var octet: UInt8 = 0
        if poll(&waits, 1, 1_000) == 1, recv(one.descriptor, &octet, 1, Int32(MSG_PEEK)) == 1 { return one }
      }
      throw GatewayProgram.Unmet(description: "no request came")
    }

    static func head(_ socket: Dialled) throws -> String {
      var octets = [UInt8](repeating: 0, count: 4_096)
      let count = recv(socket.descriptor, &octets, octets.count, Int32(MSG_PEEK))
      return String(decoding: octets[..<max(0, count)], as: UTF8.self)
    }

    @Test func `admin clients that send ahead and read nothing, and watchers that read nothing, cost a bounded amount`() throws {
      try Self.withProgram { gateway, _ in
        let before = gateway.memory
        let ask = Array(String(repeating: "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", count: 500).utf8)
        let client = try Dialled(path: "\(gateway.directory)/admin.sock")
        #expect(client.flood(ask, limit: 16 << 20, reading: false) < 16 << 20)
        var watchers: [Dialled] = []
        for _ in 0..<64 {
          let watcher = try Dialled(path: "\(gateway.directory)/admin.sock")
          try watcher.sendAll(Array("GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
          watchers.append(watcher)
        }
        // The one beyond them is told so, once the others have come.
        var refused = ""
        for _ in 0..<50 where !refused.contains("64 watch this gateway already") {
          let late = try Dialled(path: "\(gateway.directory)/admin.sock")
          try late.sendAll(Array("GET /v1/watch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".utf8))
          var octets = [UInt8](repeating: 0, count: 4_096)
          let count = recv(late.descriptor, &octets, octets.count, 0)
          refused = String(decoding: octets[..<max(0, count)], as: UTF8.self)
          usleep(20_000)
        }
        #expect(refused.contains("503") && refused.contains("64 watch this gateway already"), "\(refused)")
        #expect(gateway.memory - before < Self.bound)
        #expect(try gateway.admin("GET", "/v1/status").hasPrefix("HTTP/1.1 200"))
      }
    }

    @Test func `thousands of requests sent ahead are all answered in order, also for a client that shuts its side`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)], hosts: ["a"]))
        let client = try await gateway.client()
        // Longer than what is kept ahead at once; every tenth goes nowhere.
        let count = 3_000
        let requests = (0..<count).map { "GET /\($0) HTTP/1.1\r\nHost: \($0 % 10 == 9 ? "nobody" : "a")\r\n\r\n" }
        // Its end has come before any of the answers is read.
        try await client.setReading(false)
        try await client.send(requests.joined())
        try await client.shutOutput()
        try await client.setReading(true)
        for number in 0..<count {
          let response = try await client.response()
          guard response.status == (number % 10 == 9 ? 404 : 200) else {
            Issue.record("\(number): \(response)")
            return
          }
        }
        let rest = try await client.end()
        #expect(rest.isEmpty)
        await client.close()
      }
    }

    @Test func `a slow reader gets all of its last answer, though the connection is to close after it`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let client = try await gateway.client()
        try await client.setReading(false)
        let size = 12_000_000
        try await client.send("GET /big/\(size) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        try await client.shutOutput()
        try await gateway.until("under way") { $0.total.inFlight == 1 }
        try await client.setReading(true)
        let octets = try await client.end(within: .seconds(30))
        #expect(octets.count > size)
        await client.close()
      }
    }

    @Test func `connections beyond the limit are told so and closed, and counted; then there is room again`() async throws {
      try await withGateway(limits: GatewayConfiguration.Limits(connections: 4)) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        var clients: [RawClient] = []
        for _ in 0..<4 {
          let client = try await gateway.client()
          #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
          clients.append(client)
        }
        let fifth = try await gateway.client()
        let refusal = Response(try await fifth.end())
        #expect(refusal.status == 503 && refusal.body.contains("too many connections"), "\(refusal)")
        await fifth.close()
        #expect(try await clients[0].request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        #expect(try await gateway.metrics().contains("sluice_gateway_connections_refused_total 1\n"))
        for client in clients { await client.close() }
        var status = 0
        for _ in 0..<200 where status != 200 {
          let next = try await gateway.client()
          try await next.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
          status = Response(try await next.end()).status
          await next.close()
        }
        #expect(status == 200)
      }
    }
  }
}

@Suite struct OptionLimitTests {
  private func scan(_ text: String) -> ScanOutcome {
    var head = RequestHead()
    return Array(text.utf8).withUnsafeBytes { head.scan($0, limits: ScanLimits(), trusted: false) }
  }

  @Test func `32 options in Connection are taken, in one field or many, and one more is not`() {
    let names = (0..<33).map { "x-\($0)" }
    func head(_ lines: [String]) -> String {
      "GET / HTTP/1.1\r\nHost: a\r\n\(lines.map { "Connection: \($0)\r\n" }.joined())\r\n"
    }
    #expect(scan(head([names.prefix(32).joined(separator: ", ")])) == .complete)
    #expect(scan(head([names.joined(separator: ",")])) == .fault(.tooManyOptions))
    #expect(scan(head(Array(names.prefix(32)))) == .complete)
    #expect(scan(head(names)) == .fault(.tooManyOptions))
    #expect(scan(head([String(repeating: ",", count: 20_000)])) == .complete)
    var answer = ResponseHead()
    let response = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: \(names.joined(separator: ","))\r\n\r\n".utf8)
    #expect(response.withUnsafeBytes { answer.scan($0, limits: ScanLimits(), toHead: false) } == .fault(.tooManyOptions))
  }

  @Test func `limits that a configuration does not name have their defaults, and all are checked`() throws {
    let limits = try AdminJSON.decode(GatewayConfiguration.Limits.self, Array("{\"head\":4096,\"connections\":7}".utf8))
    #expect(limits == GatewayConfiguration.Limits(head: 4_096, connections: 7))
    var configuration = GatewayConfiguration(listen: [.init(address: "127.0.0.1", port: 1)], adminSocket: "/a", stateDirectory: "/b")
    #expect(configuration.problem == nil)
    configuration.limits = GatewayConfiguration.Limits(options: 0)
    #expect(configuration.problem?.contains("limits.options") == true)
    configuration.limits = GatewayConfiguration.Limits(connections: 0)
    #expect(configuration.problem?.contains("limits.connections") == true)
  }
}
