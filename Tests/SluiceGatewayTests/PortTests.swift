import Glibc
import NIOCore
import NIOPosix
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

@testable import SluiceGateway

extension WithGateway {
  /// DESIGN section 6, "Whose port".
  @Suite(.timeLimit(.minutes(2))) struct PortTests {
    enum Where: CaseIterable { case same, all, six }

    static func withGroup(_ body: (any EventLoopGroup) async throws -> Void) async throws {
      let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
      let result: Result<Void, any Error>
      do { result = .success(try await body(group)) } catch { result = .failure(error) }
      try await group.shutdownGracefully()
      try result.get()
    }

    /// Why a gateway that shall listen there does not start.
    static func refusal(_ listen: GatewayConfiguration.Address, on group: any EventLoopGroup) throws -> String? {
      do {
        try TestGateway(on: group, listen: listen).stop()
        return nil
      } catch let failure as GatewayProcess.StartFailure { return failure.description }
    }

    @Test(arguments: Where.allCases, ["127.0.0.1", "0.0.0.0"])
    func `a port that another program shares with SO_REUSEPORT is refused, and the program named`(there: Where, address: String)
      async throws
    {
      try await Self.withGroup { group in
        let stranger = try Listener(share: true, all: there == .all, six: there == .six)
        let words = try #require(try Self.refusal(.init(address: address, port: stranger.port), on: group), "it started")
        #expect(words.contains("cannot listen on \(address):\(stranger.port)"), "\(words)")
        #expect(words.contains("(pid \(getpid()), user "), "\(words)")
        let place = there == .same ? "127.0.0.1" : there == .all ? "0.0.0.0" : "[::]"
        #expect(words.contains("listens on \(place):\(stranger.port)"), "\(words)")
      }
    }

    @Test func `the health address of another is refused by name too`() async throws {
      try await Self.withGroup { group in
        let stranger = try Listener(share: true)
        let configuration = GatewayConfiguration(
          listen: [.init(address: "127.0.0.1", port: try freePort())], adminSocket: "/nowhere/a", stateDirectory: "/nowhere/s",
          health: .init(address: "127.0.0.1", port: stranger.port))
        let failure = #expect(throws: GatewayProcess.StartFailure.self) { try PortGuard.check(configuration) }
        #expect(failure?.description.contains("(pid \(getpid())") == true, "\(String(describing: failure))")
      }
    }

    @Test func `what former connections left in TIME_WAIT is no stranger: a gateway starts again right after traffic`() async throws {
      try await Self.withGroup { group in
        let gateway = try TestGateway(on: group, listen: .init(address: "127.0.0.1", port: try freePort()))
        for _ in 0..<20 {
          // The gateway closes first, so that TIME_WAIT is on its side.
          let client = try await gateway.client()
          try await client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
          #expect(Response(try await client.end()).status == 404)
          await client.close()
        }
        for _ in 0..<3 {
          try gateway.halt()
          try gateway.start()
        }
        let client = try await gateway.client()
        #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 404)
        await client.close()
        try gateway.stop()
      }
    }

    @Test func `a program that joins the port later is told in log, status and metrics, and so is its end`() async throws {
      try await Self.withGroup { group in
        let gateway = try TestGateway(on: group, listen: .init(address: "127.0.0.1", port: try freePort()))
        #expect(try await gateway.gatewayStatus().warnings == nil)
        #expect(try await gateway.metrics().contains("sluice_gateway_port_strangers 0\n"))
        var strangers: [Listener] = [
          try Listener(port: gateway.port, share: true), try Listener(port: gateway.port, share: true, all: true),
        ]
        for address in ["127.0.0.1", "0.0.0.0"] {
          let line = try await gateway.logged("a stranger") { $0.contains("listens on \(address):\(gateway.port) beside this gateway") }
          #expect(line.contains("(pid \(getpid()), user ") && line.hasPrefix("WARNING: "), "\(line)")
        }
        let warnings = try #require(try await gateway.gatewayStatus().warnings)
        #expect(warnings.count == 2 && warnings[0].contains("\(gateway.port)"), "\(warnings)")
        #expect(try await gateway.metrics().contains("sluice_gateway_port_strangers 2\n"))
        // They listen until here: an optimised test would let go of what it does not look at again.
        withExtendedLifetime(strangers) {}
        strangers.removeAll()
        try await gateway.logged("their end") { $0.contains("nobody else listens on 0.0.0.0:\(gateway.port) any more") }
        #expect(try await gateway.gatewayStatus().warnings == nil)
        try gateway.stop()
      }
    }
  }
}

@Suite struct ListenTableTests {
  static let text = """
      sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
       0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0
       1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
       2: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000000000000000 20 4 30 10 -1

    """

  @Test func `listening sockets are read with address, port, user and inode, and nothing else is`() {
    var table = ListenTable()
    table.add(Array(Self.text.utf8))
    #expect(table.entries.map(\.place.text) == ["127.0.0.1:8080", "0.0.0.0:80"])
    #expect(table.entries.map(\.user) == [1_000, 0])
    #expect(table.entries.map(\.inode) == [4_711, 4_712])
    table.add(
      Array(
        "header\n 0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 33 0 9 1\n 1: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 0:0 0:0 0 33 0 10 1\n"
          .utf8))
    #expect(table.entries.suffix(2).map(\.place.text) == ["[::]:80", "[::ffff:127.0.0.1]:81"])
  }

  @Test func `places are shared where the kernel may give one's connections to the other`() {
    func place(_ address: [UInt8], _ port: Int = 80) -> ListenTable.Place { .init(address: address, port: port) }
    let all = place([0, 0, 0, 0])
    let local = place([127, 0, 0, 1])
    let other = place([10, 0, 0, 1])
    let six = place(Array(repeating: 0, count: 16))
    let mapped = place(Array(repeating: 0, count: 10) + [255, 255, 127, 0, 0, 1])
    #expect(all.isShared(with: local) && local.isShared(with: all) && local.isShared(with: local))
    #expect(!local.isShared(with: other))
    #expect(!all.isShared(with: place([0, 0, 0, 0], 81)))
    #expect(all.isShared(with: mapped) && local.isShared(with: mapped) && !other.isShared(with: mapped))
    #expect(six.isShared(with: all) && six.isShared(with: local) && six.isShared(with: mapped) && six.isShared(with: six))
    #expect(!six.isShared(with: all, isSixOnly: true) && six.isShared(with: six, isSixOnly: true))
    #expect(!all.isShared(with: six) && all.conflicts(with: six))
  }
}
