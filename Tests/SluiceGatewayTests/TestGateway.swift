import Glibc
import NIOCore
import NIOPosix
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Synchronization
import Testing

/// A gateway in this process with a directory of its own, and its admin side as a client sees it.
final class TestGateway: Sendable {
  /// An answer of the admin side that is no success.
  struct Refused: Error {
    var error: AdminError
  }

  static let service = ServiceName("shop")
  static let fence = Fence(owner: "test", epoch: 1)

  let directory: String
  let group: any EventLoopGroup
  let log = Log()
  private let running: Mutex<GatewayProcess?>
  private let configuration: GatewayConfiguration
  private let places: Mutex<(client: Int, health: Int)>

  final class Log: Sendable {
    let lines = Mutex<[String]>([])
  }

  init(
    on group: any EventLoopGroup, loops: Int = 2, limits: GatewayConfiguration.Limits? = nil, trusted: [String] = [],
    listen: GatewayConfiguration.Address = .init(address: "127.0.0.1", port: 0)
  ) throws {
    self.group = group
    var template = Array("/tmp/sluice-gateway-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw RawClient.Unmet(description: "no directory: \(errno)") }
    directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    configuration = GatewayConfiguration(
      listen: [listen], adminSocket: "\(directory)/admin.sock", stateDirectory: "\(directory)/state",
      trustedProxies: trusted, health: .init(address: "127.0.0.1", port: 0), loops: loops, finish: .seconds(5), limits: limits)
    running = Mutex(nil)
    places = Mutex((0, 0))
    try start()
  }

  var port: Int { places.withLock { $0.client } }
  var healthPort: Int { places.withLock { $0.health } }
  var statePath: String { "\(directory)/state" }

  /// Starts it, on what a former run left.
  func start() throws {
    let log = self.log
    let gateway = try GatewayProcess(configuration) { line in log.lines.withLock { $0.append(line) } }
    places.withLock { $0 = (gateway.addresses[0].port, gateway.healthAddress!.port) }
    running.withLock { $0 = gateway }
  }

  /// Ends it; the directory is removed too.
  func stop() throws {
    try halt()
    Self.removeAll(directory)
  }

  /// Ends it and leaves the state.
  func halt() throws {
    let gateway = running.withLock { gateway in
      defer { gateway = nil }
      return gateway
    }
    try gateway?.stop()
  }

  static func removeAll(_ path: String) {
    guard let entries = opendir(path) else { return }
    while let entry = readdir(entries) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name == "." || name == ".." { continue }
      if unlink("\(path)/\(name)") != 0 { removeAll("\(path)/\(name)") }
    }
    closedir(entries)
    rmdir(path)
  }

  func client() async throws -> RawClient { try await RawClient.connect(port, on: group) }

  func adminClient() async throws -> RawClient {
    try await RawClient.connect(SocketAddress(unixDomainSocketPath: "\(directory)/admin.sock"), on: group)
  }

  // MARK: Admin

  func admin<Reply: Decodable>(_ method: String, _ path: String, _ body: [UInt8] = [], as type: Reply.Type) async throws -> Reply {
    let client = try await adminClient()
    try await client.send(Array("\(method) \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body)
    let response = try await client.response()
    await client.close()
    guard response.status == 200 else { throw Refused(error: try AdminJSON.decode(AdminError.self, Array(response.body.utf8))) }
    return try AdminJSON.decode(type, Array(response.body.utf8))
  }

  @discardableResult
  func put(_ table: RouteTable) async throws -> ServiceStatus {
    try await admin("PUT", "/v1/services/shop/table", AdminJSON.encode(table), as: ServiceStatus.self)
  }

  @discardableResult
  func turn(_ state: SwitchMachine.State, at: WallTime? = nil, fence: Fence = TestGateway.fence) async throws -> ServiceStatus {
    let order = SwitchOrder(fence: fence, state: state, at: at)
    return try await admin("PUT", "/v1/services/shop/switch", AdminJSON.encode(order), as: ServiceStatus.self)
  }

  /// The figures of `/metrics` as text.
  func metrics() async throws -> String {
    let client = try await adminClient()
    let response = try await client.request("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.close()
    return response.body
  }

  /// Waits until the log holds a line; bounded.
  @discardableResult
  func logged(_ what: String, within limit: Duration = .seconds(10), _ wanted: @Sendable (String) -> Bool) async throws -> String {
    let deadline = ContinuousClock.now + limit
    while true {
      if let line = log.lines.withLock({ $0.first(where: wanted) }) { return line }
      guard ContinuousClock.now < deadline else { throw RawClient.Unmet(description: "never logged \(what): \(log.lines.withLock { $0 })") }
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  func status() async throws -> ServiceStatus { try await admin("GET", "/v1/services/shop", as: ServiceStatus.self) }

  func gatewayStatus() async throws -> GatewayStatus { try await admin("GET", "/v1/status", as: GatewayStatus.self) }

  /// Asks until the status is as wanted; bounded.
  @discardableResult
  func until(
    _ what: String, within limit: Duration = .seconds(10), _ wanted: (ServiceStatus) -> Bool
  ) async throws -> ServiceStatus {
    let deadline = ContinuousClock.now + limit
    while true {
      let status = try await status()
      if wanted(status) { return status }
      guard ContinuousClock.now < deadline else { throw RawClient.Unmet(description: "never \(what): \(status)") }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// A table of these targets, all of one release, probed often.
  static func table(
    _ version: UInt64, _ targets: [(Int, TestUpstream, RouteTable.Target.State)], balance: Balance = .leastConnections,
    timeouts: RouteTimeouts = RouteTimeouts(), queue: RouteTable.Queue = .init(), longLived: Milliseconds = .seconds(10),
    hosts: [String] = [], path: String = "/"
  ) -> RouteTable {
    RouteTable(
      service: service, fence: fence, revision: Revision(epoch: 1, version: version), hosts: hosts, path: path, balance: balance,
      pools: [
        RouteTable.Pool(
          release: ReleaseNumber(1),
          targets: targets.map { number, upstream, state in
            RouteTable.Target(
              instance: InstanceID(service: service, number: number), address: "127.0.0.1", port: upstream.port, state: state)
          })
      ],
      probe: RouteTable.Probe(
        kind: .http(path: "/health", status: 200), interval: Milliseconds(20), timeout: .seconds(2), rise: 1, fall: 2),
      timeouts: timeouts, drain: .init(longLived: longLived), queue: queue)
  }

  /// Puts a table and waits until all its active targets serve.
  func serve(_ table: RouteTable) async throws {
    try await put(table)
    try await until("healthy") { status in status.targets.allSatisfy { $0.state != .warming } }
  }
}

/// All tests that run a gateway with clients and upstreams: one after the other, since they share the machine's cores.
@Suite(.serialized) enum WithGateway {}

/// Runs a test with a gateway and upstreams, and ends them whatever happens.
func withGateway(
  loops: Int = 2, upstreams: Int = 1, scripts: [String: TestUpstream.Script] = [:], limits: GatewayConfiguration.Limits? = nil,
  trusted: [String] = [], _ body: (TestGateway, [TestUpstream]) async throws -> Void
) async throws {
  let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
  var made: [TestUpstream] = []
  for index in 1...upstreams { made.append(try await TestUpstream("u\(index)", on: group, scripts: scripts)) }
  let gateway = try TestGateway(on: group, loops: loops, limits: limits, trusted: trusted)
  let result: Result<Void, any Error>
  do {
    result = .success(try await body(gateway, made))
  } catch {
    result = .failure(error)
  }
  for upstream in made { try await upstream.stop() }
  try gateway.stop()
  try await group.shutdownGracefully()
  try result.get()
}
