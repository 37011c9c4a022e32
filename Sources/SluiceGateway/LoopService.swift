import NIOCore
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Synchronization

/// The bound of what is held for one service, shared by all event loops. Touched only while something is held.
final class SharedBound: Sendable {
  private let count = Atomic<Int>(0)

  /// Takes a place unless `limit` are taken.
  func take(limit: Int) -> Bool {
    if count.add(1, ordering: .relaxed).newValue <= limit { return true }
    count.subtract(1, ordering: .relaxed)
    return false
  }

  func giveBack() { count.subtract(1, ordering: .relaxed) }
}

/// A service on one event loop: the one place where a request is admitted. Touched on that loop only.
final class LoopService {
  /// What becomes of a request whose head is complete.
  enum Admission {
    case target(LoopTarget)
    /// The switch is closed, or too many are held.
    case refused
    /// Held until the switch opens or a target is known to be healthy; at most this many ticks.
    case hold(ticks: Int)
    /// No target can take it.
    case unserved
  }

  /// How long a request waits for the first probe of a new route's targets.
  static let firstProbe = Milliseconds(2_000)

  let name: ServiceName
  let bound: SharedBound
  private(set) var table: RouteTable?
  /// What the table asks for and another service has.
  private(set) var lost: Set<RouteKey> = []
  private(set) var connectTime = TimeAmount.seconds(2)
  private(set) var responseTicks = 300
  private(set) var idleTicks = 600
  private(set) var held: [ClientConnection] = []
  private(set) var targets: [LoopTarget] = []
  /// Targets that left the table with requests in flight.
  private var leaving: [LoopTarget] = []
  /// What stands about a split; nil: there is none.
  private(set) var split: LoopSplit?
  /// Every request goes to the serving pools, and nothing need be known of it.
  private(set) var isPlain = true
  var counts = LoopCounts()
  var serving: LoopPool
  var canary: LoopPool
  var preview: LoopPool
  private var ledger = TrafficLedger()
  private(set) var switchState = SwitchMachine.State.open
  private var switchMoves = 0
  private var base = LoopCounts()
  private var undecided = false

  init(name: ServiceName, bound: SharedBound, turn: Int) {
    self.name = name
    self.bound = bound
    serving = LoopPool(turn: turn)
    canary = LoopPool(turn: turn)
    preview = LoopPool(turn: turn)
  }

  /// Decides about a request, and claims the target in the same turn: no table can come between.
  @inline(__always)
  func admit() -> Admission {
    if switchState != .open { return atSwitch() }
    guard let target = serving.choose() else { return withoutTarget() }
    return admitted(target)
  }

  @inline(__always)
  func admitted(_ target: LoopTarget) -> Admission {
    counts.admitted &+= 1
    counts.inFlight &+= 1
    claim(target)
    return .target(target)
  }

  @inline(__always)
  func claim(_ target: LoopTarget) {
    target.counts.admitted &+= 1
    target.counts.inFlight &+= 1
  }

  func atSwitch() -> Admission {
    guard switchState == .queue, let table else {
      counts.refused += 1
      return .refused
    }
    return hold(TimerWheel.ticks(table.queue.wait), limit: table.queue.requests)
  }

  func withoutTarget() -> Admission {
    guard waitsForTarget, let table else {
      counts.unserved += 1
      return .unserved
    }
    return hold(TimerWheel.ticks(table.hold ?? Self.firstProbe), limit: table.queue.requests)
  }

  private func hold(_ ticks: Int, limit: Int) -> Admission {
    guard bound.take(limit: limit) else {
      counts.refused += 1
      return .refused
    }
    return .hold(ticks: ticks)
  }

  /// Whether a request without a target waits for one: its first probe is due, or the table says that targets are on their way.
  private var waitsForTarget: Bool { undecided || table?.hold != nil }

  /// Whether the switch holds requests now.
  var isQueueing: Bool { switchState == .queue || (switchState == .open && waitsForTarget) }

  /// Puts a request among the held ones, after `admit` said so.
  func hold(_ client: ClientConnection) { held.append(client) }

  /// The client of a held request left.
  func abandon(_ client: ClientConnection) {
    guard drop(client) else { return }
    counts.abandoned += 1
  }

  /// A held request has waited long enough; says whether the switch held it.
  func giveUp(_ client: ClientConnection) -> Bool {
    guard drop(client) else { return false }
    if switchState == .open { counts.unserved += 1 } else { counts.refused += 1 }
    return switchState != .open
  }

  private func drop(_ client: ClientConnection) -> Bool {
    guard let index = held.firstIndex(where: { $0 === client }) else { return false }
    held.remove(at: index)
    bound.giveBack()
    return true
  }

  func retried(_ target: LoopTarget) {
    counts.retried += 1
    target.counts.retried += 1
  }

  @inline(__always)
  func answered(_ target: LoopTarget, status: Int) {
    counts.answered(status)
    target.counts.answered(status)
  }

  /// A request became a tunnel.
  func tunnelled(_ target: LoopTarget) {
    counts.inFlight -= 1
    counts.longLived += 1
    target.counts.inFlight -= 1
    target.counts.longLived += 1
  }

  /// Ends a claim; says whether a drain may have ended with it.
  @inline(__always)
  func settle(_ target: LoopTarget, _ outcome: Outcome, tunnel: Bool) -> Bool {
    counts.settle(outcome, tunnel: tunnel)
    target.counts.settle(outcome, tunnel: tunnel)
    return emptied(target)
  }

  /// A target that left the table has nothing open any more.
  func forgetLeft(_ target: LoopTarget) { leaving.removeAll { $0 === target } }

  /// Takes the whole of what is decided about the service, in one turn; then releases what is held, as far as it may go now.
  func apply(_ update: ServiceUpdate, tick: Int) {
    let changed = update.switchMoves != switchMoves || update.table != table
    if update.switchMoves != switchMoves {
      switchMoves = update.switchMoves
      base = counts
    }
    switchState = update.switchState
    lost = update.lost
    undecided = update.undecided
    if update.table != table { take(update.table, tick: tick) }
    follow(update.plan, fallenBack: update.fallenBack, tick: tick)
    for (index, target) in targets.enumerated() {
      target.eligible = index < update.eligible.count && update.eligible[index] && !target.draining
    }
    let canaryWasEmpty = canary.isEmpty
    serving.take(pool { $0.role == .serving }, leastConnections: leastConnections)
    canary.take(pool { $0.role == .canary }, leastConnections: leastConnections)
    preview.take(pool { [table] in $0.release == table?.preview?.release }, leastConnections: leastConnections)
    release(anew: !canary.isEmpty && (changed || canaryWasEmpty))
  }

  private var leastConnections: Bool { table?.balance != .roundRobin }

  private func pool(_ belongs: (LoopTarget) -> Bool) -> ContiguousArray<LoopTarget> {
    ContiguousArray(targets.filter { $0.eligible && belongs($0) })
  }

  private func follow(_ plan: SplitPlan?, fallenBack: Bool, tick: Int) {
    let traffic = ledger.turn(to: plan, tick: tick)
    if plan !== split?.plan || fallenBack != split?.fallenBack {
      split = plan.flatMap { plan in traffic.map { LoopSplit(plan, traffic: $0, fallenBack: fallenBack) } }
    }
    isPlain = split == nil && table?.preview == nil
  }

  /// In the order they came. While no target of the serving pools can take a request, those held for one are only looked at again when the
  /// canary's users among them may find one: `anew`.
  private func release(anew: Bool) {
    guard !held.isEmpty, switchState != .queue || table == nil else { return }
    if switchState == .open, table != nil, serving.isEmpty, !anew, waitsForTarget { return }
    let released = held
    held = []
    for client in released {
      bound.giveBack()
      client.released()
    }
  }

  private func take(_ table: RouteTable?, tick: Int) {
    var known: [String: LoopTarget] = [:]
    for target in targets + leaving { known[Self.key(target.instance, target.authority)] = target }
    targets = []
    for pool in table?.pools ?? [] {
      for wanted in pool.targets {
        let authority = authorityText(address: wanted.address, port: wanted.port)
        let key = Self.key(wanted.instance, authority)
        guard let target = known.removeValue(forKey: key) ?? Self.make(wanted, pool.release, authority) else { continue }
        target.release = pool.release
        target.role = pool.role
        drain(target, wanted.state == .draining, table: table, tick: tick)
        targets.append(target)
      }
    }
    leaving = []
    for target in known.values.sorted(by: { $0.instance < $1.instance }) {
      drain(target, true, table: table ?? self.table, tick: tick)
      if target.counts.open > 0 { leaving.append(target) }
    }
    self.table = table
    guard let table else { return }
    connectTime = .milliseconds(table.timeouts.connect.value)
    responseTicks = TimerWheel.ticks(table.timeouts.response)
    idleTicks = TimerWheel.ticks(table.timeouts.idle)
  }

  private func drain(_ target: LoopTarget, _ draining: Bool, table: RouteTable?, tick: Int) {
    if draining, !target.draining {
      target.tunnelDeadline = tick + TimerWheel.ticks(table?.drain.longLived ?? .zero)
      target.draining = true
      target.closeIdle()
    }
    target.draining = draining
    if !draining { target.tunnelDeadline = .max }
  }

  private static func make(_ wanted: RouteTable.Target, _ release: ReleaseNumber, _ authority: String) -> LoopTarget? {
    guard let address = try? SocketAddress(ipAddress: wanted.address, port: wanted.port) else { return nil }
    return LoopTarget(instance: wanted.instance, release: release, address: address, authority: authority)
  }

  private static func key(_ instance: InstanceID, _ authority: String) -> String { "\(instance) \(authority)" }

  /// Time has passed: cuts the tunnels of draining targets whose deadline has come.
  func advance(tick: Int) {
    ledger.forget(tick: tick)
    for target in targets + leaving where target.tunnelDeadline <= tick {
      for tunnel in target.tunnels { tunnel.cutTunnel() }
    }
  }

  /// Whether targets that left still have something open.
  var isEmptied: Bool { table == nil && leaving.isEmpty && held.isEmpty }

  func tally() -> ServiceTally {
    var since = counts
    since.admitted += base.inFlight + base.longLived - base.admitted
    since.completed -= base.completed
    since.failed -= base.failed
    since.cutOff -= base.cutOff
    since.gone -= base.gone
    since.refused -= base.refused
    since.unserved -= base.unserved
    since.abandoned -= base.abandoned
    return ServiceTally(
      total: counts, since: since, waiting: held.count,
      targets: (targets + leaving).map {
        .init(instance: $0.instance, release: $0.release, authority: $0.authority, counts: $0.counts)
      }, splits: ledger.tally)
  }
}

/// `10.0.0.1:80` or `[2001:db8::1]:80`.
func authorityText(address: String, port: Int) -> String {
  address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
}
