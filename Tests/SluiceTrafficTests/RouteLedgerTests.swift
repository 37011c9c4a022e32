import SluiceModel
import SluiceTraffic
import Testing

@Suite struct RouteLedgerTests {
  static let users = RouteKey(host: "shop.example.com", path: "/")
  static let other = RouteKey(host: "", path: "/api")

  static func claim(
    _ routes: [RouteKey] = [users], from: ServiceName? = nil, stands: Bool = true, serves: Bool = true
  ) -> RouteLedger.Claim {
    RouteLedger.Claim(routes: routes, takesFrom: from, stands: stands, serves: serves)
  }

  /// `shop` has the route.
  static func ledger() throws -> RouteLedger {
    var ledger = RouteLedger()
    try ledger.claim("shop", claim())
    return ledger
  }

  @Test func `what another service has is refused by its name, and nothing changes`() throws {
    var ledger = try Self.ledger()
    let before = ledger
    let conflict = #expect(throws: RouteLedger.Conflict.self) { try ledger.claim("store", Self.claim([Self.other, Self.users])) }
    #expect(conflict == RouteLedger.Conflict(route: Self.users, owner: "shop"))
    #expect(ledger == before)
    try ledger.claim("store", Self.claim([Self.other]))
    #expect(ledger.owner(of: Self.other) == "store" && ledger.lost(by: "store").isEmpty)
  }

  @Test(arguments: [
    ("SHOP.example.com", "/"), ("shop.example.com.", "/"), ("shop.example.com:80", "/"), ("Shop.Example.com.:8080", "//"),
    ("shop.example.com", ""),
  ])
  func `a route is the same one in every spelling`(_ host: String, _ path: String) {
    #expect(RouteKey(host: host, path: path) == Self.users)
  }

  @Test(arguments: ["::1", "[::1]", "[::1]:8080", "0:0:0:0:0:0:0:1", "[0000::0001]", "::0.0.0.1"])
  func `an IPv6 host is the same one in every spelling`(_ host: String) { #expect(RouteKey(host: host, path: "/").host == "::1") }

  @Test func `other hosts and paths are other routes`() {
    let all = [
      RouteKey(host: "", path: "/"), RouteKey(host: "", path: "/api"), RouteKey(host: "a", path: "/"), RouteKey(host: "a", path: "/API"),
      RouteKey(host: "a", path: "/api"), RouteKey(host: "::1", path: "/"), RouteKey(host: "::2", path: "/"),
    ]
    #expect(Set(all).count == all.count)
  }

  @Test func `a route goes over when the new service serves, and not before`() throws {
    var ledger = try Self.ledger()
    try ledger.claim("store", Self.claim(from: "shop", serves: false))
    #expect(ledger.owner(of: Self.users) == "shop")
    #expect(ledger.lost(by: "store") == [LostRoute(route: Self.users, owner: "shop", awaited: true)])
    let moved = ledger.note("store", serves: true)
    #expect(moved && ledger.owner(of: Self.users) == "store")
    #expect(ledger.lost(by: "shop") == [LostRoute(route: Self.users, owner: "store")] && ledger.lost(by: "store").isEmpty)
    // It stays, whatever becomes of the targets, and the old service's later tables are taken as they are.
    let again = ledger.note("store", serves: false)
    try ledger.claim("shop", Self.claim(stands: false, serves: false))
    #expect(!again && ledger.owner(of: Self.users) == "store")
  }

  @Test func `a service that serves already takes the route in the same moment`() throws {
    var ledger = try Self.ledger()
    try ledger.claim("store", Self.claim([Self.other]))
    try ledger.claim("store", Self.claim(from: "shop"))
    #expect(ledger.owner(of: Self.users) == "store" && ledger.owner(of: Self.other) == nil)
  }

  @Test func `behind an old service that is stopped nothing is waited for`() throws {
    var ledger = try Self.ledger()
    try ledger.claim("store", Self.claim(from: "shop", serves: false))
    try ledger.claim("shop", Self.claim(stands: false, serves: false))
    #expect(ledger.owner(of: Self.users) == "store")
  }

  @Test func `one that only fails keeps its route until the new one serves`() throws {
    var ledger = try Self.ledger()
    try ledger.claim("store", Self.claim(from: "shop", serves: false))
    let moved = ledger.note("shop", serves: false)
    #expect(!moved && ledger.owner(of: Self.users) == "shop")
  }

  @Test func `only whose route it is can be named as the one it is taken from`() throws {
    var ledger = try Self.ledger()
    #expect(throws: RouteLedger.Conflict(route: Self.users, owner: "shop")) { try ledger.claim("store", Self.claim(from: "shed")) }
  }

  @Test func `going back is said anew, and an old table that is sent again takes nothing`() throws {
    var ledger = try Self.ledger()
    try ledger.claim("store", Self.claim(from: "shop"))
    try ledger.claim("shop", Self.claim(from: "store"))
    #expect(ledger.owner(of: Self.users) == "shop")
    // Both say it now; what is repeated takes nothing back.
    try ledger.claim("store", Self.claim(from: "shop"))
    #expect(ledger.owner(of: Self.users) == "shop")
    try ledger.claim("store", Self.claim())
    try ledger.claim("store", Self.claim(from: "shop"))
    #expect(ledger.owner(of: Self.users) == "store")
  }

  @Test func `a new service that goes back before the old one is gone gives it the route in the same moment`() throws {
    var ledger = try Self.ledger()
    try ledger.claim("store", Self.claim(from: "shop"))
    #expect(ledger.owner(of: Self.users) == "store")
    try ledger.claim("store", Self.claim(from: "shop", stands: false, serves: false))
    #expect(ledger.owner(of: Self.users) == "shop" && ledger.lost(by: "store").map(\.awaited) == [true])
    // It may come again.
    try ledger.claim("store", Self.claim(from: "shop", serves: false))
    #expect(ledger.owner(of: Self.users) == "shop")
    let moved = ledger.note("store", serves: true)
    #expect(moved && ledger.owner(of: Self.users) == "store")
    // Where the old one is on its way out too, nothing changes hands.
    try ledger.claim("shop", Self.claim(stands: false, serves: false))
    try ledger.claim("store", Self.claim(from: "shop", stands: false, serves: false))
    #expect(ledger.owner(of: Self.users) == "store")
  }

  @Test func `what is given up goes to whoever asks for it too`() throws {
    var ledger = try Self.ledger()
    try ledger.claim("store", Self.claim(from: "shop"))
    ledger.remove("store")
    #expect(ledger.owner(of: Self.users) == "shop" && ledger.lost(by: "shop").isEmpty)
    ledger.remove("shop")
    #expect(ledger.owner(of: Self.users) == nil)
    try ledger.claim("shed", Self.claim())
    #expect(ledger.owner(of: Self.users) == "shed")
  }

  @Test func `state of before there were owners gives a route to the first by name, as gateways did then, and says so`() throws {
    let old = RouteLedger.Stored(claim: Self.claim(), lost: [])
    var (ledger, conflicts) = RouteLedger.restore(["store": old, "shop": old])
    #expect(ledger.owner(of: Self.users) == "shop")
    #expect(conflicts.map(\.service) == ["store"] && conflicts.first?.lost == LostRoute(route: Self.users, owner: "shop"))
    // What it has lost it may go on to ask for: its table is no worse than before.
    try ledger.claim("store", Self.claim())
    #expect(ledger.owner(of: Self.users) == "shop")
  }

  @Test func `a restart between the two writes of a takeover ends with the taker, whichever was written`() throws {
    var before = try Self.ledger()
    try before.claim("store", Self.claim(from: "shop", serves: false))
    var after = before
    _ = after.note("store", serves: true)
    func stored(_ shop: RouteLedger, _ store: RouteLedger) -> [ServiceName: RouteLedger.Stored] {
      [
        "shop": RouteLedger.Stored(claim: Self.claim(), lost: shop.lost(by: "shop")),
        "store": RouteLedger.Stored(claim: Self.claim(from: "shop"), lost: store.lost(by: "store")),
      ]
    }
    for files in [stored(before, after), stored(after, before), stored(after, after)] {
      let (ledger, conflicts) = RouteLedger.restore(files)
      #expect(ledger.owner(of: Self.users) == "store" && conflicts.isEmpty)
    }
    var waiting = stored(before, before)
    waiting["store"]?.claim.serves = false
    let (ledger, conflicts) = RouteLedger.restore(waiting)
    #expect(ledger == before && conflicts.isEmpty)
  }

  /// Whatever is asked for in whatever order, a route has one owner, and that one asks for it; and restoring what is stored gives the same.
  @Test(arguments: 0..<40) func `each route that anyone asks for has one owner`(_ seed: Int) throws {
    var random = Numbers(UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1)
    let names: [ServiceName] = ["a", "b", "c"]
    let routes = [Self.users, Self.other, RouteKey(host: "x", path: "/")]
    var ledger = RouteLedger()
    var claims: [ServiceName: RouteLedger.Claim] = [:]
    for _ in 0..<60 {
      let name = names[random.below(3)]
      switch random.below(5) {
      case 0:
        ledger.remove(name)
        claims[name] = nil
      case 1:
        let serves = random.below(2) == 0
        _ = ledger.note(name, serves: serves)
        claims[name]?.serves = serves
      default:
        let claim = RouteLedger.Claim(
          routes: routes.filter { _ in random.below(2) == 0 }.sorted(), takesFrom: random.below(3) == 0 ? names[random.below(3)] : nil,
          stands: random.below(4) > 0, serves: random.below(2) == 0)
        if (try? ledger.claim(name, claim)) != nil { claims[name] = claim }
      }
      for route in routes {
        let asking = claims.filter { $0.value.routes.contains(route) }.keys
        let owner = ledger.owner(of: route)
        #expect(asking.isEmpty ? owner == nil : owner.map { asking.contains($0) } == true)
        for name in asking where name != owner { #expect(ledger.lost(by: name).contains { $0.route == route && $0.owner == owner }) }
      }
    }
  }

  /// Numbers that are the same in every run (xorshift64).
  private struct Numbers {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func below(_ limit: Int) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % UInt64(limit))
    }
  }
}

@Suite struct IPv6AddressTests {
  @Test(arguments: [
    ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
    ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::ffff:192.0.2.1", "::ffff:c000:201"),
    ("0:1::", "0:1::"),
  ])
  func `an address is written in one way`(_ text: String, _ canonical: String) { #expect(IPv6Address(text)?.description == canonical) }

  @Test(arguments: [
    "", ":", ":::", "1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "::1%eth0", ":1", "1:", "::1:",
    "1.2.3.4",
    "::1.2.3", "::1.2.3.4.5", "::256.1.1.1", "::01.2.3.4", "::1.2.3.4:5", "[::1]", "1:2:3:4:5:6:7::8", " ::1",
  ])
  func `what is no address is none`(_ text: String) { #expect(IPv6Address(text) == nil) }
}
