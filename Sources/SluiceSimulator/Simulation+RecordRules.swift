import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceTraffic

/// Rules 4, 7, 8, 10 and 11.
extension Simulation {
  // MARK: Racks

  /// Rule 4: a wave lies in one rack, and begins when all that the one before it brought is settled.
  mutating func checkRacks(_ before: ServiceRecord, _ after: ServiceRecord) {
    guard case .rolling(let rolling) = scene.plan.policy.strategy, rolling.rackOrder, let rollout = after.rollout,
      !rollout.overridesFloor, let wave = rollout.wave, wave.stage == .recording, wave.number != before.rollout?.wave?.number,
      wave.replacements.contains(where: { $0.new != nil })
    else { return }
    let moved = wave.replacements.compactMap { after.instance($0.old ?? $0.new ?? 0) }
    var racks: [RackName] = []
    for instance in moved {
      if let rack = scenario.fleet.host(instance.host)?.rack, !racks.contains(rack) { racks.append(rack) }
    }
    if racks.count > 1 { violate("4", "wave \(wave.number) lies in racks \(racks) with order: rack") }
    let coming = wave.replacements.compactMap(\.new)
    let unsettled = after.instances.filter { $0.condemned == nil && $0.isExisting && !$0.isSettled && !coming.contains($0.number) }
    if let first = unsettled.first { violate("4", "wave \(wave.number) begins while \(first.number) is \(first.phase)") }
  }

  /// Rule 4 on the state after a stop: what would remain if any one rack were lost. What goes makes the loss of its own rack no worse;
  /// where a rack is lost, no second loss is planned for.
  mutating func checkRackLoss(_ taken: [Instance], _ after: ServiceRecord, _ rollout: Rollout) {
    guard case .rolling(let rolling) = scene.plan.policy.strategy, let share = rolling.rackLossFloor, rollout.goal.release != nil,
      !scene.isRackLossAllowed, !scenario.fleet.racks.contains(where: after.isLost)
    else { return }
    let least = share.roundedUp(of: rollout.goal.replicas)
    for rack in scenario.fleet.racks where taken.contains(where: { scenario.fleet.host($0.host)?.rack != rack.name }) {
      let remaining = after.instances.count { after.serves($0) && scenario.fleet.host($0.host)?.rack != rack.name }
      if remaining < least { violate("4", "were \(rack.name) lost now, \(remaining) would remain, rackLossFloor is \(least)") }
    }
  }

  /// Rule 4 at the end: where a rack has `maxSkew` more than another, that has no place left. nil: it holds.
  var skew: String? {
    guard let most = scene.plan.policy.placement.maxSkew else { return nil }
    // Instances of this one are not moved where they run: each is gone before any other comes.
    if case .recreate = scene.plan.policy.strategy { return nil }
    func count(_ rack: Rack) -> Int { rack.hosts.reduce(0) { $0 + (scene.hosts[$1.name]?.instances.count ?? 0) } }
    guard let fullest = scenario.fleet.racks.max(by: { count($0) < count($1) }) else { return nil }
    for rack in scenario.fleet.racks where count(fullest) - count(rack) > most && rack.hosts.contains(where: hasPlace) {
      return
        "\(fullest.name) has \(count(fullest)) instances of \(service) at the end, \(rack.name) has \(count(rack)) and a place, maxSkew is \(most)"
    }
    return nil
  }

  /// Whether another instance of the service in front could be put there.
  private func hasPlace(_ host: Host) -> Bool {
    guard let state = scene.hosts[host.name], !cordons.hosts.contains(host.name) else { return false }
    let taken = scenes.flatMap { $0.hosts[host.name]?.instances.values.map(\.port) ?? [] } + state.neighbours
    let ports = scene.plan.policy.ports
    return taken.count < host.slots && (ports.from...ports.to).contains { !taken.contains($0) && !state.foreign.contains($0) }
  }

  // MARK: Failures

  /// Rule 7: past the budget it goes back or stops, and what happens on a dead host speaks against no release.
  mutating func checkBlame(_ before: ServiceRecord, _ after: ServiceRecord) {
    if let rollout = after.rollout, rollout.direction.isForward, rollout.stoppedBy == nil, !rollout.overridesFloor {
      let budget = scene.plan.policy.failureBudget.roundedDown(of: rollout.goal.replicas)
      // What is not a new release is wanted with the hosts that there are.
      func counted(_ rollout: Rollout?) -> Int {
        rollout?.failures.count { rollout?.cause == "apply" || $0.failure.kind != .host } ?? 0
      }
      if counted(rollout) > budget, counted(rollout) > counted(before.rollout) {
        violate("7", "\(rollout.failures.count) failures are counted, the budget is \(budget), and it goes on")
      }
    }
    // An operator may call a release bad for whatever reason.
    var isByWord = false
    if case .back(_, byOperator: true)? = after.rollout?.direction { isByWord = true }
    for release in after.releases where !isByWord {
      guard case .bad = release.status, before.release(release.number)?.status == .candidate,
        let failure = after.rollout?.failures.last, let host = failure.host, scene.hosts[host]?.answers == false
      else { continue }
      violate(
        "7", "release \(release.number) is marked bad for what happened on \(host), which does not answer: \(failure.failure.message)")
    }
    for release in after.releases where !isByWord {
      guard case .bad(let why) = release.status, before.release(release.number)?.status == .candidate,
        let number = after.rollout?.failures.last?.instance, let instance = before.instance(number) ?? after.instance(number),
        instance.release != release.number
      else { continue }
      violate("7", "release \(release.number) is marked bad (\(why)) for instance \(number), which is of release \(instance.release)")
    }
    checkBlameOfFix(before, after)
  }

  /// A release that fails while what it was to replace is dead, and everybody has seen that it is, is not marked bad.
  private mutating func checkBlameOfFix(_ before: ServiceRecord, _ after: ServiceRecord) {
    guard let origin = before.rollout?.origin.release, scene.sick.holds(origin, at: time), time - scene.sick.since > 10_000,
      standingFaults == [.releasesDie], before.instances.contains(where: { $0.release == origin && $0.phase == .serving })
    else { return }
    for release in after.releases {
      guard case .bad(let why) = release.status, before.release(release.number)?.status == .candidate,
        // What an operator calls bad is bad.
        !why.hasPrefix("rolled back by")
      else { continue }
      violate("7", "release \(release.number) is marked bad (\(why)) while release \(origin), which it was to replace, is dead")
    }
  }

  // MARK: Fence

  /// Rule 8: what takes effect carries the fence that stands, or a higher one.
  mutating func checkFence(_ fence: Fence, _ action: Action, _ standing: Fence?, at place: String) {
    guard let standing, !standing.admits(fence) else { return }
    violate("8", "\(action.description(service: service)) takes effect with \(fence), \(place) holds \(standing)")
  }

  // MARK: Record

  /// Rule 10: one attempt is open on an object, each has one outcome, and no request is counted twice.
  mutating func checkConclusions(_ record: ServiceRecord) {
    for (place, attempt) in record.attempts.enumerated() {
      if record.attempts[..<place].contains(where: { $0.action.object == attempt.action.object }) {
        violate("10", "two attempts are open on \(attempt.action.object)")
      }
      if scene.concluded.contains(attempt.id) { violate("10", "attempt \(attempt.id) is open, and has had its outcome") }
    }
    guard !scene.stateWasLost, let rollout = record.rollout, let audience = rollout.audience, audience.release == rollout.goal.release,
      let counted = rollout.analysis?.whole.canary.requests
    else { return }
    let made = scene.met[rollout.number] ?? 0
    if counted > made { violate("10", "\(counted) requests of the canary are counted, its users have made \(made)") }
  }

  // MARK: Secrets

  /// Rule 11 on something that people read.
  mutating func checkSecrets(_ text: String, in place: String) {
    if text.holdsSecret { violate("11", "\(place) holds a secret: \(text)") }
  }

  /// Rule 11 on a record that leaves the controller: every text in it that comes from outside.
  mutating func checkSecrets(_ record: ServiceRecord) {
    func check(_ failure: Failure?) {
      guard let failure else { return }
      for text in [failure.message, failure.output, failure.remedy] { checkSecrets(text, in: "the record") }
    }
    for failure in (record.rollout?.failures ?? []) + (record.ended?.failures ?? []) { check(failure.failure) }
    check(record.rollout?.stoppedBy)
    for release in record.releases {
      if case .bad(let why) = release.status { checkSecrets(why, in: "the record") }
      for text in release.spec.run.command { checkSecrets(text, in: "the record") }
      for name in release.spec.run.env.keys.sorted() { checkSecrets(release.spec.run.env[name] ?? "", in: "the record") }
    }
    for gateway in record.gateways { for target in gateway.targets { checkSecrets(target.probe, in: "the record") } }
  }
}

extension String {
  /// Whether it holds a value that only secrets have. (`contains` takes ten times as long.)
  fileprivate var holdsSecret: Bool {
    var rest = utf8[...]
    while let start = rest.firstIndex(of: UInt8(ascii: "t")) {
      if rest[start...].starts(with: "tiger-".utf8) { return true }
      rest = rest[start...].dropFirst()
    }
    return false
  }
}
