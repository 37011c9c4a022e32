import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic

/// Whose route: what each service asks for goes through one ledger.
extension ControlPlane {
  /// Who has which route once this is decided about a service; throws the refusal that names the owner.
  func owners(after service: ServiceControl) throws(AdminError) -> RouteLedger {
    var next = ledger
    guard let claim = service.claim else {
      next.remove(service.service)
      return next
    }
    do {
      try next.claim(service.service, claim)
    } catch {
      throw AdminError(error, service: service.service)
    }
    return next
  }

  /// Brings services in line with a ledger: those that have other routes now are among `changed` afterwards.
  func follow(_ next: RouteLedger, _ changed: inout [ServiceName: ServiceControl]) {
    for name in Set(services.keys).union(changed.keys).sorted() {
      guard var service = changed[name] ?? services[name] else { continue }
      guard service.lose(next.lost(by: name)) || changed[name] != nil else { continue }
      if let from = service.table?.takesFrom, let before = changed[from] ?? services[from],
        service.claim?.routes.contains(where: { ledger.owner(of: $0) == from && next.owner(of: $0) == name }) ?? false
      {
        service.inherit(before.hotSwitch)
      }
      changed[name] = service
    }
  }

  /// The ledger counts from now on; `others` have lost or gained by what another service was ordered. Gives them.
  func took(_ next: RouteLedger, _ others: [ServiceName]) -> [ServiceName] {
    ledger = next
    for name in services.keys.sorted() where services[name]!.lost.isEmpty { degraded[Self.disputed(name)] = nil }
    for name in others {
      save(name)
      noteChange(name)
    }
    return others
  }

  /// A service's targets have become well, or not: routes that it may take go over now. Gives the other services that this concerns.
  func healthChanged(_ name: ServiceName) -> [ServiceName] {
    var next = ledger
    guard next.note(name, serves: services[name]!.eligibility.canServe) else {
      ledger = next
      return []
    }
    var changed: [ServiceName: ServiceControl] = [:]
    follow(next, &changed)
    services.merge(changed) { $1 }
    for name in changed.keys.sorted() { log("\(name): routes have gone over\(words(changed[name]!.lost))") }
    _ = took(next, changed.keys.sorted())
    return changed.keys.filter { $0 != name }.sorted()
  }

  private func words(_ lost: [LostRoute]) -> String {
    lost.isEmpty ? "; it has all that it asks for" : lost.map { "; \($0.route) is \($0.owner)'s" }.joined()
  }

  /// Gives routes to their owners after a restart. State of before routes had owners may hold one twice: that is said until it is mended.
  func restoreRoutes() {
    var stored: [ServiceName: RouteLedger.Stored] = [:]
    for (name, service) in services {
      if let claim = service.claim { stored[name] = RouteLedger.Stored(claim: claim, lost: service.lost) }
      noteFence(service)
    }
    let (restored, conflicts) = RouteLedger.restore(stored)
    ledger = restored
    for name in names { _ = services[name]!.lose(restored.lost(by: name)) }
    for (name, group) in Dictionary(grouping: conflicts, by: \.service).sorted(by: { $0.key < $1.key }) {
      let routes = group.map { "\($0.lost.route) (\($0.lost.owner) has it)" }.joined(separator: ", ")
      degrade(
        Self.disputed(name),
        "\(name) asks for what another service has, and gets no request for it: \(routes). Give one of them another host or path, or end one"
      )
    }
  }

  private static func disputed(_ service: ServiceName) -> String { "routes of \(service)" }

  /// A gateway of before fences had bounds may hold one that nobody can exceed.
  private func noteFence(_ service: ServiceControl) {
    guard !service.standing.fence.isBounded else { return }
    degrade(
      Self.locked(service.service),
      "the fence of \(service.service) is \(service.standing.fence), which no controller can exceed: sluice adopt --reset-fence gives it back"
    )
  }

  static func locked(_ service: ServiceName) -> String { "fence of \(service)" }
}

extension AdminError {
  /// Another service has it.
  init(_ conflict: RouteLedger.Conflict, service: ServiceName) {
    self.init(
      reason: .routeTaken, error: "\(conflict.route) belongs to service \(conflict.owner) at this gateway, so \(service) cannot have it",
      remedy:
        "give one of them another host or path, or end \(conflict.owner) first; a service that was renamed says so: metadata.formerly",
      taken: LostRoute(route: conflict.route, owner: conflict.owner))
  }
}
