package import SluiceModel
package import SluiceTraffic

/// What both sides of a split have met.
package struct SplitTraffic: Hashable, Codable, Sendable {
  package var canary: ReleaseTraffic
  package var stable: ReleaseTraffic

  package init(canary: ReleaseTraffic = ReleaseTraffic(), stable: ReleaseTraffic = ReleaseTraffic()) {
    self.canary = canary
    self.stable = stable
  }

  package static func += (left: inout Self, right: Self) {
    left.canary += right.canary
    left.stable += right.stable
  }

  /// What has come since `earlier`; nil where a counter has gone backwards.
  func since(_ earlier: Self) -> Self? {
    let difference = SplitTraffic(canary: canary - earlier.canary, stable: stable - earlier.stable)
    return difference.canary.isCount && difference.stable.isCount ? difference : nil
  }
}

extension ReleaseTraffic {
  /// No number of it is negative.
  fileprivate var isCount: Bool {
    min(requests, failures, exposures, failedExposures, spilled) >= 0 && latency.counts.allSatisfy { $0 >= 0 }
  }
}

/// How far one gateway's counters have been read, so that no request counts twice. A gateway counts from zero after each start, and for each
/// generation of the split.
package struct TrafficCursor: Hashable, Codable, Sendable {
  let gateway: GatewayID
  let boot: String
  let generation: Revision
  /// As last read.
  var read: SplitTraffic
}

/// The cursors of all gateways: two for each at most, since a gateway that has just taken a new split may still be finishing requests of the
/// one before.
package struct TrafficCursors: Hashable, Codable, Sendable {
  /// In order of gateway and generation.
  package private(set) var cursors: [TrafficCursor] = []

  package init() {}

  /// Takes a reading of the counters; returns what is new in it. Readings of one gateway are given in the order in which they were made: a
  /// boot unlike the last one is taken for a later one.
  package mutating func advance(
    gateway: GatewayID, boot: String, generation: Revision, to reading: SplitTraffic
  ) -> SplitTraffic {
    cursors.removeAll { $0.gateway == gateway && $0.boot != boot }
    if let place = cursors.firstIndex(where: { $0.gateway == gateway && $0.generation == generation }) {
      // Backwards without a new boot: the gateway has begun anew and did not say so; what it shows now has all come since.
      let new = reading.since(cursors[place].read) ?? reading
      cursors[place].read = reading
      return new
    }
    let known = cursors.filter { $0.gateway == gateway }
    // Older than the two that are kept: its cursor is gone, and with it the knowledge of what was counted.
    if known.count == 2, let oldest = known.first, generation < oldest.generation { return SplitTraffic() }
    if known.count == 2, let oldest = known.first { cursors.removeAll { $0 == oldest } }
    cursors.append(TrafficCursor(gateway: gateway, boot: boot, generation: generation, read: reading))
    cursors.sort { ($0.gateway, $0.generation) < ($1.gateway, $1.generation) }
    return reading
  }
}
