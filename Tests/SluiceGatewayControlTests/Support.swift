import Foundation
import NIOCore
import NIOPosix
import SluiceEngine
import SluiceGateway
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceModel
import SluiceRollout
import Synchronization
import Testing

let edge = GatewayID(gateway: "edge", host: "g1")
let ann = Fence(owner: "ann@laptop.1234:boot:1:2", epoch: 3)
let quick = GatewayTimes(
  dial: .seconds(10), answer: .seconds(10), silence: .seconds(5), firstPause: .milliseconds(20), longestPause: .milliseconds(100))

func content(_ targets: [TableTarget], probe: ReadinessCheck.Probe = .tcp, hold: Milliseconds? = nil) -> TableContent {
  TableContent(
    route: Route(gateway: "edge", hosts: ["shop.example.com"], path: "/api", balance: .roundRobin),
    readiness: ReadinessCheck(probe: probe, interval: Milliseconds(20), timeout: Milliseconds(500), rise: 2, fall: 2),
    drain: DrainPolicy(timeout: .seconds(30), longLived: .seconds(7)), targets: targets, hold: hold)
}

func target(_ instance: Int, release: Int = 1, port: Int, draining: Bool = false) -> TableTarget {
  TableTarget(instance: instance, release: ReleaseNumber(release), address: "127.0.0.1", port: port, draining: draining)
}

func claim(_ fence: Fence, service: ServiceName = "shop") -> FenceClaim {
  FenceClaim(service: service, fence: fence, machine: "laptop.1234", since: WallTime(milliseconds: 9), takeOver: false)
}

func revision(_ version: UInt64, epoch: UInt64 = 3) -> Revision { Revision(epoch: epoch, version: version) }

/// Counts the streams that were opened.
final class CountingDialer: GatewayDialer {
  private let inner: any GatewayDialer
  private let count = Mutex(0)
  var opened: Int { count.withLock { $0 } }

  init(_ inner: any GatewayDialer) { self.inner = inner }

  func dial(_ gateway: GatewayID) async throws -> any GatewayStream {
    count.withLock { $0 += 1 }
    return try await inner.dial(gateway)
  }
}

/// A real gateway in this process, on a unix socket, with one target that accepts connections. Everything is gone after `body`.
func withGateway(_ body: (TestGateway) async throws -> Void) async throws {
  let gateway = try await TestGateway()
  do { try await body(gateway) } catch {
    await gateway.end()
    throw error
  }
  await gateway.end()
}

final class TestGateway: Sendable {
  let directory: String
  let dialer: CountingDialer
  let driver: SluiceGatewayDriver
  /// Where something accepts.
  let port: Int
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  private let upstream: any Channel
  private let process = Mutex<GatewayProcess?>(nil)

  init() async throws {
    let directory = "/tmp/sluice-gc-\(UUID().uuidString.prefix(8))"
    self.directory = directory
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    upstream = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
    port = try #require(upstream.localAddress?.port)
    dialer = CountingDialer(SocketDialer(group: group) { _ in directory + "/admin.sock" })
    driver = SluiceGatewayDriver(dialer: dialer, times: quick)
  }

  func start() async throws {
    let configuration = GatewayConfiguration(
      listen: [.init(address: "127.0.0.1", port: 0)], adminSocket: directory + "/admin.sock", stateDirectory: directory + "/state",
      loops: 2,
      finish: Milliseconds(200))
    let started = try await aside { try GatewayProcess(configuration) { _ in } }
    process.withLock { $0 = started }
  }

  func stop() async throws {
    guard let running = process.withLock({ process in (process.take()) }) else { return }
    try await aside { try running.stop() }
  }

  func end() async {
    await driver.close()
    do {
      try await stop()
      try await upstream.close()
      try await group.shutdownGracefully()
    } catch { Issue.record(error) }
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// Starting and stopping a gateway blocks.
  private func aside<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result(catching: work)) }
    }
  }
}

/// The first element that fits, or a recorded failure when none comes within the bound.
func first(
  of stream: AsyncStream<GatewayNews>, within bound: Duration = .seconds(15), _ fits: @escaping @Sendable (GatewayNews) -> Bool
) async throws -> GatewayNews {
  let found = await withTaskGroup(of: GatewayNews?.self) { group in
    group.addTask {
      for await news in stream where fits(news) { return news }
      return nil
    }
    group.addTask {
      try? await Task.sleep(for: bound)
      return nil
    }
    defer { group.cancelAll() }
    return await group.next() ?? nil
  }
  return try #require(found)
}

func isFact(_ news: GatewayNews, _ fits: (GatewayFact) -> Bool) -> Bool {
  if case .fact(let fact) = news { return fits(fact) }
  return false
}

func isUnreachable(_ news: GatewayNews) -> Bool {
  if case .unreachable = news { return true }
  return false
}
