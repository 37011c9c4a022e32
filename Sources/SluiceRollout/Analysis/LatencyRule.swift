import SluiceModel
import SluiceTraffic

/// A bound on the 99th percentile of the time to a response's head: an anytime-valid test (`ShareTest`) of whether more than 1 % of the
/// canary's requests take longer than the bound.
///
/// Against the stable release the bound is `ratio` times its 99th percentile, which is measured too. For the abort it is taken at its upper
/// confidence bound: the least time of which the stable release's own requests show, at α/2, that fewer than 1 % take longer. Each time is tested
/// as if it stood alone, and only the true percentile's can be wrong, so no correction for many times is due. While that holds, the canary's
/// slow requests are no more than those over the true bound, whose evidence reaches 2/α with probability α/2 at most: together α, though the
/// bound moves from look to look.
///
/// Approximate: times are known by bucket, an eighth of their value wide, and a bucket that holds the bound counts as not slower; requests
/// of one user are counted one by one, and are slow together more often than chance has it.
struct LatencyRule {
  /// What may be slower.
  static let share = 0.01
  let alpha: Significance

  /// Against a fixed bound.
  func finding(max bound: Milliseconds, canary: ReleaseTraffic) -> Finding {
    let slow = canary.slow(thanMicroseconds: Self.microseconds(Double(bound.value) * 1000))
    let logEvidence = ShareTest.logEvidence(above: Self.share, slow)
    let verdict: Verdict = logEvidence >= alpha.logLimit ? .fail : slow.share <= Self.share ? .pass : .inconclusive
    return Finding(
      .p99Max, verdict, canary: slow, logEvidence: logEvidence,
      text: sentence(slow, over: "\(bound)", alpha.compare(logEvidence), verdict))
  }

  /// Against `ratio` times the stable release's percentile, and that percentile and `difference`: whichever is more.
  func finding(ratio: Double, difference: Milliseconds, canary: ReleaseTraffic, stable: ReleaseTraffic) -> Finding {
    guard let measured = stable.latency.quantile(1 - Self.share), let sure = surePercentile(stable) else {
      let needed = ShareTest.flawless(below: Self.share, alpha: alpha.alpha / 2)
      return Finding(
        .p99VersusStable, .inconclusive, canary: Tally(0, of: canary.latency.total), stable: Tally(0, of: stable.latency.total),
        text: "stable: its p99 is not known yet: needs at least \(Figures.count(needed)) requests, "
          + "has \(Figures.count(stable.latency.total))")
    }
    // A bound that is higher is met by no more requests, so what is said above of α holds for it too.
    let least = Double(difference.value) * 1000
    let bound = Self.microseconds(max(ratio * Double(sure), Double(sure) + least))
    // Half of α went to the bound, so the test has half to spend: E is halved instead.
    let logEvidence = ShareTest.logEvidence(above: Self.share, canary.slow(thanMicroseconds: bound)) - Elementary.log(2)
    let passing = Self.microseconds(max(ratio * Double(measured), Double(measured) + least))
    let isFailed = logEvidence >= alpha.logLimit
    let verdict: Verdict =
      isFailed ? .fail : canary.slow(thanMicroseconds: passing).share <= Self.share ? .pass : .inconclusive
    let shown = isFailed ? bound : passing
    let slow = canary.slow(thanMicroseconds: shown)
    let isByRatio = (ratio - 1) * Double(isFailed ? sure : measured) >= least
    let over =
      "\(Self.time(shown)) (\(isByRatio ? "\(Figures.decimal(ratio, places: 2)) × stable's p99" : "stable's p99 and \(difference)"))"
    return Finding(
      .p99VersusStable, verdict, canary: slow, stable: stable.slow(thanMicroseconds: shown), logEvidence: logEvidence,
      text: sentence(slow, over: over, alpha.compare(logEvidence), verdict))
  }

  /// The least time, in microseconds, of which the release's requests show that fewer than 1 % take longer; nil while they show none. The
  /// evidence rises with the time, so the buckets are searched by halving.
  private func surePercentile(_ stable: ReleaseTraffic) -> Int? {
    let limit = alpha.logLimit + Elementary.log(2)
    let times = (0..<LatencyHistogram.bucketCount - 1).map(LatencyHistogram.upperBound)
    var range = times.startIndex..<times.endIndex
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      let slow = Tally(stable.latency.counts.dropFirst(middle + 1).reduce(0, +), of: stable.latency.total)
      let isSure = ShareTest.logEvidence(below: Self.share, slow) >= limit
      range = isSure ? range.lowerBound..<middle : middle + 1..<range.upperBound
    }
    return range.lowerBound < times.endIndex ? times[range.lowerBound] : nil
  }

  private func sentence(_ slow: Tally, over bound: String, _ test: String, _ verdict: Verdict) -> String {
    let text = "canary: \(Figures.tally(slow)) took longer than \(bound), at most \(Figures.percent(Self.share)) may: \(test)"
    return verdict == .inconclusive ? text + "; needs more requests to tell" : text
  }

  /// As a whole number that no setting can overflow.
  private static func microseconds(_ time: Double) -> Int { time > 0 ? Int(min(time, 1e15).rounded(.up)) : 0 }

  /// `412.5ms`.
  private static func time(_ microseconds: Int) -> String { Figures.decimal(Double(microseconds) / 1000, places: 1) + "ms" }
}
