import SluiceModel

/// Something with one deadline. Moving the deadline is one store; the wheel notices later, so a request costs no timer of its own.
class Timed {
  /// In ticks of the wheel; `Int.max`: none.
  fileprivate(set) final var deadline = Int.max
  /// When the wheel looks at it next, and where it is filed.
  fileprivate final var due = Int.max
  fileprivate final var place = -1

  /// The deadline has passed. It is cleared before this is called.
  func expired() { preconditionFailure("a subclass says what happens") }
}

/// One coarse timer for everything on an event loop: 64 slots of 100 ms. Deadlines further away are looked at again each round.
final class TimerWheel {
  static let tickMilliseconds: Int64 = 100
  private static let slots = 64

  private var wheel: [[Timed]] = Array(repeating: [], count: slots)
  private(set) var tick = 0

  /// Whole ticks that are at least this long.
  static func ticks(_ span: Milliseconds) -> Int { Int(min(max(span.value, 0), 1 << 40) / tickMilliseconds) + 1 }

  /// Sets the deadline this many ticks ahead.
  @inline(__always)
  func set(_ timed: Timed, ticks: Int) {
    timed.deadline = tick &+ ticks &+ 1
    if timed.deadline < timed.due { file(timed) }
  }

  /// Forgets the deadline.
  @inline(__always)
  func clear(_ timed: Timed) { timed.deadline = .max }

  /// Forgets the deadline and lets go of the object.
  func remove(_ timed: Timed) {
    timed.deadline = .max
    unfile(timed)
  }

  /// Moves on to `target` ticks since the start and calls what is due.
  func advance(to target: Int) {
    while tick < target {
      tick += 1
      let slot = tick % Self.slots
      guard !wheel[slot].isEmpty else { continue }
      let due = wheel[slot]
      wheel[slot] = []
      for timed in due {
        timed.due = .max
        timed.place = -1
      }
      for timed in due {
        if timed.deadline <= tick {
          timed.deadline = .max
          timed.expired()
        } else if timed.deadline != .max, timed.place < 0 {
          file(timed)
        }
      }
    }
  }

  private func file(_ timed: Timed) {
    unfile(timed)
    timed.due = min(timed.deadline, tick + Self.slots - 1)
    let slot = timed.due % Self.slots
    timed.place = wheel[slot].count
    wheel[slot].append(timed)
  }

  private func unfile(_ timed: Timed) {
    guard timed.place >= 0 else { return }
    let slot = timed.due % Self.slots
    let last = wheel[slot].removeLast()
    if last !== timed {
      wheel[slot][timed.place] = last
      last.place = timed.place
    }
    timed.place = -1
    timed.due = .max
  }
}
