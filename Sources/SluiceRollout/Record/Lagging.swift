package import SluiceModel

extension ServiceRecord {
  /// What the settings say and instances that stand do not follow before they are replaced, one sentence each.
  package func lagging(in map: FleetMap) -> [String] {
    let standing = instances.filter { $0.condemned == nil && $0.takesPlace && !$0.isLost }
    var lines: [String] = []
    let elsewhere = standing.filter { !(policy.ports.from...max(policy.ports.from, policy.ports.to)).contains($0.port) }
    if !elsewhere.isEmpty {
      let ports = Set(elsewhere.map(\.port)).sorted().map(String.init)
      lines.append(
        "\(names(elsewhere)) \(keeps(elsewhere)) port \(ports.joined(separator: ", ")), outside ports \(policy.ports.from)–\(policy.ports.to), until replaced: "
          + "sluice restart \(service)")
    }
    for instance in standing {
      guard let place = map.index(of: instance.host), map.hosts[place].serviceAddress != instance.address else { continue }
      lines.append(
        "\(service)/\(instance.number) is reached at \(instance.address), and \(instance.host) is said to be at \(map.hosts[place].serviceAddress), until replaced: "
          + "sluice restart \(service)/\(instance.number)")
    }
    return lines
  }

  /// What stands and does not serve as far as its host has told, and what becomes of that.
  package func downtimes(isReplaced: Bool) -> [String] {
    instances.compactMap { instance in
      guard let down = instance.down, instance.condemned == nil, instance.healthySince == nil else { return nil }
      let next = down.isTriedAgain ? "" : isReplaced ? ": it is replaced" : ": sluice restart \(service)/\(instance.number) replaces it"
      return "\(service)/\(instance.number) on \(instance.host) is down, \(down.description)\(next)"
    }
  }

  /// What is not as asked where nothing is under way: for whoever is told that there was nothing to do.
  package func notAsAsked(in fleet: Fleet) -> [String] {
    let told = instances.filter { $0.down != nil && $0.healthySince == nil }.map(\.number)
    let sick = instances.filter { $0.condemned == nil && !$0.isServing && !$0.isLost && !told.contains($0.number) }
    let lines = sick.map {
      "\(service)/\($0.number) on \($0.host) does not serve: sluice status \(service) shows why; sluice restart \(service)/\($0.number) replaces it"
    }
    return downtimes(isReplaced: false) + lines + lagging(in: FleetMap(fleet))
  }

  /// Whether an operator has stopped it on purpose, and nothing has been started since.
  package var isStoppedOnPurpose: Bool { !isRolling && stable?.release != nil && stable?.replicas == 0 && scale != 0 }

  private func names(_ instances: [Instance]) -> String { instances.map { "\(service)/\($0.number)" }.joined(separator: ", ") }
  private func keeps(_ instances: [Instance]) -> String { instances.count == 1 ? "keeps" : "keep" }
}
