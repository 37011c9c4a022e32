import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic

/// A table's split, made ready for requests. Never changed; each event loop has one of its own, so that no reference count is shared between
/// loops on the request path.
final class SplitPlan: Sendable {
  /// Where a user key is found, names as octets; those of fields in lower case.
  enum Source: Sendable {
    case cookie([UInt8])
    case field([UInt8])
    case claim([UInt8], cookie: [UInt8]?)
    case query([UInt8])
    case clientAddress
  }

  /// The field by which testers choose.
  struct Override: Sendable {
    /// In lower case.
    var field: [UInt8]
    var secret: OverrideSecret
  }

  let generation: Revision
  let rule: SplitRule
  let source: Source
  let absent: UserKey.Absent
  /// The field that names the user, in lower case; nil: none does.
  let namedField: [UInt8]?
  /// Whether a request's Cookie fields tell anything, and whether Authorization does.
  let readsCookies: Bool
  let readsAuthorization: Bool
  let override: Override?
  /// Of the window in which a user counts once; zero: each request counts.
  let windowTicks: Int
  /// The name of the cookie that is issued.
  let issuedName: [UInt8]
  private let setCookie: [UInt8]
  private let attributes: [UInt8]

  init(_ split: RouteTable.Split) {
    generation = split.generation
    rule = SplitRule(share: split.share, salt: split.salt, allow: split.allow, deny: split.deny)
    source = Source(split.user.source)
    absent = split.user.absent
    var (named, cookies, authorization) = (nil as [UInt8]?, absent == .issue, false)
    switch source {
    case .field(let name): named = name
    case .cookie, .claim(_, .some): cookies = true
    case .claim(_, nil): authorization = true
    case .query, .clientAddress: break
    }
    (namedField, readsCookies, readsAuthorization) = (named, cookies, authorization)
    override = split.override.flatMap { override in
      OverrideSecret(override).map { Override(field: Array(override.header.lowercased().utf8), secret: $0) }
    }
    windowTicks = Int(split.userWindow.value / TimerWheel.tickMilliseconds)
    let issued = split.user.issued
    issuedName = Array(issued.name.utf8)
    setCookie = Array("Set-Cookie: \(issued.name)=".utf8)
    let lasting = "; Path=/; Max-Age=\(issued.lifetime.value / 1_000); HttpOnly; SameSite=\(issued.sameSite.rawValue)"
    attributes = Array("\(lasting)\(issued.secure ? "; Secure" : "")\r\n".utf8)
  }

  /// Whether anything but the request's line and its client's address counts.
  var readsFields: Bool { namedField != nil || readsCookies || readsAuthorization || override != nil }

  /// The line that gives a client its key (RFC 6265 section 4.1.1).
  func cookieLine(_ key: [UInt8]) -> [UInt8] { setCookie + key + attributes }
}

extension SplitPlan.Source {
  init(_ source: UserKey.Source) {
    switch source {
    case .cookie(let name): self = .cookie(Array(name.utf8))
    case .header(let name): self = .field(Array(name.lowercased().utf8))
    case .jwtClaim(let name, let cookie): self = .claim(Array(name.utf8), cookie: cookie.map { Array($0.utf8) })
    case .query(let name): self = .query(Array(name.utf8))
    case .clientAddress: self = .clientAddress
    }
  }
}
