package import SluiceGatewayAPI
package import SluiceModel
package import SluiceTraffic

/// All that is decided about one service at this gateway. Pure: it is told what happens and when, and says what stands then;
/// `ControlPlane` makes that durable and publishes it.
package struct ServiceControl: Sendable {
  /// What is known of a target beyond the table.
  package struct TargetRecord: Hashable, Sendable {
    package var machine = TargetMachine()
    package var health = HealthMachine()
    package var since: WallTime
    package var lastProbe = ""
  }

  package let service: ServiceName
  package private(set) var standing = TableGuard()
  package private(set) var table: RouteTable?
  package private(set) var record: RecordCopy?
  /// The fence that stood before the claim that stands, as long as nothing has been ordered with it.
  private var former: Fence?
  package private(set) var hotSwitch = SwitchMachine()
  /// Rises whenever the switch moves.
  package private(set) var switchMoves = 0
  /// Rises with every change that event loops must hear of.
  package private(set) var serial = 0
  /// By `TargetKey`.
  package private(set) var targets: [TargetKey: TargetRecord] = [:]
  /// The check that judges each target: its own release's.
  private var probes: [TargetKey: RouteTable.Probe] = [:]
  package private(set) var eligibility = RouteEligibility()
  /// The table as event loops act by it: see `RouteTable.asServed`.
  package private(set) var served: RouteTable?
  /// What the table asks for and another service has.
  package private(set) var lost: [LostRoute] = []
  /// When a controller was last heard, and whether users were sent back for want of it.
  package private(set) var lease: LeaseMachine

  package init(service: ServiceName) {
    self.service = service
    lease = LeaseMachine(now: .zero)
  }

  // MARK: Orders

  /// Takes a whole table. Says whether anything changed; throws the refusal.
  package mutating func put(_ new: RouteTable, now: WallTime) throws(AdminError) -> Bool {
    var same = false
    if let table {
      var other = new
      other.fence = table.fence
      same = other == table
    }
    switch standing.judge(new.fence, revision: new.revision, same: same) {
    case .already:
      let raised = standing.fence != new.fence || former != nil
      standing.raise(to: new.fence)
      former = nil
      return raised
    case .take: break
    case let verdict: throw AdminError(verdict, service: service)
    }
    standing.raise(to: new.fence)
    standing.took(new.revision)
    former = nil
    lease.restart()
    table = new
    follow(new, now: now)
    return true
  }

  /// Brings the targets' machines in line with the table.
  private mutating func follow(_ table: RouteTable, now: WallTime) {
    var next: [TargetKey: TargetRecord] = [:]
    probes = [:]
    for (target, probe) in table.probedTargets {
      let key = TargetKey(target)
      probes[key] = probe
      var record = targets[key] ?? TargetRecord(since: now)
      switch target.state {
      case .draining: record.machine.apply(.tableDraining)
      case .active:
        if record.machine.apply(.tableActive) {
          record.health.startAnew()
          record.since = now
        }
      }
      next[key] = record
    }
    targets = next
    served = table.asServed
    decide()
  }

  /// Takes the service's route away. The fence and the revision stay, so that nobody's late table brings it back.
  package mutating func remove(_ order: FenceOrder) throws(AdminError) {
    try admit(order.fence)
    table = nil
    served = nil
    lease.restart()
    targets = [:]
    record = nil
    hotSwitch = SwitchMachine()
    decide()
  }

  /// Raises the fence. Says whether anything changed.
  package mutating func claim(_ order: FenceOrder) throws(AdminError) -> Bool {
    let before = standing.fence
    let kept = before.owner == order.fence.owner ? former : before
    let changed = try take(order.fence)
    former = kept
    return changed
  }

  /// Takes a claim back that came to nothing elsewhere, unless something was ordered with it: the fence before it stands again. Says whether
  /// anything changed.
  package mutating func withdraw(_ order: FenceOrder) -> Bool {
    guard standing.fence == order.fence, let former else { return false }
    standing.withdraw(to: former)
    self.former = nil
    return true
  }

  /// Raises the fence for an order. Says whether anything changed.
  private mutating func take(_ fence: Fence) throws(AdminError) -> Bool {
    let before = standing.fence
    try admit(fence)
    return before != standing.fence
  }

  /// Gives the fence back to a number that controllers can count on from. What was written from above it counts as older than what follows.
  package mutating func reset(_ order: FenceReset) throws(AdminError) {
    guard standing.fence == order.standing else { throw AdminError(resetOf: order.standing, to: standing.fence, service: service) }
    guard order.fence.isBounded else { throw AdminError(.leaping(over: standing.fence), service: service) }
    standing.reset(to: order.fence)
    former = nil
    if var table {
      table.fence = order.fence
      table.revision = TableGuard.lowered(table.revision, to: order.fence)
      if let generation = table.split?.generation { table.split?.generation = min(generation, table.revision) }
      self.table = table
      follow(table, now: WallTime(milliseconds: 0))
    }
    if let revision = record?.revision, revision != TableGuard.lowered(revision, to: order.fence) { record = nil }
  }

  /// Keeps a copy of the service record. Says whether anything changed.
  package mutating func keep(_ order: RecordOrder) throws(AdminError) -> Bool {
    switch standing.judge(order.fence) {
    case .take, .already: break
    case let verdict: throw AdminError(verdict, service: service)
    }
    let same = record == order.record
    switch TableGuard.judge(order.record.revision, under: order.fence, against: record?.revision, same: same) {
    case .already: return try take(order.fence)
    case .take: break
    case let verdict: throw AdminError(verdict, service: service)
    }
    try admit(order.fence)
    record = order.record
    return true
  }

  /// Moves the switch, now or later. Says whether anything changed.
  package mutating func order(_ order: SwitchOrder, now: WallTime) throws(AdminError) -> Bool {
    if let at = order.at, at > Bounds.wallTime {
      throw AdminError(reason: .badRequest, error: "the time lies beyond the year 9999", remedy: "give it as milliseconds since 1970, UTC")
    }
    let fenceChanged = try take(order.fence)
    let before = hotSwitch
    switch hotSwitch.order(order.state, at: order.at, now: now) {
    case .now(let changed):
      if changed { moved() }
    case .scheduled: break
    case .past(let late):
      throw AdminError(
        reason: .past, error: "the time lies \(late) in the past by this gateway's clock",
        remedy: "give a time ahead, or none for now; compare the clocks")
    }
    return fenceChanged || before != hotSwitch
  }

  /// Takes a pending order of the switch back. Says whether there was one.
  package mutating func cancel(_ order: FenceOrder) throws(AdminError) -> Bool {
    let fenceChanged = try take(order.fence)
    return hotSwitch.cancel() || fenceChanged
  }

  private mutating func admit(_ fence: Fence) throws(AdminError) {
    switch standing.judge(fence) {
    case .take, .already: standing.raise(to: fence)
    case let verdict: throw AdminError(verdict, service: service)
    }
    former = nil
  }

  // MARK: Whose route

  /// What the service asks for at this gateway; nil: nothing.
  package var claim: RouteLedger.Claim? {
    guard let table, let served else { return nil }
    let stands = served.pools.contains { $0.role == .serving && $0.targets.contains { $0.state == .active } }
    return RouteLedger.Claim(routes: table.routes, takesFrom: table.takesFrom, stands: stands, serves: eligibility.canServe)
  }

  /// What it does not have of that. Says whether anything changed.
  package mutating func lose(_ lost: [LostRoute]) -> Bool {
    guard self.lost != lost else { return false }
    self.lost = lost
    serial += 1
    return true
  }

  /// It takes a route over: an operator's closed switch there stays closed here.
  package mutating func inherit(_ other: SwitchMachine) {
    guard hotSwitch == SwitchMachine(), other != hotSwitch else { return }
    hotSwitch = other
    moved()
  }

  // MARK: What happens by itself

  /// Fires a pending order that is due. Says whether it did.
  package mutating func tick(now: WallTime) -> Bool {
    let before = hotSwitch.state
    guard hotSwitch.tick(now: now) else { return false }
    if before != hotSwitch.state { moved() }
    return true
  }

  private mutating func moved() {
    switchMoves += 1
    serial += 1
  }

  /// A probe has ended. Says whether the target's health changed.
  package mutating func probed(_ key: TargetKey, passed: Bool, text: String, now: WallTime) -> Bool {
    guard let probe = probes[key], var record = targets[key] else { return false }
    let changed = record.health.probed(passed: passed, rise: probe.rise, fall: probe.fall)
    let turning = record.health.turning(rise: probe.rise, fall: probe.fall)
    record.lastProbe = turning.map { "\(text) (\($0.count) of \($0.of) in a row to be \(passed ? "healthy" : "unhealthy"))" } ?? text
    if changed {
      record.since = now
      record.machine.apply(record.health.health == .healthy ? .becameHealthy : .becameUnhealthy)
    }
    targets[key] = record
    if changed { decide() }
    return changed
  }

  /// All loops have taken the table of `serial` and were asked since: so many are open. Says whether a drain ended.
  package mutating func counted(_ key: TargetKey, open: Int, serial: Int) -> Bool {
    guard serial == self.serial, var record = targets[key] else { return false }
    let changed = record.machine.apply(.counted(open: open))
    targets[key] = record
    return changed
  }

  private mutating func decide() {
    serial += 1
    guard let served else {
      eligibility = RouteEligibility()
      return
    }
    eligibility = RouteEligibility(served) { target in
      targets[TargetKey(target)].map {
        Eligibility.Candidate(state: $0.machine.state, health: $0.health.health, wasHealthy: $0.health.wasHealthy)
      }
    }
  }

  // MARK: The controller's lease

  /// An order of the standing fence came.
  package mutating func renewLease(now: Milliseconds) { lease.renew(now: now) }

  /// Time has passed, by a clock that only goes forward. Says whether all users go to the serving pools from now on, because the table says so
  /// for when no controller is heard.
  package mutating func fallBackIfDue(now: Milliseconds, wall: WallTime) -> Bool {
    guard let lost = served?.split?.controllerLost else { return false }
    let terms = LeaseMachine.Terms(after: lost.after, leastTargets: lost.leastTargets)
    guard lease.tick(terms, eligible: eligibility.healthyServing, now: now, wall: wall) else { return false }
    serial += 1
    return true
  }

  // MARK: Restart

  /// What must survive a restart.
  package var stored: StoredService {
    StoredService(
      service: service, standing: standing, table: table, record: record, hotSwitch: hotSwitch,
      health: targets.map { key, record in
        .init(
          instance: key.instance, authority: key.authority, health: record.health.health, wasHealthy: record.health.wasHealthy,
          since: record.since)
      }.sorted { ($0.instance, $0.authority) < ($1.instance, $1.authority) }, fallenBack: lease.fallenBack,
      lost: lost.isEmpty ? nil : lost, former: former)
  }

  /// What stood before a restart; targets that were healthy serve at once, and probes go on. `monotonic`: the same moment by a clock that only
  /// goes forward, from which a lease counts.
  package init(restored: StoredService, now: WallTime, monotonic: Milliseconds) {
    service = restored.service
    standing = restored.standing
    // A file that says otherwise was not written by a gateway.
    former = restored.former.flatMap { $0.admits(restored.standing.fence) ? $0 : nil }
    record = restored.record
    hotSwitch = restored.hotSwitch
    table = restored.table
    lost = restored.lost ?? []
    lease = LeaseMachine(now: monotonic, fallenBack: restored.fallenBack)
    for known in restored.health {
      let health = HealthMachine(restored: known.health, wasHealthy: known.wasHealthy)
      targets[TargetKey(instance: known.instance, authority: known.authority)] = TargetRecord(
        machine: TargetMachine(restoredServing: health.wasHealthy), health: health, since: known.since)
    }
    if let table { follow(table, now: now) }
  }
}

extension AdminError {
  /// The reset of a fence that does not stand any more.
  fileprivate init(resetOf shown: Fence, to standing: Fence, service: ServiceName) {
    self.init(
      reason: .fenceHeld, error: "the fence of \(service) is \(standing) by now, not \(shown)",
      remedy: "look at what stands, and ask again", holder: standing)
  }
}

/// A target is the same one as long as instance and address are.
package struct TargetKey: Hashable, Sendable {
  package var instance: InstanceID
  /// `address:port`.
  package var authority: String

  package init(instance: InstanceID, authority: String) {
    self.instance = instance
    self.authority = authority
  }

  package init(_ target: RouteTable.Target) {
    self.init(instance: target.instance, authority: authorityText(address: target.address, port: target.port))
  }
}

/// One service as its state file holds it.
package struct StoredService: Hashable, Codable, Sendable {
  package var service: ServiceName
  package var standing: TableGuard
  package var table: RouteTable?
  package var record: RecordCopy?
  package var hotSwitch: SwitchMachine
  package var health: [Health]
  /// Since when no controller has been heard and all users go to the serving pools.
  package var fallenBack: WallTime?
  /// What the table asks for and another service has; nil: nothing, or it was written before routes had owners.
  package var lost: [LostRoute]?
  /// The fence that a claim has gone over with which nothing has been ordered yet; files of Sluice 0.1 have none.
  package var former: Fence?

  package struct Health: Hashable, Codable, Sendable {
    package var instance: InstanceID
    package var authority: String
    package var health: HealthMachine.Health
    package var wasHealthy: Bool
    package var since: WallTime
  }
}

extension AdminError {
  /// The refusal that goes with a verdict.
  init(_ verdict: TableGuard.Verdict, service: ServiceName) {
    switch verdict {
    case .fenced(let holder):
      self.init(
        reason: .fenceHeld, error: "\(service) is held by \(holder) at this gateway",
        remedy: "wait until it is released, or take over with a higher epoch", holder: holder)
    case .leaping(let standing):
      self.init(
        reason: .fenceLeap,
        error:
          "the fence's epoch is beyond what controllers of \(service) can have counted up to: \(standing) stands, an epoch may be at most \(Bounds.epochLeap) above it and at most \(Bounds.epoch)",
        remedy: "find out which host or record tells such an epoch; sluice adopt --reset-fence shows what stands everywhere, and asks",
        holder: standing)
    case .unbounded(let revision):
      self.init(
        reason: .badRequest, error: "revision \(revision) is beyond all bounds: epochs and versions are at most \(Bounds.version)",
        remedy: "find out which host or record tells such a number")
    case .stale(let live):
      self.init(
        reason: .staleRevision, error: "\(service) has the newer revision \(live)", remedy: "read what stands, and go on from it",
        current: live)
    case .conflicting(let live):
      self.init(
        reason: .conflictingRevision, error: "revision \(live) of \(service) stands with other content",
        remedy: "give the change a revision of its own", current: live)
    case .impossible, .take, .already:
      self.init(
        reason: .badRequest, error: "the revision's epoch is above the fence's", remedy: "write the revision under the fence that is held")
    }
  }
}
