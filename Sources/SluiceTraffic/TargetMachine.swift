/// One target over time, as one gateway sees it: `warming → serving → draining → drained`, and back to serving only by a new table.
///
/// Health never moves a draining target back: only the table's word does.
public struct TargetMachine: Hashable, Sendable {
  /// Where a target is.
  public enum State: String, Hashable, Codable, Sendable, CaseIterable {
    /// New here: gets no request before its own probe has passed often enough.
    case warming
    /// May get requests (when its health, or panic, allows).
    case serving
    /// Gets no new request; some admitted ones are not finished, or not every event loop has taken the table yet.
    case draining
    /// Draining, every event loop has taken the table, and nothing is in flight.
    case drained
  }

  /// What happens to a target.
  public enum Event: Hashable, Sendable {
    /// The table names it active.
    case tableActive
    /// The table names it draining; it counts as such at once.
    case tableDraining
    /// Its health became healthy.
    case becameHealthy
    /// Its health became unhealthy.
    case becameUnhealthy
    /// Every event loop has taken the table that drains it, and reported this many requests and tunnels since.
    case counted(open: Int)
  }

  public private(set) var state: State

  /// A target that is new at this gateway.
  public init() { state = .warming }

  /// A target as it was before a restart: one that had been healthy goes on at once.
  public init(restoredServing: Bool) { state = restoredServing ? .serving : .warming }

  /// Applies one event; says whether the state changed.
  @discardableResult
  public mutating func apply(_ event: Event) -> Bool {
    let before = state
    switch (state, event) {
    case (.warming, .becameHealthy): state = .serving
    case (.warming, .tableDraining), (.serving, .tableDraining): state = .draining
    // A drained target that is wanted again was healthy when it left or is not: its probe decides anew.
    case (.draining, .tableActive), (.drained, .tableActive): state = .warming
    case (.draining, .counted(open: 0)): state = .drained
    case (.drained, .counted(let open)) where open > 0: state = .draining
    case (.warming, _), (.serving, _), (.draining, _), (.drained, _): break
    }
    return state != before
  }
}
