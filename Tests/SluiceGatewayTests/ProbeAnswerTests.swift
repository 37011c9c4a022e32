import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  /// What a gateway's own probes make of what targets answer, and how they say it.
  @Suite(.timeLimit(.minutes(2))) struct ProbeAnswerTests {
    static let scripts: [String: TestUpstream.Script] = [
      "empty": .init(text: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
      "bare": .init(text: "HTTP/1.1 200\r\n\r\n"),
      "hints": .init(
        text: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        pause: 5),
      "other": .init(text: "HTTP/1.1 204 No Content\r\n\r\n"),
      "garbage": .init(text: "what\u{7}?\r\n\r\n"),
      "halfhead": .init(text: "HTTP/1.1 200 OK\r\nContent-Le", closes: true),
      "silent": .init(text: "", closes: true),
      "flood": .init(text: String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 50)),
      "hang": .init(text: "|", pause: 3_600_000),
    ]

    static func table(_ version: UInt64, _ upstream: TestUpstream, _ name: String, rise: Int = 1) -> RouteTable {
      var table = TestGateway.table(version, [(Int(version), upstream, .active)])
      table.probe = .init(
        kind: .http(path: "/raw/\(name)", status: 200), interval: Milliseconds(20), timeout: Milliseconds(300), rise: rise, fall: 1)
      return table
    }

    @Test func `an empty answer, one without a reason, and one after interim answers are healthy`() async throws {
      try await withGateway(scripts: Self.scripts) { gateway, upstreams in
        for (number, name) in ["empty", "bare", "hints"].enumerated() {
          try await gateway.put(Self.table(UInt64(number + 1), upstreams[0], name))
          let status = try await gateway.until("healthy by \(name)") { $0.targets[0].health == .healthy }
          #expect(status.targets[0].lastProbe.hasPrefix("status 200 in "), "\(name): \(status.targets[0].lastProbe)")
        }
      }
    }

    @Test func `what is no good answer is told in true words`() async throws {
      try await withGateway(scripts: Self.scripts) { gateway, upstreams in
        let wanted = [
          ("other", "status 204, expected 200"), ("garbage", "the answer is no HTTP: bad status line, in \"what??\""),
          ("halfhead", "the connection closed in the middle of the answer's head"), ("silent", "the connection closed without an answer"),
          ("flood", "interim answers without an end"), ("hang", "no answer within 300ms"),
        ]
        for (number, (name, words)) in wanted.enumerated() {
          try await gateway.put(Self.table(UInt64(number + 1), upstreams[0], name))
          let status = try await gateway.until("unhealthy by \(name)") { $0.targets[0].health == .unhealthy }
          #expect(status.targets[0].lastProbe == words, "\(name)")
        }
        try await upstreams[0].stop()
        try await gateway.put(Self.table(99, upstreams[0], "empty"))
        let status = try await gateway.until("unhealthy") { $0.targets[0].health == .unhealthy }
        #expect(status.targets[0].lastProbe == "connection refused: nothing listens there")
      }
    }

    @Test func `a target that has just come up again says how far its probes have come`() async throws {
      try await withGateway(scripts: Self.scripts) { gateway, upstreams in
        try await gateway.put(Self.table(1, upstreams[0], "empty", rise: 1_000))
        let status = try await gateway.until("probed") { !$0.targets[0].lastProbe.isEmpty }
        let words = status.targets[0].lastProbe
        #expect(words.hasPrefix("status 200 in ") && words.hasSuffix(" of 1000 in a row to be healthy)"), "\(words)")
        #expect(!words.contains(" 0s"), "\(words)")
      }
    }
  }
}
