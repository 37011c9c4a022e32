import SluiceModel

extension Decider {
  /// Something got better: the progress deadline starts anew.
  mutating func progress() {
    let time = now
    record.rollout?.progressAt = time
  }

  mutating func advanceRollout() {
    guard let rollout = record.rollout else { return }
    noteAwaited(rollout)
    if let failure = rollout.stoppedBy {
      record.rollout?.gate = .failed(failure)
      endHangingHook()
      return progress()
    }
    if rollout.interrupted {
      record.rollout?.gate = .interrupted
      endHangingHook()
      return progress()
    }
    if let call = rollout.hooks.first {
      open(.hook(call.point, wave: call.wave))
      if rollout.hooks.contains(where: \.decides) { return guardDeadline() }
      giveUpHangingHook()
    }
    switch rollout.stage {
    case .preparing:
      // How long it is kept nobody knows, and what others do meanwhile.
      if isKeptFromBeginning(rollout) { record.rollout?.staging = nil } else { prepare(rollout) }
    case .preDeploy: if runTask(rollout) { enter(.waves) }
    case .waves: if case nil = rollout.wave { beginWave(rollout) } else { runWave() }
    case .postDeploy:
      enter(.closing)
    case .closing:
      if rollout.hooks.isEmpty, record.attempts.isEmpty, everyGatewayStands, departures == nil { close(rollout) }
    }
    guardDeadline()
  }

  /// The files go to every host that the waves will use, all hosts at once, before the first wave.
  private mutating func prepare(_ rollout: Rollout) {
    guard let release = rollout.goal.release.flatMap({ record.release($0) }) else { return enter(.preDeploy) }
    guard let hosts = rollout.staging ?? foresee(rollout) else { return }
    record.rollout?.staging = hosts
    let waiting = hosts.filter { !record.isStaged(release.digest, on: $0) }
    for host in waiting { open(.stage(host, release.number)) }
    if waiting.isEmpty {
      record.rollout?.staging = nil
      if rollout.direction.isForward, isNewRelease(rollout), policy.hooks[.preDeploy] != nil {
        record.rollout?.hooks.append(HookCall(.preDeploy))
      }
      enter(.preDeploy)
    }
  }

  /// The hosts that all waves from here on will use; nil where these would not get to the end.
  private mutating func foresee(_ rollout: Rollout) -> [HostName]? {
    let projection = planner(rollout).projection()
    // What cannot be brought to its end is not begun; where faults have taken something, as much as can be done is.
    if let failure = projection.blocked, rollout.direction.isForward, !rollout.overridesFloor, rollout.waves == 0,
      !record.instances.contains(where: { $0.phase == .lost })
    {
      blocked(failure, rollout)
      return nil
    }
    var hosts: [HostName] = []
    var named = Set<HostName>(minimumCapacity: record.instances.count)
    for instance in projection.waves.joined() where named.insert(instance.host).inserted { hosts.append(instance.host) }
    // Waves under way already have theirs fixed.
    for index in record.instances.indices where record.instances[index].phase == .reserved {
      let host = record.instances[index].host
      if named.insert(host).inserted { hosts.append(host) }
    }
    return hosts
  }

  private mutating func enter(_ stage: Rollout.Stage) {
    record.rollout?.stage = stage
    progress()
  }

  func isNewRelease(_ rollout: Rollout) -> Bool { rollout.goal.release != nil && rollout.goal.release != rollout.origin.release }

  func planner(_ rollout: Rollout) -> RolloutPlanner { RolloutPlanner(record: record, view: view, rollout: rollout) }

  // MARK: Waves

  private mutating func beginWave(_ rollout: Rollout) {
    if let by = rollout.pausedBy {
      record.rollout?.gate = .paused(by: by)
      return progress()
    }
    if isFrozen(rollout) { return }
    // What is on its way out is gone, its address too, before the next wave counts slots and ports.
    if record.instances.contains(where: { ($0.condemned != nil && $0.isExisting) || $0.phase == .retired }) { return }
    // What no wave looks after any more (it was cut short): what was only reserved is given up, the rest is brought to its end first: it
    // serves, or fails.
    record.instances.removeAny { $0.condemned == nil && $0.phase == .reserved }
    if record.instances.contains(where: { $0.condemned == nil && $0.isExisting && !$0.isSettled }) { return }
    // Every gateway has the last table, and its word on health, before anything more is taken out. One that is silent is a gate (`noteGate`).
    if !record.table.isEmpty, !everyGatewayStands || requiredGateways.contains(where: { isSilent($0) }) { return }
    // Those that come to the route have found well what is there before anything of it goes.
    if rollout.direction.isForward, joining != nil { return }
    let next = planner(rollout).next()
    // Nothing more is begun where the tables for it are refused. On the way back it is begun: what is refused may be what it takes away.
    if refusedTable != nil, rollout.direction.isForward, case .wave = next { return }
    // After the last wave there is nothing to rest for.
    if case .wave = next, let rest = rollout.restUntil, rest > now { return wake(at: rest) }
    if rollout.restUntil != nil { record.rollout?.restUntil = nil }
    switch next {
    case .settled: if let plan = record.stepPlan { holdStep(rollout, plan) } else { settle(rollout) }
    case .wave(let replacements, let added): begin(replacements, added, rollout)
    case .waits(let serving, let floor): record.rollout?.gate = .servingFloor(serving: serving, floor: floor)
    case .blocked(let failure): blocked(failure, rollout)
    }
  }

  private mutating func begin(_ replacements: [Replacement], _ added: [Instance], _ rollout: Rollout) {
    // A recreate holds requests while nothing serves, also in the wave that tries again what the last one could not start.
    let olds = replacements.compactMap(\.old)
    let kept = record.instances.contains { record.serves($0) && !olds.contains($0.number) }
    let holds = manner.holding != nil && !added.isEmpty && !kept && rollout.origin.release != nil
    let wave = Wave(number: rollout.waves + 1, replacements: replacements, holds: holds)
    record.instances += added
    record.nextInstance = max(record.nextInstance, (added.map(\.number).max() ?? 0) + 1)
    record.rollout?.waves += 1
    record.rollout?.wave = wave
    progress()
    note(.info, "wave-begun", "wave \(wave.number): \(describe(replacements))")
  }

  private func describe(_ replacements: [Replacement]) -> String {
    // `shop/3 (a1)`: a bare number would read as a count.
    func place(_ number: Int?) -> String? {
      guard let number, let index = record.instances.index(of: number, by: \.number) else { return nil }
      return "\(record.service)/\(number) (\(record.instances[index].host))"
    }
    return replacements.map { replacement in
      switch (place(replacement.old), place(replacement.new)) {
      case (let old?, let new?): return "\(old) → \(new)\(replacement.order == .oldFirst ? ", old first" : "")"
      case (nil, let new?): return "+ \(new)"
      case (let old?, nil): return "− \(old)"
      case (nil, nil): return "nothing"
      }
    }.joined(separator: ", ")
  }

  private mutating func runWave() {
    guard let wave = record.rollout?.wave else { return }
    switch wave.stage {
    case .recording:
      // The fixed assignment is known elsewhere before anything is sent: see the outcome of `replicate`.
      open(.replicate)
    case .preWave:
      record.rollout?.wave?.stage = .running
    case .running:
      var ended = true
      let mayStart = manner.holding == nil || wave.replacements.allSatisfy { isGone($0.old) }
      for replacement in wave.replacements where !step(replacement, mayStart: mayStart) { ended = false }
      if !ended, standsInItsOwnWay(wave) { ended = true }
      if ended {
        if policy.hooks[.postWave] != nil { record.rollout?.hooks.append(HookCall(.postWave, wave: wave.number)) }
        record.rollout?.wave?.stage = .postWave
        progress()
      }
    case .postWave:
      note(.info, "wave-ended", "wave \(wave.number) has ended")
      record.rollout?.wave = nil
      if manner.pauseBetween > .zero {
        let rest = now + manner.pauseBetween
        record.rollout?.restUntil = rest
      }
      progress()
    }
  }

  /// Floor or racks let none of the wave's old ones go, and all that came serves. Either instances that faults have taken could come instead: they
  /// come first, in a wave of their own. Or nothing need go any more: the host was undrained, the sick one is well. What this wave had only
  /// reserved is given up.
  private mutating func standsInItsOwnWay(_ wave: Wave) -> Bool {
    guard let rollout = record.rollout, let gate = rollout.gate, gate.isCounted else { return false }
    var model = record
    for replacement in wave.replacements {
      if let old = replacement.old.flatMap({ record.instance($0) }), old.condemned != nil, old.isExisting { return false }
      guard let new = replacement.new.flatMap({ record.instance($0) }) else { continue }
      switch new.phase {
      case .reserved: model.instances.removeAll { $0.number == new.number }
      case .starting, .checking, .warming, .draining, .stopping: return false
      case .serving, .retired, .lost: break
      }
    }
    switch RolloutPlanner(record: model, view: view, rollout: rollout).next() {
    case .settled: break
    case .wave(let replacements, _) where replacements.contains { $0.new != nil && $0.order == .newFirst }: break
    // Others may go meanwhile: those that no users are sent to any more, say.
    case .wave(let replacements, _) where Set(replacements.compactMap(\.old)).isDisjoint(with: wave.replacements.compactMap(\.old)): break
    case .wave, .waits, .blocked: return false
    }
    record.instances = model.instances
    return true
  }

  /// Takes one replacement as far as it may go; true when it has ended.
  private mutating func step(_ replacement: Replacement, mayStart: Bool) -> Bool {
    switch replacement.order {
    case .newFirst:
      guard let new = replacement.new else { return take(replacement.old, .surplus) }
      guard let index = record.instances.index(of: new, by: \.number) else { return true }  // It failed and is gone; the old one stays.
      if record.instances[index].isLost { return true }
      guard bring(index) else { return false }
      return take(replacement.old, .replaced)
    case .oldFirst:
      guard take(replacement.old, replacement.new == nil ? .surplus : .replaced), mayStart else { return false }
      guard let new = replacement.new, let index = record.instances.index(of: new, by: \.number) else { return true }
      let instance = record.instances[index]
      if let old = replacement.old.flatMap({ record.instance($0) }), old.host == instance.host, old.port == instance.port { return false }
      return instance.isLost || bring(index)
    }
  }

  /// Takes the new instance at that place as far as it may go; true when it counts: it serves, and has for long enough.
  private mutating func bring(_ index: Int) -> Bool {
    guard record.instances[index].condemned == nil else { return false }
    switch record.instances[index].phase {
    case .reserved:
      start(record.instances[index])
      return false
    case .serving:
      guard let since = record.instances[index].healthySince else {
        endOfProgram(record.instances[index])
        return false
      }
      let counted = since + policy.minHealthyTime
      if counted > now { wake(at: counted) }
      return counted <= now
    case .starting, .checking, .warming, .draining, .stopping, .retired, .lost: return false
    }
  }

  /// What has served and whose program is gone for good does not come back within any time.
  private mutating func endOfProgram(_ instance: Instance) {
    guard let down = instance.down, record.givenUp(gateways: requiredGateways).contains(instance.number) else { return }
    fail(instance, Failure(.start, down.description, remedy: "sluice logs \(record.service)/\(instance.number) shows its last lines"))
  }

  private func isSilent(_ id: GatewayID) -> Bool { !(record.gateway(id)?.reach.isReachable ?? false) }

  /// Starts what is reserved once its files, a slot and its port are there: it may be given the place of one that another replacement takes away.
  private mutating func start(_ instance: Instance) {
    guard isStaged(instance) else { return }
    var (existing, held) = (0, 0)
    for index in record.instances.indices where record.instances[index].number != instance.number {
      let isExisting = record.instances[index].isExisting
      if isExisting { existing += 1 }
      guard record.instances[index].host == instance.host else { continue }
      if record.instances[index].port == instance.port { return }
      if isExisting { held += 1 }
    }
    if isGivenAway(instance) {
      note(
        .warning, "port-given-away", "\(name(instance)) is given up before it began: another service has port \(instance.port) there",
        instance)
      return remove(instance.number)
    }
    guard existing < cap else {
      // One that was lost has come back, or fewer are wanted now: what leaves makes room, and where nothing leaves there is none.
      if !record.instances.contains(where: { $0.condemned != nil && $0.isExisting }) { remove(instance.number) }
      return
    }
    guard held < view.slots(for: record.service, on: instance.host) else { return }
    change(instance.number) { $0.phase = .starting }
    open(.start(instance.host, instance: instance.number))
  }

  /// Whether another service has its port by now: this record is a copy from when it was still reserved, and has been gone on from.
  private func isGivenAway(_ instance: Instance) -> Bool {
    guard let host = view.map.index(of: instance.host) else { return false }
    return view.occupancy.hasPort(instance.port, ofOthersThan: record.service, on: host)
  }

  /// Rule 2, which counts at the moment at which one more would exist.
  private var cap: Int {
    record.rollout?.bounds(policy.strategy).cap ?? Int.max
  }

  private func isGone(_ number: Int?) -> Bool {
    guard let number, let index = record.instances.index(of: number, by: \.number) else { return true }
    return record.instances[index].isGone
  }

  /// Condemns an old instance when floor and racks allow it; true when it is gone.
  private mutating func take(_ number: Int?, _ reason: CondemnReason) -> Bool {
    guard let instance = number.flatMap({ record.instance($0) }), !instance.isGone else { return true }
    guard instance.condemned == nil else { return false }
    let costs = record.serves(instance) || record.mayServe(instance, gateways: requiredGateways)
    if !costs || allowsTaking(instance) { change(instance.number) { $0.condemned = reason } }
    return false
  }

  /// Rules 1 and 4, on the state after the instance has gone.
  private mutating func allowsTaking(_ instance: Instance) -> Bool {
    guard let rollout = record.rollout, !rollout.overridesFloor, rollout.goal.release != nil else { return true }
    // Where a gateway is silent, it is the gateway that is waited for.
    if requiredGateways.contains(where: { isSilent($0) }) { return false }
    if record.isMissed(instance) {
      let count = record.instances.count { $0.release == instance.release && $0.isServing }
      record.rollout?.gate = .servingFloor(serving: count, floor: count)
      return false
    }
    let bounds = rollout.bounds(policy.strategy)
    let serving = record.serving
    let left = serving.count - (record.serves(instance) ? 1 : 0)
    if left < bounds.floor {
      record.rollout?.gate = .servingFloor(serving: serving.count, floor: bounds.floor)
      return false
    }
    // Where a rack is lost, that is the loss which the floor is for: what is left stands, and no second loss is planned for.
    if let share = manner.rackLossFloor, !view.fleet.racks.contains(where: record.isLost) {
      let least = share.roundedUp(of: rollout.goal.replicas)
      let stay = serving.filter { record.instances[$0].number != instance.number }
      let inRack = view.map.countByRack(record.instances, at: stay)
      // What is lost with its own rack anyway makes that loss no worse.
      let own = view.map.rackIndex(of: instance.host)
      for (rack, count) in inRack.enumerated() where rack != own {
        if left - count < least {
          let name = view.fleet.racks[rack].name
          record.rollout?.gate = .rackLossFloor(name, remaining: left - count, floor: least)
          return false
        }
      }
    }
    return true
  }
}
