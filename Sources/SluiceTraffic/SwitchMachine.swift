public import SluiceModel

/// A route's hot switch: where it stands, and an order that waits for its time.
public struct SwitchMachine: Hashable, Codable, Sendable {
  /// What happens to a new request.
  public enum State: String, Hashable, Codable, Sendable, CaseIterable {
    /// It is admitted.
    case open
    /// It is held, bounded in number and time.
    case queue
    /// It is refused.
    case closed
  }

  /// An order for later.
  public struct Pending: Hashable, Codable, Sendable {
    public var state: State
    public var at: WallTime

    public init(state: State, at: WallTime) {
      self.state = state
      self.at = at
    }
  }

  /// What an order did.
  public enum Outcome: Hashable, Sendable {
    /// The switch stands there now, and stood elsewhere or there already.
    case now(changed: Bool)
    /// It will move at that time.
    case scheduled
    /// The time lies too far in the past; nothing has changed.
    case past(by: Milliseconds)
  }

  /// A time this far in the past is still meant as "now"; the clocks of two machines differ.
  public static let tolerance = Milliseconds(500)

  public private(set) var state: State
  public private(set) var pending: Pending?

  public init(state: State = .open, pending: Pending? = nil) {
    self.state = state
    self.pending = pending
  }

  /// An order without a time moves the switch at once and leaves a pending one standing; one with a time replaces the pending one.
  public mutating func order(_ state: State, at: WallTime?, now: WallTime) -> Outcome {
    guard let at else {
      let changed = self.state != state
      self.state = state
      return .now(changed: changed)
    }
    let late = now.milliseconds.subtractingReportingOverflow(at.milliseconds)
    if late.overflow || late.partialValue > Self.tolerance.value {
      return .past(by: Milliseconds(late.overflow ? .max : late.partialValue))
    }
    if late.partialValue >= 0 {
      pending = nil
      return order(state, at: nil, now: now)
    }
    pending = Pending(state: state, at: at)
    return .scheduled
  }

  /// Takes the pending order back; says whether there was one.
  public mutating func cancel() -> Bool {
    defer { pending = nil }
    return pending != nil
  }

  /// Fires the pending order when its time has come: once, also when the time passed while the process was down. Says whether it fired.
  public mutating func tick(now: WallTime) -> Bool {
    guard let due = pending, due.at <= now else { return false }
    pending = nil
    state = due.state
    return true
  }
}
