package import SluiceModel

/// What is wrong with one value of a route, and what would do: the same for whoever writes a manifest and for whoever sends a table.
package struct RouteFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The key of the value below the part that was checked: `issue.lifetime`; empty: the value itself.
  package var key: String
  package var value: String
  /// Follows the value: `is not a host name`.
  package var problem: String
  /// What to write instead.
  package var suggestion: String

  package init(_ value: String, _ problem: String, key: String = "", suggestion: String) {
    self.key = key
    self.value = value
    self.problem = problem
    self.suggestion = suggestion
  }

  package var description: String { "\(key.isEmpty ? "" : "\(key): ")\"\(value.prefix(80))\" \(problem): \(suggestion)" }

  fileprivate func at(_ key: String) -> RouteFault { RouteFault(value, problem, key: key, suggestion: suggestion) }
}

/// What the values of a route, of a split and of a readiness check may be: the one checker that manifests and gateways share (DESIGN section 2).
package enum RouteRules {
  /// How often a target may be probed. Each gateway asks each target so often.
  package static let interval = Milliseconds(10)...Milliseconds.minutes(60)
  package static let timeout = Milliseconds(10)...Milliseconds.minutes(60)
  /// What counts once in exposures; zero: each request. Less than a gateway's tick cannot be told apart.
  package static let userWindow = Milliseconds(100)...Milliseconds.seconds(86_400)
  /// How long an issued cookie lives: its `Max-Age` is in seconds.
  package static let lifetime = Milliseconds.seconds(1)...Milliseconds.longest
  /// How long a controller may be silent. It is heard four times in that.
  package static let controllerLost = Milliseconds.seconds(1)...Milliseconds.seconds(86_400)
  /// Fields of a readiness check beside what is always sent.
  package static let headerLimit = 20

  // MARK: Hosts and paths

  /// A host name or numeric address that requests carry, without a port; gives its one form.
  package static func host(_ text: String) throws(RouteFault) -> String {
    let lower = text.lowercased()
    if let slashes = lower.firstRange(of: "://") {
      let name = lower[slashes.upperBound...].prefix { $0 != "/" && $0 != ":" }
      throw RouteFault(text, "is a URL", suggestion: "write `\(name)`")
    }
    let inside = lower.hasPrefix("[") && lower.hasSuffix("]") ? String(lower.dropFirst().dropLast()) : lower
    if let address = IPv6Address(inside) { return address.description }
    let parts = lower.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 2, !parts[1].isEmpty, parts[1].utf8.allSatisfy({ (48...57).contains($0) }) {
      throw RouteFault(text, "has a port in it", suggestion: "write `\(parts[0])`; the gateway's `listen` has the port")
    }
    let name = lower.hasSuffix(".") && lower.utf8.count > 1 ? String(lower.dropLast()) : lower
    let isName = name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
        && label.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95 }
    }
    guard isName, name.utf8.count <= 253 else {
      throw RouteFault(text, "is not a host name", suggestion: "write a DNS name such as `shop.example.com`")
    }
    return name
  }

  /// A route's host names, each once.
  package static func hosts(_ hosts: [String]) throws(RouteFault) {
    var taken: Set<String> = []
    for text in hosts where !taken.insert(try host(text)).inserted {
      throw RouteFault(text, "is named twice", key: "hosts", suggestion: "name it once")
    }
  }

  /// A path prefix: without query or fragment, and no segment that changes its meaning.
  package static func path(_ text: String) throws(RouteFault) -> String {
    guard text.hasPrefix("/") else { throw RouteFault(text, "does not begin with `/`", suggestion: "write `/\(text)`") }
    guard text.utf8.allSatisfy(isTarget), !text.utf8.contains(63) else {
      throw RouteFault(text, "is not a path that can be matched", suggestion: "a path without query, fragment or spaces")
    }
    guard !text.split(separator: "/").contains("..") else {
      throw RouteFault(text, "leaves its directory by `..`", suggestion: "write the path without `..`")
    }
    guard text.utf8.count <= 1_024 else { throw RouteFault(text, "is too long for a path", suggestion: "at most 1024 characters") }
    return text
  }

  /// Host names beside the route's, each once.
  package static func preview(_ preview: [String], of hosts: [String]) throws(RouteFault) {
    if preview.isEmpty { throw RouteFault("", "names no host", key: "preview", suggestion: "name one, or leave the preview out") }
    var taken = Set(hosts.map { RouteKey.host($0) })
    for text in preview where !taken.insert(try host(text)).inserted {
      throw RouteFault(
        text, "is named twice, or is the route's own", key: "preview", suggestion: "give the preview a host name of its own")
    }
  }

  // MARK: Users

  /// Where a user's key is found, and what is issued where it is missing.
  package static func user(_ user: UserKey) throws(RouteFault) {
    switch user.source {
    case .cookie(let name): try at("cookie") { () throws(RouteFault) in _ = try cookie(name) }
    case .header(let name): try at("header") { () throws(RouteFault) in _ = try header(name) }
    case .jwtClaim(let name, let jwtCookie):
      try at("jwtClaim") { () throws(RouteFault) in _ = try claim(name) }
      if let jwtCookie { try at("jwtCookie") { () throws(RouteFault) in _ = try cookie(jwtCookie) } }
    case .query(let name): try at("query") { () throws(RouteFault) in _ = try query(name) }
    case .clientAddress: break
    }
    // What is never issued has no form.
    if user.absent == .issue { try issued(user.issued) }
  }

  private static func issued(_ issued: UserKey.IssuedCookie) throws(RouteFault) {
    try at("issue.cookie") { () throws(RouteFault) in _ = try cookie(issued.name) }
    guard lifetime.contains(issued.lifetime) else {
      throw RouteFault(
        "\(issued.lifetime)", "is no time for a cookie to live", key: "issue.lifetime",
        suggestion: "it can be \(lifetime.lowerBound) to \(lifetime.upperBound)")
    }
    if issued.sameSite == .none, !issued.secure {
      throw RouteFault(
        "none", "without `secure: true` is a cookie that browsers drop", key: "issue.sameSite",
        suggestion: "write `secure: true`, or `sameSite: lax`")
    }
    // RFC 6265bis section 4.1.3.
    let lower = issued.name.lowercased()
    if !issued.secure, lower.hasPrefix("__host-") || lower.hasPrefix("__secure-") {
      throw RouteFault(
        issued.name, "is a cookie that browsers take only when secure", key: "issue.secure",
        suggestion: "write `issue: { secure: true }`, or give the cookie another name")
    }
  }

  private static func at(_ key: String, _ check: () throws(RouteFault) -> Void) throws(RouteFault) {
    do { try check() } catch { throw error.at(key) }
  }

  /// The name of a cookie (RFC 6265 section 4.1.1).
  package static func cookie(_ name: String) throws(RouteFault) -> String { try token(name, "a cookie's name") }

  /// The name of a field (RFC 9110 section 5.1).
  package static func header(_ name: String) throws(RouteFault) -> String { try token(name, "a header's name") }

  /// A token (RFC 9110 section 5.6.2) of a length that heads have room for.
  package static func token(_ name: String, _ what: String) throws(RouteFault) -> String {
    guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy(isToken) else {
      throw RouteFault(name, "is not \(what)", suggestion: "1 to 64 letters, digits, `-` and `_`")
    }
    return name
  }

  /// The name of a claim (RFC 7519 section 4).
  package static func claim(_ name: String) throws(RouteFault) -> String {
    guard (1...256).contains(name.utf8.count), !hasControl(name) else {
      throw RouteFault(name, "is not the name of a claim", suggestion: "write one such as `sub`, of at most 256 characters")
    }
    return name
  }

  /// The name of a query parameter, as it is written in a request.
  package static func query(_ name: String) throws(RouteFault) -> String {
    guard (1...256).contains(name.utf8.count), name.utf8.allSatisfy({ isTarget($0) && $0 != 38 && $0 != 61 }) else {
      throw RouteFault(
        name, "is not the name of a query parameter",
        suggestion: "write it as it stands in requests, percent-encoded, without `&`, `=` and `#`, of at most 256 characters")
    }
    return name
  }

  /// A user's key in a list.
  package static func userKey(_ key: String) throws(RouteFault) -> String {
    guard (1...4_096).contains(key.utf8.count), !hasControl(key) else {
      throw RouteFault(key, "is not a user's key", suggestion: "1 to 4096 characters, none of them a control character")
    }
    return key
  }

  /// The lists of a split together: a table carries them whole, and what it carries has a bound (16 MiB).
  package static func users(allow: [String], deny: [String]) throws(RouteFault) {
    for key in allow { _ = try userKey(key) }
    for key in deny { _ = try userKey(key) }
    let octets = (allow + deny).reduce(0) { $0 + $1.utf8.count + 8 }
    guard octets <= 4 * 1_048_576 else {
      throw RouteFault(
        "\(allow.count + deny.count) keys", "are more than gateways are told", key: allow.count > deny.count ? "allow" : "deny",
        suggestion: "4 MiB of keys at most; where it is a kind of user, let a header or a claim say so")
    }
  }

  package static func userWindow(_ span: Milliseconds) throws(RouteFault) {
    guard span == .zero || userWindow.contains(span) else {
      throw RouteFault(
        "\(span)", "is no window of users", key: "userWindow",
        suggestion: "it can be \(userWindow.lowerBound) to \(userWindow.upperBound), or 0s: each request counts")
    }
  }

  package static func controllerLost(after span: Milliseconds) throws(RouteFault) {
    guard controllerLost.contains(span) else {
      throw RouteFault(
        "\(span)", "is out of range", key: "controllerLost.after",
        suggestion: "it can be \(controllerLost.lowerBound) to \(controllerLost.upperBound)")
    }
  }

  /// Fields that gateways or targets live by: taking them off would change what the request is.
  private static let needed = [
    "host", "connection", "content-length", "transfer-encoding", "upgrade", "expect", "cookie", "authorization", "content-type",
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
  ]

  /// The field by which testers choose; it is taken off requests.
  package static func overrideHeader(_ name: String) throws(RouteFault) -> String {
    let name = try header(name)
    guard !needed.contains(name.lowercased()) else {
      throw RouteFault(
        name, "cannot be the override's header, which is taken off requests: what the request is hangs on it",
        suggestion: "write one of its own, such as `X-Sluice-Pool`")
    }
    return name
  }

  // MARK: Readiness

  package static func probe(interval: Milliseconds, timeout: Milliseconds) throws(RouteFault) {
    guard RouteRules.interval.contains(interval) else {
      throw RouteFault("\(interval)", "is out of range", key: "interval", suggestion: bounds(RouteRules.interval))
    }
    guard RouteRules.timeout.contains(timeout) else {
      throw RouteFault("\(timeout)", "is out of range", key: "timeout", suggestion: bounds(RouteRules.timeout))
    }
  }

  private static func bounds(_ range: ClosedRange<Milliseconds>) -> String { "it can be \(range.lowerBound) to \(range.upperBound)" }

  package static func probe(path: String, status: Int, host: String?, headers: [String: String]) throws(RouteFault) {
    _ = try probePath(path)
    guard (100...599).contains(status) else {
      throw RouteFault("\(status)", "is no status", key: "status", suggestion: "it can be 100 to 599")
    }
    if let host { _ = try probeHost(host) }
    guard headers.count <= headerLimit else {
      throw RouteFault("\(headers.count)", "fields are too many", key: "headers", suggestion: "at most \(headerLimit)")
    }
    var seen: Set<String> = []
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) {
      guard seen.insert(try probeHeader(name).lowercased()).inserted else {
        throw RouteFault(name, "is named twice", key: "headers", suggestion: "keep one of them")
      }
      _ = try probeValue(value)
    }
  }

  /// The target of the request: a path, perhaps with a query.
  package static func probePath(_ text: String) throws(RouteFault) -> String {
    guard text.hasPrefix("/") else { throw RouteFault(text, "does not begin with `/`", suggestion: "write `/\(text)`") }
    guard text.utf8.allSatisfy(isTarget) else {
      throw RouteFault(
        text, "has characters that a request cannot hold",
        suggestion: "percent-encode them (RFC 3986, section 2.1); a fragment is never sent")
    }
    guard text.utf8.count <= 4_096 else { throw RouteFault(text, "is too long for a path", suggestion: "at most 4096 characters") }
    return text
  }

  /// A host as the check sends it: a name or address, perhaps with a port.
  package static func probeHost(_ text: String) throws(RouteFault) -> String {
    guard (1...259).contains(text.utf8.count), text.utf8.allSatisfy(isHost) else {
      throw RouteFault(text, "is not a host", suggestion: "write a name such as `shop.example.com`")
    }
    return text
  }

  /// A field's name that a check may set.
  package static func probeHeader(_ name: String) throws(RouteFault) -> String {
    let name = try header(name)
    switch name.lowercased() {
    case "host": throw RouteFault(name, "has a key of its own", suggestion: "write `host: …` beside `path`")
    case "connection", "content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer":
      throw RouteFault(name, "cannot be set: it says how the request is sent", suggestion: "remove it")
    default: return name
    }
  }

  /// A field's value (RFC 9110 section 5.5): visible characters, and spaces inside.
  package static func probeValue(_ value: String) throws(RouteFault) -> String {
    guard value.utf8.count <= 1_024, value.utf8.allSatisfy({ $0 >= 32 && $0 != 127 }), value.first != " ", value.last != " " else {
      throw RouteFault(value, "is not a header's value", suggestion: "one line of at most 1024 characters, without spaces at its ends")
    }
    return value
  }

  // MARK: Classes of octets

  /// What may stand in a request target. `#` may not: a fragment is never sent.
  private static func isTarget(_ octet: UInt8) -> Bool { octet > 32 && octet < 127 && octet != 35 }

  private static func isToken(_ octet: UInt8) -> Bool {
    switch octet {
    case 48...57, 65...90, 97...122: true
    default: "!#$%&'*+-.^_`|~".utf8.contains(octet)
    }
  }

  /// What may stand in a host and port (RFC 3986 section 3.2.2).
  private static func isHost(_ octet: UInt8) -> Bool {
    switch octet {
    case 48...57, 65...90, 97...122: true
    default: "!$%&'()*+,-.:;=[]_~".utf8.contains(octet)
    }
  }

  private static func hasControl(_ text: String) -> Bool {
    text.unicodeScalars.contains { $0.properties.generalCategory == .control }
  }
}
