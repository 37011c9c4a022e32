import SluiceModel

extension Absorber {
  mutating func obey(_ command: Command) throws(Refusal) {
    switch command.verb {
    case .apply(let policy, let digest, let spec, let secrets, let force, let dropsScale):
      if dropsScale || record.scale == policy.replicas { record.scale = nil }
      try apply(policy: policy, digest: digest, spec: spec, secrets: secrets, force: force, command)
    case .pause: try pause(command)
    case .resume: try resume()
    case .abort: try abort("aborted by \(command.by)")
    case .retry: try retry(command)
    case .promote(let full): try promote(full: full, command)
    case .split(let share): try split(share, command)
    case .rollback(let to, let marksBad): try rollback(to: to, marksBad: marksBad ?? false, command)
    case .scale(let count): try scale(count, command)
    case .restart(let instance): try restart(instance, command)
    case .stop: try stop(command)
    case .start: try start(command)
    case .remove(let successor): try remove(successor: successor, command)
    case .giveUpRoute: try giveUpRoute(command)
    case .settle(let cause, let override): settle(cause: cause, overridesFloor: override, command)
    case .exclude(let id, let excluded): try exclude(id, excluded, command)
    case .freeze(let reason):
      record.freeze = Freeze(by: command.by, at: command.at, reason: reason)
      note(.warning, "frozen", "frozen by \(command.by)\(reason.isEmpty ? "" : ": \(reason)")")
    case .unfreeze:
      guard record.freeze != nil else { throw Refusal("\(record.service) is not frozen") }
      record.freeze = nil
      note(.info, "unfrozen", "no longer frozen, says \(command.by)")
    case .interrupt: record.rollout?.interrupted = true
    }
  }

  // MARK: Apply

  private mutating func apply(
    policy: ServicePolicy, digest: Digest, spec: ReleaseSpec, secrets: String, force: Bool, _ command: Command
  ) throws(Refusal) {
    try requireRoute(of: policy)
    let release = try admit(digest, spec, force: force)
    let former = record.policy == policy ? nil : record.policy
    beginTakeover(policy)
    record.policy = policy
    let goal = Goal(release: release, replicas: record.scale ?? policy.replicas, secrets: secrets)
    if let rollout = record.rollout {
      let former = rollout.formerPolicy ?? former
      if rollout.goal.isSame(as: goal), rollout.direction.isForward {
        record.rollout?.formerPolicy = former
        return try rollout.stoppedBy == nil ? resume() : retry(command)
      }
      try supersede(with: goal, former: former, command)
    } else if goal != reached || !isWhole(goal) || movesBetweenGateways {
      begin("apply", goal: goal, former: record.stable == nil ? nil : former, command, countsLost: true)
    }
  }

  /// What stands when nothing is under way.
  var reached: Goal { record.stable ?? Goal(release: nil, replicas: 0) }

  /// Whether gateways that have the service's table are of its route no more, or those of its route are new to it: going there is a rollout, which
  /// waits, fails and goes back like any other.
  private var movesBetweenGateways: Bool {
    let route = view.processes(of: record.policy.route)
    let has = record.gateways.filter { $0.revision != nil }.map(\.id)
    return !route.isEmpty && !has.isEmpty && has.contains { !route.contains($0) }
  }

  /// Whether every instance is as the goal says: an apply of what is already so does nothing.
  private func isWhole(_ goal: Goal) -> Bool {
    let planner = WavePlanner(record: record, view: view, goal: renewing(goal), goesBack: false)
    guard case .settled = planner.next() else { return false }
    return record.instances.allSatisfy { $0.condemned == nil && $0.isSettled }
  }

  /// The same, and what will not serve again by itself is replaced.
  private func renewing(_ goal: Goal) -> Goal {
    guard goal.release != nil else { return goal }
    let down = record.givenUp(gateways: view.requiredGateways(record))
    var goal = goal
    goal.renew += down.filter { !goal.renew.contains($0) }
    return goal
  }

  /// Whoever goes on or tries again wants what is down to come up.
  private mutating func renewInRollout() {
    guard let goal = record.rollout?.goal else { return }
    let renewed = renewing(goal)
    if renewed != goal { record.rollout?.goal = renewed }
  }

  /// A newer wish takes the place of the one under way; it goes back to where that one came from.
  private mutating func supersede(with goal: Goal, former: ServicePolicy?, _ command: Command) throws(Refusal) {
    guard let rollout = record.rollout else { return }
    note(.warning, "rollout-superseded", "rollout \(rollout.number) is superseded by \(command.by)")
    let origin = rollout.origin
    record.rollout = nil
    // Their outcomes belong to the rollout that is gone.
    record.attempts.removeAll { $0.action.isOfTheRollout }
    begin("apply", goal: goal, origin: origin, inherited: rollout.audience, former: former, command, countsLost: true)
    // A number that was asked for in mid-rollout stands: the floor counts by it.
    if record.rollout?.step != nil, goal.replicas == rollout.goal.replicas { record.rollout?.stableReplicas = rollout.stableReplicas }
    if record.rollout?.direction.isForward ?? false { unwind(to: goal) }
  }

  mutating func begin(
    _ cause: String, goal: Goal, origin: Goal? = nil, inherited: Audience? = nil, former: ServicePolicy? = nil, _ command: Command,
    countsLost: Bool = false,
    overridesFloor: Bool = false
  ) {
    let goal = renewing(goal)
    var rollout = Rollout(
      number: record.nextRollout, cause: cause, by: command.by, startedAt: command.at, goal: goal, origin: origin ?? reached,
      now: record.activeTime)
    rollout.overridesFloor = overridesFloor
    rollout.formerPolicy = former
    record.nextRollout += 1
    record.rollout = rollout
    record.backoffs = []
    forgetRefusals()
    beginSteps(inheriting: inherited)
    let target = goal.release.map { "release \($0) × \(goal.replicas)" } ?? "no instance"
    note(.info, "rollout-begun", "\(cause) by \(command.by): \(target)\(overridesFloor ? ", the floor overridden" : "")")
    guard countsLost else { return }
    for instance in record.instances where instance.phase == .lost || isUnreachable(instance.host) {
      guard record.rollout?.direction.isForward ?? false, view.host(instance.host) != nil else { continue }
      let failure = Failure(
        .host, "host \(instance.host), which has \(record.service)/\(instance.number), is unreachable",
        remedy: "bring it back, take it out of the manifest, or raise failureBudget to go on without it")
      var decider = Decider(record: record, view: view, wall: command.at)
      decider.count(CountedFailure(instance: instance.number, host: instance.host, failure: failure, condemnsRelease: false))
      if let index = decider.record.instances.firstIndex(where: { $0.number == instance.number }) {
        decider.record.instances[index].phase = .lost
        decider.record.instances[index].healthySince = nil
      }
      record = decider.record
      events += decider.events
    }
  }

  private func isUnreachable(_ host: HostName) -> Bool {
    if case .unreachable? = record.host(host)?.reach { return true }
    return false
  }

  private mutating func unwind(to goal: Goal) {
    var decider = Decider(record: record, view: view, wall: WallTime(milliseconds: 0))
    decider.unwind(to: goal, goesBack: false)
    record = decider.record
  }

  // MARK: Rollout commands

  private mutating func pause(_ command: Command) throws(Refusal) {
    guard record.rollout != nil else { throw nothingRuns }
    record.rollout?.pausedBy = command.by
    note(.info, "rollout-paused", "paused by \(command.by) after the current wave")
  }

  mutating func resume() throws(Refusal) {
    guard record.rollout != nil else { throw nothingRuns }
    record.rollout?.pausedBy = nil
    record.rollout?.interrupted = false
    record.rollout?.progressAt = record.activeTime
    renewInRollout()
    forgetRefusals()
  }

  /// What gateways have refused they are given again.
  private mutating func forgetRefusals() {
    for index in record.gateways.indices where record.gateways[index].refusal != nil {
      record.gateways[index].refusal = nil
      let object = AttemptObject.gateway(record.gateways[index].id)
      record.backoffs.removeAny { $0.object == object }
    }
  }

  var nothingRuns: Refusal {
    Refusal("no rollout of \(record.service) is under way", remedy: "sluice status \(record.service) shows what stands")
  }

  mutating func abort(_ why: String) throws(Refusal) {
    guard let rollout = record.rollout else { throw nothingRuns }
    if rollout.direction.isForward, let obstacle = record.obstacle(backTo: rollout.origin.release) {
      throw Refusal(obstacle.message, remedy: obstacle.remedy)
    }
    record.rollout?.pausedBy = nil
    record.rollout?.interrupted = false
    record.rollout?.stoppedBy = nil
    forgetRefusals()
    if case .back(let because, _) = rollout.direction {
      record.rollout?.direction = .back(because: because, byOperator: true)
      return
    }
    var decider = Decider(record: record, view: view, wall: WallTime(milliseconds: 0))
    decider.turnRound(Failure(.cancelled, why), condemnsRelease: false, byOperator: true)
    record = decider.record
    events += decider.events
  }

  private mutating func retry(_ command: Command) throws(Refusal) {
    guard let rollout = record.rollout else { throw nothingRuns }
    if settleTask(isDone: false, by: command.by) { return }
    let isRefused = record.gateways.contains { $0.refusal != nil }
    guard rollout.stoppedBy != nil || !rollout.direction.isForward || isRefused else {
      throw Refusal("the rollout of \(record.service) has not failed", remedy: "sluice rollout resume \(record.service)")
    }
    record.rollout?.stoppedBy = nil
    record.rollout?.interrupted = false
    record.rollout?.failures = []
    // Whoever tries again has mended what was wrong: what was counted before says nothing of it.
    record.rollout?.analysis?.beginStep(evidence: .dropped)
    // A wave that is under way is brought to its end: what it has begun is not to be begun again beside it.
    if rollout.wave == nil { record.rollout?.stage = .preparing }
    record.rollout?.progressAt = record.activeTime
    renewInRollout()
    forgetRefusals()
    record.backoffs = []
    note(.info, "rollout-retried", "tried again")
  }

  private mutating func scale(_ count: Int, _ command: Command) throws(Refusal) {
    guard count >= 0 else { throw Refusal("replicas cannot be negative") }
    if count > 0, record.isStoppedOnPurpose {
      throw Refusal("\(record.service) was stopped on purpose", remedy: "sluice start \(record.service), then sluice scale again")
    }
    if count > 0, record.rollout == nil { try takeRouteAgain() }
    record.scale = count == record.policy.replicas ? nil : count
    if let rollout = record.rollout {
      record.rollout?.goal.replicas = count
      // Its waves are over: those that the other number needs follow, or it would end with a number that nobody has tried to reach.
      if count != rollout.goal.replicas, rollout.stage == .postDeploy || rollout.stage == .closing { record.rollout?.stage = .waves }
      // By steps the stable pool serves nearly all users: it grows or shrinks at once.
      if record.rollout?.step != nil { record.rollout?.stableReplicas = count }
      note(.info, "scaled", "scaled to \(count) in mid-rollout by \(command.by)")
      return
    }
    guard reached.release != nil else { throw nothingStands }
    var goal = reached
    goal.replicas = count
    if goal != reached || !renewing(goal).renew.isEmpty { begin("scale", goal: goal, command) }
  }

  var nothingStands: Refusal {
    Refusal("\(record.service) has never been released", remedy: "sluice apply -f PATH")
  }

  private mutating func restart(_ instance: Int?, _ command: Command) throws(Refusal) {
    try requireQuiet()
    guard reached.release != nil else { throw nothingStands }
    var goal = reached
    if let instance {
      guard record.instance(instance) != nil else {
        throw Refusal("\(record.service)/\(instance) does not exist", remedy: "sluice status \(record.service) lists the instances")
      }
      goal.renew = [instance]
    } else {
      goal.renew = record.instances.map(\.number)
    }
    begin("restart", goal: goal, command)
  }

  private mutating func stop(_ command: Command) throws(Refusal) {
    try requireQuiet()
    guard reached.release != nil else { throw nothingStands }
    var goal = reached
    goal.release = nil
    goal.replicas = 0
    if !record.instances.isEmpty { begin("stop", goal: goal, command) }
  }

  private mutating func start(_ command: Command) throws(Refusal) {
    try requireQuiet()
    guard reached.release != nil else { throw nothingStands }
    try takeRouteAgain()
    if record.scale == 0 {
      guard record.policy.replicas > 0 else { throw nothingWanted }
      record.scale = nil
      note(.warning, "scaled", "it was scaled to 0: the \(record.policy.replicas) of the manifest are started by \(command.by)")
    }
    var goal = reached
    goal.replicas = record.scale ?? record.policy.replicas
    guard goal.replicas > 0 else { throw nothingWanted }
    if goal != reached || !isWhole(goal) { begin("start", goal: goal, command) }
  }

  private var nothingWanted: Refusal {
    Refusal(
      "the manifest of \(record.service) asks for no instance (replicas: 0)",
      remedy: "sluice scale \(record.service) 1, or change replicas and apply")
  }

  /// Makes instances right again where hosts were cordoned, lost or seen again.
  private mutating func settle(cause: String, overridesFloor: Bool, _ command: Command) {
    if record.rollout != nil {
      if overridesFloor { record.rollout?.overridesFloor = true }
      return
    }
    guard let stable = record.stable, !isWhole(stable) else { return }
    begin(cause, goal: stable, command, overridesFloor: overridesFloor)
  }

  func requireQuiet() throws(Refusal) {
    guard let rollout = record.rollout else { return }
    if let by = rollout.pausedBy {
      throw Refusal(
        "a rollout of \(record.service) is under way, paused by \(by)",
        remedy: "sluice rollout resume \(record.service) goes on with it, sluice rollout abort \(record.service) goes back")
    }
    throw Refusal("a rollout of \(record.service) is under way", remedy: "wait for it, or sluice rollout abort \(record.service)")
  }

  private mutating func exclude(_ id: GatewayID, _ excluded: Bool, _ command: Command) throws(Refusal) {
    guard record.gateway(id) != nil else {
      throw Refusal("\(id) is no gateway of \(record.service)", remedy: "sluice gateway status lists them")
    }
    changeGateway(id) {
      // What it has and finds is from before: its word counts once it has found well what serves, as that of one that is new to the route.
      if $0.excluded, !excluded, $0.departure == nil { $0.joins = true }
      $0.excluded = excluded
    }
    // Its users count again: what drains has its whole time from here on.
    for index in record.instances.indices {
      if !excluded, case .draining(let revision, _) = record.instances[index].phase {
        record.instances[index].phase = .draining(revision: revision, acknowledged: nil)
      }
    }
    note(.warning, excluded ? "gateway-excluded" : "gateway-included", "\(id) \(excluded ? "excluded" : "included") by \(command.by)")
  }
}
