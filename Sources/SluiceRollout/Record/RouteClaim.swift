package import SluiceModel
package import SluiceTraffic

/// Which requests of gateways a service has, or wants: each (host, path) belongs to one service (DESIGN section 6, "Whose route").
package struct RouteClaim: Hashable, Sendable {
  package let service: ServiceName
  /// Each once.
  package let routes: [GatewayRoute]

  init(service: ServiceName, routes: [GatewayRoute]) {
    self.service = service
    self.routes = routes
  }

  /// What a policy asks for; nil: it has no route.
  package init?(_ policy: ServicePolicy) {
    guard let route = policy.route else { return nil }
    let preview = if case .blueGreen(let blueGreen) = policy.strategy { blueGreen.preview } else { [String]() }
    self.init(policy.name, route, preview: preview)
  }

  /// All that a route takes; `preview`: host names beside its own.
  package init(_ service: ServiceName, _ route: Route, preview: [String] = []) {
    self.init(service: service, routes: route.keys(preview: preview).map { GatewayRoute(gateway: route.gateway, key: $0) })
  }

  /// The first that both claim; nil: neither takes anything from the other.
  package func conflict(with other: RouteClaim) -> GatewayRoute? { routes.first(where: other.routes.contains) }

  /// Whether any of it comes to that route.
  package func meets(_ route: Route) -> Bool {
    let keys = route.keys()
    return routes.contains { $0.gateway == route.gateway && keys.contains($0.key) }
  }
}

/// A host and path at one gateway.
package struct GatewayRoute: Hashable, Sendable, CustomStringConvertible {
  package let gateway: GatewayName
  package let key: RouteKey

  package init(gateway: GatewayName, key: RouteKey) {
    self.gateway = gateway
    self.key = key
  }

  package var description: String { "\(key) at gateway \(gateway)" }
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

extension Rollout {
  /// Whether it ends the service for good.
  package var isRemoval: Bool { cause == Absorber.removing }
}

extension ServiceRecord {
  /// Whether gateways are to forget it, whatever its policy says: others may have its route, or it is removed and nothing of it is left.
  package var isRouteAway: Bool {
    if removal != nil || routeGivenUp == true { return true }
    // A first release that has failed leaves nothing behind: its route is nobody's. What is lost has no users but those it still answers.
    guard case .some(let rollout) = rollout else {
      let answers = gateways.contains { $0.targets.contains { $0.inFlight > 0 } }
      return ended != nil && stable == nil && instances.allSatisfy(\.isLost) && !answers
        && (!table.isEmpty || gateways.contains { $0.revision != nil })
    }
    return rollout.isRemoval && rollout.direction.isForward && rollout.stage == .closing
  }

  /// The requests that are its own, those included that a rollout under way may have to come back to; nil: none.
  package var claim: RouteClaim? {
    guard removal == nil, routeGivenUp != true, stable != nil || isRolling else { return nil }
    let own = RouteClaim(policy)?.routes ?? []
    let former = formerPolicyToReturnTo.flatMap { RouteClaim($0) }?.routes ?? []
    let routes = own + former.filter { !own.contains($0) }
    return routes.isEmpty ? nil : RouteClaim(service: service, routes: routes)
  }

  /// Whether `claim` is the same, as far as can be told without making it.
  package func claimsTheSame(as other: ServiceRecord) -> Bool {
    removal == other.removal && routeGivenUp == other.routeGivenUp && (stable == nil) == (other.stable == nil)
      && isRolling == other.isRolling && hasPolicy(of: other)
      && formerPolicyToReturnTo?.route == other.formerPolicyToReturnTo?.route
  }

  private var formerPolicyToReturnTo: ServicePolicy? {
    guard case .some(let rollout) = rollout, rollout.direction.isForward else { return nil }
    return rollout.formerPolicy
  }
}

extension [ServiceName: RouteClaim] {
  /// Refuses what another service has; `own` is what the service has already.
  package func requireRoute(of policy: ServicePolicy, own: RouteClaim?) throws(Refusal) {
    guard let wanted = RouteClaim(policy), let owner = owner(of: wanted), owner.service != policy.formerly else { return }
    if let own, wanted.routes.allSatisfy(own.routes.contains) { return }
    throw Refusal(
      "\(owner.route) belongs to service \(owner.service)",
      remedy:
        "where \(owner.service) is to give it up, apply its manifest alone, and this one once that has ended: nobody answers there in between; if \(policy.name) is \(owner.service) under another name: metadata: { name: \(policy.name), formerly: \(owner.service) }; "
        + "sluice remove \(owner.service) ends that one; or give one of them another host or path")
  }

  /// Who has any of these requests, and which; nil: nobody else. Of several the first by name.
  private func owner(of claim: RouteClaim) -> (service: ServiceName, route: GatewayRoute)? {
    var owner: (service: ServiceName, route: GatewayRoute)?
    // In no order, and the answer depends on none.
    for (service, other) in self where service != claim.service {
      guard owner.map({ service < $0.service }) ?? true, let route = claim.conflict(with: other) else { continue }
      owner = (service, route)
    }
    return owner
  }
}
