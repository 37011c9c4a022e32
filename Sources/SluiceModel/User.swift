/// Where a gateway finds who a request is from, so that a share of users, not of requests, can go to a new release (DESIGN section 3, `route.user`).
package struct UserKey: Hashable, Codable, Sendable {
  package var source: Source
  package var absent: Absent
  /// The cookie that is issued with `absent: issue`. A request that carries it is known by it, also where `source` is another one.
  package var issued: IssuedCookie

  /// A cookie of Sluice's own: what a canary goes by where the route does not say.
  package static let standard = UserKey(
    source: .cookie(IssuedCookie.defaultName), absent: .issue, issued: IssuedCookie(name: IssuedCookie.defaultName))

  package init(source: Source, absent: Absent, issued: IssuedCookie) {
    self.source = source
    self.absent = absent
    self.issued = issued
  }

  /// What identifies a user.
  package enum Source: Hashable, Codable, Sendable {
    /// The value of a cookie (RFC 6265 section 4.2).
    case cookie(String)
    /// The value of a request header; names are compared without regard to case.
    case header(String)
    /// A claim of a JSON Web Token (RFC 7519) in `Authorization: Bearer`, or in the named cookie. It only groups users and grants nothing, so
    /// its signature is not checked.
    case jwtClaim(String, cookie: String?)
    /// The value of a query parameter.
    case query(String)
    /// The client's address, as trusted proxies tell it.
    case clientAddress
  }

  /// What happens to a request in which the source is missing.
  package enum Absent: String, Hashable, Codable, Sendable, CaseIterable {
    /// It is given a random key, in a cookie.
    case issue
    /// It goes to the stable release.
    case stable
    /// The client's address is its key.
    case clientAddress
  }

  /// The form of a cookie that a gateway issues (RFC 6265 section 4.1).
  package struct IssuedCookie: Hashable, Codable, Sendable {
    package var name: String
    package var lifetime: Milliseconds
    package var secure: Bool
    package var sameSite: SameSite

    /// The name where the manifest gives none.
    package static let defaultName = "sluice_user"

    package init(name: String, lifetime: Milliseconds = Milliseconds(365 * 86_400_000), secure: Bool = false, sameSite: SameSite = .lax) {
      self.name = name
      self.lifetime = lifetime
      self.secure = secure
      self.sameSite = sameSite
    }
  }

  package enum SameSite: String, Hashable, Codable, Sendable, CaseIterable {
    case strict = "Strict"
    case lax = "Lax"
    case none = "None"
  }
}
