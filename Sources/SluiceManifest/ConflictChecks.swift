import SluiceModel
import SluiceTraffic

/// What two documents, or two parts of one, cannot both have.
struct ConflictChecks {
  private let declarations: Declarations
  private let report: Report

  init(_ declarations: Declarations, _ report: Report) {
    self.declarations = declarations
    self.report = report
  }

  /// Adds what it finds to the report.
  func run() {
    checkNames(declarations.fleets.map { ($0.document, "", $0.value.name.rawValue) }, kind: "fleet")
    checkNames(declarations.gateways.map { ($0.document, $0.value.fleet.rawValue, $0.value.name.rawValue) }, kind: "gateway")
    checkNames(declarations.services.map { ($0.document, $0.value.policy.fleet.rawValue, $0.value.policy.name.rawValue) }, kind: "service")
    for fleet in declarations.fleets { checkAddresses(fleet) }
    checkRoutes()
    for service in declarations.services { checkReserved(service) }
  }

  /// A service's directory on a host stands beside what Sluice keeps there for all of them.
  private func checkReserved(_ service: Declared<ServiceManifest>) {
    let name = service.value.policy.name.rawValue
    guard ["ports", "lock", "generation", "gateway"].contains(name) else { return }
    report.error(
      .invalidValue, "a service cannot be called `\(name)`: Sluice keeps a file of its own by that name on every host",
      at: service.document.place("metadata.name"), suggestion: "write `\(name)-service`, say")
  }

  private func checkNames(_ names: [(document: Document, fleet: String, name: String)], kind: String) {
    var seen: [[String]: Place] = [:]
    for (document, fleet, name) in names where !name.isEmpty {
      let place = document.place("metadata.name")
      if let first = seen[[fleet, name]] {
        report.error(
          .duplicateName, "two \(kind)s are called `\(name)`", at: place,
          suggestion: "the other is in \(report.describe(first, from: place)); give one of them another name")
      } else {
        seen[[fleet, name]] = place
      }
    }
  }

  private func checkAddresses(_ fleet: Declared<Fleet>) {
    var reached: [String: (host: HostName, place: Place)] = [:]
    var served: [String: HostName] = [:]
    for (rackIndex, rack) in fleet.value.racks.enumerated() {
      for (hostIndex, host) in rack.hosts.enumerated() where !host.address.isEmpty {
        let path = "spec.racks[\(rackIndex)].hosts[\(hostIndex)]"
        let key = "\(host.address.lowercased()) \(host.ssh.port ?? 22)"
        if let other = reached[key] {
          let place = fleet.document.place("\(path).address")
          report.error(
            .duplicateAddress, "hosts `\(other.host)` and `\(host.name)` have the same address and port", at: place,
            suggestion: "the other is in \(report.describe(other.place, from: place)); one machine is one host")
          continue
        }
        reached[key] = (host.name, fleet.document.place("\(path).address"))
        guard host.slots > 0 else { continue }
        if let other = served[host.serviceAddress.lowercased()] {
          report.warning(
            .sharedServiceAddress, "hosts `\(other)` and `\(host.name)` share the service address `\(host.serviceAddress)`",
            at: fleet.document.place(fleet.document.has("\(path).serviceAddress") ? "\(path).serviceAddress" : "\(path).address"),
            suggestion: "each host gives out its ports by itself; instances of both would meet on one port")
        } else {
          served[host.serviceAddress.lowercased()] = host.name
        }
      }
    }
  }

  /// Two services for the same requests at a gateway: only one of them could have them. A preview's hosts are routes as well.
  private func checkRoutes() {
    var taken: [Claim: (service: ServiceName, place: Place)] = [:]
    for service in declarations.services {
      guard let route = service.value.policy.route, !route.gateway.rawValue.isEmpty else { continue }
      for (host, path) in hosts(of: service.value.policy, route) {
        let key = RouteKey(host: host, path: route.path)
        let place = service.document.place(path)
        let requests = "`\(host.isEmpty ? "any host" : host)` and path `\(key.path.isEmpty ? "/" : key.path)` at gateway `\(route.gateway)`"
        let claim = Claim(fleet: service.value.policy.fleet, gateway: route.gateway, route: key)
        if let other = taken[claim] {
          let isService = other.service == service.value.policy.name && other.place.source == place.source
          // A preview that has the route's own host is told where the preview is checked.
          if isService, path.hasPrefix("spec.strategy") { continue }
          let isOwn = isService && other.place.line == place.line
          report.error(
            .duplicateRoute, isOwn ? "`route.hosts` names `\(host)` twice" : "service `\(other.service)` already takes \(requests)",
            at: place, suggestion: "the other is in \(report.describe(other.place, from: place)); give one of them another host or path")
        } else {
          taken[claim] = (service.value.policy.name, place)
        }
      }
    }
  }

  private struct Claim: Hashable {
    var fleet: FleetName
    var gateway: GatewayName
    var route: RouteKey
  }

  /// With the place of each.
  private func hosts(of policy: ServicePolicy, _ route: Route) -> [(host: String, path: String)] {
    var hosts = route.hosts.isEmpty ? [("", "spec.route.path")] : route.hosts.enumerated().map { ($1, "spec.route.hosts[\($0)]") }
    if case .blueGreen(let blueGreen) = policy.strategy {
      hosts += blueGreen.preview.enumerated().map { ($1, "spec.strategy.blueGreen.preview.hosts[\($0)]") }
    }
    return hosts
  }
}
