import SluiceModel

/// The traffic of a service's splits on one event loop: the present generation's, that of generations whose last requests end, and the sum
/// of those before.
struct TrafficLedger {
  /// How long a generation that has gone is kept apart: a little longer than the control side tells of it, so that no loop forgets first.
  static let keptTicks = 1_300

  private var present: SplitTraffic?
  private var gone: [(traffic: SplitTraffic, until: Int)] = []
  private var past = SplitCounts()
  private var hasBegun = false

  /// The traffic of the plan's generation, which is the present one from now on; nil: there is none.
  mutating func turn(to plan: SplitPlan?, tick: Int) -> SplitTraffic? {
    if let plan, plan.generation == present?.generation { return present }
    if let before = present { gone.append((before, tick + Self.keptTicks)) }
    present = nil
    guard let plan else { return nil }
    hasBegun = true
    if let index = gone.firstIndex(where: { $0.traffic.generation == plan.generation }) {
      present = gone.remove(at: index).traffic
    } else {
      present = SplitTraffic(generation: plan.generation, windowTicks: plan.windowTicks)
    }
    return present
  }

  /// Puts generations that went long ago to the sum.
  mutating func forget(tick: Int) {
    guard let first = gone.first, first.until <= tick else { return }
    for (traffic, until) in gone where until <= tick { past += traffic.counts }
    gone.removeAll { $0.until <= tick }
  }

  /// The counts by generation, and those of all generations since the process began; nil when there never was one.
  var tally: SplitTally? {
    guard hasBegun else { return nil }
    let kept = gone.map(\.traffic) + [present].compactMap(\.self)
    var tally = SplitTally(all: past, generations: kept.map { .init(revision: $0.generation, counts: $0.counts) })
    for generation in tally.generations { tally.all += generation.counts }
    return tally
  }
}

/// What a loop tells of a service's splits when asked.
struct SplitTally: Sendable {
  struct Generation: Sendable {
    var revision: Revision
    var counts: SplitCounts
  }

  /// Of all generations since the process began.
  var all = SplitCounts()
  var generations: [Generation] = []

  /// Adds another loop's.
  mutating func add(_ other: SplitTally) {
    all += other.all
    for generation in other.generations {
      if let index = generations.firstIndex(where: { $0.revision == generation.revision }) {
        generations[index].counts += generation.counts
      } else {
        generations.append(generation)
      }
    }
  }
}
