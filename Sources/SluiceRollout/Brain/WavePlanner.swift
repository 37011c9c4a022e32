import SluiceModel

/// Plans the next wave from what exists towards a goal: pure, and the same for apply, rollback, scale, restart and drain.
package struct WavePlanner {
  package enum Step: Hashable, Sendable {
    /// The replacements, and the new instances they name, host and port fixed.
    case wave([Replacement], [Instance])
    /// Nothing is left to do.
    case settled
    /// Something is left, and the floor allows none of it until more serve.
    case waits(serving: Int, floor: Int)
    /// Something is left, and nothing may be done: why.
    case blocked(Failure)
  }

  /// Which instances a plan is about.
  enum Members: Hashable {
    case all
    case only(ReleaseNumber)
    /// Of releases that a rollout by steps neither comes from nor goes to: superseded ones.
    case neither(ReleaseNumber, ReleaseNumber)

    func contains(_ instance: Instance) -> Bool {
      switch self {
      case .all: true
      case .only(let release): instance.release == release
      case .neither(let one, let other): instance.release != one && instance.release != other
      }
    }
  }

  private let record: ServiceRecord
  private let view: FleetView
  private let goal: Goal
  private let bounds: Bounds
  private let conforms: Conformity
  private let ignoresFloor: Bool
  private let members: Members
  /// The host of each of the record's instances. The planner speaks of instances by their places in the record.
  private let hosts: [Int]
  private let manner: WaveManner

  package init(record: ServiceRecord, view: FleetView, goal: Goal, goesBack: Bool, ignoresFloor: Bool = false) {
    let bounds = record.policy.strategy.rules.bounds(replicas: goal.release == nil ? 0 : goal.replicas)
    self.init(
      record: record, hosts: view.map.hosts(of: record.instances), view: view, goal: goal, goesBack: goesBack, ignoresFloor: ignoresFloor,
      members: .all, bounds: bounds)
  }

  /// For one of the pools of a rollout by steps, or for all; `hosts` are those of the record's instances.
  init(
    record: ServiceRecord, hosts: [Int], view: FleetView, goal: Goal, goesBack: Bool, ignoresFloor: Bool, members: Members, bounds: Bounds
  ) {
    self.record = record
    self.view = view
    self.goal = goal
    self.ignoresFloor = ignoresFloor
    self.members = members
    self.bounds = bounds
    conforms = Conformity(record: record, view: view, goal: goal, goesBack: goesBack)
    self.hosts = hosts
    manner = record.policy.strategy.rules.manner
  }

  private var serving: Int { record.serving.count { members.contains(record.instances[$0]) } }

  /// The next wave, or why there is none.
  package func next() -> Step {
    var keep: [Int] = []
    var leaving: [Int] = []
    for place in record.instances.indices where members.contains(record.instances[place]) {
      if conforms.holds(record.instances[place], on: hosts[place]) {
        keep.append(place)
      } else if record.instances[place].takesPlace, record.instances[place].condemned == nil {
        leaving.append(place)
      }
    }
    let wanted = goal.release == nil ? 0 : goal.replicas
    var staying = keep
    if keep.count > wanted {
      let surplus = surplusOf(keep, count: keep.count - wanted)
      leaving += surplus
      let goes = Set(surplus)
      staying = keep.filter { !goes.contains($0) }
    }
    leaving = inOrderOfLeaving(leaving)
    let missing = wanted - staying.count
    if missing == 0 && leaving.isEmpty { return balancing(keep) }
    var draft = draft(leaving, missing: missing, staying: staying, ignoresFloor: false)
    // An override is for where there is no other way: what can be done above the floor is done above it.
    if draft.replacements.isEmpty, ignoresFloor { draft = self.draft(leaving, missing: missing, staying: staying, ignoresFloor: true) }
    if draft.replacements.isEmpty {
      let waits = record.instances.contains {
        members.contains($0) && $0.condemned == nil && $0.phase == .serving && $0.healthySince == nil
      }
      if draft.noHost, staysWhereItIs(leaving, missing: missing) { return .settled }
      if !draft.noHost, waits { return .waits(serving: serving, floor: bounds.floor) }
      return .blocked(draft.obstacle(leaving: leaving.count, missing: missing))
    }
    return .wave(draft.replacements, draft.added)
  }

  /// Whether all that is left to do is to move what serves and has no other place: that is for whoever has asked for it, as by draining its host.
  /// A release that is complete does not fail by it, nor does the way back to one.
  private func staysWhereItIs(_ leaving: [Int], missing: Int) -> Bool {
    guard let rollout = record.rollout, !rollout.goal.isSame(as: rollout.origin) || conforms.goesBack else { return false }
    guard missing == leaving.count else { return false }
    return leaving.allSatisfy(isMoved)
  }

  /// Whether it goes because of where it is, and not for another release.
  private func isMoved(_ place: Int) -> Bool {
    let instance = record.instances[place]
    return instance.release == goal.release && (conforms.isAsAsked(instance) || !conforms.allows(hosts[place]))
  }

  /// All is as the goal says, but for the spread: a rack that has more than `maxSkew` allows gives to those that have room again.
  private func balancing(_ keep: [Int]) -> Step {
    guard case .all = members, goal.release != nil, !conforms.goesBack, record.policy.placement.maxSkew != nil,
      manner.holding == nil, keep.allSatisfy({ record.serves(record.instances[$0]) }),
      !record.instances.contains(where: { $0.isLost || $0.condemned != nil })
    else { return .settled }
    var draft = Draft(planner: self, staying: keep, ignoresFloor: ignoresFloor)
    draft.balance(keep)
    return draft.replacements.isEmpty ? .settled : .wave(draft.replacements, draft.added)
  }

  private func draft(_ leaving: [Int], missing: Int, staying: [Int], ignoresFloor: Bool) -> Draft {
    var draft = Draft(planner: self, staying: staying, ignoresFloor: ignoresFloor)
    if manner.holding != nil {
      draft.recreate(leaving: leaving, missing: missing)
    } else {
      draft.roll(leaving: leaving, missing: missing)
    }
    return draft
  }

  /// Whether users lose nothing when it goes. One that a silent gateway may have in service is not among these.
  private func costsNothing(_ place: Int) -> Bool {
    !record.serves(record.instances[place]) && !record.mayServe(record.instances[place], gateways: view.requiredGateways(record))
  }

  /// Unhealthy ones first, they cost nothing; then by rack and host as the fleet lists them.
  private func inOrderOfLeaving(_ places: [Int]) -> [Int] {
    // The places are in order of the instances' numbers.
    places.map { (isServing: record.instances[$0].isServing ? 1 : 0, host: hosts[$0], place: $0) }.sorted { $0 < $1 }.map(\.place)
  }

  /// The ones of these places whose going leaves the best spread.
  private func surplusOf(_ places: [Int], count: Int) -> [Int] {
    var hostsOfNoFleet: [HostName: Int] = [:]
    let candidates = places.map { place in
      var host = hosts[place]
      if host == FleetMap.nowhere {
        let name = record.instances[place].host
        host = hostsOfNoFleet[name] ?? -1 - hostsOfNoFleet.count
        hostsOfNoFleet[name] = host
      }
      return Surplus.Candidate(
        place: place, number: record.instances[place].number, isServing: record.instances[place].isServing,
        rack: host < 0 ? -1 : view.map.rackOfHost[host], host: host)
    }
    return Surplus(of: candidates, count: count).chosen
  }

  /// A wave in the making.
  private struct Draft {
    let planner: WavePlanner
    let ignoresFloor: Bool
    var placement: Placement
    var replacements: [Replacement] = []
    var added: [Instance] = []
    var rack: RackName?
    var noHost = false

    init(planner: WavePlanner, staying: [Int], ignoresFloor: Bool) {
      self.planner = planner
      self.ignoresFloor = ignoresFloor
      placement = Placement(
        record: planner.record, hosts: planner.hosts, view: planner.view, replicas: planner.goal.replicas, counted: staying)
    }

    private var bounds: Bounds { planner.bounds }
    private var nextNumber: Int { planner.record.nextInstance + added.count }

    /// Takes as many as floor and cap allow at once; with rack order, of one rack only.
    mutating func roll(leaving: [Int], missing: Int) {
      let existing = planner.record.instances.indices.count { planner.record.instances[$0].takesPlace }
      var addable = bounds.addable(to: existing, replicas: planner.goal.replicas)
      let serving = planner.serving
      var takeable = ignoresFloor ? Int.max / 2 : max(0, serving - bounds.floor)
      var missing = missing
      let byRack = planner.manner.rackOrder
      // A stopped service has nothing to keep serving.
      if planner.goal.release == nil { takeable = Int.max / 2 }

      // Faults have taken some: what is missing comes back before anything else may go.
      if serving < bounds.floor, missing > leaving.count {
        add(min(addable, missing - leaving.count), byRack: byRack)
        if !replacements.isEmpty { return }
      }
      // Ones that were lost have come back: what is too many goes before anything new comes.
      if addable < 0 {
        let surplus = max(-addable, leaving.count - max(0, missing))
        for old in leaving where replacements.count < surplus && (planner.costsNothing(old) || takeable > 0) {
          if !planner.costsNothing(old) { takeable -= 1 }
          append(Replacement(old: number(old), new: nil, order: .oldFirst), nil, rack: nil)
        }
        return
      }
      for old in leaving {
        let itsRack = byRack ? planner.view.map.rack(ofHostAt: planner.hosts[old]) : nil
        if rack != nil, itsRack != rack { continue }
        let costsNothing = planner.costsNothing(old)
        if missing > 0, addable > 0, !costsNothing, let new = place(near: old) {
          append(Replacement(old: number(old), new: new.number, order: .newFirst), new, rack: itsRack)
          addable -= 1
          missing -= 1
        } else if costsNothing || takeable > 0 && !planner.record.isMissed(planner.record.instances[old]) {
          if !costsNothing { takeable -= 1 }
          placement.vacate(old)
          let new = missing > 0 ? place(near: old) : nil
          // What is sick and has no better place, as on the last host, stays in the one that it has, but where its going is all that is wanted.
          if new == nil, missing > 0, costsNothing, !ignoresFloor, planner.isMoved(old) { continue }
          if new != nil { missing -= 1 }
          append(Replacement(old: number(old), new: new?.number, order: .oldFirst), new, rack: itsRack)
        }
      }
      // What is missing beyond the ones that go: scaling up, a first release, one lost with its host.
      if leaving.isEmpty || replacements.count >= leaving.count { add(min(addable, missing), byRack: byRack) }
    }

    /// Adds up to `count` that replace nothing. With rack order only those of them that the spread puts into the wave's rack: the others come
    /// with the waves of theirs.
    private mutating func add(_ count: Int, byRack: Bool) {
      for _ in 0..<max(0, count) {
        guard let new = place(near: nil) else { return }
        let itsRack = byRack ? planner.view.map.rack(of: new.host) : nil
        if rack != nil, itsRack != rack { continue }
        append(Replacement(old: nil, new: new.number, order: .newFirst), new, rack: itsRack)
      }
    }

    /// Moves instances out of overfull racks, as many at once as floor and cap allow; with rack order one at a time.
    mutating func balance(_ standing: [Int]) {
      var addable = bounds.addable(to: standing.count, replicas: planner.goal.replicas)
      var takeable = ignoresFloor ? Int.max / 2 : max(0, planner.serving - bounds.floor)
      var standing = standing
      while addable > 0 || takeable > 0, let release = planner.goal.release {
        guard let old = planner.surplusOf(standing.filter { placement.isOverfull($0) }, count: 1).first,
          let new = placement.move(old, number: nextNumber, release: release, secrets: planner.goal.secrets)
        else { return }
        standing.removeAll { $0 == old }
        append(Replacement(old: number(old), new: new.number, order: addable > 0 ? .newFirst : .oldFirst), new, rack: nil)
        if addable > 0 { addable -= 1 } else { takeable -= 1 }
        if planner.manner.rackOrder { return }
      }
    }

    /// Everything old goes, then everything new comes.
    mutating func recreate(leaving: [Int], missing: Int) {
      for old in leaving { placement.vacate(old) }
      var olds = leaving[...]
      for _ in 0..<max(missing, 0) {
        let old = olds.first
        guard let new = place(near: old) else { break }
        if old != nil { olds.removeFirst() }
        append(Replacement(old: old.map(number), new: new.number, order: .oldFirst), new, rack: nil)
      }
      for old in olds { replacements.append(Replacement(old: number(old), new: nil, order: .oldFirst)) }
    }

    private func number(_ place: Int) -> Int { planner.record.instances[place].number }

    private mutating func place(near old: Int?) -> Instance? {
      guard let release = planner.goal.release else { return nil }
      let placed = placement.place(number: nextNumber, release: release, secrets: planner.goal.secrets, near: old)
      if placed == nil { noHost = true }
      return placed
    }

    private mutating func append(_ replacement: Replacement, _ new: Instance?, rack: RackName?) {
      replacements.append(replacement)
      if let new { added.append(new) }
      if self.rack == nil { self.rack = rack }
    }

    func obstacle(leaving: Int, missing: Int) -> Failure {
      let policy = planner.record.policy
      if noHost {
        return Failure(
          .host,
          "no eligible host has a free slot and a free port in \(policy.ports.from)–\(policy.ports.to) for another instance of \(policy.name)",
          output: placement.reasons().joined(separator: "\n"),
          remedy: "add slots or hosts, widen ports, or let the strategy stop one first (maxUnavailable: 1)")
      }
      let serving = planner.serving
      return Failure(
        .host,
        "\(leaving) instances are to go and \(max(0, missing)) to come, but \(serving) serve, the floor is \(bounds.floor) and the cap \(bounds.cap)",
        remedy: "bring the unhealthy instances back, or raise maxSurge or maxUnavailable")
    }
  }
}
