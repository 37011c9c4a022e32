package import SluiceModel
package import SluiceRollout

/// What an operator's command is answered where the brain is not even asked.
extension Engine {
  /// Nobody who has typed a command is left without an answer.
  static func notDriven(_ service: ServiceName) -> Refusal {
    Refusal(
      "the command that runs does not act on \(service)", remedy: "once it has ended (sluice status --watch shows it), type it again")
  }

  /// What was typed about one rollout is not obeyed for another.
  static func misses(_ command: Command, _ record: ServiceRecord) -> Refusal? {
    let running = record.rollout?.number ?? 0
    guard let about = command.about, about != running, !record.commands.contains(command.id) else { return nil }
    let what =
      switch (about, running) {
      case (0, _): "it was typed when no rollout of \(record.service) ran, and rollout \(running) does now"
      case (_, 0): "it was typed about rollout \(about) of \(record.service), which has ended"
      default: "it was typed about rollout \(about) of \(record.service), and rollout \(running) runs now"
      }
    return Refusal(what, remedy: "sluice status \(record.service) shows what runs; type it again if it is still meant")
  }

  /// A service in the middle of a rollout, with users at both of its releases, goes on under no other name; nor does one of which two never run
  /// at once, while it runs.
  func isTooEarly(_ policy: ServicePolicy) -> Refusal? {
    guard let former = policy.formerly, record(policy.name)?.takeover != .done, let predecessor = record(former) else { return nil }
    let runsAlone = [policy, predecessor.policy].contains { if case .recreate = $0.strategy { true } else { false } }
    if runsAlone, predecessor.instances.contains(where: \.takesPlace) {
      return Refusal(
        "\(former) runs, and of a service that is recreated two never run at once, under two names neither",
        remedy: "sluice stop \(former), then apply again: \(policy.name) takes its route once it serves")
    }
    guard let rollout = predecessor.rollout, !rollout.isRemoval else { return nil }
    return Refusal(
      "\(former) is to go on as \(policy.name), and its rollout \(rollout.number) (\(rollout.cause)) is under way",
      remedy: "bring that to its end first (sluice rollout why \(former) says what it waits for), then apply again")
  }

  /// A service that goes on under another name has nothing of its own any more: what is meant for it is said of the other.
  package func isTooLate(_ service: ServiceName, formerly: ServiceName? = nil) -> Refusal? {
    guard let own = record(service), own.removal == nil,
      let successor = records.first(where: { $0.policy.formerly == service && $0.isInPlace }), successor.service != formerly
    else { return nil }
    let name = successor.service
    guard successor.takeover != .waiting, successor.stable != nil else {
      return Refusal(
        "\(service) is about to go on as \(name)",
        remedy: "sluice rollout abort \(name) stays with \(service); sluice status \(name) shows how far it is")
    }
    return Refusal(
      "\(service) goes on as \(name)",
      remedy: "apply the manifest of \(name); to have the old name back, rename it again: { name: \(service), formerly: \(name) }")
  }

  /// Refuses what could not be applied now, whatever release it is: before anything is done about any service. What another service has is
  /// refused also where that one is to give it up in the same apply: nobody would answer there meanwhile.
  package func requirePlace(for policy: ServicePolicy) throws(Refusal) {
    if let refusal = isTooEarly(policy) ?? isTooLate(policy.name, formerly: policy.formerly) { throw refusal }
    try claims.requireRoute(of: policy, own: claims[policy.name])
  }
}

extension ServiceRecord {
  /// It has come to be, or is about to.
  fileprivate var isInPlace: Bool { removal == nil && (stable != nil || isRolling) }
}
