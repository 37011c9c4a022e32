import NIOCore
import SluiceGatewayAPI
import SluiceModel

/// What all event loops share and nothing changes.
struct WorkerSettings: Sendable {
  var limits = GatewayConfiguration.Limits()
  var trusted = TrustedNetworks([])
  var connections = ConnectionBound(GatewayConfiguration.Limits().connections)

  var scan: ScanLimits { ScanLimits(head: limits.head, fields: limits.fields, target: limits.target, options: limits.options) }
}

/// Everything one event loop knows: routes, services, timers, client connections.
///
/// It is marked Sendable so that the control side can hold it; all but `loop` and `settings` is touched on `loop` only, which `onLoop` sees to.
final class LoopWorker: @unchecked Sendable {
  let loop: any EventLoop
  let settings: WorkerSettings
  let scanLimits: ScanLimits
  let headTicks: Int
  let keepAliveTicks: Int
  let wheel = TimerWheel()
  private(set) var router = Router([])
  private(set) var ending = false
  private var services: [ServiceName: LoopService] = [:]
  private var clients: [ClientConnection] = []
  private var started = NIODeadline.now()
  private var ticking: RepeatedTask?
  /// Told, on this loop, that a drain or tunnel of a service may have ended.
  private let drained: @Sendable (ServiceName) -> Void
  /// Told, on this loop and about once a second, of faults; and how many more there were.
  private let faulted: @Sendable ([FaultReport], Int) -> Void
  private var faults = FaultTally()
  private let turn: Int

  init(
    loop: any EventLoop, settings: WorkerSettings, index: Int, drained: @escaping @Sendable (ServiceName) -> Void,
    faulted: @escaping @Sendable ([FaultReport], Int) -> Void
  ) {
    self.loop = loop
    self.settings = settings
    self.drained = drained
    self.faulted = faulted
    scanLimits = settings.scan
    headTicks = TimerWheel.ticks(settings.limits.headTime)
    keepAliveTicks = TimerWheel.ticks(settings.limits.keepAlive)
    turn = index
  }

  /// Runs on the worker's loop.
  func onLoop<Result: Sendable>(_ body: @escaping @Sendable (LoopWorker) -> Result) -> EventLoopFuture<Result> {
    loop.submit { body(self) }
  }

  /// Begins the ticks of the wheel.
  func start() {
    loop.preconditionInEventLoop()
    started = .now()
    let tick = TimeAmount.milliseconds(TimerWheel.tickMilliseconds)
    ticking = loop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { [weak self] _ in self?.advance() }
  }

  private func advance() {
    let elapsed = (NIODeadline.now() - started).nanoseconds / 1_000_000
    wheel.advance(to: Int(elapsed / TimerWheel.tickMilliseconds))
    for service in services.values { service.advance(tick: wheel.tick) }
    if !faults.isEmpty, wheel.tick >= faultsDue {
      faultsDue = wheel.tick + Self.faultTicks
      let others = faults.others
      faulted(faults.take(), others)
    }
  }

  /// Between two tellings of faults.
  private static let faultTicks = 10
  private var faultsDue = 0

  /// The gateway answers in the service's place, or breaks its answer off. `target`: because of that one.
  func fault(_ kind: FaultKind, _ service: LoopService, _ target: LoopTarget?, cause: String = "", example: String = "") {
    service.counts.faults.count(kind)
    target?.counts.faults.count(kind)
    let place = target.map { FaultReport.Place(instance: $0.instance, release: $0.release, authority: $0.authority) }
    faults.add(FaultReport(service: service.name, kind: kind, target: place, cause: cause, example: example))
  }

  /// Takes what is decided about services, all in this turn. When this returns, the loop acts by it.
  func apply(_ updates: [ServiceUpdate]) {
    loop.preconditionInEventLoop()
    var rerouted = false
    for update in updates {
      let service = services[update.service] ?? LoopService(name: update.service, bound: update.bound, turn: turn)
      rerouted = rerouted || service.table != update.table || service.lost != update.lost
      services[update.service] = service
      service.apply(update, tick: wheel.tick)
    }
    if rerouted { router = Router(Array(services.values)) }
  }

  /// The counts of a service here; nil when this loop never heard of it.
  func tally(_ service: ServiceName) -> ServiceTally? {
    loop.preconditionInEventLoop()
    return services[service]?.tally()
  }

  var connectionCount: Int { clients.count }

  /// Says whether the client may stay.
  func opened(_ client: ClientConnection) -> ConnectionBound.Verdict {
    client.index = clients.count
    clients.append(client)
    if ending { client.end() }
    return settings.connections.opened()
  }

  func closed(_ client: ClientConnection) {
    wheel.remove(client)
    guard client.index >= 0 else { return }
    let last = clients.removeLast()
    if last !== client {
      clients[client.index] = last
      last.index = client.index
    }
    client.index = -1
    settings.connections.closed()
  }

  @inline(__always)
  func settle(_ service: LoopService, _ target: LoopTarget, _ outcome: Outcome, tunnel: Bool) {
    if service.settle(target, outcome, tunnel: tunnel) { drained(service.name) }
  }

  /// A request moved away from a target that it could not be connected to: the drain of that one may have ended with it.
  func moved(_ service: LoopService, from target: LoopTarget) {
    if service.emptied(target) { drained(service.name) }
  }

  /// A request of a draining target became a tunnel: its request count may be zero now.
  func tunnelled(_ service: LoopService, _ target: LoopTarget) {
    service.tunnelled(target)
    if target.draining { drained(service.name) }
  }

  /// The process ends: idle connections close, each other one after its answer.
  func end() {
    loop.preconditionInEventLoop()
    ending = true
    for client in clients { client.end() }
  }

  /// What is left is cut, and counted.
  func cutAll() {
    loop.preconditionInEventLoop()
    for client in clients { client.cut() }
  }

  /// Stops the ticks and closes what is kept to targets.
  func stop() {
    loop.preconditionInEventLoop()
    ticking?.cancel()
    ticking = nil
    for service in services.values {
      for target in service.targets { target.closeIdle() }
    }
  }
}
