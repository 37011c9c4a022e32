package import SluiceModel

/// What `decide` makes of a record.
package struct Decision: Hashable, Sendable {
  package var record: ServiceRecord
  /// Attempts to send once the record is durable. They are in `record.attempts` too.
  package var attempts: [Attempt]
  /// Attempts that nobody waits for any more: their work is to be ended where that is possible.
  package var cancelled: [Int]
  package var events: [RecordEvent]
  /// The active time at which to decide again, if nothing happens before.
  package var wakeAt: Milliseconds?
  /// Whether the record was as decided before.
  package var isSettled: Bool

  package var gate: Gate? { record.rollout?.gate }
}

/// Decides what is to be done now. Pure: the same record and view give the same decision, and deciding again on its output yields nothing new.
///
/// `record.activeTime` is the time; `wall` only goes into what people read.
package func decide(_ record: ServiceRecord, view: FleetView, wall: WallTime) -> Decision {
  var decider = Decider(record: record, view: view, wall: wall)
  var passes = 0
  // Each pass moves objects one step; a record has few phases, so this settles after a handful.
  while passes < 64 {
    let before = decider.record
    decider.wakeAt = nil
    decider.pass()
    if decider.hasOnlyOpened(since: before) { break }
    passes += 1
  }
  return Decision(
    record: decider.record, attempts: decider.opened, cancelled: decider.cancelled, events: decider.events, wakeAt: decider.wakeAt,
    isSettled: passes == 0 && decider.opened.isEmpty && decider.cancelled.isEmpty)
}

/// One decision in the making: the record as it becomes, and what it asks for.
struct Decider {
  var record: ServiceRecord
  let view: FleetView
  let wall: WallTime
  var opened: [Attempt] = []
  var cancelled: [Int] = []
  var events: [RecordEvent] = []
  var wakeAt: Milliseconds?

  init(record: ServiceRecord, view: FleetView, wall: WallTime) {
    self.record = record
    self.view = view
    self.wall = wall
    occupied = OccupiedObjects(record.attempts)
    suspectsHosts = record.hosts.contains(where: \.needsLook)
    followPolicy()
  }

  /// After the policy was changed for another.
  mutating func followPolicy() {
    manner = policy.strategy.rules.manner
    gateways = view.gateways(of: record)
    requiredGateways = view.requiredGateways(record)
    routingGateways = view.routingGateways(record)
  }

  var now: Milliseconds { record.activeTime }
  var policy: ServicePolicy { record.policy }
  var isInterrupted: Bool { record.rollout?.interrupted ?? false }

  /// What an attempt is open on: the objects of `record.attempts`, which `open` and `abandon` alone change here.
  private(set) var occupied: OccupiedObjects
  /// Whether a host may be among those that are to be looked at before anything else is sent to them.
  var suspectsHosts: Bool
  /// How its strategy cuts the waves.
  private(set) var manner = WaveManner()
  /// The gateways that get the tables: those of the route, and those that are left.
  private(set) var gateways: [GatewayID] = []
  /// The gateways whose word on health is needed: all that may send users, but for those an operator has excluded.
  private(set) var requiredGateways: [GatewayID] = []
  /// The same, and those that are left and give no new request to anybody.
  private(set) var routingGateways: [GatewayID] = []

  mutating func pass() {
    // The time at a gate is not counted, also where nothing was heard meanwhile.
    if let gate = record.rollout?.gate, !gate.isCounted { progress() }
    record.rollout?.gate = nil
    admitGateways()
    joinGateways()
    // What gateways say under tables that this record has not seen is no ground for anything.
    if isBehindGateways {
      departGateways()
      composeTable()
    }
    trackHealth()
    loseInstances()
    steerAudience()
    if record.isRolling { advanceRollout() }
    moveInstances()
    departGateways()
    composeTable()
    withdrawRefusedTable()
    sendTables()
    lookAtHosts()
    noteGate()
  }

  /// Whether the pass has done nothing but open attempts: no further pass would find more to do.
  func hasOnlyOpened(since before: consuming ServiceRecord) -> Bool {
    guard record.attempts.count >= before.attempts.count, record.instances.stand(as: before.instances) else { return false }
    if record.nextAttempt > before.nextAttempt {
      before.attempts = record.attempts
      before.nextAttempt = record.nextAttempt
    }
    return record == before
  }

  // MARK: The few ways to change the record

  /// Opens an attempt, unless one is open on the object or its back-off runs; says whether one is open now.
  @discardableResult
  mutating func open(_ action: Action) -> Bool {
    let object = action.object
    if occupied.contains(object) { return true }
    if suspectsHosts, let host = action.host, record.host(host)?.needsLook == true {
      if case .observe = action {} else { return false }
    }
    if let backoff = record.backoffs.first(where: { $0.object == object }), backoff.notBefore > now {
      wake(at: backoff.notBefore)
      return false
    }
    let attempt = Attempt(id: record.nextAttempt, action: action, openedAt: now)
    record.nextAttempt += 1
    record.attempts.append(attempt)
    occupied.insert(object)
    opened.append(attempt)
    return true
  }

  /// Nobody waits for the attempt on this object any more.
  mutating func abandon(_ object: AttemptObject) {
    guard let attempt = record.openAttempt(on: object) else { return }
    record.attempts.removeAll { $0.id == attempt.id }
    occupied.remove(object)
    if let index = opened.firstIndex(where: { $0.id == attempt.id }) {
      opened.remove(at: index)
    } else {
      cancelled.append(attempt.id)
    }
  }

  mutating func wake(at time: Milliseconds) {
    if time > now { wakeAt = min(wakeAt ?? time, time) }
  }

  mutating func note(_ level: RecordEvent.Level, _ kind: String, _ text: String, _ instance: Instance? = nil) {
    events.append(RecordEvent(level, kind, text, instance: instance?.number, host: instance?.host))
  }

  mutating func change(_ number: Int, _ body: (inout Instance) -> Void) {
    guard let index = record.instances.index(of: number, by: \.number) else { return }
    body(&record.instances[index])
  }

  mutating func remove(_ number: Int) {
    if let index = record.instances.index(of: number, by: \.number) { record.instances.remove(at: index) }
  }

  func name(_ instance: Instance) -> String { "\(record.service)/\(instance.number) on \(instance.host)" }
}
