import Glibc
import NIOCore
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic

/// The one place where the gateway's decisions are made durable and published: admin orders, probes and counts come in here.
///
/// Marked Sendable because listeners hold it; all state is touched on `loop` only. That loop may block for a sync of the disk:
/// traffic and probes have loops of their own.
final class ControlPlane: @unchecked Sendable {
  /// What waits for a service's next change: lines are sent at most this often.
  static let coalesce = TimeAmount.milliseconds(20)
  private static let gatewayFile = "gateway.state"
  private static let serviceEnding = ".service.state"

  let loop: any EventLoop
  let boot: String
  /// A service as every event loop has taken it.
  struct Live {
    var revision: Revision?
    var split: SplitStatus?
    var lost: [LostRoute] = []
  }

  private let workers: [LoopWorker]
  private let store: StateStore
  private let probes: ProbeRunner
  private let flag: HealthResponder.Flag
  let connections: ConnectionBound
  /// Who else listens on the gateway's ports.
  var portWatch = PortWatch()
  let log: @Sendable (String) -> Void
  var services: [ServiceName: ServiceControl] = [:]
  /// Which service has which (host, path).
  var ledger = RouteLedger()
  private var bounds: [ServiceName: SharedBound] = [:]
  private var live: [ServiceName: Live] = [:]
  /// The split that was published last, and what was made of it for each loop.
  private var plans: [ServiceName: (split: RouteTable.Split, each: [SplitPlan])] = [:]
  /// Of the last status that was given.
  private var sequence: UInt64 = 0
  private(set) var draining = false
  private(set) var ending = false
  var degraded: [String: String] = [:]
  private var changed: Set<ServiceName> = []
  private var changesScheduled = false
  private var pendingTimer: Scheduled<Void>?
  private var unsavedHealth: Set<ServiceName> = []
  private var healthTimer: Scheduled<Void>?
  let watchers = WatchHub()
  /// Connections of the admin socket at a time: more are closed at once. Its owner alone can make them.
  static let adminConnectionLimit = 512
  var adminConnections = 0
  var stream = TrafficStream()
  var faults = FaultBook()
  /// The last fault of each target that is in a table.
  var lastFaults: [ServiceName: [TargetKey: LastFault]] = [:]
  var seconds: RepeatedTask?

  init(
    loop: any EventLoop, workers: [LoopWorker], store: StateStore, probeLoop: any EventLoop, flag: HealthResponder.Flag,
    connections: ConnectionBound, log: @escaping @Sendable (String) -> Void,
    probed: @escaping ProbeRunner.Report
  ) {
    self.loop = loop
    self.workers = workers
    self.store = store
    self.log = log
    self.flag = flag
    self.connections = connections
    probes = ProbeRunner(loop: probeLoop, report: probed)
    boot = "\(wallTime().milliseconds)-\(getpid())"
  }

  // MARK: Restart

  /// Reads what stood before and publishes it; the result comes when every loop has it. Call before the first accept.
  func restore() -> EventLoopFuture<Void> {
    loop.preconditionInEventLoop()
    readGateway()
    do {
      for name in try store.names(ending: Self.serviceEnding) { restore(file: name) }
    } catch {
      degrade("state", "the state directory cannot be read (\(error))")
    }
    restoreRoutes()
    for name in names where services[name]!.tick(now: wallTime()) { save(name) }
    schedulePending()
    startSeconds()
    return publish(names)
  }

  private func readGateway() {
    var found = StoredGateway()
    let loaded = store.load(Self.gatewayFile) { octets in
      guard let stored = try? AdminJSON.decode(StoredGateway.self, octets) else { return false }
      found = stored
      return true
    }
    switch loaded {
    case .good, .absent: break
    case .older: degrade(Self.gatewayFile, "the gateway's own state was damaged; it goes on with the one before")
    case .lost: degrade(Self.gatewayFile, "the gateway's own state is damaged; it counts as not drained")
    }
    draining = found.draining
    flag.set(!draining)
  }

  private func restore(file: String) {
    var found: StoredService?
    let loaded = store.load(file) { octets in
      guard let stored = try? AdminJSON.decode(StoredService.self, octets), Self.file(of: stored.service) == file,
        stored.table?.cannotBeServed(for: stored.service) == nil
      else { return false }
      found = stored
      return true
    }
    switch loaded {
    case .good, .absent: break
    case .older: degrade(file, "the newest state in \(file) is damaged; the one before it is served. Put the table again")
    case .lost: degrade(file, "the state in \(file) and the one before it are damaged; nothing of it is served. Put the table again")
    }
    guard let found else { return }
    services[found.service] = ServiceControl(restored: found, now: wallTime(), monotonic: monotonicTime())
    bounds[found.service] = SharedBound()
  }

  func degrade(_ part: String, _ text: String) {
    degraded[part] = text
    log("DEGRADED: \(text)")
  }

  static func file(of service: ServiceName) -> String { "\(service)\(serviceEnding)" }
  private static func unsaved(_ service: ServiceName) -> String { "unsaved \(service)" }

  // MARK: Changes

  /// Changes a service by an order: decided, then durable, then published. The result comes when every loop acts by it.
  ///
  /// Nothing has changed when it fails.
  func change(
    _ name: ServiceName, _ body: (inout ServiceControl) throws(AdminError) -> Bool
  ) -> EventLoopFuture<ServiceStatus> {
    loop.preconditionInEventLoop()
    if ending { return loop.makeFailedFuture(AdminError.ending) }
    guard Self.isName(name) else { return loop.makeFailedFuture(AdminError.badName) }
    var changed = [name: services[name] ?? ServiceControl(service: name)]
    let next: RouteLedger
    do {
      let isChanged = try body(&changed[name]!)
      next = try owners(after: changed[name]!)
      follow(next, &changed)
      if isChanged {
        try write(changed[name]!)
        // What an order has changed is whole again; a probe's write is no reason to fall silent.
        degraded[Self.file(of: name)] = nil
      }
    } catch {
      return loop.makeFailedFuture(error)
    }
    changed[name]!.renewLease(now: monotonicTime())
    services.merge(changed) { $1 }
    if bounds[name] == nil { bounds[name] = SharedBound() }
    schedulePending()
    let others = took(next, changed.keys.filter { $0 != name }.sorted())
    return publish([name] + others).flatMap { self.status(of: name) }.map { status in
      self.noteChange(name)
      return status
    }
  }

  private func write(_ service: ServiceControl) throws(AdminError) {
    do {
      try store.write(Self.file(of: service.service), AdminJSON.encode(service.stored))
      degraded[Self.unsaved(service.service)] = nil
    } catch {
      log("state of \(service.service) not written: \(error)")
      throw AdminError(
        reason: .notDurable, error: "the change could not be made durable (\(error)), so it was not made",
        remedy: "see to the disk of the gateway's state directory, then try again")
    }
  }

  /// A name that is safe as a file's name.
  static func isName(_ name: ServiceName) -> Bool {
    let octets = name.rawValue.utf8
    return !octets.isEmpty && octets.count <= 100 && octets.first != 46
      && octets.allSatisfy { $0 == 45 || $0 == 46 || $0 == 95 || ($0 < 128 && $0 != 43 && $0 != 38 && Octet.isToken($0) && isWord($0)) }
  }

  private static func isWord(_ octet: UInt8) -> Bool {
    (octet >= 48 && octet <= 57) || (octet >= 65 && octet <= 90) || (octet >= 97 && octet <= 122)
  }

  /// Sends all that is decided about a service to every loop.
  @discardableResult
  func publish(_ name: ServiceName) -> EventLoopFuture<Void> { publish([name]) }

  /// Sends all that is decided about services to every loop, which takes it in one turn: no request sees one of them without the others.
  func publish(_ names: [ServiceName]) -> EventLoopFuture<Void> {
    guard !ending else { return loop.makeFailedFuture(AdminError.ending) }
    let published = names.compactMap(update)
    let taken = workers.enumerated().map { index, worker in
      let updates = published.map { update, plans, _ in
        var update = update
        update.plan = plans?[index]
        return update
      }
      return worker.onLoop { $0.apply(updates) }
    }
    return EventLoopFuture.andAllSucceed(taken, on: loop).map {
      for (update, _, live) in published { self.live[update.service] = live }
    }
  }

  /// What loops are told of a service, the split of each loop apart, and what stands once they all have it.
  private func update(_ name: ServiceName) -> (ServiceUpdate, [SplitPlan]?, Live)? {
    guard let service = services[name], let bound = bounds[name] else { return nil }
    let split = service.served?.split
    let fallenBack = service.lease.fallenBack
    let update = ServiceUpdate(
      service: name, table: service.served, lost: Set(service.lost.map(\.route)), plan: nil, fallenBack: fallenBack != nil,
      eligible: service.eligibility.eligible, undecided: service.eligibility.undecided, switchState: service.hotSwitch.state,
      switchMoves: service.switchMoves, bound: bound)
    probes.follow(name, service.table)
    stream.follow(name, split?.generation, now: .now())
    let told = split.map { SplitStatus(generation: $0.generation, share: $0.share, fallenBack: fallenBack) }
    return (update, plans(name, split), Live(revision: service.table?.revision, split: told, lost: service.lost))
  }

  /// Made anew only when the split is another, since its lists may be long.
  private func plans(_ name: ServiceName, _ split: RouteTable.Split?) -> [SplitPlan]? {
    guard let split else {
      plans[name] = nil
      return nil
    }
    if plans[name]?.split != split { plans[name] = (split, workers.map { _ in SplitPlan(split) }) }
    return plans[name]?.each
  }

  // MARK: What happens by itself

  func probed(_ name: ServiceName, _ key: TargetKey, passed: Bool, text: String) {
    loop.preconditionInEventLoop()
    guard !ending, services[name]?.probed(key, passed: passed, text: text, now: wallTime()) == true else { return }
    let others = healthChanged(name)
    publish([name] + others).whenSuccess { self.noteChange(name) }
    unsavedHealth.insert(name)
    guard healthTimer == nil else { return }
    // Health is kept for a restart, not promised: one write a second is enough.
    healthTimer = loop.scheduleTask(in: .seconds(1)) {
      self.healthTimer = nil
      for name in self.unsavedHealth.sorted() { self.save(name) }
      self.unsavedHealth = []
    }
  }

  func save(_ name: ServiceName) {
    guard let service = services[name] else { return }
    do {
      try write(service)
    } catch {
      degrade(Self.unsaved(name), "\(error.error)")
    }
  }

  /// Fires orders whose time has come, and sleeps until the next is due; never longer than a moment, since clocks are set.
  private func schedulePending() {
    pendingTimer?.cancel()
    pendingTimer = nil
    guard let next = services.values.compactMap({ $0.hotSwitch.pending?.at }).min() else { return }
    let wait = min(max(next.milliseconds - wallTime().milliseconds, 1), 250)
    pendingTimer = loop.scheduleTask(in: .milliseconds(wait)) { self.firePending() }
  }

  private func firePending() {
    for name in services.keys.sorted() where services[name]!.tick(now: wallTime()) {
      save(name)
      publish(name).whenSuccess { self.noteChange(name) }
    }
    schedulePending()
  }

  /// Something of a service changed that watchers wait for: they hear of it together with what else changes in a moment.
  func noteChange(_ name: ServiceName) {
    loop.preconditionInEventLoop()
    guard !ending else { return }
    changed.insert(name)
    guard !changesScheduled else { return }
    changesScheduled = true
    loop.scheduleTask(in: Self.coalesce) { self.tellChanges() }
  }

  /// A watcher's snapshot was put together over several turns: whatever changed meanwhile follows.
  func noteAll() { for name in services.keys.sorted() { noteChange(name) } }

  private func tellChanges() {
    let names = changed.sorted()
    changed = []
    changesScheduled = false
    for name in names {
      status(of: name).whenSuccess { self.watchers.send(.service(status: $0)) }
    }
  }

  // MARK: The gateway itself

  func setDraining(_ draining: Bool) throws(AdminError) {
    do {
      try store.write(Self.gatewayFile, AdminJSON.encode(StoredGateway(draining: draining)))
    } catch {
      throw AdminError(
        reason: .notDurable, error: "the change could not be made durable (\(error)), so it was not made",
        remedy: "see to the disk of the gateway's state directory, then try again")
    }
    self.draining = draining
    flag.set(!draining && !ending)
  }

  /// The process ends: no more orders, and nothing more is asked of the event loops, which end next.
  func end() {
    ending = true
    pendingTimer?.cancel()
    seconds?.cancel()
    healthTimer?.cancel()
    healthTimer = nil
    for name in unsavedHealth.sorted() { save(name) }
    unsavedHealth = []
    probes.stop()
    watchers.closeAll()
  }

  // MARK: Asking

  func table(of name: ServiceName) -> RouteTable? { services[name]?.table }
  func record(of name: ServiceName) -> RecordCopy? { services[name]?.record }
  var names: [ServiceName] { services.keys.sorted() }

  /// The counts of a service added up over all loops.
  func tally(_ name: ServiceName) -> EventLoopFuture<ServiceTally> {
    guard !ending else { return loop.makeFailedFuture(AdminError.ending) }
    let asked = workers.map { worker in worker.onLoop { $0.tally(name) } }
    return EventLoopFuture.whenAllSucceed(asked, on: loop).map { tallies in
      var sum = ServiceTally()
      for tally in tallies { if let tally { sum.add(tally) } }
      return sum
    }
  }

  /// A service as it stands, counted over all loops. What each loop tells is from after whatever was published before this call.
  ///
  /// It is numbered in the turn that puts it together: what this loop knows is of that very turn. The loops' counts were taken before it, one
  /// loop after the other; but each loop, and this one, does what it is asked in turn, so that of two statuses the one asked for first is also
  /// put together first, and holds no count that is newer than the other's. A higher number therefore never tells anything older.
  func status(of name: ServiceName) -> EventLoopFuture<ServiceStatus> {
    guard let asked = services[name]?.serial else { return loop.makeFailedFuture(AdminError.noService(name)) }
    return tally(name).flatMapThrowing { tally in
      guard self.services[name] != nil else { throw AdminError.noService(name) }
      for target in tally.targets {
        let key = TargetKey(instance: target.instance, authority: target.authority)
        if self.services[name]!.counted(key, open: target.counts.open, serial: asked) { self.noteChange(name) }
      }
      self.sequence += 1
      return self.services[name]!.status(
        tally, live: self.live[name] ?? Live(), sequence: self.sequence, boot: self.boot, lastFaults: self.lastFaults[name] ?? [:])
    }
  }

  func status() -> EventLoopFuture<GatewayStatus> {
    guard !ending else { return loop.makeFailedFuture(AdminError.ending) }
    let each = names.map { status(of: $0) }
    let connections = workers.map { worker in worker.onLoop { $0.connectionCount } }
    return EventLoopFuture.whenAllSucceed(each, on: loop).and(EventLoopFuture.whenAllSucceed(connections, on: loop)).map { found, open in
      GatewayStatus(
        boot: self.boot, version: gatewayVersion, pid: Int(getpid()), clock: wallTime(), draining: self.draining,
        degraded: self.degraded.isEmpty ? nil : self.degraded.sorted { $0.key < $1.key }.map(\.value).joined(separator: "; "),
        connections: open.reduce(0, +), services: found, warnings: self.portWatch.warnings)
    }
  }
}

/// What the gateway keeps of itself over a restart.
struct StoredGateway: Codable {
  var draining = false
}

/// The wall clock: for `--at` and for people.
func wallTime() -> WallTime {
  var now = timespec()
  clock_gettime(CLOCK_REALTIME, &now)
  return WallTime(milliseconds: Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000)
}
