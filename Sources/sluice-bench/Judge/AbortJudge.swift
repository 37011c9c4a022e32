import Glibc
import SluiceRollout

/// A judge of a canary: it is shown what ended since it last looked, and says whether the canary is to be aborted.
protocol AbortJudge {
  var name: String { get }
  /// Failed ones, of how many that ended, on either side.
  mutating func look(canary: Tally, stable: Tally) -> Bool
  /// The split has moved: a step begins.
  mutating func beginStep()
}

extension AbortJudge {
  /// Most judges know of no steps.
  mutating func beginStep() {}
}

/// Sluice's own: `ErrorEvidence`, looked at after every request.
struct EvidenceJudge: AbortJudge {
  let name: String
  private var evidence: ErrorEvidence
  private let limit: Double
  /// The canary has failed since the evidence was last looked at: nothing else can raise it.
  private var isSuspected = false

  init(ratio: Double, alpha: Double) {
    name = "sluice, ratio \(ratio)"
    evidence = ErrorEvidence(tolerating: ratio)
    limit = -log(alpha)
  }

  mutating func look(canary: Tally, stable: Tally) -> Bool {
    if canary.hits > 0 { isSuspected = true }
    guard evidence.take(canary: canary, stable: stable), isSuspected else { return false }
    isSuspected = false
    return evidence.logValue >= limit
  }

  mutating func beginStep() { evidence.beginStep() }
}

/// Lindon and Malek's mixture over a uniform prior, told the true share: what Sluice's would be if the share stood still.
struct KnownShareJudge: AbortJudge {
  let name: String
  private let mixture: BetaMixture
  private let limit: Double
  private var canary = 0
  private var stable = 0

  init(ratio: Double, share: Double, alpha: Double) {
    name = "beta mixture, ratio \(ratio)"
    mixture = BetaMixture(share: share * ratio / (share * ratio + 1 - share))
    limit = -log(alpha)
  }

  mutating func look(canary newCanary: Tally, stable newStable: Tally) -> Bool {
    canary += newCanary.hits
    stable += newStable.hits
    return newCanary.hits > 0 && mixture.logValue(canary: canary, stable: stable) >= limit
  }
}

/// The two-proportion z-test that most people write, one-sided, looked at again and again from the tenth failure on: its normal approximation
/// is not meant for fewer.
struct RepeatedTest: AbortJudge {
  let name = "z-test at each look"
  private let limit: Double
  private var canary = Tally(0, of: 0)
  private var stable = Tally(0, of: 0)

  init(alpha: Double) { limit = Normal.quantile(1 - alpha) }

  mutating func look(canary newCanary: Tally, stable newStable: Tally) -> Bool {
    canary += newCanary
    stable += newStable
    guard canary.hits + stable.hits >= 10, canary.count > 0, stable.count > 0 else { return false }
    let pooled = Double(canary.hits + stable.hits) / Double(canary.count + stable.count)
    let variance = pooled * (1 - pooled) * (1 / Double(canary.count) + 1 / Double(stable.count))
    return canary.share - stable.share > limit * variance.squareRoot()
  }
}

/// Abort when the canary's error rate is over 1.5 times stable's and one in a hundred more; looked at from 200 requests of the canary on.
struct FixedThreshold: AbortJudge {
  let name = "rate > 1.5 stable + 1 %"
  private var canary = Tally(0, of: 0)
  private var stable = Tally(0, of: 0)

  mutating func look(canary newCanary: Tally, stable newStable: Tally) -> Bool {
    canary += newCanary
    stable += newStable
    return canary.count >= 200 && canary.share > 1.5 * stable.share + 0.01
  }
}

/// In the manner of Kayenta: error rates per interval, Mann and Whitney's test by the 98 % interval of the shift between the two sides; abort when
/// it lies above a quarter of the shift itself. Looked at after each interval of 1 000 requests that both sides had a part in, from the
/// fifth on, since four a side can never fail.
struct RankJudge: AbortJudge {
  let name = "Mann-Whitney per 1 000"
  private static let length = 1_000
  private var canary = Tally(0, of: 0)
  private var stable = Tally(0, of: 0)
  private var canaryRates: [Double] = []
  private var stableRates: [Double] = []

  mutating func look(canary newCanary: Tally, stable newStable: Tally) -> Bool {
    canary += newCanary
    stable += newStable
    guard canary.count + stable.count >= Self.length, canary.count > 0, stable.count > 0 else { return false }
    canaryRates.append(canary.share)
    stableRates.append(stable.share)
    canary = Tally(0, of: 0)
    stable = Tally(0, of: 0)
    guard canaryRates.count >= 5, let shift = RankShift(canaryRates, over: stableRates) else { return false }
    return shift.lowerBound > 0.25 * abs(shift.estimate)
  }
}
