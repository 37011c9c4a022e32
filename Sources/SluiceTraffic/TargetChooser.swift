/// The choice of a target among those that may get a request; one chooser per event loop and route.
///
/// Loads are read through a closure that the compiler inlines, so the caller keeps its own layout.
public struct TargetChooser: Sendable {
  @usableFromInline var turn: Int

  /// `turn` is where the first round begins; event loops start at different targets.
  public init(turn: Int = 0) { self.turn = turn & Int.max }

  /// Each in turn. Nil when there is none.
  @inlinable @inline(__always)
  public mutating func roundRobin(count: Int) -> Int? {
    guard count > 0 else { return nil }
    if turn >= count { turn %= count }
    let chosen = turn
    turn &+= 1
    return chosen
  }

  /// The least loaded; among equals in turn, so that idle targets share what comes. Nil when there is none.
  @inlinable @inline(__always)
  public mutating func leastLoaded(count: Int, load: (Int) -> Int) -> Int? {
    guard let first = roundRobin(count: count) else { return nil }
    var best = first
    var least = load(first)
    var index = first
    for _ in 1..<max(count, 1) {
      if least == 0 { break }
      index &+= 1
      if index == count { index = 0 }
      let candidate = load(index)
      if candidate < least {
        least = candidate
        best = index
      }
    }
    return best
  }
}
