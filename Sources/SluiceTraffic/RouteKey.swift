package import SluiceModel

/// A host and a path as one service of a gateway can hold them, in the one form in which two spellings of the same are equal: letters of the host
/// in lower case, no port, no dot at its end, IPv6 as RFC 5952 writes it; the path without slashes at its end.
package struct RouteKey: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  /// Empty: every host that no other route names.
  package let host: String
  /// Empty: every path.
  package let path: String

  /// Takes any spelling, also one that no route may have.
  package init(host: String, path: String) {
    self.host = RouteKey.host(host)
    var octets = Array(path.utf8)
    while octets.last == 47 { octets.removeLast() }
    self.path = String(decoding: octets, as: UTF8.self)
  }

  /// A host in the one form.
  package static func host(_ text: String) -> String {
    if let address = IPv6Address(text) { return address.description }
    var octets = text.utf8.map { (65...90).contains($0) ? $0 | 0x20 : $0 }
    if octets.first == 91, let end = octets.firstIndex(of: 93) {
      let inside = String(decoding: octets[1..<end], as: UTF8.self)
      return IPv6Address(inside)?.description ?? inside
    }
    if let colon = octets.lastIndex(of: 58), octets[(colon + 1)...].allSatisfy({ (48...57).contains($0) }) {
      octets.removeSubrange(colon...)
    }
    if octets.last == 46 { octets.removeLast() }
    return String(decoding: octets, as: UTF8.self)
  }

  package static func < (left: Self, right: Self) -> Bool { (left.host, left.path) < (right.host, right.path) }

  /// `shop.example.com/api`, `any host, any path`.
  package var description: String { "\(host.isEmpty ? "any host" : host)\(path.isEmpty ? (host.isEmpty ? ", any path" : "/") : path)" }
}

extension Route {
  /// What the route asks for at its gateway; `preview`: host names beside its own.
  package func keys(preview: [String] = []) -> [RouteKey] { RouteKey.keys(hosts: hosts, path: path, preview: preview) }
}

extension RouteKey {
  /// All that a route with these hosts and this path asks for, each once, sorted.
  package static func keys(hosts: [String], path: String, preview: [String]) -> [RouteKey] {
    let own = hosts.isEmpty ? [RouteKey(host: "", path: path)] : hosts.map { RouteKey(host: $0, path: path) }
    return Set(own + preview.map { RouteKey(host: $0, path: path) }).sorted()
  }
}

/// A host and path that a service asks for and another has.
package struct LostRoute: Hashable, Comparable, Codable, Sendable {
  package var route: RouteKey
  /// Who has it.
  package var owner: ServiceName
  /// It goes over as soon as this service serves, or nothing stands behind the owner: the table says that it may be taken (`takesFrom`).
  package var awaited: Bool

  package init(route: RouteKey, owner: ServiceName, awaited: Bool = false) {
    self.route = route
    self.owner = owner
    self.awaited = awaited
  }

  package static func < (left: Self, right: Self) -> Bool { (left.route, left.owner) < (right.route, right.owner) }
}
