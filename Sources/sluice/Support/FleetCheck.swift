import SluiceModel
import SluiceRollout
import SluiceStore

/// Manifests against what the state knows of their fleet.
enum FleetCheck {
  /// Services that run, or have a route, and that none of these manifests names: nothing is done about them, unless one goes on in their place.
  static func unnamed(_ workspace: Workspace, _ records: [ServiceRecord]) -> [String] {
    records.filter { $0.claim != nil || !$0.instances.isEmpty }.map(\.service).sorted().compactMap { service in
      if workspace.services.contains(where: { $0.policy.name == service }) { return nil }
      if let successor = workspace.services.first(where: { $0.policy.formerly == service }) {
        return "\(service) goes on as \(successor.policy.name): that takes its route once it serves; then \(service) is drained and removed"
      }
      return "\(service) stands and is in none of these manifests: it is left alone (sluice remove \(service) ends it for good)"
    }
  }

  /// What goes on under another name, and is to be removed once that serves.
  static func renamed(_ workspace: Workspace, _ records: [ServiceRecord]) -> [(service: ServiceName, successor: ServiceName)] {
    workspace.services.compactMap { manifest in
      guard let former = manifest.policy.formerly, let record = records.first(where: { $0.service == former }), record.removal == nil,
        record.stable != nil || record.isRolling
      else { return nil }
      return (former, manifest.policy.name)
    }
  }

  /// What an apply would do about gateways, and what it would leave to be done.
  static func gatewayChanges(_ workspace: Workspace, known: [Gateway]) -> [String] {
    workspace.gateways.flatMap { gateway in
      let before = known.first { $0.name == gateway.name }
      var settled = before
      settled?.hosts = gateway.hosts
      return gateway.processes.compactMap { id -> String? in
        if before?.hosts.contains(id.host) != true { return "gateway \(id): would be installed" }
        if settled != gateway {
          return "gateway \(id): its configuration has changed; apply leaves it running, sluice gateway upgrade \(id.host) restarts it"
        }
        return nil
      }
    }
  }

  /// A host or gateway that is known and that these manifests leave out; nil: there is none.
  static func gone(_ workspace: Workspace, _ known: FleetDefinitions) -> String? {
    if let host = known.fleet.hosts.first(where: { workspace.fleet.host($0.name) == nil }) { return "host \(host.name)" }
    let processes = workspace.gateways.flatMap(\.processes)
    return known.gateways.flatMap(\.processes).first { !processes.contains($0) }.map { "gateway \($0)" }
  }

  /// The refusal for hosts that are in no manifest any more; nil when nothing is left on them. What is lost anyway may be forgotten.
  static func refusal(_ workspace: Workspace, _ records: [ServiceRecord]) -> Refusal? {
    for record in records.sorted(by: { $0.service < $1.service }) {
      let left = record.instances.filter { instance in
        workspace.fleet.host(instance.host) == nil && instance.phase != .lost && instance.phase != .retired
          && !isUnreachable(instance.host, record)
      }
      if let first = left.first {
        let names = left.map { "\(record.service)/\($0.number)" }.joined(separator: ", ")
        return Refusal(
          "\(first.host) is in no manifest of fleet \(workspace.fleet.name) any more, and \(names) still run\(left.count == 1 ? "s" : "") there",
          remedy:
            "put \(first.host) back, sluice drain \(first.host), and take it out when it is empty; a dead host is drained in the same way")
      }
      for gateway in record.gateways where workspace.fleet.host(gateway.id.host) == nil && gateway.revision != nil && !gateway.excluded {
        guard gateway.reach.isReachable else { continue }
        return Refusal(
          "\(gateway.id.host) is in no manifest of fleet \(workspace.fleet.name) any more, and gateway \(gateway.id) still routes \(record.service)",
          remedy:
            "put \(gateway.id.host) back, take it out of the gateway's hosts and apply; or sluice gateway exclude \(gateway.id.host) where it is gone for good"
        )
      }
    }
    return nil
  }

  private static func isUnreachable(_ host: HostName, _ record: ServiceRecord) -> Bool {
    if case .unreachable? = record.host(host)?.reach { return true }
    return false
  }
}
