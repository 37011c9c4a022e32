package import SluiceModel

extension Rollout {
  /// How few may serve and how many may exist now. By steps two pools stand beside each other, each whole, whichever is to be the smaller.
  package func bounds(_ strategy: Strategy) -> Bounds {
    let wanted = goal.release == nil ? 0 : goal.replicas
    let bounds = strategy.rules.bounds(replicas: wanted)
    guard step != nil, direction.isForward else { return bounds }
    return Bounds(
      floor: min(bounds.floor, stableWanted), cap: max(bounds.cap, stableWanted + wanted),
      surge: max(bounds.surge, strategy.rules.bounds(replicas: stableWanted).surge))
  }

  /// Whether the users of a superseded release may go straight to the new one: its step gives it as many, and the stable release carries no more
  /// than it does now.
  func takesOver(_ plan: StepPlan) -> Bool {
    guard let audience, audience.release != goal.release, case .users(let had) = audience.share, case .users(let gets) = plan.share else {
      return false
    }
    return gets >= had
  }
}

/// Plans the next wave of a rollout, whether it goes by steps or not, and all waves to its end.
struct RolloutPlanner {
  let record: ServiceRecord
  let view: FleetView
  let rollout: Rollout
  /// The place in the fleet of each instance's host.
  private let hosts: [Int]

  init(record: ServiceRecord, view: FleetView, rollout: Rollout) {
    self.init(record: record, view: view, rollout: rollout, hosts: view.map.hosts(of: record.instances))
  }

  private init(record: ServiceRecord, view: FleetView, rollout: Rollout, hosts: [Int]) {
    self.record = record
    self.view = view
    self.rollout = rollout
    self.hosts = hosts
  }

  /// The next wave. `settled` in a step: its pools are complete, and what the step waits for is for others to see.
  func next() -> WavePlanner.Step {
    guard let plan = record.stepPlan, let stable = rollout.origin.release, let new = rollout.goal.release else { return replacing.next() }
    let failure: Failure?
    // Users fall back on the stable release, so it is whole before anything else. Faults that the budget allows do not stand in the way, and
    // what is whole and would only move, as off a drained host, goes at the end of the rollout where there is no room for it now.
    switch pool(of: stable, replicas: rollout.stableWanted, floor: rollout.stableWanted, goesBack: true).next() {
    case .blocked(let why):
      let isWhole = record.serving.count { record.instances[$0].release == stable } >= rollout.stableWanted
      failure = isWhole || record.instances.contains { $0.phase == .lost } ? nil : why
    case .settled: failure = nil
    case let step: return step
    }
    if let failure { return .blocked(failure) }
    let superseded = WavePlanner.Members.neither(stable, new)
    let others = planner(
      Goal(release: nil, replicas: 0), superseded, floor: record.instances.count { superseded.contains($0) }, goesBack: false)
    func newPool() -> WavePlanner {
      pool(of: new, replicas: plan.instances, floor: record.carriesUsers(new) ? plan.instances : 0, goesBack: false)
    }
    switch others.next() {
    case .settled: break
    case let step:
      // Where too few of the stable ones serve, those that are superseded carry the floor until the new ones do.
      let serving = record.serving
      let isHeld = serving.count <= rollout.bounds(record.policy.strategy).floor
      guard isHeld, serving.contains(where: { superseded.contains(record.instances[$0]) }) else { return step }
      switch newPool().next() {
      case .wave(let replacements, let added) where !added.isEmpty: return .wave(replacements, added)
      case .settled where rollout.takesOver(plan): return .settled
      case .wave, .settled, .waits, .blocked: break
      }
      return step
    }
    // Users are on the new release and the old one only waits for them to come back: whatever is to be set right has time until then.
    if record.rollout?.audience?.share == .everybody { return .settled }
    return newPool().next()
  }

  private var replacing: WavePlanner {
    planner(rollout.goal, .all, rollout.bounds(record.policy.strategy), goesBack: !rollout.direction.isForward)
  }

  private func pool(of release: ReleaseNumber, replicas: Int, floor: Int, goesBack: Bool) -> WavePlanner {
    // What is started has the secrets that hold now.
    planner(
      Goal(release: release, replicas: replicas, secrets: rollout.goal.secrets), .only(release), floor: floor, goesBack: goesBack)
  }

  private func planner(_ goal: Goal, _ members: WavePlanner.Members, floor: Int, goesBack: Bool) -> WavePlanner {
    let bounds = rollout.bounds(record.policy.strategy)
    return planner(goal, members, Bounds(floor: floor, cap: bounds.cap, surge: bounds.surge), goesBack: goesBack)
  }

  private func planner(_ goal: Goal, _ members: WavePlanner.Members, _ bounds: Bounds, goesBack: Bool) -> WavePlanner {
    WavePlanner(
      record: record, hosts: hosts, view: view, goal: goal, goesBack: goesBack, ignoresFloor: rollout.overridesFloor, members: members,
      bounds: bounds)
  }

  /// All waves from here on if every action works: the hosts that staging needs. `blocked` says why they would not get to the end.
  func projection(limit: Int = 10_000) -> (waves: [[Instance]], blocked: Failure?) {
    var waves: [[Instance]] = []
    var model = record
    for index in model.instances.indices where model.instances[index].condemned == nil && model.instances[index].takesPlace {
      model.instances[index].phase = .serving
      model.instances[index].healthySince = model.instances[index].healthySince ?? .zero
    }
    model.instances.removeAny { $0.condemned != nil || $0.phase == .retired }
    var hosts = view.map.hosts(of: model.instances)
    while waves.count < limit {
      _ = model.steerAudience()
      guard let rollout = model.rollout else { break }
      switch RolloutPlanner(record: model, view: view, rollout: rollout, hosts: hosts).next() {
      case .blocked(let failure): return (waves, failure)
      case .waits: return (waves, nil)
      case .settled:
        guard let step = rollout.step, let share = model.stepPlan?.share else { return (waves, nil) }
        let isLast = step.index + 1 == model.steps.count
        model.rollout?.audience?.share = share
        model.rollout?.step = isLast ? nil : StepState(index: step.index + 1)
      case .wave(let replacements, let added):
        waves.append(added)
        let gone = Set(replacements.compactMap(\.old))
        let staying = model.instances.indices.filter { !gone.contains(model.instances[$0].number) }
        hosts = staying.map { hosts[$0] } + view.map.hosts(of: added)
        model.instances = staying.map { model.instances[$0] }
        for var instance in added {
          instance.phase = .serving
          instance.healthySince = .zero
          model.instances.append(instance)
          model.nextInstance = max(model.nextInstance, instance.number + 1)
        }
      }
    }
    return (waves, nil)
  }
}
