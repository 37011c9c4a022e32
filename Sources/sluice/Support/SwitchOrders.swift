import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceTraffic

/// The orders that a service's switch was given from this state directory, as its events tell them: who, what, when, and for when.
struct SwitchOrders {
  /// What the kinds of these events begin with.
  static let kindPrefix = "switch-"
  private static let cancelled = "switch-cancelled"
  private static let failed = "switch-failed"

  private struct Order {
    var state: SwitchMachine.State
    var effective: WallTime
  }

  private var orders: [Order] = []
  private let now: WallTime

  /// From the events of one service, oldest first; others are passed over.
  init(_ events: [StoredEvent], now: WallTime) {
    self.now = now
    for stored in events {
      if stored.event.kind == Self.cancelled { orders.removeAll { $0.effective > stored.at } }
      guard let state = SwitchMachine.State.allCases.first(where: { Self.kind($0) == stored.event.kind }) else { continue }
      // One that waits for its time is replaced by the next of its kind.
      if stored.event.due != nil { orders.removeAll { $0.effective > stored.at } }
      orders.append(Order(state: state, effective: stored.event.due ?? stored.at))
    }
    orders.sort { $0.effective < $1.effective }
  }

  /// Where the switch stands when nobody else has moved it, and since when.
  var standing: (state: SwitchMachine.State, since: WallTime)? {
    var found: (state: SwitchMachine.State, since: WallTime)?
    for order in orders where order.effective <= now && order.state != found?.state { found = (order.state, order.effective) }
    return found
  }

  var pending: SwitchMachine.Pending? {
    orders.first { $0.effective > now }.map { SwitchMachine.Pending(state: $0.state, at: $0.effective) }
  }

  /// Since when it stands there; nil where what was ordered here does not explain it.
  func since(_ state: SwitchMachine.State) -> WallTime? { standing?.state == state ? standing?.since : nil }

  // MARK: As events

  private static func kind(_ state: SwitchMachine.State) -> String { kindPrefix + state.rawValue }

  /// An order that these gateways took, and those did not. Nil state: one that waited was taken back.
  static func event(
    _ state: SwitchMachine.State?, at: WallTime?, by: String, taken: [GatewayID], refused: [(gateway: GatewayID, why: String)]
  ) -> RecordEvent {
    let places = taken.map(\.description).joined(separator: ", ")
    let failures = refused.map { "; \($0.gateway) did not take it: \($0.why)" }.joined()
    var what = "the switch order that waited for its time was taken back"
    if let state { what = at.map { "switch to be \(word(state)) at \(TimeText.utc($0)), ordered" } ?? "switch \(word(state))" }
    if taken.isEmpty { return RecordEvent(.failure, failed, "\(what) by \(by) nowhere\(failures)") }
    let level: RecordEvent.Level = failures.isEmpty && (state == nil || state == .open) ? .info : .warning
    return RecordEvent(level, state.map(kind) ?? cancelled, "\(what) by \(by) on \(places)\(failures)", due: state == nil ? nil : at)
  }

  private static func word(_ state: SwitchMachine.State) -> String {
    switch state {
    case .open: "opened"
    case .queue: "set to queue"
    case .closed: "closed"
    }
  }
}
