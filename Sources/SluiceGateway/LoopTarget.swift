import NIOCore
import SluiceGatewayAPI
import SluiceModel

/// How an admitted request ended.
enum Outcome {
  case completed
  case failed
  case cutOff
  case gone
}

/// Counts of one target or service on one event loop. Added up over the loops by the control side.
struct LoopCounts: Sendable {
  var admitted = 0
  var completed = 0
  var failed = 0
  var cutOff = 0
  var gone = 0
  var inFlight = 0
  var longLived = 0
  var refused = 0
  var unserved = 0
  var abandoned = 0
  var retried = 0
  /// Answers of the service by the first digit of their status, 1xx at index 0.
  var classes: (Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0)
  /// What the gateway answered, or broke off, because of it.
  var faults = FaultCounts()

  /// Requests and tunnels not ended.
  var open: Int { inFlight + longLived }

  @inline(__always)
  mutating func answered(_ status: Int) {
    switch status / 100 {
    case 2: classes.1 &+= 1
    case 3: classes.2 &+= 1
    case 4: classes.3 &+= 1
    case 5: classes.4 &+= 1
    default: classes.0 &+= 1
    }
  }

  @inline(__always)
  mutating func settle(_ outcome: Outcome, tunnel: Bool) {
    if tunnel { longLived &-= 1 } else { inFlight &-= 1 }
    switch outcome {
    case .completed: completed &+= 1
    case .failed: failed &+= 1
    case .cutOff: cutOff &+= 1
    case .gone: gone &+= 1
    }
  }

  /// Adds another loop's counts, or those of a target that has left.
  static func += (left: inout LoopCounts, right: LoopCounts) {
    left.admitted += right.admitted
    left.completed += right.completed
    left.failed += right.failed
    left.cutOff += right.cutOff
    left.gone += right.gone
    left.inFlight += right.inFlight
    left.longLived += right.longLived
    left.refused += right.refused
    left.unserved += right.unserved
    left.abandoned += right.abandoned
    left.retried += right.retried
    left.classes.0 += right.classes.0
    left.classes.1 += right.classes.1
    left.classes.2 += right.classes.2
    left.classes.3 += right.classes.3
    left.classes.4 += right.classes.4
    left.faults += right.faults
  }
}

/// A target on one event loop: its counts, its idle connections, its tunnels. Touched on that loop only.
final class LoopTarget {
  /// Idle connections kept to one target on one loop.
  static let idleLimit = 256
  /// How long an idle connection is kept: less than servers usually keep it, so that a request rarely meets a closing one.
  static let idleSeconds = 4
  /// A request that must not be done twice only goes on a connection that was used this recently: no server gives up sooner.
  static let freshTicks = 10

  let instance: InstanceID
  let address: SocketAddress
  /// `address:port`, for a Host line where the client sent none.
  let authority: String
  var release: ReleaseNumber
  var role = RouteTable.Pool.Role.serving
  var counts = LoopCounts()
  var eligible = false
  var draining = false
  /// Ends tunnels when it passes; in ticks.
  var tunnelDeadline = Int.max
  private(set) var idle: [UpstreamConnection] = []
  /// A reused connection has answered: the target does not close after each answer.
  private var reuseProven = false
  /// It closed a connection right after an answer without saying so; until this tick nothing that must not be done twice goes on a kept one.
  private var distrustedUntil = 0
  private(set) var tunnels: [ClientConnection] = []

  init(instance: InstanceID, release: ReleaseNumber, address: SocketAddress, authority: String) {
    self.instance = instance
    self.release = release
    self.address = address
    self.authority = authority
  }

  /// The connection used last, if one may carry this request. `once`: the request must not be done twice.
  @inline(__always)
  func takeIdle(tick: Int, once: Bool) -> UpstreamConnection? {
    if once, !reuseProven || tick < distrustedUntil { return nil }
    while let connection = idle.popLast() {
      if connection.mayCarry(tick: tick, freshTicks: once ? Self.freshTicks : nil) { return connection }
      connection.close()
    }
    return nil
  }

  /// Keeps a connection for the next request, unless the target drains or has enough.
  @inline(__always)
  func keep(_ connection: UpstreamConnection) -> Bool {
    guard !draining, idle.count < Self.idleLimit else { return false }
    idle.append(connection)
    return true
  }

  @inline(__always)
  func reuseAnswered() { reuseProven = true }

  /// A connection that should have been kept was closed by the target soon after its last answer.
  func closedEarly(tick: Int) { distrustedUntil = tick + 600 }

  /// A kept connection has ended.
  func forget(_ connection: UpstreamConnection) {
    if let index = idle.lastIndex(where: { $0 === connection }) { idle.remove(at: index) }
  }

  /// No connection may be waiting for a request that will not come: what stops next must not see it cut.
  func closeIdle() {
    let closing = idle
    idle = []
    for connection in closing { connection.close() }
  }

  func began(_ tunnel: ClientConnection) { tunnels.append(tunnel) }

  func ended(_ tunnel: ClientConnection) { tunnels.removeAll { $0 === tunnel } }
}
