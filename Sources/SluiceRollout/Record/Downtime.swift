package import SluiceModel

/// That an instance's program is not up, as its host said.
package struct Downtime: Hashable, Codable, Sendable {
  /// Whether its supervisor is about to start it again.
  package var isTriedAgain: Bool
  /// How it ended, where the host could tell.
  package var end: EndedFact?

  package init(isTriedAgain: Bool, end: EndedFact? = nil) {
    self.isTriedAgain = isTriedAgain
    self.end = end
  }

  /// nil where the program is up.
  package init?(_ fact: InstanceFact) {
    if fact.running, fact.ended == nil { return nil }
    self.init(isTriedAgain: fact.running, end: fact.ended)
  }

  /// What has become of it, without when: `ended with exit status 1, started again 4 times`.
  package var description: String {
    let restarts = end.map(\.restarts) ?? 0
    let again = restarts > 0 ? ", started again \(restarts) time\(restarts == 1 ? "" : "s")" : ""
    let way = end?.signal.map { " by signal \($0)" } ?? end?.exitStatus.map { " with exit status \($0)" } ?? ""
    let what =
      switch end?.cause {
      case .exited, nil: "its program has ended\(way)"
      case .givenUp: "its program has ended\(way) and was given up by its supervisor"
      case .unsupervised: "its program has ended\(way), and what started it again is gone"
      case .unitRemoved: "its unit was removed from the host"
      case .background: "its program went on in the background, where nothing looks after it"
      }
    return "\(what)\(again)\(isTriedAgain ? "; it is about to be started again" : "")"
  }
}

extension ServiceRecord {
  /// The instances that are wanted and will not serve again by themselves: nothing keeps their programs running, and none of these gateways
  /// calls them healthy. In order.
  package func givenUp(gateways ids: [GatewayID]) -> [Int] {
    guard instances.contains(where: { $0.down != nil }) else { return [] }
    return instances.filter { instance in
      guard let down = instance.down, !down.isTriedAgain, instance.condemned == nil, instance.phase == .serving else { return false }
      return ids.allSatisfy { gateway($0)?.verdict(on: instance) != .healthy }
    }.map(\.number)
  }
}
