import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

@testable import SluiceGateway

/// What a table with a split may say.
@Suite struct SplitTableTests {
  static func table() -> RouteTable {
    var table = FallBackDecisionTests.table(5)
    table.hosts = ["shop.example.com"]
    table.split?.override = TestGateway.override
    table.split?.user = UserKey(source: .cookie("uid"), absent: .issue, issued: UserKey.IssuedCookie(name: "sluice"))
    table.preview = RouteTable.Preview(hosts: ["preview.example.com"], release: ReleaseNumber(2))
    return table
  }

  @Test func `a tester's word is known by its digest, with the salt before it where there is one`() throws {
    func matches(_ override: SplitOverride, _ word: String) throws -> Bool {
      let secret = try #require(OverrideSecret(override))
      return Array(word.utf8).withUnsafeBytes { secret.matches($0) }
    }
    let plain = SplitOverride(header: "X", digest: TestGateway.digest(of: "word"))
    let salted = SplitOverride(header: "X", digest: TestGateway.digest(of: "pinch:word"), salt: "pinch:")
    for override in [plain, salted] {
      #expect(try matches(override, "word"))
      #expect(try !matches(override, "pinch:word") && !matches(override, "wor") && !matches(override, ""))
    }
    #expect(OverrideSecret(SplitOverride(header: "X", digest: plain.digest, salt: String(repeating: "s", count: 65))) == nil)
  }

  @Test func `a table with all of it is served`() { #expect(SplitTableTests.table().problem(for: "shop") == nil) }

  static let breakings: [Breaking<RouteTable>] = [
    Breaking("no split says who goes there") { $0.split = nil },
    Breaking("only one pool can have the role canary") { $0.pools[0].role = .canary },
    Breaking("no pool has the role canary") { $0.pools[1].role = .idle },
    Breaking("is newer than the table") { $0.split?.generation.version = 6 },
    Breaking("salt is empty") { $0.split?.salt = "" },
    Breaking("\"\" is not a user's key") { $0.split?.deny = ["x", ""] },
    Breaking("20000 keys\" are more than gateways are told") {
      $0.split?.allow = (0..<20_000).map { String(repeating: "k", count: 300) + "\($0)" }
      $0.split?.deny = []
    },
    Breaking("userWindow") { $0.split?.userWindow = Milliseconds(99) },
    Breaking("userWindow") { $0.split?.userWindow = Milliseconds(-1) },
    Breaking("split.userWindow is 9223372036854775807 ms") { $0.split?.userWindow = Milliseconds(.max) },
    Breaking("probe.interval is 9223372036854775807 ms") { $0.probe.interval = Milliseconds(.max) },
    Breaking("timeouts.idle is 31622400001 ms: it must be at least zero and at most 366 days") {
      $0.timeouts.idle = .longest + Milliseconds(1)
    },
    Breaking("controllerLost.after: \"999ms\" is out of range") { $0.split?.controllerLost?.after = Milliseconds(999) },
    Breaking("leastTargets must be at least 1") { $0.split?.controllerLost?.leastTargets = 0 },
    Breaking("\"\" is not a cookie's name") { $0.split?.user.source = .cookie("") },
    Breaking("\"a;b\" is not a cookie's name") { $0.split?.user.source = .cookie("a;b") },
    Breaking("\"X User\" is not a header's name") { $0.split?.user.source = .header("X User") },
    Breaking("\"\" is not the name of a claim") { $0.split?.user.source = .jwtClaim("", cookie: nil) },
    Breaking("\"a=b\" is not a cookie's name") { $0.split?.user.source = .jwtClaim("sub", cookie: "a=b") },
    Breaking("\"a&b\" is not the name of a query parameter") { $0.split?.user.source = .query("a&b") },
    Breaking("\"\" is not the name of a query parameter") { $0.split?.user.source = .query("") },
    Breaking("\"slu ice\" is not a cookie's name") { $0.split?.user.issued.name = "slu ice" },
    Breaking("lifetime") { $0.split?.user.issued.lifetime = .zero },
    Breaking("issue.sameSite") { $0.split?.user.issued.sameSite = .none },
    Breaking("only when secure") { $0.split?.user.issued.name = "__Host-uid" },
    Breaking("\"X:Split\" is not a header's name") { $0.split?.override?.header = "X:Split" },
    Breaking("\"Host\" cannot be the override's header") { $0.split?.override?.header = "Host" },
    Breaking("no SHA-256") { $0.split?.override?.digest = Digest("abc") },
    Breaking("no SHA-256") { $0.split?.override?.digest = Digest(String(repeating: "x", count: 64)) },
    Breaking("names no host") { $0.preview?.hosts = [] },
    Breaking("\"a/b\" is not a host name") { $0.preview?.hosts = ["a/b"] },
    Breaking("release 9, which has no pool") { $0.preview?.release = ReleaseNumber(9) },
    Breaking("\"A\" is named twice") { $0.preview?.hosts = ["a", "A"] },
    Breaking("\"Shop.example.com\" is named twice, or is the route's own") { $0.preview?.hosts = ["Shop.example.com"] },
  ]

  @Test func `without a pool for the others everybody goes to the pool that is there, and only then`() throws {
    func served(_ change: (inout RouteTable) -> Void) -> RouteTable {
      var table = SplitTableTests.table()
      change(&table)
      #expect(table.problem(for: "shop") == nil)
      return table.asServed
    }
    let idle = served { $0.pools[0].role = .idle }
    #expect(idle.split == nil && idle.pools.map(\.role) == [.idle, .serving])
    let gone = served { $0.pools.removeFirst() }
    #expect(gone.split == nil && gone.pools.map(\.role) == [.serving])
    let leaving = served { table in
      for index in table.pools[0].targets.indices { table.pools[0].targets[index].state = .draining }
    }
    #expect(leaving.split == nil && leaving.pools.map(\.role) == [.serving, .serving])
    // Stable targets that merely fail are not given up for the canary; and where nothing is left, nothing is made of it.
    #expect(served { _ in } == SplitTableTests.table())
    let empty = served { table in
      for pool in table.pools.indices {
        for index in table.pools[pool].targets.indices { table.pools[pool].targets[index].state = .draining }
      }
    }
    #expect(empty.split != nil)
    var control = ServiceControl(service: "shop")
    var table = SplitTableTests.table()
    table.pools.removeFirst()
    _ = try control.put(table, now: FallBackDecisionTests.wall)
    _ = control.probed(TargetKey(table.targets[0].target), passed: true, text: "", now: FallBackDecisionTests.wall)
    #expect(control.eligibility.eligible == [true] && control.eligibility.canServe && control.table == table)
  }

  @Test(arguments: breakings)
  func `a table that contradicts itself is refused in words`(_ breaking: Breaking<RouteTable>) throws {
    var table = SplitTableTests.table()
    breaking.change(&table)
    let problem = try #require(table.problem(for: "shop"))
    #expect(problem.contains(breaking.words), "\(problem)")
  }

  @Test(arguments: ["-1", "10001", "4000000000"])
  func `a share out of range is refused, not taken for the nearest one`(_ share: String) throws {
    let text = String(decoding: try AdminJSON.encode(SplitTableTests.table()), as: UTF8.self)
    let changed = text.replacing("\"share\":1000,", with: "\"share\":\(share),")
    try #require(text != changed)
    let error = #expect(throws: DecodingError.self) { try AdminJSON.decode(RouteTable.self, Array(changed.utf8)) }
    #expect("\(try #require(error))".contains("\(share) is no share of 10000"))
  }

  @Test func `a table reads back as it was written`() throws {
    let table = SplitTableTests.table()
    #expect(try AdminJSON.decode(RouteTable.self, AdminJSON.encode(table)) == table)
  }

  /// As gateways of before there were splits wrote it.
  static let oldTable = """
    {"balance":"leastConnections","drain":{"longLived":10000},"fence":{"epoch":1,"owner":"test"},"hosts":["a"],"panicThreshold":5000,\
    "path":"/","pools":[{"release":1,"targets":[{"address":"127.0.0.1","instance":{"number":1,"service":"shop"},"port":1001,\
    "state":"active"}]}],"probe":{"fall":3,"interval":1000,"kind":{"tcp":{}},"rise":2,"timeout":1000},\
    "queue":{"requests":1000,"wait":20000},"revision":{"epoch":1,"version":3},"service":"shop",\
    "timeouts":{"connect":2000,"idle":60000,"response":30000}}
    """

  @Test func `tables and state of before there were splits still read, and serve`() throws {
    let table = try AdminJSON.decode(RouteTable.self, Array(SplitTableTests.oldTable.utf8))
    #expect(table.pools.map(\.role) == [.serving] && table.split == nil && table.preview == nil)
    #expect(table.problem(for: "shop") == nil)
    let stored = """
      {"health":[{"authority":"127.0.0.1:1001","health":"healthy","instance":{"number":1,"service":"shop"},"since":5,"wasHealthy":true}],\
      "hotSwitch":{"state":"open"},"service":"shop","standing":{"fence":{"epoch":1,"owner":"test"},"revision":{"epoch":1,"version":3}},\
      "table":\(SplitTableTests.oldTable)}
      """
    let restored = ServiceControl(
      restored: try AdminJSON.decode(StoredService.self, Array(stored.utf8)), now: WallTime(milliseconds: 9), monotonic: .zero)
    #expect(restored.table == table && restored.lease.fallenBack == nil)
    #expect(restored.eligibility.eligible == [true])
  }

  @Test func `the canary's health never opens the stable pools, and theirs never the canary's`() {
    let table = SplitTableTests.table()
    func eligible(_ healthy: Set<Int>) -> RouteEligibility {
      RouteEligibility(table) { target in
        let well = healthy.contains(target.instance.number)
        return Eligibility.Candidate(state: .serving, health: well ? .healthy : .unhealthy, wasHealthy: true)
      }
    }
    #expect(eligible([1, 2, 3]).eligible == [true, true, true])
    #expect(eligible([1, 2]).eligible == [true, true, false])
    #expect(eligible([1, 2]).panicking == false && eligible([1, 2]).healthyServing == 2)
    #expect(eligible([3]).eligible == [true, true, true] && eligible([3]).panicking && eligible([3]).healthyServing == 0)
    #expect(eligible([]).eligible == [true, true, false])
  }
}
