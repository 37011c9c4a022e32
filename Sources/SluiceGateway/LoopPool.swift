import SluiceTraffic

/// Those of a service's targets that may get the same requests, on one event loop.
struct LoopPool {
  /// Who is sent to a pool.
  enum Lane {
    /// Users, but for those of the canary.
    case serving
    /// Users that a split sends there.
    case canary
    /// Who asks for a preview's host.
    case preview
  }

  private(set) var targets: ContiguousArray<LoopTarget> = []
  private var chooser: TargetChooser
  private var leastConnections = true

  init(turn: Int) { chooser = TargetChooser(turn: turn) }

  var isEmpty: Bool { targets.isEmpty }

  /// Takes what may get requests from now on.
  mutating func take(_ targets: ContiguousArray<LoopTarget>, leastConnections: Bool) {
    self.targets = targets
    self.leastConnections = leastConnections
  }

  @inline(__always)
  mutating func choose() -> LoopTarget? {
    let chosen =
      leastConnections
      ? chooser.leastLoaded(count: targets.count) { targets[$0].counts.inFlight }
      : chooser.roundRobin(count: targets.count)
    return chosen.map { targets[$0] }
  }

  /// Another than the one that failed.
  mutating func choose(otherThan target: LoopTarget) -> LoopTarget? {
    let others = targets.filter { $0 !== target }
    return chooser.roundRobin(count: others.count).map { others[$0] }
  }
}
