import Foundation
import Testing

@testable import SluiceRollout
@testable import sluice_bench

/// The e-process of the canary's errors, against sums over all outcomes where they can be listed.
@Suite struct AnalysisEvidenceTests {
  /// One interval's exposures.
  struct Interval {
    var canary: Int
    var stable: Int
  }

  @Test func `E is the weighted sum of likelihood ratios, each interval with its own share`() {
    var evidence = ErrorEvidence(tolerating: 1.5)
    evidence.take(canary: Tally(4, of: 10), stable: Tally(3, of: 90))
    evidence.take(canary: Tally(2, of: 50), stable: Tally(5, of: 50))
    var expected = 0.1
    for (weight, odds) in zip(OddsGrid.logPrior.map(Foundation.exp), OddsGrid.logOdds.map(Foundation.exp)) {
      var ratio = 1.0
      for (share, canary, stable) in [(0.1, 4.0, 3.0), (0.5, 2.0, 5.0)] {
        let null = share * 1.5 / (share * 1.5 + 1 - share)
        let alternative = null * odds / (null * odds + 1 - null)
        ratio *= pow(alternative, canary) * pow(1 - alternative, stable) / (pow(null, canary) * pow(1 - null, stable))
      }
      expected += 0.9 * weight * ratio
    }
    #expect(abs(evidence.logValue - log(expected)) < 1e-12)
  }

  @Test(arguments: [1.0, 1.5], [0.1, 0.3, 0.5])
  func `for a share that stands still E keeps close to the beta mixture's closed form`(_ tolerated: Double, _ share: Double) {
    let mixture = BetaMixture(share: share * tolerated / (share * tolerated + 1 - share))
    var compared = 0
    for canary in 1...40 {
      for stable in 0...60 {
        let closed = mixture.logValue(canary: canary, stable: stable)
        // Where it matters: from an even chance to well over the usual limits.
        guard closed > 2, closed < 8 else { continue }
        var evidence = ErrorEvidence(tolerating: tolerated)
        evidence.take(
          canary: Tally(canary, of: Int(1_000_000 * share)), stable: Tally(stable, of: Int(1_000_000 * (1 - share))))
        #expect(abs(evidence.logValue - closed) < 1.3)
        compared += 1
      }
    }
    #expect(compared > 20)
  }

  @Test(arguments: [0.01, 0.02, 0.05, 0.1, 0.5])
  func `a canary that alone fails is aborted after one failure more than by the closed form at most`(_ share: Double) throws {
    let mixture = BetaMixture(share: share)
    let closed = try #require((1...20).first { mixture.logValue(canary: $0, stable: 0) >= log(100) })
    let own = try #require(
      (1...20).first { failures in
        var evidence = ErrorEvidence(tolerating: 1)
        evidence.take(canary: Tally(failures, of: Int(1_000_000 * share)), stable: Tally(0, of: Int(1_000_000 * (1 - share))))
        return evidence.logValue >= log(100)
      })
    #expect(own <= closed + 1)
  }

  /// All outcomes of the intervals: their probability times E, summed.
  private func expectation(
    _ intervals: [Interval], ratio: Double, stableRate: [Double], tolerated: Double, stepAfter: Int? = nil
  ) -> Double {
    func sum(_ place: Int, _ evidence: ErrorEvidence) -> Double {
      guard place < intervals.count else { return exp(evidence.logValue) }
      let interval = intervals[place]
      let stable = stableRate[place]
      let canary = stable * ratio / (1 - stable + stable * ratio)
      var whole = 0.0
      for own in 0...interval.canary {
        for other in 0...interval.stable {
          var next = evidence
          next.take(canary: Tally(own, of: interval.canary), stable: Tally(other, of: interval.stable))
          if place == stepAfter { next.beginStep() }
          let weight = binomial(own, interval.canary, canary) * binomial(other, interval.stable, stable)
          whole += weight * sum(place + 1, next)
        }
      }
      return whole
    }
    return sum(0, ErrorEvidence(tolerating: tolerated))
  }

  private func binomial(_ hits: Int, _ count: Int, _ share: Double) -> Double { exp(logBinomial(hits, count, share)) }

  private func logBinomial(_ hits: Int, _ count: Int, _ share: Double) -> Double {
    lgamma(Double(count) + 1) - lgamma(Double(hits) + 1) - lgamma(Double(count - hits) + 1)
      + Double(hits) * log(share) + Double(count - hits) * log1p(-share)
  }

  @Test(arguments: [1.0, 1.5, 4.0], [0.01, 0.1, 0.5, 0.9])
  func `a canary as bad as tolerated is expected to yield E of 1 at most, however common failures are`(_ ratio: Double, _ rate: Double) {
    for interval in [Interval(canary: 5, stable: 12), Interval(canary: 9, stable: 5), Interval(canary: 7, stable: 7)] {
      #expect(expectation([interval], ratio: ratio, stableRate: [rate], tolerated: ratio) <= 1 + 1e-12)
      #expect(expectation([interval], ratio: 1, stableRate: [rate], tolerated: ratio) <= 1 + 1e-12)
    }
  }

  @Test func `nor with a split and error rates that move, and a step between`() {
    let intervals = [Interval(canary: 5, stable: 11), Interval(canary: 8, stable: 6)]
    for ratio in [1.0, 2.0] {
      for rates in [[0.05, 0.4], [0.3, 0.02]] {
        #expect(expectation(intervals, ratio: ratio, stableRate: rates, tolerated: ratio, stepAfter: 0) <= 1 + 1e-12)
      }
    }
  }

  @Test func `where failures are rare the expectation is 1 nearly, so nothing is given away`() {
    let whole = expectation([Interval(canary: 5, stable: 45)], ratio: 1, stableRate: [0.001], tolerated: 1)
    #expect(whole > 0.999)
  }

  @Test func `a canary worse than tolerated is expected to yield more`() {
    let interval = Interval(canary: 5, stable: 12)
    #expect(expectation([interval, interval], ratio: 5, stableRate: [0.1, 0.1], tolerated: 1) > 1.2)
  }

  @Test func `one failure more of the canary raises E, one of stable lowers it`() {
    for canary in [0, 1, 5, 30] {
      for stable in [0, 2, 40] {
        func value(_ canary: Int, _ stable: Int) -> Double {
          var evidence = ErrorEvidence(tolerating: 1.5)
          evidence.take(canary: Tally(canary, of: 100), stable: Tally(stable, of: 900))
          return evidence.logValue
        }
        #expect(value(canary + 1, stable) > value(canary, stable))
        #expect(value(canary, stable + 1) < value(canary, stable))
      }
    }
  }

  @Test func `failures while one side has no exposure say nothing by themselves`() {
    var evidence = ErrorEvidence(tolerating: 1)
    let before = evidence.logValue
    let closed = evidence.take(canary: Tally(50, of: 1000), stable: Tally(0, of: 0))
    #expect(!closed)
    #expect(evidence.logValue == before)
  }

  @Test func `intervals too small to say anything are put together`() {
    var apart = ErrorEvidence(tolerating: 1)
    let closings = (0..<5).map { _ in apart.take(canary: Tally(1, of: 1), stable: Tally(0, of: 9)) }
    #expect(closings == [false, false, false, false, true])
    var together = ErrorEvidence(tolerating: 1)
    together.take(canary: Tally(5, of: 5), stable: Tally(0, of: 45))
    #expect(apart == together)
  }

  @Test func `a split that moves while error rates rise does not look like a bad canary`() {
    // Simpson's paradox: in all, the canary fails in 1.82 % and stable in 0.18 %, yet in each interval both fail alike.
    var evidence = ErrorEvidence(tolerating: 1)
    evidence.take(canary: Tally(1, of: 1_000), stable: Tally(100, of: 100_000))
    evidence.take(canary: Tally(200, of: 10_000), stable: Tally(100, of: 5_000))
    #expect(evidence.logValue < 0)
  }

  @Test func `a tolerated ratio below 1, or none, counts as 1, and one without bounds tolerates all`() {
    #expect(ErrorEvidence(tolerating: 0.5).tolerated == 1)
    #expect(ErrorEvidence(tolerating: .nan).tolerated == 1)
    #expect(ErrorEvidence(tolerating: 2.5).tolerated == 2.5)
    var boundless = ErrorEvidence(tolerating: .infinity)
    boundless.take(canary: Tally(10, of: 10), stable: Tally(0, of: 10))
    #expect(boundless.logValue < 1)
  }

  @Test func `a thousand million events neither overflow nor lose their meaning`() {
    var bad = ErrorEvidence(tolerating: 1.5)
    bad.take(canary: Tally(500_000_000, of: 1_000_000_000), stable: Tally(500_000_000, of: 9_000_000_000))
    #expect(bad.logValue.isFinite && bad.logValue > 1e6)
    var good = ErrorEvidence(tolerating: 1.5)
    good.take(canary: Tally(50_000_000, of: 1_000_000_000), stable: Tally(500_000_000, of: 9_000_000_000))
    // All that was staked is lost; what is held back for later steps stays.
    #expect(abs(good.logValue - log(0.1)) < 1e-9)
  }

  @Test func `a canary that breaks in a later step is found out though it was good for long`() throws {
    func stepsUntilAbort(beginsStep: Bool) -> Int? {
      var evidence = ErrorEvidence(tolerating: 1)
      evidence.take(canary: Tally(100, of: 10_000), stable: Tally(900, of: 90_000))
      if beginsStep { evidence.beginStep() }
      return (1...1000).first { _ in
        evidence.take(canary: Tally(1, of: 10), stable: Tally(1, of: 100))
        return evidence.logValue >= log(100)
      }
    }
    let with = try #require(stepsUntilAbort(beginsStep: true))
    let without = try #require(stepsUntilAbort(beginsStep: false))
    #expect(with < 20)
    #expect(without > 2 * with)
  }

  @Test func `a step's bet waits for the open stratum, so that it stakes on nothing already seen`() {
    var evidence = ErrorEvidence(tolerating: 1)
    evidence.take(canary: Tally(2, of: 2), stable: Tally(0, of: 50))
    evidence.beginStep()
    evidence.take(canary: Tally(2, of: 3), stable: Tally(0, of: 50))
    var settled = ErrorEvidence(tolerating: 1)
    settled.take(canary: Tally(4, of: 5), stable: Tally(0, of: 100))
    settled.beginStep()
    #expect(evidence == settled)
  }

  @Test func `bounds of a share hold the share, and close in on it`() {
    var width = 1.0
    for count in [100, 10_000, 1_000_000] {
      let tally = Tally(count / 50, of: count)
      let low = ShareTest.lowerBound(tally, alpha: 0.01)
      let high = ShareTest.upperBound(tally, alpha: 0.01)
      #expect(low < 0.02 && high > 0.02)
      #expect(high - low < width / 5)
      width = high - low
      // Where the bounds lie is where the evidence reaches 1/α.
      #expect(abs(ShareTest.logEvidence(below: high, tally) - log(100)) < 1e-3)
    }
    #expect(ShareTest.lowerBound(Tally(0, of: 500), alpha: 0.01) == 0)
    #expect(ShareTest.upperBound(Tally(0, of: 0), alpha: 0.01) == 1)
    #expect(!ShareTest.shows(Tally(0, of: 0), atMost: 0.5, alpha: 0.01))
    for tally in [Tally(0, of: 300), Tally(3, of: 500), Tally(40, of: 90), Tally(9, of: 9)] {
      let bound = ShareTest.upperBound(tally, alpha: 0.01)
      #expect(ShareTest.shows(tally, atMost: bound + 1e-9, alpha: 0.01))
      #expect(!ShareTest.shows(tally, atMost: bound - 1e-9, alpha: 0.01))
      #expect(!ShareTest.shows(tally, atMost: tally.share / 2, alpha: 0.01))
    }
    #expect(ShareTest.upperBound(Tally(7, of: 7), alpha: 0.01) == 1)
  }

  @Test func `the evidence against a share is expected to be 1 at most while the share is within its bound`() {
    for (share, bound) in [(0.01, 0.01), (0.005, 0.01), (0.3, 0.3), (0.2, 0.5)] {
      for count in [1, 20, 200] {
        let whole = (0...count).reduce(0.0) { sum, hits in
          sum + exp(logBinomial(hits, count, share) + ShareTest.logEvidence(above: bound, Tally(hits, of: count)))
        }
        #expect(whole <= 1 + 1e-9)
      }
    }
  }

  @Test func `so many flawless events, and not one fewer, show a share to be below a bound`() {
    let count = ShareTest.flawless(below: 0.01, alpha: 0.01)
    #expect(ShareTest.upperBound(Tally(0, of: count), alpha: 0.01) <= 0.01 + 1e-12)
    #expect(ShareTest.upperBound(Tally(0, of: count - 1), alpha: 0.01) > 0.01)
  }

  @Test(.timeLimit(.minutes(1)))
  func `in simulated runs a healthy canary is seldom aborted, and a bad one soon`() throws {
    var random = SplitMix64(seed: 11)
    let healthy = AbortTrial(Scenario(requests: 5_000, share: 0.1, rate: 0.01), runs: 1_000, random: &random) {
      [EvidenceJudge(ratio: 1, alpha: 0.01), RepeatedTest(alpha: 0.01)]
    }
    #expect(healthy.aborts(0).share <= 0.01)
    // The same runs before a judge who may look but once: the simulation does put a judge to the test.
    #expect(healthy.aborts(1).share > 0.05)
    let worse = AbortTrial(Scenario(requests: 20_000, share: 0.1, rate: 0.01, ratio: 5), runs: 300, random: &random) {
      [EvidenceJudge(ratio: 1, alpha: 0.01)]
    }
    let median = try #require(Waits(worse.times[0].map(\.failures)).quantile(0.5))
    #expect(median <= 25)
  }
}
