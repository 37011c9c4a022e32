import NIOCore
package import SluiceGatewayAPI
package import SluiceModel
import SluiceTraffic

extension RouteTable {
  /// What keeps this table from being taken; nil: nothing. What a value of a route may be, the checker that manifests go by says too
  /// (`RouteRules`); so no manifest that is valid ends in a table that is refused.
  package func problem(for service: ServiceName) -> String? {
    cannotBeServed(for: service) ?? ruleProblem ?? splitProblem ?? previewProblem
  }

  /// What no gateway could act by: numbers out of bounds, and targets that are none. A table that stood before a restart is held to this alone:
  /// what was taken under the rules of then goes on to be served.
  package func cannotBeServed(for service: ServiceName) -> String? {
    if self.service != service { return "the table is for \(self.service), the path says \(service)" }
    if let (name, span) = spans.first(where: { $0.1 < .zero || $0.1 > .longest }) {
      return "\(name) is \(span.value) ms: it must be at least zero and at most 366 days"
    }
    if let (name, number) = counts.first(where: { !(0...Bounds.number).contains($0.1) }) {
      return "\(name) is \(number): it must be 0 to \(Bounds.number)"
    }
    if probes.contains(where: { $0.rise < 1 || $0.fall < 1 }) { return "rise and fall must be at least 1" }
    if pools.count(where: { $0.role == .canary }) > 1 { return "only one pool can have the role canary" }
    return targetProblem
  }

  /// The table's own check, and those of its pools.
  private var probes: [Probe] { [probe] + pools.compactMap(\.probe) }

  private var ruleProblem: String? {
    do {
      _ = try RouteRules.path(path)
      try RouteRules.hosts(hosts)
      for probe in probes { try probe.check() }
    } catch {
      return error.description
    }
    if timeouts.connect.value < 1 || timeouts.response.value < 1 || timeouts.idle.value < 1 { return "timeouts must be above zero" }
    return nil
  }

  /// All spans of time that the table names.
  private var spans: [(String, Milliseconds)] {
    let ofProbes = probes.flatMap { [("probe.interval", $0.interval), ("probe.timeout", $0.timeout)] }
    return ofProbes + [
      ("hold", hold ?? .zero), ("timeouts.connect", timeouts.connect), ("timeouts.response", timeouts.response),
      ("timeouts.idle", timeouts.idle), ("drain.longLived", drain.longLived), ("queue.wait", queue.wait),
      ("split.userWindow", split?.userWindow ?? .zero), ("split.controllerLost.after", split?.controllerLost?.after ?? .zero),
      ("split.user.issued.lifetime", split?.user.issued.lifetime ?? .zero),
    ]
  }

  /// All counts that the table names.
  private var counts: [(String, Int)] {
    [("queue.requests", queue.requests), ("split.controllerLost.leastTargets", split?.controllerLost?.leastTargets ?? 0)]
      + probes.flatMap { [("probe.rise", $0.rise), ("probe.fall", $0.fall)] } + pools.map { ("a pool's release", $0.release.number) }
      + targets.map { ("an instance's number", $0.target.instance.number) }
  }

  private var targetProblem: String? {
    var instances: Set<InstanceID> = []
    for (_, target) in targets {
      if !Bounds.ports.contains(target.port) { return "\(target.instance): port \(target.port) is no port" }
      if (try? SocketAddress(ipAddress: target.address, port: target.port)) == nil {
        return "\(target.instance): \"\(target.address)\" is no numeric address"
      }
      if !instances.insert(target.instance).inserted { return "\(target.instance) is in the table twice" }
    }
    return nil
  }
}

extension RouteTable.Probe {
  /// Throws what no check may be.
  fileprivate func check() throws(RouteFault) {
    try RouteRules.probe(interval: interval, timeout: timeout)
    guard case .http(let path, let status, let host, let headers) = kind else { return }
    try RouteRules.probe(path: path, status: status, host: host, headers: headers ?? [:])
  }
}
