import Foundation
import NIOCore
import SluiceEngine
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceModel
import SluiceRollout
import SluiceTraffic
import Synchronization
import Testing

/// A stream whose far side the test plays.
private final class PlayedStream: GatewayStream {
  private let input: AsyncThrowingStream<ByteBuffer, any Error>
  let feed: AsyncThrowingStream<ByteBuffer, any Error>.Continuation
  private let onWrite: @Sendable (String, PlayedStream) throws -> Void

  init(onWrite: @escaping @Sendable (String, PlayedStream) throws -> Void) {
    (input, feed) = AsyncThrowingStream.makeStream(of: ByteBuffer.self)
    self.onWrite = onWrite
  }

  func write(_ bytes: ByteBuffer) async throws { try onWrite(String(buffer: bytes), self) }
  func read() async throws -> ByteBuffer? {
    for try await bytes in input { return bytes }
    try Task.checkCancellation()
    return nil
  }
  func close() async { feed.finish() }

  func answer(_ body: String, status: Int = 200) {
    feed.yield(ByteBuffer(string: "HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"))
  }

  func line(_ line: WatchLine) throws {
    let text = String(decoding: try JSONEncoder().encode(line), as: UTF8.self) + "\n"
    feed.yield(ByteBuffer(string: "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n"))
  }
}

/// Plays the streams in turn, and the last one again.
private final class PlayedDialer: GatewayDialer {
  private let streams: [@Sendable () throws -> PlayedStream]
  private let next = Mutex(0)
  var dials: Int { next.withLock { $0 } }

  init(_ streams: (@Sendable () throws -> PlayedStream)...) { self.streams = streams }

  func dial(_ gateway: GatewayID) async throws -> any GatewayStream {
    let index = next.withLock { next in
      defer { next += 1 }
      return next
    }
    return try streams[min(index, streams.count - 1)]()
  }
}

private func status(_ version: UInt64, inFlight: Int = 0) -> ServiceStatus {
  ServiceStatus(
    service: "shop", fence: ann, revision: revision(version), record: nil,
    switch: SwitchReport(state: .open, pending: nil, since: RequestCounts()), total: RequestCounts(), panicking: false,
    targets: [
      TargetStatus(
        instance: InstanceID(service: "shop", number: 1), release: ReleaseNumber(1), address: "127.0.0.1", port: 1, state: .serving,
        health: .healthy,
        since: WallTime(milliseconds: 0), lastProbe: "", inFlight: inFlight)
    ])
}

private func snapshot(_ services: [ServiceStatus]) -> WatchLine {
  .snapshot(
    gateway: GatewayStatus(
      boot: "b", version: "1", pid: 1, clock: WallTime(milliseconds: 0), draining: false, degraded: nil, connections: 0, services: services)
  )
}

private let short = GatewayTimes(
  dial: .seconds(10), answer: .milliseconds(100), silence: .milliseconds(100), firstPause: .milliseconds(5), longestPause: .milliseconds(10)
)

@Suite struct FaultTests {
  private func setTable(_ dialer: PlayedDialer, _ times: GatewayTimes = short, before: (SluiceGatewayDriver) async -> Void = { _ in }) async
    -> AttemptResult
  {
    let driver = SluiceGatewayDriver(dialer: dialer, times: times)
    await before(driver)
    let result = await driver.setTable(content([]), revision: revision(1), service: "shop", fence: ann, gateway: edge)
    await driver.close()
    return result
  }

  private func isInDoubt(_ result: AttemptResult) -> Bool {
    if case .inDoubt = result { return true }
    return false
  }

  private let answers: @Sendable () throws -> PlayedStream = {
    let body = String(decoding: try JSONEncoder().encode(status(1)), as: UTF8.self)
    return PlayedStream { _, stream in stream.answer(body) }
  }

  @Test func `an answer that does not come leaves the order in doubt`() async {
    let dialer = PlayedDialer { PlayedStream { _, _ in } }
    #expect(await setTable(dialer) == .inDoubt("gateway edge/g1 did not answer within 0.1 seconds"))
    #expect(dialer.dials == 1)
  }

  @Test func `a new stream that ends after the order leaves it in doubt`() async {
    for part in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"] {
      let dialer = PlayedDialer {
        PlayedStream { _, stream in
          stream.feed.yield(ByteBuffer(string: part))
          stream.feed.finish()
        }
      }
      #expect(isInDoubt(await setTable(dialer)), "\(part)")
      #expect(dialer.dials == 1)
    }
  }

  @Test func `nonsense leaves the order in doubt`() async {
    #expect(
      isInDoubt(await setTable(PlayedDialer { PlayedStream { _, stream in stream.feed.yield(ByteBuffer(string: "hello\r\n\r\n")) } })))
    #expect(isInDoubt(await setTable(PlayedDialer { PlayedStream { _, stream in stream.answer("{}") } })))
  }

  @Test func `a kept stream that was lost is replaced, and the order repeated once`() async throws {
    let uses = Mutex(0)
    let body = String(decoding: try JSONEncoder().encode(status(1)), as: UTF8.self)
    let dialer = PlayedDialer(
      {
        PlayedStream { _, stream in
          // The first request is answered, then the far side goes away.
          if uses.withLock({ uses in
            uses += 1; return uses
          }) == 1 {
            stream.answer(body)
          } else {
            stream.feed.finish()
          }
        }
      }, answers)
    let result = await setTable(dialer) { driver in _ = try? await driver.status(of: "shop", edge) }
    #expect(
      result == .succeeded(.gateway(GatewayFact(gateway: edge, revision: revision(1), targets: [TargetFact(instance: 1, healthy: true)]))))
    #expect(dialer.dials == 2)
  }

  @Test func `a bridge that never reached the gateway did nothing`() async {
    let dialer = PlayedDialer {
      PlayedStream { _, stream in stream.feed.finish(throwing: GatewayUnreachable("its bridge ended at once (exit status 127): not found"))
      }
    }
    #expect(await setTable(dialer) == .unreachable("its bridge ended at once (exit status 127): not found"))
    #expect(await setTable(PlayedDialer { throw GatewayUnreachable("no route") }) == .unreachable("no route"))
  }

  @Test func `a gateway that is ending did nothing`() async throws {
    let error = AdminError(reason: .ending, error: "the process is ending", remedy: "")
    let body = String(decoding: try JSONEncoder().encode(error), as: UTF8.self)
    #expect(
      await setTable(PlayedDialer { PlayedStream { _, stream in stream.answer(body, status: 503) } })
        == .unreachable("the process is ending"))
  }

  @Test func `silence on the watch means unreachable, said once, and it comes back`() async throws {
    let dialer = PlayedDialer(
      { try Self.watching([snapshot([status(1)])]) }, { try Self.watching([]) }, { try Self.watching([]) },
      { try Self.watching([snapshot([status(2)])]) })
    let driver = SluiceGatewayDriver(dialer: dialer, times: short)
    var news: [GatewayNews] = []
    for await next in driver.watch("shop", gateway: edge) {
      news.append(next)
      if isFact(next, { $0.revision == revision(2) }) { break }
    }
    await driver.close()
    let targets = [TargetFact(instance: 1, healthy: true)]
    #expect(
      news == [
        .fact(GatewayFact(gateway: edge, revision: revision(1), targets: targets)), .unreachable("it has said nothing for 0.1 seconds"),
        .fact(GatewayFact(gateway: edge, revision: revision(2), targets: targets)),
      ])
  }

  private static func watching(_ lines: [WatchLine]) throws -> PlayedStream {
    let stream = PlayedStream { text, _ in #expect(text.hasPrefix("GET /v1/watch HTTP/1.1\r\n")) }
    stream.feed.yield(ByteBuffer(string: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"))
    for line in lines { try stream.line(line) }
    return stream
  }

  @Test func `a line about an older table than was acknowledged is not told, and the heartbeat repeats the newest`() async throws {
    let watch = try Self.watching([snapshot([status(1)])])
    let body = String(decoding: try JSONEncoder().encode(status(2)), as: UTF8.self)
    let dialer = PlayedDialer({ watch }, { PlayedStream { _, stream in stream.answer(body) } })
    let driver = SluiceGatewayDriver(dialer: dialer, times: quick)
    var news = driver.watch("shop", gateway: edge).makeAsyncIterator()
    func fact(_ version: UInt64, _ inFlight: Int) -> GatewayNews {
      .fact(GatewayFact(gateway: edge, revision: revision(version), targets: [TargetFact(instance: 1, healthy: true, inFlight: inFlight)]))
    }
    #expect(await news.next() == fact(1, 0))
    guard case .succeeded = await driver.setTable(content([]), revision: revision(2), service: "shop", fence: ann, gateway: edge) else {
      Issue.record("not taken")
      return
    }
    try watch.line(.service(status: status(1, inFlight: 9)))
    try watch.line(.service(status: status(2, inFlight: 3)))
    #expect(await news.next() == fact(2, 3))
    try watch.line(.heartbeat(clock: WallTime(milliseconds: 0)))
    #expect(await news.next() == fact(2, 3))
    try watch.line(.heartbeat(clock: WallTime(milliseconds: 0)))
    try watch.line(.service(status: status(2, inFlight: 1)))
    #expect(await news.next() == fact(2, 1))
    try watch.line(.removed(service: "shop"))
    #expect(await news.next() == .fact(GatewayFact(gateway: edge, revision: nil)))
    await driver.close()
  }

  @Test func `when nobody watches any more the stream is closed`() async throws {
    let closed = AsyncStream.makeStream(of: Void.self)
    let watch = try Self.watching([snapshot([])])
    watch.feed.onTermination = { _ in closed.continuation.finish() }
    let driver = SluiceGatewayDriver(dialer: PlayedDialer { watch }, times: quick)
    let reader = Task { for await _ in driver.watch("shop", gateway: edge) { return } }
    await reader.value
    try await within(.seconds(10)) { for await _ in closed.stream {} }
    await driver.close()
  }

  private func within(_ bound: Duration, _ work: @escaping @Sendable () async -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await work() }
      group.addTask {
        try await Task.sleep(for: bound)
        throw GatewayInDoubt("it did not happen within \(bound)")
      }
      try await group.next()
      group.cancelAll()
    }
  }
}
