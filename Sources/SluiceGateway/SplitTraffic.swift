import SluiceModel
import SluiceTraffic

/// What both sides of one generation of a split have met, on one event loop. Touched on that loop only.
final class SplitTraffic {
  let generation: Revision
  /// Of the window in which a user counts once; zero: each request counts.
  let windowTicks: Int
  private var canary = SideTraffic()
  private var stable = SideTraffic()

  init(generation: Revision, windowTicks: Int) {
    self.generation = generation
    self.windowTicks = windowTicks
  }

  func ended(_ side: SplitRule.Side, _ end: SideTraffic.End, tick: Int) {
    let window = windowTicks > 0 ? tick / windowTicks : nil
    switch side {
    case .canary: canary.ended(end, window: window)
    case .stable: stable.ended(end, window: window)
    }
  }

  var counts: SplitCounts { SplitCounts(canary: canary.counts, stable: stable.counts) }
}

/// What the users of one side have met, as a loop counts it.
struct SideTraffic {
  /// How a request ended that counts.
  struct End {
    var user: UInt32?
    var failed: Bool
    var spilled: Bool
    var microseconds: Int
  }

  private var traffic = ReleaseTraffic()
  private var microseconds = 0
  private var latencies: [Int] = []
  private var exposures = ExposureTable()

  /// `window`: the number of the window in which a user counts once; nil: each request counts.
  mutating func ended(_ end: End, window: Int?) {
    traffic.requests += 1
    if end.failed { traffic.failures += 1 }
    if end.spilled { traffic.spilled += 1 }
    if latencies.isEmpty { latencies = Array(repeating: 0, count: LatencyHistogram.bucketCount) }
    latencies[LatencyHistogram.bucket(microseconds: end.microseconds)] += 1
    microseconds += end.microseconds
    var outcome = ExposureTable.Outcome(isExposure: true, isFailedExposure: end.failed)
    if let window, let user = end.user { outcome = exposures.ended(user: user, window: window, failed: end.failed) }
    if outcome.isExposure { traffic.exposures += 1 }
    if outcome.isFailedExposure { traffic.failedExposures += 1 }
  }

  var counts: SideCounts {
    var told = traffic
    told.latency = LatencyHistogram(counts: latencies)
    return SideCounts(traffic: told, microseconds: microseconds)
  }
}

/// One side's counts, to be added up.
struct SideCounts: Sendable {
  var traffic = ReleaseTraffic()
  /// The sum of all times to the head.
  var microseconds = 0

  static func += (left: inout Self, right: Self) {
    left.traffic += right.traffic
    left.microseconds += right.microseconds
  }
}

/// Both sides' counts, to be added up.
struct SplitCounts: Sendable {
  var canary = SideCounts()
  var stable = SideCounts()

  static func += (left: inout Self, right: Self) {
    left.canary += right.canary
    left.stable += right.stable
  }
}
