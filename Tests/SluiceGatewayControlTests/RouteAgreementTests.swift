import Foundation
import SluiceGateway
import SluiceGatewayAPI
import SluiceManifest
import SluiceModel
import SluiceTraffic
import Testing

/// What `sluice validate` accepts of a route, a split and a readiness check is what gateways accept, and nothing else is: one checker.
@Suite struct RouteAgreementTests {
  /// One service's values, right or wrong, as a manifest writes them and as a table holds them.
  struct Draw {
    var hosts = ["shop.example.com"]
    var path = "/"
    var source = ("cookie", "uid")
    var jwtCookie: String?
    var absent = UserKey.Absent.issue
    var issued = UserKey.IssuedCookie(name: "uid")
    var window = Milliseconds.seconds(1)
    var after = Milliseconds.minutes(2)
    var allow = ["qa-1"]
    var override = "X-Pool"
    var preview: [String]?
    var probe = (path: "/healthz", status: 200, host: String?.none, headers: [String: String]())
    var interval = Milliseconds.seconds(1)
    var timeout = Milliseconds.seconds(1)
    var connect = Milliseconds.seconds(2)
    var longLived = Milliseconds.seconds(10)

    static let hosts = [
      "SHOP.example.com", "shop.example.com.", "::1", "[::1]", "2001:DB8::1", "127.0.0.1", "a_b", "-x", "a..b", "x:80", "a b", "",
      "\u{FC}x",
      String(repeating: "a", count: 64), "a/b", "::1%eth0", "[::1", "1:2", ".", "a!b",
    ]
    static let paths = [
      "/api", "/api/", "//", "/a?b", "/a#b", "/a b", "/../x", "/%20", "api", "", "/\u{E9}", "/" + String(repeating: "a", count: 1_024),
    ]
    static let names = [
      "__Host-uid", "__Secure-x", "a b", "a=b", "a&b", "a#b", "a%20b", "", "\u{E4}", String(repeating: "n", count: 65), "a\u{7}b", "?",
    ]
    static let headers = ["Cookie", "host", "Content-Type", "X Pool", "x-forwarded-for", "Authorization", "X-Test", "Upgrade"]
    static let spans = [0, 1, 9, 10, 50, 99, 100, 500, 999, 1_000, 5_000, 3_600_000, 3_600_001, 86_400_000, 86_400_001, 31_622_400_000]

    /// With a few values that are unusual.
    init(_ random: inout Numbers) {
      for _ in 0..<random.below(3) { change(&random) }
    }

    private mutating func change(_ random: inout Numbers) {
      let span = Milliseconds(Int64(random.pick(Self.spans)))
      switch random.below(17) {
      case 0: hosts = [random.pick(Self.hosts)]
      case 1: hosts = [random.pick(Self.hosts), random.pick(Self.hosts)]
      case 2: path = random.pick(Self.paths)
      case 3: source = (random.pick(["cookie", "header", "jwtClaim", "query"]), random.pick(Self.names))
      case 4: jwtCookie = random.pick(Self.names)
      case 5: absent = random.pick(UserKey.Absent.allCases)
      case 6: issued.name = random.pick(Self.names)
      case 7: issued.lifetime = span
      case 8: issued.secure.toggle()
      case 9: window = span
      case 10: after = span
      case 11: allow = [random.pick(["a\u{7}b", "\u{E4}", String(repeating: "k", count: 5_000)])]
      case 12: override = random.pick(Self.headers + Self.names)
      case 13: preview = [random.pick(Self.hosts + ["shop.example.com", "Shop.Example.com."])]
      case 14:
        probe = (random.pick(Self.paths), random.pick([99, 100, 204, 599, 600]), random.pick([nil, "a", "a:80", "a b", "[::1]:8"]), [:])
      case 15: probe.headers = [random.pick(Self.headers + Self.names): random.pick(["1", " 1", "a\u{7}", "\u{E4}", ""])]
      default: (interval, timeout, connect, longLived) = random.pick([(span, timeout, connect, span), (interval, span, span, longLived)])
      }
    }

    /// As a gateway is told it.
    var table: RouteTable {
      func target(_ number: Int) -> RouteTable.Target {
        RouteTable.Target(instance: InstanceID(service: "shop", number: number), address: "10.0.0.1", port: 1_000 + number)
      }
      let key: UserKey.Source =
        switch source.0 {
        case "cookie": .cookie(source.1)
        case "header": .header(source.1)
        case "jwtClaim": .jwtClaim(source.1, cookie: jwtCookie)
        default: .query(source.1)
        }
      var table = RouteTable(
        service: "shop", fence: ann, revision: revision(1), hosts: hosts, path: path,
        pools: [
          .init(release: ReleaseNumber(1), targets: [target(1)]), .init(release: ReleaseNumber(2), role: .canary, targets: [target(2)]),
        ],
        probe: .init(
          kind: .http(path: probe.path, status: probe.status, host: probe.host, headers: probe.headers.isEmpty ? nil : probe.headers),
          interval: interval, timeout: timeout),
        timeouts: RouteTimeouts(connect: connect), drain: .init(longLived: longLived))
      if let preview {
        table.pools[1].role = .idle
        table.preview = .init(hosts: preview, release: ReleaseNumber(2))
        return table
      }
      table.split = RouteTable.Split(
        share: BasisPoints(1_000), salt: "s", generation: revision(1), user: UserKey(source: key, absent: absent, issued: issued),
        allow: allow,
        override: SplitOverride(header: override, digest: Digest(String(repeating: "a", count: 64))), userWindow: window,
        controllerLost: .init(after: after, leastTargets: 1))
      return table
    }

    /// As a manifest says it.
    var manifest: String {
      func quoted(_ text: String) -> String {
        "\"" + text.unicodeScalars.map { $0.value < 32 ? "\\x0\(String($0.value, radix: 16))" : $0 == "\"" ? "\\\"" : String($0) }.joined()
          + "\""
      }
      func list(_ texts: [String]) -> String { "[\(texts.map(quoted).joined(separator: ", "))]" }
      var user = "\(source.0): \(quoted(source.1)), absent: \(absent.rawValue)"
      if source.0 == "jwtClaim", let jwtCookie { user += ", jwtCookie: \(quoted(jwtCookie))" }
      // What is never issued has no form, and gateways do not ask for one.
      if absent == .issue { user += ", issue: { cookie: \(quoted(issued.name)), lifetime: \(issued.lifetime), secure: \(issued.secure) }" }
      let canary = """
        canary: { steps: [{ users: 10%, hold: 5m }], allow: { users: \(list(allow)) }, analysis: { userWindow: \(window) }, \
        controllerLost: { after: \(after) }, override: { header: \(quoted(override)), secret: { fromEnv: S } } }
        """
      let headers = probe.headers.sorted { $0.key < $1.key }.map { "\(quoted($0.key)): \(quoted($0.value))" }.joined(separator: ", ")
      return """
        apiVersion: sluice/v1
        kind: Fleet
        metadata: { name: prod }
        spec: { racks: [{ name: a, hosts: [{ name: a1, address: 10.0.1.11, slots: 9 }, { name: g1, address: 10.0.9.1, slots: 0 }] }] }
        ---
        apiVersion: sluice/v1
        kind: Gateway
        metadata: { name: edge }
        spec: { fleet: prod, hosts: [g1], listen: [{ address: 0.0.0.0, port: 80 }] }
        ---
        apiVersion: sluice/v1
        kind: Service
        metadata: { name: shop }
        spec:
          fleet: prod
          replicas: 2
          artifact: { path: shop.tar.gz }
          run: { command: [bin/shop] }
          drain: { longLived: \(longLived) }
          health:
            readiness:
              http: { path: \(quoted(probe.path)), status: \(probe.status)\(probe.host.map { ", host: \(quoted($0))" } ?? ""), headers: { \(headers) } }
              interval: \(interval)
              timeout: \(timeout)
          route: { gateway: edge, hosts: \(list(hosts)), path: \(quoted(path)), timeouts: { connect: \(connect) }\(preview == nil ? ", user: { \(user) }" : "") }
          strategy: { \(preview.map { "blueGreen: { preview: { hosts: \(list($0)) } }" } ?? canary) }
        """
    }
  }

  @Test(arguments: 0..<4) func `manifest and gateway agree about every route`(_ part: Int) {
    var random = Numbers(UInt64(part) &* 0x9e37_79b9_7f4a_7c15 | 1)
    var (accepted, refused) = (0, 0)
    for _ in 0..<150 {
      let draw = Draw(&random)
      let errors = ManifestReader.read(sources: [ManifestSource(name: "m.yaml", text: draw.manifest, baseDirectory: "/")]).errors
      let problem = draw.table.problem(for: "shop")
      if problem == nil { accepted += 1 } else { refused += 1 }
      #expect(
        errors.isEmpty == (problem == nil),
        "the manifest: \(errors.map(\.message)); the gateway: \(problem ?? "accepts it")\n\(draw.manifest.suffix(1_200))")
    }
    #expect(accepted > 30 && refused > 30)
  }

  /// Numbers that are the same in every run (xorshift64).
  struct Numbers {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func below(_ limit: Int) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % UInt64(limit))
    }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }
  }
}
