import NIOCore
import SluiceLoad
import Testing

/// Whole runs against servers that go wrong in one way each: the generator must call it by its name.
@Suite(.timeLimit(.minutes(3)))
struct FateTests {
  private static let named = "X-Sample-Version: v1\r\nX-Sample-Host: a1\r\n"

  private func plan(_ port: Int, _ mix: String) throws -> LoadPlan {
    var plan = LoadPlan(targets: [LoadPlan.Target(host: "127.0.0.1", port: port)])
    plan.clients = 2
    plan.loops = 1
    plan.requests = 6
    plan.newConnectionShare = 0
    plan.mix = try #require(Mix(mix))
    plan.uploadEvery = .milliseconds(1)
    plan.slow = .zero
    plan.timeout = .milliseconds(300)
    plan.framesEvery = .milliseconds(1)
    return plan
  }

  /// Six requests, all of which must have one fate.
  private func expectFate(
    _ fate: Fate, lost: Bool, mix: String = "get=1", of behaviour: MisbehavingServer.Behaviour,
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let server = try await MisbehavingServer(behaviour)
    let summary = try await LoadRun(plan(server.port, mix)).run()
    try await server.close()
    #expect(summary.requests == 6, sourceLocation: sourceLocation)
    #expect(summary.fates[fate.rawValue] == 6, "\(summary.fates) \(summary.losses)", sourceLocation: sourceLocation)
    #expect(summary.fates.values.reduce(0, +) == 6, sourceLocation: sourceLocation)
    #expect(summary.lost == (lost ? 6 : 0), sourceLocation: sourceLocation)
    #expect(server.requests == 6, "nothing is tried again", sourceLocation: sourceLocation)
  }

  @Test func `a whole answer of the service is answered`() async throws {
    try await expectFate(
      .answered, lost: false, of: .answer("HTTP/1.1 200 OK\r\n\(Self.named)Content-Length: 6\r\n\r\nv1 a1\n", closes: false))
  }

  @Test func `the service's own 500 is answered, and counted as its error`() async throws {
    let server = try await MisbehavingServer(.answer("HTTP/1.1 500 No\r\n\(Self.named)Content-Length: 2\r\n\r\nno", closes: false))
    let summary = try await LoadRun(plan(server.port, "get=1")).run()
    try await server.close()
    #expect(summary.releases["v1"]?.answered == 6)
    #expect(summary.releases["v1"]?.errors == 6)
    #expect(summary.statuses == ["500": 6])
    #expect(summary.lost == 0)
  }

  @Test func `a connection closed after the request is cut`() async throws {
    try await expectFate(.cut, lost: true, of: .answer("", closes: true))
  }

  @Test func `a connection closed in the middle of the body is cut`() async throws {
    try await expectFate(.cut, lost: true, of: .answer("HTTP/1.1 200 OK\r\n\(Self.named)Content-Length: 6\r\n\r\nv1 ", closes: true))
  }

  @Test func `a chunked answer without its last chunk is cut`() async throws {
    try await expectFate(
      .cut, lost: true, mix: "stream=1",
      of: .answer("HTTP/1.1 200 OK\r\n\(Self.named)Transfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n", closes: true))
  }

  @Test func `a reset is cut`() async throws {
    let server = try await MisbehavingServer(.reset(""))
    let summary = try await LoadRun(plan(server.port, "get=1")).run()
    try await server.close()
    // On a busy machine the reset can come before the request is written: then the connection was refused. Either way it is a loss.
    let cut = summary.fates[Fate.cut.rawValue] ?? 0
    #expect(cut > 0)
    #expect(cut + (summary.fates[Fate.refusedConnect.rawValue] ?? 0) == summary.requests)
    #expect(summary.lost == summary.requests)
  }

  @Test func `503 with Retry-After is rejected, and not lost`() async throws {
    try await expectFate(
      .rejected, lost: false, of: .answer("HTTP/1.1 503 Closed\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n", closes: false))
  }

  @Test func `503 without Retry-After is the gateway's error`() async throws {
    try await expectFate(.error5xx, lost: true, of: .answer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", closes: false))
  }

  @Test func `an answer that does not name a release is foreign`() async throws {
    try await expectFate(.foreign, lost: true, of: .answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", closes: false))
  }

  @Test func `no answer in time is a timeout`() async throws {
    try await expectFate(.timeout, lost: true, of: .hang)
  }

  @Test func `half an answer in time is a timeout`() async throws {
    try await expectFate(.timeout, lost: true, of: .answer("HTTP/1.1 200 OK\r\n\(Self.named)Content-Length: 6\r\n\r\nv1 ", closes: false))
  }

  @Test(arguments: ["post=1", "get=1", "slow=1", "stream=1"])
  func `a wrong body is corrupt`(mix: String) async throws {
    try await expectFate(
      .corrupt, lost: true, mix: mix,
      of: .answer("HTTP/1.1 200 OK\r\n\(Self.named)Content-Length: 11\r\n\r\n{\"bytes\":5}", closes: false))
  }

  @Test func `no HTTP is corrupt`() async throws {
    try await expectFate(.corrupt, lost: true, of: .answer("SSH-2.0-OpenSSH_9.2p1 not HTTP at all\r\n\r\n", closes: false))
  }

  @Test func `a WebSocket closed with 1001 among its frames is counted apart`() async throws {
    let accept =
      "HTTP/1.1 101 Yes\r\n\(Self.named)Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(WebSocketFrames.accept)\r\n\r\n"
    try await expectFate(.closedLongLived, lost: false, mix: "ws=1", of: .dialog(accept, [0x88, 0x02, 0x03, 0xE9]))
    try await expectFate(.closedLongLived, lost: false, mix: "ws=1", of: .dialog(accept, []))
    try await expectFate(.corrupt, lost: true, mix: "ws=1", of: .dialog(accept, [0x81, 0x01, 0x78]))
  }

  @Test func `a port where nobody listens refuses`() async throws {
    let server = try await MisbehavingServer(.hang)
    try await server.close()
    let summary = try await LoadRun(plan(server.port, "get=1")).run()
    #expect(summary.fates["refusedConnect"] == 6, "\(summary.losses)")
    #expect(summary.lost == 6)
    #expect(summary.losses.count == 6)
    #expect(summary.losses.first?.detail == "connect: refused")
  }

  @Test func `a connection closed after each answer is replaced without a loss`() async throws {
    let answer = "HTTP/1.1 200 OK\r\n\(Self.named)Connection: close\r\nContent-Length: 6\r\n\r\nv1 a1\n"
    let server = try await MisbehavingServer(.answer(answer, closes: true))
    let summary = try await LoadRun(plan(server.port, "get=1")).run()
    try await server.close()
    #expect(summary.fates["answered"] == 6)
    #expect(summary.connectionsOpened == 6)
  }

  @Test func `keep-alive connections are reused, and new ones made as often as asked`() async throws {
    let behaviour = MisbehavingServer.Behaviour.answer("HTTP/1.1 200 OK\r\n\(Self.named)Content-Length: 6\r\n\r\nv1 a1\n", closes: false)
    for (share, connections) in [(0, 2), (10_000, 6)] {
      let server = try await MisbehavingServer(behaviour)
      var plan = try plan(server.port, "get=1")
      plan.newConnectionShare = share
      let summary = try await LoadRun(plan).run()
      try await server.close()
      #expect(summary.fates["answered"] == 6)
      #expect(summary.connectionsOpened == connections)
      #expect(server.connections == connections)
    }
  }

  @Test func `a rate is not exceeded`() async throws {
    let server = try await MisbehavingServer(.answer("HTTP/1.1 200 OK\r\n\(Self.named)Content-Length: 6\r\n\r\nv1 a1\n", closes: false))
    var plan = try plan(server.port, "get=1")
    plan.requests = 21
    plan.rate = 100
    let summary = try await LoadRun(plan).run()
    try await server.close()
    // Two clients, a request each 20 ms: the 21st starts after nine more of its client at the earliest.
    #expect(summary.fates["answered"] == 21)
    #expect(summary.seconds >= 0.18)
  }
}
