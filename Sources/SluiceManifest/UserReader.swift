import SluiceModel
import SluiceTraffic

extension Form where Output == UserKey {
  /// The `user` mapping of a route: one source, and what happens where it is missing.
  static var user: Form {
    object { reader in
      let jwtCookie = reader.optional("jwtCookie", .token("a cookie's name"))
      let sources: [UserKey.Source?] = [
        reader.optional("cookie", .token("a cookie's name")).map { .cookie($0) },
        reader.optional("header", .token("a header's name")).map { .header($0) },
        reader.optional("jwtClaim", .claim).map { .jwtClaim($0, cookie: jwtCookie) },
        reader.optional("query", .queryName).map { .query($0) },
        reader.optional("clientAddress", .choice([("true", UserKey.Source.clientAddress)])),
      ]
      let chosen = reader.exactlyOne(of: ["cookie", "header", "jwtClaim", "query", "clientAddress"])
      if jwtCookie != nil, chosen != "jwtClaim" {
        reader.cursor.error(
          .conflictingKeys, "`\(reader.cursor.shown)` has `jwtCookie` without `jwtClaim`",
          at: reader.cursor.document.place(reader.cursor.key("jwtCookie").path), suggestion: "remove it, or write `jwtClaim: sub`")
      }
      let source = sources.compactMap { $0 }.first ?? .clientAddress
      var name = UserKey.IssuedCookie.defaultName
      if case .cookie(let cookie) = source { name = cookie }
      let absent = reader.optional("absent", .oneOf(UserKey.Absent.self), default: source.defaultAbsent)
      let issued = reader.optional("issue", .issuedCookie(name), default: UserKey.IssuedCookie(name: name))
      let user = UserKey(source: source, absent: absent, issued: issued)
      if !reader.cursor.document.hasErrors { reader.cursor.report { () throws(RouteFault) in try RouteRules.user(user) } }
      return user
    }
  }
}

extension Form where Output == UserKey.IssuedCookie {
  /// The form of a cookie that gateways issue.
  fileprivate static func issuedCookie(_ name: String) -> Form {
    object { reader in
      let defaults = UserKey.IssuedCookie(name: name)
      let secure = reader.optional("secure", .flag, default: defaults.secure)
      let sameSite = reader.optional(
        "sameSite", .choice([("strict", .strict), ("lax", .lax), ("none", .none)]), default: defaults.sameSite)
      if sameSite == UserKey.SameSite.none, !secure {
        reader.cursor.error(
          .conflictingKeys, "`sameSite: none` without `secure: true`: browsers drop such a cookie",
          at: reader.cursor.document.place(reader.cursor.key("sameSite").path), suggestion: "write `secure: true`, or `sameSite: lax`")
      }
      return UserKey.IssuedCookie(
        name: reader.optional("cookie", .token("a cookie's name"), default: name),
        lifetime: reader.optional("lifetime", .positiveDuration, default: defaults.lifetime), secure: secure, sameSite: sameSite)
    }
  }
}

extension UserKey.Source {
  /// Where a cookie names the user it can be given; an address is always there; who has no other key stays where all are.
  fileprivate var defaultAbsent: UserKey.Absent {
    switch self {
    case .cookie: .issue
    case .header, .jwtClaim, .query, .clientAddress: .stable
    }
  }
}
