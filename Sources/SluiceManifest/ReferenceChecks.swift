import SluiceModel

/// Whether what documents name exists.
struct ReferenceChecks {
  private let declarations: Declarations
  private let report: Report

  init(_ declarations: Declarations, _ report: Report) {
    self.declarations = declarations
    self.report = report
  }

  /// Adds what it finds to the report.
  func run() {
    // In a document that could not be read may be what a name means: a second report of the same mistake helps nobody.
    guard !report.isIncomplete else { return }
    for gateway in declarations.gateways {
      checkFleet(gateway.value.fleet, in: gateway.document)
      checkHosts(gateway)
    }
    for service in declarations.services {
      checkFleet(service.value.policy.fleet, in: service.document)
      checkRoute(service)
      checkOrder(service)
      checkFormerName(service)
    }
  }

  /// What a service was called before is no service any more.
  private func checkFormerName(_ service: Declared<ServiceManifest>) {
    let policy = service.value.policy
    guard let former = policy.formerly else { return }
    let place = service.document.place("metadata.formerly")
    if former == policy.name {
      report.error(
        .conflictingKeys, "`formerly` is the service's own name", at: place, suggestion: "remove it, or write the name that it had before")
    } else if let other = declarations.services.first(where: { $0.value.policy.fleet == policy.fleet && $0.value.policy.name == former }) {
      report.error(
        .conflictingKeys, "`\(policy.name)` was called `\(former)` before, and a service `\(former)` is declared too", at: place,
        suggestion: "it is in \(report.describe(other.document.place("metadata.name"), from: place)); remove one of them")
    } else if let other = declarations.services.first(where: {
      $0.value.policy.fleet == policy.fleet && $0.value.policy.formerly == former && $0.value.policy.name < policy.name
    }) {
      report.error(
        .conflictingKeys, "`\(other.value.policy.name)` and `\(policy.name)` were both called `\(former)` before", at: place,
        suggestion: "one of them can go on in its place; remove `formerly` from the other")
    }
  }

  /// What comes first exists, in the same fleet, and does not itself come after this.
  private func checkOrder(_ service: Declared<ServiceManifest>) {
    let policy = service.value.policy
    let others = declarations.services.map(\.value.policy).filter { $0.fleet == policy.fleet && $0.name != policy.name }
    for (index, name) in (policy.after ?? []).enumerated() {
      let place = service.document.place("spec.after[\(index)]")
      guard others.contains(where: { $0.name == name }) else {
        report.error(
          .unknownReference,
          name == policy.name ? "`\(name)` cannot come after itself" : "there is no other service `\(name)` in this fleet",
          at: place, suggestion: NearestName.hint(name.rawValue, in: others.map(\.name.rawValue), what: "services among these files"))
        continue
      }
      if let way = circle(from: name, to: policy.name, others) {
        report.error(
          .conflictingKeys, "`\(policy.name)` comes after itself: \(([policy.name] + way).map(\.rawValue).joined(separator: " after "))",
          at: place, suggestion: "remove one of these")
      }
    }
  }

  /// The way by `after` from one service to another; nil where there is none.
  private func circle(from start: ServiceName, to end: ServiceName, _ policies: [ServicePolicy]) -> [ServiceName]? {
    var ways = [[start]]
    var seen = [start]
    while !ways.isEmpty {
      let way = ways.removeFirst()
      for next in policies.first(where: { $0.name == way.last })?.after ?? [] {
        if next == end { return way + [end] }
        guard !seen.contains(next) else { continue }
        seen.append(next)
        ways.append(way + [next])
      }
    }
    return nil
  }

  private func checkFleet(_ name: FleetName, in document: Document) {
    guard !name.rawValue.isEmpty, !declarations.fleets.contains(where: { $0.value.name == name }) else { return }
    let place = document.place("spec.fleet")
    guard !declarations.fleets.isEmpty else {
      report.error(
        .noFleet, "`fleet: \(name)` names nothing: there is no Fleet among these files", at: place,
        suggestion: "name the file with `kind: Fleet` too")
      return
    }
    let names = declarations.fleets.map(\.value.name.rawValue)
    report.error(
      .unknownReference, "there is no fleet `\(name)`", at: place,
      suggestion: NearestName.hint(name.rawValue, in: names, what: "fleets among these files"))
  }

  private func checkHosts(_ gateway: Declared<Gateway>) {
    guard let fleet = declarations.fleets.first(where: { $0.value.name == gateway.value.fleet }) else { return }
    let names = fleet.value.hosts.map(\.name.rawValue)
    for (index, host) in gateway.value.hosts.enumerated() where fleet.value.host(host) == nil {
      report.error(
        .unknownReference, "there is no host `\(host)` in fleet `\(fleet.value.name)`", at: gateway.document.place("spec.hosts[\(index)]"),
        suggestion: NearestName.hint(host.rawValue, in: names, what: "hosts"))
    }
  }

  private func checkRoute(_ service: Declared<ServiceManifest>) {
    guard let route = service.value.policy.route, !route.gateway.rawValue.isEmpty else { return }
    let place = service.document.place("spec.route.gateway")
    let named = declarations.gateways.filter { $0.value.name == route.gateway }
    let fleet = service.value.policy.fleet
    if named.isEmpty {
      report.error(
        .unknownReference, "there is no gateway `\(route.gateway)`", at: place,
        suggestion: NearestName.hint(
          route.gateway.rawValue, in: declarations.gateways.map(\.value.name.rawValue), what: "gateways among these files"))
    } else if !fleet.rawValue.isEmpty, !named.contains(where: { $0.value.fleet == fleet }) {
      report.error(
        .wrongFleet, "gateway `\(route.gateway)` belongs to fleet `\(named[0].value.fleet)`, this service to `\(fleet)`", at: place,
        suggestion: "name a gateway of fleet `\(fleet)`")
    }
  }
}
