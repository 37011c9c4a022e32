/// A target's health from its probes, with hysteresis: `rise` successes in a row to be healthy, `fall` failures in a row to be unhealthy.
public struct HealthMachine: Hashable, Sendable {
  /// What is known.
  public enum Health: String, Hashable, Codable, Sendable, CaseIterable {
    /// Not enough probes yet.
    case unknown
    case healthy
    case unhealthy
  }

  public private(set) var health: Health
  /// Whether it was healthy once: only such targets count towards panic.
  public private(set) var wasHealthy: Bool
  private var streak = 0
  private var streakPassed = false

  /// A target nobody has probed.
  public init() {
    health = .unknown
    wasHealthy = false
  }

  /// Health as it was before a restart; probes go on from it.
  public init(restored health: Health, wasHealthy: Bool) {
    self.health = health
    self.wasHealthy = wasHealthy || health == .healthy
  }

  /// Takes one probe's outcome; says whether the health changed.
  public mutating func probed(passed: Bool, rise: Int, fall: Int) -> Bool {
    streak = passed == streakPassed ? min(streak, 1_000_000) + 1 : 1
    streakPassed = passed
    let next: Health =
      if passed { streak >= rise ? .healthy : health } else { streak >= fall ? .unhealthy : health }
    guard next != health else { return false }
    health = next
    if next == .healthy { wasHealthy = true }
    return true
  }

  /// How far probes have come that say otherwise than `health`: so many in a row, of so many needed; nil: the last one agreed.
  public func turning(rise: Int, fall: Int) -> (count: Int, of: Int)? {
    guard streak > 0 else { return nil }
    return switch (health, streakPassed) {
    case (.healthy, false): (streak, fall)
    case (.unhealthy, true), (.unknown, true): (streak, rise)
    case (.unknown, false): (streak, fall)
    case (.healthy, true), (.unhealthy, false): nil
    }
  }

  /// The table wants a target back that had left: its probe decides anew, as for a new one.
  public mutating func startAnew() {
    health = .unknown
    streak = 0
  }
}
