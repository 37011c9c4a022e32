import SluiceModel
import SluiceRollout

/// What manifests may not take out of a fleet because something of Sluice's still runs there and nobody could stop it any more.
enum FleetCheck {
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
