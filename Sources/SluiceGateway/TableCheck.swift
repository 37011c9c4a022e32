import NIOCore
package import SluiceGatewayAPI
package import SluiceModel

extension RouteTable {
  /// What keeps this table from being served; nil: nothing.
  package func problem(for service: ServiceName) -> String? {
    if self.service != service { return "the table is for \(self.service), the path says \(service)" }
    if !path.hasPrefix("/") { return "path must begin with /" }
    if !path.utf8.allSatisfy({ Octet.isTarget($0) && $0 != 63 }) { return "path holds a character that no path has" }
    if let host = hosts.first(where: { !Self.isHostName($0) }) { return "\"\(host)\" is no host name" }
    if probe.rise < 1 || probe.fall < 1 { return "rise and fall must be at least 1" }
    if probe.interval.value < 10 || probe.timeout.value < 1 { return "the probe's interval and timeout are too short" }
    if case .http(let path, let status) = probe.kind {
      if !path.hasPrefix("/") || !path.utf8.allSatisfy(Octet.isTarget) { return "the probe's path must begin with / and hold no space" }
      if status < 100 || status > 599 { return "the probe's status must be 100 to 599" }
    }
    if timeouts.connect.value < 1 || timeouts.response.value < 1 || timeouts.idle.value < 1 { return "timeouts must be above zero" }
    if drain.longLived.value < 0 || queue.requests < 0 || queue.wait.value < 0 { return "bounds must not be below zero" }
    if let (name, _) = spans.first(where: { $0.1 > .longest }) { return "\(name) must be at most 366 days" }
    return targetProblem ?? splitProblem ?? previewProblem
  }

  /// All spans of time that the table names.
  private var spans: [(String, Milliseconds)] {
    [
      ("hold", hold ?? .zero), ("probe.interval", probe.interval), ("probe.timeout", probe.timeout), ("timeouts.connect", timeouts.connect),
      ("timeouts.response", timeouts.response), ("timeouts.idle", timeouts.idle), ("drain.longLived", drain.longLived),
      ("queue.wait", queue.wait), ("split.userWindow", split?.userWindow ?? .zero),
      ("split.controllerLost.after", split?.controllerLost?.after ?? .zero),
      ("split.user.issued.lifetime", split?.user.issued.lifetime ?? .zero),
    ]
  }

  private var targetProblem: String? {
    var instances: Set<InstanceID> = []
    for (_, target) in targets {
      if target.port < 1 || target.port > 65_535 { return "\(target.instance): port \(target.port) is no port" }
      if (try? SocketAddress(ipAddress: target.address, port: target.port)) == nil {
        return "\(target.instance): \"\(target.address)\" is no numeric address"
      }
      if !instances.insert(target.instance).inserted { return "\(target.instance) is in the table twice" }
    }
    return nil
  }
}
