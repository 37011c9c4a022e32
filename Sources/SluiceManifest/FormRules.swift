import SluiceModel
import SluiceTraffic

/// Forms of values that gateways are told: what they may be, the checker says that gateways go by (`RouteRules`).
extension Form where Output == String {
  /// The name of a cookie or header.
  static func token(_ expected: String) -> Form { rule(expected) { (text) throws(RouteFault) in try RouteRules.token(text, expected) } }

  /// The name of a claim of a JSON Web Token.
  static var claim: Form { rule("a claim's name") { (text) throws(RouteFault) in try RouteRules.claim(text) } }

  /// The name of a query parameter.
  static var queryName: Form { rule("a query parameter's name") { (text) throws(RouteFault) in try RouteRules.query(text) } }

  /// A user's key.
  static var userKey: Form { rule("a user's key") { (text) throws(RouteFault) in try RouteRules.userKey(text) } }

  /// The field by which testers choose.
  static var overrideHeader: Form { rule("a header's name") { (text) throws(RouteFault) in try RouteRules.overrideHeader(text) } }

  /// The target of a readiness check.
  static var probePath: Form { rule("a path that begins with `/`") { (text) throws(RouteFault) in try RouteRules.probePath(text) } }

  /// The host of a readiness check.
  static var probeHost: Form { rule("a host") { (text) throws(RouteFault) in try RouteRules.probeHost(text) } }

  /// A field's name, and its value, of a readiness check.
  static var probeHeader: Form { rule("a header's name") { (text) throws(RouteFault) in try RouteRules.probeHeader(text) } }
  static var probeValue: Form { rule("a header's value") { (text) throws(RouteFault) in try RouteRules.probeValue(text) } }

  /// A URL path that routes match.
  static var routePath: Form { rule("a path that begins with `/`") { (text) throws(RouteFault) in try RouteRules.path(text) } }

  private static func rule(_ expected: String, _ rule: @escaping (String) throws(RouteFault) -> String) -> Form {
    scalar(expected) { (text) throws(Mistake) in try Mistake.from { () throws(RouteFault) in try rule(text) } }
  }
}

extension Form where Output == Milliseconds {
  /// What counts once in a canary's exposures.
  static var userWindow: Form {
    Form { value, cursor in
      guard let span = duration().read(value, cursor) else { return nil }
      do throws(RouteFault) { try RouteRules.userWindow(span) } catch {
        cursor.error(.outOfRange, "`\(cursor.shown)`: `\(span)` is out of range", at: value.place, suggestion: error.suggestion)
        return nil
      }
      return span
    }
  }
}

extension Mistake {
  /// What the shared checker refuses, as a mistake of the value that is read.
  static func from<Value>(_ check: () throws(RouteFault) -> Value) throws(Mistake) -> Value {
    do { return try check() } catch { throw Mistake(problem: error.problem, suggestion: error.suggestion) }
  }
}

extension Cursor {
  /// What the shared checker refuses of several keys together, at the key that it names below this one.
  func report(_ check: () throws(RouteFault) -> Void) {
    do { try check() } catch {
      var cursor = self
      for key in error.key.split(separator: ".") where document.has(cursor.key(String(key)).path) { cursor = cursor.key(String(key)) }
      self.error(
        .conflictingKeys, "`\(cursor.shown)`: `\(error.value.prefix(80))` \(error.problem)", at: document.place(cursor.path),
        suggestion: error.suggestion)
    }
  }
}
