package import SluiceModel

/// Which service of one gateway has which (host, path): one each, whatever tables ask for (DESIGN section 6, "Whose route").
///
/// A table that asks for what another has is refused, unless it says that it may take it from there: then it goes over once the new service
/// serves, all at one moment. What a service has lost stays lost while the other asks for it, so that the old service's later tables, which
/// only drain, are taken as they are.
package struct RouteLedger: Hashable, Sendable {
  /// What one service asks for.
  package struct Claim: Hashable, Sendable {
    /// Each once, sorted.
    package var routes: [RouteKey]
    /// Whose routes it may take.
    package var takesFrom: ServiceName?
    /// Its table has targets that are to serve, well or not.
    package var stands: Bool
    /// Some target of its serving pools can take requests.
    package var serves: Bool

    package init(routes: [RouteKey], takesFrom: ServiceName? = nil, stands: Bool = true, serves: Bool = false) {
      self.routes = routes
      self.takesFrom = takesFrom
      self.stands = stands
      self.serves = serves
    }
  }

  /// Why a claim cannot be.
  package struct Conflict: Error, Hashable, Sendable {
    package var route: RouteKey
    package var owner: ServiceName

    package init(route: RouteKey, owner: ServiceName) {
      self.route = route
      self.owner = owner
    }
  }

  private var claims: [ServiceName: Claim] = [:]
  private var owners: [RouteKey: ServiceName] = [:]
  /// Routes that a service waits for, by that service. What it may take is said once: repeating a table never takes back what was lost since.
  private var awaited: [ServiceName: Set<RouteKey>] = [:]

  package init() {}

  /// Who has a route.
  package func owner(of route: RouteKey) -> ServiceName? { owners[route] }

  /// What a service asks for and has not, sorted.
  package func lost(by service: ServiceName) -> [LostRoute] {
    (claims[service]?.routes ?? []).compactMap { route in
      guard let owner = owners[route], owner != service else { return nil }
      return LostRoute(route: route, owner: owner, awaited: awaited[service]?.contains(route) ?? false)
    }
  }

  /// A service asks for routes; nothing changes when it is refused. What another has is refused with the first such route, except what this
  /// service has lost before, and what it may take.
  package mutating func claim(_ service: ServiceName, _ claim: Claim) throws(Conflict) {
    let before = claims[service]
    let takes = claim.takesFrom == before?.takesFrom ? nil : claim.takesFrom
    var waits: Set<RouteKey> = []
    for route in claim.routes {
      guard let owner = owners[route], owner != service else { continue }
      let isKnown = before?.routes.contains(route) ?? false
      let waited = awaited[service]?.contains(route) ?? false
      if owner == claim.takesFrom, waited || takes != nil || !isKnown { waits.insert(route) }
      if !isKnown, !waits.contains(route) { throw Conflict(route: route, owner: owner) }
    }
    claims[service] = claim
    awaited[service] = waits
    for route in claim.routes where owners[route] == nil { owners[route] = service }
    if let before { giveUp(before.routes.filter { !claim.routes.contains($0) }, of: service) }
    settle()
  }

  /// A service's route is taken away.
  package mutating func remove(_ service: ServiceName) {
    guard let claim = claims.removeValue(forKey: service) else { return }
    awaited[service] = nil
    giveUp(claim.routes, of: service)
    settle()
  }

  /// Whether a service serves has changed, or not. Says whether any route went over.
  package mutating func note(_ service: ServiceName, serves: Bool) -> Bool {
    guard let claim = claims[service], claim.serves != serves else { return false }
    claims[service]?.serves = serves
    let before = owners
    settle()
    return owners != before
  }

  /// What a service has goes to the first that asks for it: who waits for it before the others, then by name.
  private mutating func giveUp(_ routes: [RouteKey], of service: ServiceName) {
    for route in routes where owners[route] == service {
      let others = claims.keys.sorted().filter { claims[$0]?.routes.contains(route) ?? false }
      owners[route] = others.first { awaited[$0]?.contains(route) ?? false } ?? others.first
    }
  }

  /// Carries out what is waited for and can be: a route goes over when its new service serves, or nothing stands behind its old one. An old one
  /// whose targets only fail keeps it meanwhile: they may come back before the new one is well. One behind which nothing stands any more, since
  /// it goes back, gives it to the one it took it from, if that still stands.
  private mutating func settle() {
    for service in claims.keys.sorted() {
      guard let claim = claims[service], !claim.stands, let former = claim.takesFrom, let standing = claims[former], standing.stands else {
        continue
      }
      for route in claim.routes where owners[route] == service && standing.routes.contains(route) {
        owners[route] = former
        awaited[service, default: []].insert(route)
      }
    }
    for service in awaited.keys.sorted() {
      for route in (awaited[service] ?? []).sorted() {
        guard let owner = owners[route], owner != service else {
          awaited[service]?.remove(route)
          continue
        }
        guard claims[service]?.serves == true || claims[owner]?.stands != true else { continue }
        owners[route] = service
        awaited[service]?.remove(route)
      }
      if awaited[service]?.isEmpty == true { awaited[service] = nil }
    }
  }

  // MARK: Restart

  /// What one service's state says after a restart.
  package struct Stored: Hashable, Sendable {
    package var claim: Claim
    package var lost: [LostRoute]

    package init(claim: Claim, lost: [LostRoute]) {
      self.claim = claim
      self.lost = lost
    }
  }

  /// What stood before a restart. State of before there were owners may hold a route twice: it goes to who may take it from the other, then to
  /// the first by name, as gateways did then. Gives those conflicts, for people: what the others do not have.
  package static func restore(_ stored: [ServiceName: Stored]) -> (
    ledger: RouteLedger, conflicts: [(service: ServiceName, lost: LostRoute)]
  ) {
    var ledger = RouteLedger()
    ledger.claims = stored.mapValues(\.claim)
    var conflicts: [(ServiceName, LostRoute)] = []
    let names = stored.keys.sorted()
    for route in Set(names.flatMap { stored[$0]?.claim.routes ?? [] }).sorted() {
      let asking = names.filter { stored[$0]?.claim.routes.contains(route) ?? false }
      func isLost(_ name: ServiceName) -> Bool {
        stored[name]?.lost.contains { $0.route == route && asking.contains($0.owner) } ?? false
      }
      var holding = asking.filter { !isLost($0) }
      if holding.isEmpty { holding = asking }
      let taker = holding.first { name in
        stored[name]?.claim.takesFrom.map { $0 != name && holding.contains($0) } ?? false
      }
      let owner = taker ?? holding.first
      ledger.owners[route] = owner
      for name in asking where name != owner {
        let known = stored[name]?.lost.first { $0.route == route }
        if known?.awaited == true, known?.owner == owner { ledger.awaited[name, default: []].insert(route) }
        if let owner, known == nil, taker == nil { conflicts.append((name, LostRoute(route: route, owner: owner))) }
      }
    }
    ledger.settle()
    return (ledger, conflicts)
  }
}
