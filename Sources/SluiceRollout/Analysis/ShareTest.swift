/// How often something happened, of how many times.
package struct Tally: Hashable, Codable, Sendable {
  package var hits: Int
  package var count: Int

  package init(_ hits: Int, of count: Int) {
    self.hits = hits
    self.count = count
  }

  /// Hits ÷ count; 0 of 0 is 0.
  package var share: Double { count > 0 ? Double(hits) / Double(count) : 0 }

  package static func += (left: inout Self, right: Self) {
    left.hits += right.hits
    left.count += right.count
  }
}

/// Anytime-valid tests of one share against a fixed bound, and the confidence bounds that they turn into.
///
/// Each event is a hit with a probability p. For every p ≤ bound the likelihood ratio of θ times the bound's odds has an expected value of at
/// most 1 per event, so the mixture over `OddsGrid` reaches 1/α with probability α at most, over all looks together (Ville's inequality).
/// Where p moves in time, a statement is about its mean so far, and each look by itself is exact (by the inequality of the means; Hoeffding
/// 1956), while Ville's inequality wants p on one side of the bound throughout.
package enum ShareTest {
  /// ln of the evidence that more than `bound` are hits. 10⁹ events lose about 1e-6 to rounding.
  package static func logEvidence(above bound: Double, _ tally: Tally) -> Double {
    Elementary.logSum(
      OddsGrid.logPrior.indices.map { point in
        OddsGrid.logPrior[point] + OddsGrid.logRatio(point, hits: tally.hits, of: tally.count, share: bound)
      })
  }

  /// ln of the evidence that fewer than `bound` are hits: that more than 1 − bound are not.
  package static func logEvidence(below bound: Double, _ tally: Tally) -> Double {
    logEvidence(above: 1 - bound, Tally(tally.count - tally.hits, of: tally.count))
  }

  /// Whether the share does not exceed `bound`, but with probability `alpha` over all looks together: whether `upperBound` is at most that.
  package static func shows(_ tally: Tally, atMost bound: Double, alpha: Double) -> Bool {
    bound >= 1 || bound > tally.share && logEvidence(below: bound, tally) >= -Elementary.log(alpha)
  }

  /// What the share does not exceed, but with probability `alpha` over all looks together; 1 where nothing is known.
  package static func upperBound(_ tally: Tally, alpha: Double) -> Double {
    let limit = -Elementary.log(alpha)
    return boundary(from: tally.share, to: 1) { logEvidence(below: $0, tally) < limit }
  }

  /// What the share does not fall below, but with probability `alpha` over all looks together; 0 where nothing is known.
  package static func lowerBound(_ tally: Tally, alpha: Double) -> Double {
    let limit = -Elementary.log(alpha)
    return boundary(from: tally.share, to: 0) { logEvidence(above: $0, tally) < limit }
  }

  /// How many events without a hit show that fewer than `bound` are hits.
  package static func flawless(below bound: Double, alpha: Double) -> Int {
    let limit = -Elementary.log(alpha)
    var few = 0
    var many = 1
    while logEvidence(below: bound, Tally(0, of: many)) < limit {
      few = many
      many *= 2
    }
    while many - few > 1 {
      let middle = few + (many - few) / 2
      if logEvidence(below: bound, Tally(0, of: middle)) < limit { few = middle } else { many = middle }
    }
    return many
  }

  /// The place between `inside` and `outside` where `isPossible` ends, to 1e-12.
  private static func boundary(from inside: Double, to outside: Double, _ isPossible: (Double) -> Bool) -> Double {
    var inside = inside
    var outside = outside
    if isPossible(outside) { return outside }
    for _ in 0..<40 {
      let middle = (inside + outside) / 2
      if isPossible(middle) { inside = middle } else { outside = middle }
    }
    return outside
  }
}
