package import SluiceModel

/// Which requests of a gateway a service has, or wants: each (host, path) belongs to one service (DESIGN section 6, "Whose route").
package struct RouteClaim: Hashable, Sendable {
  package let service: ServiceName
  package let gateway: GatewayName
  /// In lower case, without a dot at the end; empty: those that name no host of another claim.
  package let hosts: [String]
  /// Without a slash at its end, but for `/` itself.
  package let path: String

  package init(service: ServiceName, gateway: GatewayName, hosts: [String], path: String) {
    self.service = service
    self.gateway = gateway
    self.hosts = hosts.map { host in
      let name = host.lowercased()
      return name.hasSuffix(".") ? String(name.dropLast()) : name
    }
    var path = path[...]
    while path.count > 1, path.last == "/" { path = path.dropLast() }
    self.path = String(path)
  }

  /// What a policy asks for; nil: it has no route.
  package init?(_ policy: ServicePolicy) {
    guard let route = policy.route else { return nil }
    var hosts = route.hosts
    if case .blueGreen(let blueGreen) = policy.strategy, !hosts.isEmpty { hosts += blueGreen.preview }
    self.init(service: policy.name, gateway: route.gateway, hosts: hosts, path: route.path)
  }

  /// The first host that both claim with the same path: `""` for any host; nil: neither takes anything from the other.
  package func conflict(with other: RouteClaim) -> String? {
    guard gateway == other.gateway, path == other.path else { return nil }
    if hosts.isEmpty && other.hosts.isEmpty { return "" }
    return hosts.first { other.hosts.contains($0) }
  }

  /// `shop.example.com/api at gateway edge`.
  func text(host: String) -> String { "\(host.isEmpty ? "any host" : host)\(path == "/" ? "" : path) at gateway \(gateway)" }
}

/// That a service was ended for good.
package struct Removal: Hashable, Codable, Sendable {
  package var by: String
  package var at: WallTime
  /// The name under which it goes on; nil: it does not.
  package var successor: ServiceName?
}

/// How far a service has come that takes over the route of the one it was called before.
package enum Takeover: String, Hashable, Codable, Sendable {
  /// Its instances come up; users are with the other.
  case waiting
  /// Users are sent to it.
  case done
}

extension ServiceRecord {
  /// Whether gateways are to forget it, whatever its policy says: others may have its route, or it is removed and nothing of it is left.
  package var isRouteAway: Bool {
    if removal != nil || routeGivenUp == true { return true }
    guard case .some(let rollout) = rollout else { return false }
    return rollout.cause == Absorber.removing && rollout.direction.isForward && rollout.stage == .closing
  }

  /// The requests that are its own; nil: none.
  package var claim: RouteClaim? {
    guard removal == nil, routeGivenUp != true, stable != nil || isRolling else { return nil }
    return RouteClaim(policy)
  }
}

extension FleetView {
  /// Who has any of these requests, and for which host; nil: nobody else. Of several the first by name.
  func owner(of claim: RouteClaim) -> (service: ServiceName, host: String)? {
    var owner: (service: ServiceName, host: String)?
    // In no order, and the answer depends on none.
    for (service, other) in claims where service != claim.service {
      guard owner.map({ service < $0.service }) ?? true, let host = claim.conflict(with: other) else { continue }
      owner = (service, host)
    }
    return owner
  }
}
