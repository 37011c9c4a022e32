import Foundation

extension Site {
  /// What does not fit together after a rollout: instances of other releases, missing or doubled ones, and units or processes on the hosts
  /// that no record knows of. Empty when all is as if nothing had gone wrong.
  func disorder(release: Int, replicas: Int, on hosts: [String], service: String = "shop", state: String? = nil) async throws -> [String] {
    var problems: [String] = []
    guard let status = try await status(state: state).first(where: { $0.service == service }) else { return ["status has no \(service)"] }
    if let rollout = status.rollout { problems.append("a rollout is under way: \(rollout)") }
    if status.serving != replicas { problems.append("\(status.serving) of \(replicas) serve") }
    if status.instances.count != replicas { problems.append("\(status.instances.count) instances in the record") }
    for instance in status.instances where instance.release != release || !instance.serving {
      problems.append("\(instance.instance) is of release \(instance.release), \(instance.phase)")
    }
    if Set(status.instances.map { "\($0.host):\($0.port)" }).count != status.instances.count {
      problems.append("two instances on one port")
    }
    for host in hosts {
      let known = status.instances.filter { $0.host == host }.map { "sluice-\($0.instance.replacing("/", with: "-"))" }.sorted()
      // What follows the instance's number tells fleets apart.
      func short(_ unit: String) -> String {
        unit.split(separator: "-", omittingEmptySubsequences: false).dropLast(2).joined(separator: "-")
      }
      let units = try await rig.run(on: host, "systemctl", "list-units", "--all", "--plain", "--no-legend", "sluice-\(service)-*").out
      // What is only a name that something once wanted ("not-found") is no unit.
      let words = units.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
      let loaded = words.filter { $0.count > 2 && !($0[1] == "not-found" && $0[2] == "inactive") }.map { short($0[0]) }.sorted()
      if loaded != known { problems.append("\(host) has the units \(loaded), and the record \(known)") }
      let files = try await rig.run(on: host, "sh", "-c", "ls /etc/systemd/system | grep '^sluice-\(service)-.*service$' || :").out
      let written = files.split(separator: "\n").map { short(String($0)) }.sorted()
      if written != known { problems.append("\(host) has the unit files \(written), and the record \(known)") }
      let processes = try await rig.run(on: host, "pgrep", "-c", "-x", "sluice-sample").out
      if Int(processes.trimmingCharacters(in: .whitespacesAndNewlines)) != known.count {
        problems.append("\(host) runs \(processes) instances, and the record has \(known.count)")
      }
    }
    return problems
  }
}
