import Crypto
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic

extension TestGateway {
  static let secret = "let-me-in"

  /// Users are known by a header; who has none is stable.
  static let byHeader = UserKey(source: .header("X-User"), absent: .stable, issued: UserKey.IssuedCookie(name: "sluice"))

  /// A table with release 1 serving and release 2 as canary. Each version is a generation of its own unless `generation` says otherwise.
  static func split(
    _ version: UInt64, stable: [TestUpstream], canary: [TestUpstream], share: Int, user: UserKey = byHeader, generation: UInt64? = nil,
    window: Milliseconds = .zero, edit: (inout RouteTable.Split) -> Void = { _ in }
  ) -> RouteTable {
    var table = table(version, stable.enumerated().map { ($0 + 1, $1, .active) })
    table.pools.append(pool(2, .canary, canary))
    var split = RouteTable.Split(
      share: BasisPoints(share), salt: "shop@2", generation: Revision(epoch: 1, version: generation ?? version), user: user,
      userWindow: window)
    edit(&split)
    table.split = split
    return table
  }

  static func pool(_ release: Int, _ role: RouteTable.Pool.Role, _ upstreams: [TestUpstream]) -> RouteTable.Pool {
    RouteTable.Pool(
      release: ReleaseNumber(release), role: role,
      targets: upstreams.enumerated().map { index, upstream in
        RouteTable.Target(
          instance: InstanceID(service: service, number: release * 10 + index), address: "127.0.0.1", port: upstream.port)
      })
  }

  static let override = SplitOverride(header: "X-Split", digest: digest(of: "salt:" + secret), salt: "salt:")

  static func digest(of text: String) -> SluiceModel.Digest {
    SluiceModel.Digest(SHA256.hash(data: Array(text.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
  }

  /// The side that the rule of `split` tables gives a key.
  static func side(_ key: String, share: Int) -> SplitRule.Side {
    let rule = SplitRule(share: BasisPoints(share), salt: "shop@2")
    return Array(key.utf8).withUnsafeBytes { rule.side($0, hash: rule.hash($0)) }
  }

  func watcher() async throws -> RawClient {
    let watcher = try await adminClient()
    try await watcher.send("GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = try await watcher.take("a head") { Response.headEnd($0) }
    return watcher
  }

  /// The counts of a generation, once they are as wanted.
  @discardableResult
  func traffic(_ generation: UInt64, until wanted: (TrafficReport) -> Bool) async throws -> TrafficReport {
    let watcher = try await watcher()
    var last: TrafficReport?
    for _ in 0..<60 {
      guard case .traffic(let report) = try await watcher.line(), report.generation.version == generation else { continue }
      last = report
      if wanted(report) {
        await watcher.close()
        return report
      }
    }
    throw RawClient.Unmet(description: "generation \(generation) never as wanted: \(String(describing: last))")
  }

  @discardableResult
  func lease(_ fence: Fence = TestGateway.fence) async throws -> ServiceStatus {
    try await admin("PUT", "/v1/services/shop/lease", AdminJSON.encode(FenceOrder(fence: fence)), as: ServiceStatus.self)
  }
}

extension RawClient {
  /// Asks as a user; with more header lines, each ended by CR LF.
  func ask(_ user: String? = nil, _ fields: String = "", path: String = "/", host: String = "a") async throws -> Response {
    let named = user.map { "X-User: \($0)\r\n" } ?? ""
    return try await request("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\(named)\(fields)\r\n")
  }
}
