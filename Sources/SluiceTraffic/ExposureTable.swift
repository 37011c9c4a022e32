/// Tells whether a user has been met before in a window of time, in a fixed space: one slot for all users whose hashes end alike.
///
/// A user whose failures go on from one window into the next has failed once: a storm of retries does not end where a window does.
/// Who comes into another's slot takes it, so a user may be counted twice in a window, and is counted once too few only where two users'
/// whole hashes are the same.
public struct ExposureTable: Sendable {
  /// A power of two.
  public static let slotCount = 4_096

  /// What one request adds to the counts.
  public struct Outcome: Hashable, Sendable {
    /// It is the user's first in the window.
    public var isExposure: Bool
    /// It is the user's first failure in the window, and the window before had none of its.
    public var isFailedExposure: Bool

    @inlinable
    public init(isExposure: Bool, isFailedExposure: Bool) {
      self.isExposure = isExposure
      self.isFailedExposure = isFailedExposure
    }
  }

  @usableFromInline
  struct Slot: Sendable {
    @usableFromInline var window = -1
    @usableFromInline var hash: UInt32 = 0
    @usableFromInline var failed = false
    /// The user failed in the window before this one.
    @usableFromInline var goesOn = false

    @usableFromInline init() {}
  }

  @usableFromInline var slots: [Slot] = []

  /// Takes no space before the first request.
  public init() {}

  /// A request of the user ended in this window (zero or above, rising).
  @inlinable
  public mutating func ended(user hash: UInt32, window: Int, failed: Bool) -> Outcome {
    if slots.isEmpty { slots = Array(repeating: Slot(), count: Self.slotCount) }
    let index = Int(hash) & (Self.slotCount - 1)
    if slots[index].window == window, slots[index].hash == hash {
      let first = failed && !slots[index].failed
      if first { slots[index].failed = true }
      return Outcome(isExposure: false, isFailedExposure: first && !slots[index].goesOn)
    }
    let goesOn = slots[index].hash == hash && slots[index].window == window - 1 && slots[index].failed
    slots[index].goesOn = goesOn
    slots[index].window = window
    slots[index].hash = hash
    slots[index].failed = failed
    return Outcome(isExposure: true, isFailedExposure: failed && !goesOn)
  }
}
