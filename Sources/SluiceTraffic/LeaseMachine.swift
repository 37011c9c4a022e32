public import SluiceModel

/// Whether a controller is still heard, and what follows when it is not: the fall-back of a split (DESIGN section 6).
///
/// It falls back once, when no order has come for long enough and the stable side can carry everybody, and stays so until a new table comes.
public struct LeaseMachine: Hashable, Sendable {
  /// What a table says about it.
  public struct Terms: Hashable, Sendable {
    public var after: Milliseconds
    /// How many targets must be eligible on the stable side.
    public var leastTargets: Int

    public init(after: Milliseconds, leastTargets: Int) {
      self.after = after
      self.leastTargets = leastTargets
    }
  }

  /// Since when it has fallen back; nil: it has not.
  public private(set) var fallenBack: WallTime?
  /// By a clock that only goes forward.
  private var renewed: Milliseconds

  /// `now` counts as a renewal: after a restart the whole time begins anew.
  public init(now: Milliseconds, fallenBack: WallTime? = nil) {
    renewed = now
    self.fallenBack = fallenBack
  }

  /// An order of the standing fence came.
  public mutating func renew(now: Milliseconds) { renewed = max(renewed, now) }

  /// Another table came: what it says counts.
  public mutating func restart() { fallenBack = nil }

  /// Time has passed. Says whether it falls back now.
  public mutating func tick(_ terms: Terms, eligible: Int, now: Milliseconds, wall: WallTime) -> Bool {
    guard fallenBack == nil, now - renewed >= terms.after, eligible >= terms.leastTargets else { return false }
    fallenBack = wall
    return true
  }
}
