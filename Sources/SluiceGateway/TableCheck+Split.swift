import SluiceGatewayAPI
import SluiceModel

/// What keeps a table with a split, a preview or roles from being served.
extension RouteTable {
  var splitProblem: String? {
    let canaries = pools.count { $0.role == .canary }
    if canaries > 1 { return "only one pool can have the role canary" }
    if split == nil, canaries == 1 { return "a pool has the role canary, and no split says who goes there" }
    guard let split else { return nil }
    if canaries == 0 { return "there is a split, and no pool has the role canary" }
    if !pools.contains(where: { $0.role == .serving }) { return "there is a split, and no pool serves the users it leaves" }
    if split.generation > revision { return "the split's generation \(split.generation) is newer than the table" }
    return split.problem
  }

  var previewProblem: String? {
    guard let preview else { return nil }
    if preview.hosts.isEmpty { return "the preview names no host" }
    if let host = preview.hosts.first(where: { !Self.isHostName($0) }) { return "\"\(host)\" is no host name" }
    if !pools.contains(where: { $0.release == preview.release }) {
      return "the preview is of release \(preview.release.number), which has no pool"
    }
    var taken = Set(hosts.map { $0.lowercased() })
    for host in preview.hosts where !taken.insert(host.lowercased()).inserted {
      return "the preview's host \"\(host)\" is named twice, or is the route's own"
    }
    return nil
  }

  /// A host name without a port.
  static func isHostName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { Octet.isHost($0) && $0 != Octet.colon }
  }
}

extension RouteTable.Split {
  fileprivate var problem: String? {
    if salt.isEmpty { return "the split's salt is empty: the same users would come first in every rollout" }
    if (allow + deny).contains("") { return "an empty user key is in the split's lists" }
    if userWindow.value < 0 || (userWindow.value > 0 && userWindow.value < TimerWheel.tickMilliseconds) {
      return "userWindow must be zero, or at least \(TimerWheel.tickMilliseconds) ms"
    }
    if let controllerLost, controllerLost.after.value < 1_000 || controllerLost.leastTargets < 1 {
      return "controllerLost: after must be at least 1 s, and leastTargets at least 1"
    }
    return user.problem ?? override.flatMap(\.problem)
  }
}

extension UserKey {
  fileprivate var problem: String? {
    switch source {
    case .cookie(let name): if !name.isToken { return name.isNo("cookie name (RFC 6265 section 4.1.1)") }
    case .header(let name): if !name.isToken { return name.isNo("header name (RFC 9110 section 5.1)") }
    case .jwtClaim(let claim, let cookie):
      if claim.isEmpty { return "the claim that names the user is empty" }
      if let cookie, !cookie.isToken { return cookie.isNo("cookie name (RFC 6265 section 4.1.1)") }
    case .query(let name):
      let isName = !name.isEmpty && name.utf8.allSatisfy { Octet.isTarget($0) && $0 != UInt8(ascii: "&") && $0 != UInt8(ascii: "=") }
      if !isName { return name.isNo("name of a query parameter") }
    case .clientAddress: break
    }
    return issued.problem
  }
}

extension UserKey.IssuedCookie {
  fileprivate var problem: String? {
    if !name.isToken { return name.isNo("cookie name (RFC 6265 section 4.1.1)") }
    if lifetime.value < 1_000 { return "the issued cookie's lifetime must be at least 1 s" }
    if sameSite == .none, !secure { return "the issued cookie has SameSite=None, which browsers take from secure cookies only" }
    let lower = name.lowercased()
    if !secure, lower.hasPrefix("__host-") || lower.hasPrefix("__secure-") {
      return "browsers take a cookie named \"\(name)\" only when secure"
    }
    return nil
  }
}

extension SplitOverride {
  /// Fields that this gateway or the target lives by: taking them off would change what the request is.
  private static let needed: Set = [
    "host", "connection", "content-length", "transfer-encoding", "upgrade", "expect", "cookie", "authorization", "content-type",
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
  ]

  fileprivate var problem: String? {
    if !header.isToken { return header.isNo("header name (RFC 9110 section 5.1)") }
    if Self.needed.contains(header.lowercased()) { return "\(header) cannot be the override's header: it is taken off requests" }
    if OverrideSecret(digest) == nil { return "the override's digest is no SHA-256: 64 hexadecimal digits" }
    return nil
  }
}

extension String {
  /// RFC 9110 section 5.6.2.
  fileprivate var isToken: Bool { !isEmpty && utf8.allSatisfy(Octet.isToken) }

  fileprivate func isNo(_ what: String) -> String { "\"\(self)\" is no \(what)" }
}
