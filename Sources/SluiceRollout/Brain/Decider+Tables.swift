import SluiceModel

extension Decider {
  /// The table follows from the instances; its revision rises whenever it differs from the last one.
  mutating func composeTable() {
    if record.isRouteAway, !gateways.isEmpty { followPolicy() }
    guard let route = policy.route, !gateways.isEmpty else {
      if !record.table.isEmpty { raise(nil) }
      return
    }
    let targets = composeTargets()
    let release = record.goal?.release ?? record.stable?.release
    if targets.isEmpty, !isBehindGateways {
      if record.table.isEmpty { return }
      // What only drained what no record knew has ended, and so has one that is removed where another has its route by now.
      let isEnding = record.rollout.map { $0.isRemoval && $0.direction.isForward } ?? false
      if isEnding && refusedTable != nil || record.claim == nil { return raise(nil) }
    }
    // Of the newest release that is wanted; where none is, what is there only drains.
    let readiness =
      release.flatMap { record.release($0) }?.spec.readiness ?? record.table.content?.readiness ?? record.releases.last?.spec.readiness
      ?? ReadinessCheck(probe: .tcp)
    var content = TableContent(route: route, readiness: readiness, drain: policy.drain, targets: targets, hold: hold)
    content.checks = checks(of: targets, beside: readiness)
    admit(to: &content)
    content.departures = departures
    let isNews = content != record.table.content
    if isNews, let lone = lostSplit(content) {
      note(.warning, "split", "release \(lone) gets all users: no instance of another release is left to send the others to")
    }
    if isNews { raise(content) } else if isBehindGateways { raise(content) } else if takeBackFallBack() { raise(content) }
    // Both are in order of the instances' numbers.
    var target = targets.startIndex
    for index in record.instances.indices {
      let isNamed = target < targets.endIndex && targets[target].instance == record.instances[index].number
      let isAdmitted = isNamed && !targets[target].draining
      if isNamed { target += 1 }
      if !isAdmitted {
        if record.instances[index].admittedBy != nil { record.instances[index].admittedBy = nil }
      } else if record.instances[index].admittedBy == nil {
        record.instances[index].admittedBy = record.table.revision
      }
    }
  }

  /// Of the releases whose check is another: what stands is judged by what it promised, whatever the newest release promises. One that the record
  /// has forgotten keeps what the table said of it.
  private func checks(of targets: [TableTarget], beside readiness: ReadinessCheck) -> [TableCheck]? {
    var releases: [ReleaseNumber] = []
    for target in targets where releases.last != target.release && !releases.contains(target.release) { releases.append(target.release) }
    let checks = releases.sorted().compactMap { release -> TableCheck? in
      guard let check = record.release(release)?.spec.readiness ?? record.table.content?.check(of: release), check != readiness else {
        return nil
      }
      return TableCheck(release: release, readiness: check)
    }
    return checks.isEmpty ? nil : checks
  }

  /// The table's targets, in the order of the instances; the very ones that it has, where they are still right.
  private func composeTargets() -> [TableTarget] {
    let known = record.table.content?.targets ?? []
    let doubts = Doubts(draining: known.indices.filter { known[$0].draining }.map { known[$0].instance }, isBehind: isBehindGateways)
    var same = 0
    for place in record.instances.indices {
      guard let draining = isDraining(place, doubts) else { continue }
      guard same < known.count, known[same].names(record.instances[place], draining: draining) else { return newTargets(doubts) }
      same += 1
    }
    return same == known.count ? known : newTargets(doubts)
  }

  private func newTargets(_ doubts: Doubts) -> [TableTarget] {
    record.instances.indices.compactMap { place in isDraining(place, doubts).map { TableTarget(record.instances[place], draining: $0) } }
  }

  /// Of which instances the table before says that they drain, and whether there are tables that the record has not seen.
  private struct Doubts {
    let draining: [Int]
    let isBehind: Bool
  }

  /// How the table names the instance at that place; nil where it does not.
  private func isDraining(_ place: Int, _ doubts: Doubts) -> Bool? {
    switch record.instances[place].phase {
    case .warming, .serving: mayBeOnItsWayOut(place, doubts)
    case .draining: true
    case .stopping: record.isRouted(record.instances[place].number) ? true : nil
    case .lost:
      record.isRouted(record.instances[place].number)
        ? record.instances[place].condemned != nil || record.instances[place].release != record.goal?.release
          || mayBeOnItsWayOut(place, doubts)
        : nil
    case .reserved, .starting, .checking, .retired: nil
    }
  }

  /// Where the record is an older copy, tables that it has not seen may have drained what it calls serving: on a host that has not been heard, the
  /// former controller's order to stop it may still come. What gateways send nothing to is not let in before its host is heard.
  private func mayBeOnItsWayOut(_ place: Int, _ doubts: Doubts) -> Bool {
    // Most often there is nothing to doubt, of as many instances as there are.
    guard doubts.isBehind || !doubts.draining.isEmpty else { return false }
    let number = record.instances[place].number
    let isDraining = doubts.draining.contains(number)
    guard isDraining || doubts.isBehind, !(record.host(record.instances[place].host)?.reach.isReachable ?? false) else { return false }
    return isDraining || !record.gateways.contains { $0.target(number)?.healthy ?? false }
  }

  /// Who is sent where, while two releases are kept apart.
  private mutating func admit(to content: inout TableContent) {
    if let takeover = record.takeover {
      content.takesFrom = policy.formerly
      if takeover == .waiting {
        content.idle = Set(content.targets.map(\.release)).sorted()
        return
      }
    }
    guard record.rollout?.audience != nil, let rollout = record.rollout, let audience = rollout.audience else { return }
    var idle: [ReleaseNumber] = []
    for target in content.targets where !record.carriesUsers(target.release) && !idle.contains(target.release) {
      idle.append(target.release)
    }
    idle.sort()
    if !idle.isEmpty { content.idle = idle }
    if case .users(let share) = audience.share, let user = policy.route?.user, !record.isAlone(audience, in: content),
      content.targets.contains(where: { $0.release == audience.release })
    {
      let split = split(audience, share, user, before: record.table.content?.split)
      content.split = split
      if record.rollout?.splitSince == nil, audience.release == rollout.goal.release {
        let analysis = AnalysisState(for: record.analysis ?? Analysis())
        record.rollout?.splitSince = split.generation
        record.rollout?.analysis = analysis
      }
    }
    if case .blueGreen(let blueGreen) = policy.strategy, !blueGreen.preview.isEmpty, audience.share == .nobody,
      audience.release == rollout.goal.release, idle.contains(audience.release)
    {
      content.preview = TablePreview(hosts: blueGreen.preview, release: audience.release)
    }
  }

  /// The release that all users go to from now on, since the others' pool is gone.
  private func lostSplit(_ content: TableContent) -> ReleaseNumber? {
    guard let split = record.table.content?.split, content.split == nil, let audience = record.rollout?.audience,
      audience.release == split.release, case .users = audience.share, record.isAlone(audience, in: content)
    else { return nil }
    return split.release
  }

  private func split(_ audience: Audience, _ share: BasisPoints, _ user: UserKey, before: TableSplit?) -> TableSplit {
    var split = TableSplit(release: audience.release, share: share, salt: audience.salt, generation: nextRevision, user: user)
    if case .canary(let canary) = policy.strategy {
      split.allow = canary.allow
      split.deny = canary.deny
      split.override = canary.override.flatMap { tester in
        tester.digest.map { SplitOverride(header: tester.header, digest: $0, salt: tester.salt) }
      }
      split.userWindow = (record.stepPlan?.analysis ?? canary.analysis)?.userWindow ?? .seconds(1)
      split.fallBack = fallBack(canary.controllerLost)
    }
    if let before, split.sends(theSameAs: before) { split.generation = before.generation }
    return split
  }

  /// Only while the stable release is whole, and not where an operator has been asked and the controller has left on purpose.
  private func fallBack(_ lost: ControllerLost) -> TableSplit.FallBack? {
    guard lost.then == .stable, let rollout = record.rollout, let step = rollout.step, rollout.direction.isForward, step.asks == nil,
      rollout.pausedBy == nil
    else { return nil }
    switch rollout.gate {
    case .window, .frozen: return nil
    default: break
    }
    let stable = record.instances.count { $0.release == rollout.origin.release && $0.condemned == nil && $0.phase == .serving }
    guard stable >= rollout.stableWanted else { return nil }
    return TableSplit.FallBack(after: lost.after, leastTargets: rollout.stableWanted)
  }

  /// A gateway that has heard of no controller has sent everybody to the stable release: it is told anew, and the step begins again.
  private mutating func takeBackFallBack() -> Bool {
    let fallen = record.gateways.filter { $0.fellBack == true && $0.reach.isReachable && $0.revision == record.table.revision }
    guard let first = fallen.first, record.rollout?.audience != nil else { return false }
    record.rollout?.step?.since = nil
    note(
      .warning, "fell-back",
      "gateway \(first.id) had sent all users to the stable release, because no controller was heard; the step begins again")
    return true
  }

  /// A gateway has a newer table than this record knows: the record is an older copy that was gone on from.
  var isBehindGateways: Bool {
    for place in record.gateways.indices {
      if let revision = record.gateways[place].revision, revision > record.table.revision { return true }
    }
    return false
  }

  var nextRevision: Revision {
    let newest = record.gateways.compactMap(\.revision).reduce(record.table.revision, max)
    return Revision(epoch: max(record.fence?.epoch ?? 0, newest.epoch), version: newest.version + 1)
  }

  private mutating func raise(_ content: TableContent?) {
    let behind = isBehindGateways
    record.table.revision = nextRevision
    record.table.content = content
    guard behind else { return }
    // What an older table said of these was undone by tables that this record has not seen.
    let revision = record.table.revision
    for index in record.instances.indices {
      record.instances[index].admittedBy = nil
      if case .draining = record.instances[index].phase {
        record.instances[index].phase = .draining(revision: revision, acknowledged: nil)
      }
    }
  }

  /// Requests are held while a recreate is between its old and its new instances.
  private var hold: Milliseconds? {
    guard record.rollout?.wave?.holds == true, let rollout = record.rollout, let wave = rollout.wave, wave.stage == .running,
      let queue = manner.holding
    else { return nil }
    // Where it stands still, whoever serves is let serve.
    if rollout.interrupted || rollout.stoppedBy != nil {
      let stands = record.instances.contains { instance in
        if case .draining = instance.phase { return false }
        return instance.condemned == nil && (instance.phase == .serving || instance.phase == .warming(acknowledged: nil))
      }
      return stands ? nil : queue
    }
    let back = wave.replacements.allSatisfy { replacement in
      guard let new = replacement.new, let instance = record.instance(new) else { return replacement.new == nil }
      return instance.isServing
    }
    return back ? nil : queue
  }

  /// Every gateway gets every table; an excluded one gets it as soon as it is heard of again, and nobody waits for it. Where nothing is routed
  /// any more, what one still has is taken away.
  mutating func sendTables() {
    for state in record.gateways where !state.excluded || state.reach.isReachable {
      if !gateways.contains(state.id) || record.table.isEmpty {
        if state.revision != nil { open(.removeTable(state.id)) }
      } else if !record.table.isEmpty, state.revision != record.table.revision {
        // A table that was overtaken in the same decision is never sent: its content is gone.
        if let overtaken = opened.first(where: { $0.action.object == .gateway(state.id) }),
          overtaken.action != .setTable(state.id, record.table.revision)
        {
          abandon(.gateway(state.id))
        }
        if !isGivenUp(state) { open(.setTable(state.id, record.table.revision)) }
      }
    }
    let (known, occupied) = (gateways, occupied)
    record.gateways.removeAny { !known.contains($0.id) && $0.revision == nil && !occupied.contains(.gateway($0.id)) }
  }

  /// A gateway that does not answer stands in the way by name.
  mutating func noteGate() {
    guard record.isRolling, case nil = record.rollout?.gate else { return }
    if let refused = refusedTable {
      record.rollout?.gate = refused
      return
    }
    for id in routingGateways {
      guard let index = record.gateways.firstIndex(where: { $0.id == id }), case .unreachable(let why) = record.gateways[index].reach
      else { continue }
      record.rollout?.gate = .gatewayUnreachable(id, why)
      // A look at it again may find it back.
      let isCurrent = !record.table.isEmpty && record.gateways[index].revision == record.table.revision
      if isCurrent { open(.setTable(id, record.table.revision)) }
      return progress()
    }
  }
}
