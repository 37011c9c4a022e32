/// The evidence that the canary's odds of an error are more than a tolerated ratio times the stable release's: an e-process, so it may be
/// looked at after every interval, and reaches 1/α with probability α at most where they are not (Ville's inequality).
///
/// **The test.** After Lindon and Malek (arXiv 2011.03567): given that an exposure failed, was it the canary's? With ρ the measured share of
/// exposures that were the canary's, and ρ' = ρr ⁄ (ρr + 1 − ρ) for a tolerated ratio r, a canary of θ times the tolerated odds is
/// θ ⁄ (1 + ρ'(θ − 1)) times as likely to own a failure. Their mixture over a beta prior presumes one ρ for all time. This one mixes
/// over a fixed grid of θ (`OddsGrid`) and multiplies each point's likelihood ratio up interval by interval with that interval's own ρ, so that
/// the split may move, and both releases' error rates may rise and fall together from interval to interval.
///
/// **Why the binomial ratio is allowed.** Take an interval with N₁ and N₀ exposures and F failures, K of them the canary's. Given these
/// three, and failures independent of each other, K has Fisher's noncentral hypergeometric distribution whatever the base rate. Two facts make
/// the binomial ratio conservative for every r ≥ 1, exactly so and not only where failures are rare:
/// 1. Its mean is at most Fρ'. From E[K(N₀ − F + K)] = r E[(N₁ − K)(F − K)] and Var K ≤ Fq(1 − q), with q = E[K] ⁄ F:
///    q(N₀ + rN₁) ≤ rN₁ − (r − 1)(F − 1)q(1 − q) ≤ rN₁.
/// 2. K is distributed as a sum of independent indicators (Vatutin and Mikhailov 1982), so by the inequality of the means
///    E[θ^K] ≤ (1 + q(θ − 1))^F ≤ (1 + ρ'(θ − 1))^F: the expected ratio is at most 1. A truly smaller ratio only makes K smaller.
/// For r < 1 the first fact turns round; a tolerated ratio below 1 is therefore taken as 1. What it costs where failures are common
/// is power: where half of the exposures fail, the variance of K is half the binomial one.
///
/// **What it presumes.** That exposures fail independently of each other, which is what `Analysis.userWindow` is for: it must be longer than a
/// client goes on asking after a failure. A storm of retries that outlasts it counts several times, and so does a user who always fails;
/// `sluice-bench judge` prints how many healthy canaries that costs.
///
/// **Strata.** An interval in which one side had no exposure says nothing (its ratio is 1 whatever failed), and with very few its ρ is
/// noise that blunts the test. So intervals are put together until each side has `leastExposures`; what is put together is one interval of the
/// argument above. When a stratum closes depends on exposures alone, never on failures, which keeps the argument whole. The evidence
/// moves only then: at most so many exposures of the scarcer side later.
///
/// **Steps.** A long good time must not excuse a release that breaks under more load. A tenth of the stake is held back; each later step bets half of
/// what is left of it afresh, as of its own beginning. A mixture over the time of the change is an e-process like any other, so the evidence
/// carries on over steps; the price for the first step is a factor 0.9.
package struct ErrorEvidence: Hashable, Codable, Sendable {
  /// Exposures of the scarcer side that close a stratum. With a look after every request, 5 costs hardly a failure more until an abort than a
  /// share that is known (`sluice-bench judge`); fewer blunt the test, and more cost a wholly broken canary more victims.
  package static let leastExposures = 5
  /// The part of the stake that the first step bets.
  static let firstStake = 0.9

  /// The tolerated ratio of odds, from 1 to a million.
  package let tolerated: Double
  /// ln of what is staked on each point of `OddsGrid` and what it has become.
  private var stakes: [Double]
  /// ln of what is held back for later steps.
  private var reserve: Double
  /// The open stratum.
  private var canary: Tally
  private var stable: Tally
  /// A step has begun within the open stratum; its bet is placed when that closes.
  private var isBetDue: Bool

  package init(tolerating ratio: Double) {
    tolerated = ratio.isNaN ? 1 : min(max(1, ratio), 1e6)
    stakes = OddsGrid.logPrior.map { $0 + Elementary.log(Self.firstStake) }
    reserve = Elementary.log(1 - Self.firstStake)
    canary = Tally(0, of: 0)
    stable = Tally(0, of: 0)
    isBetDue = false
  }

  /// ln E.
  package var logValue: Double { Elementary.logSum(stakes + [reserve]) }

  /// Takes the exposures of one interval and, of those, the failed ones; returns whether they closed a stratum, which alone moves the evidence.
  @discardableResult
  package mutating func take(canary newCanary: Tally, stable newStable: Tally) -> Bool {
    canary += newCanary
    stable += newStable
    guard min(canary.count, stable.count) >= Self.leastExposures else { return false }
    let failures = canary.hits + stable.hits
    if failures > 0 {
      let weight = Double(canary.count) * tolerated
      let share = weight / (weight + Double(stable.count))
      for point in stakes.indices {
        stakes[point] += OddsGrid.logRatio(point, hits: canary.hits, of: failures, share: share)
      }
    }
    canary = Tally(0, of: 0)
    stable = Tally(0, of: 0)
    if isBetDue { placeBet() }
    return true
  }

  /// A step begins: what was gathered stays, and a part of the reserve is staked as if nothing had been.
  package mutating func beginStep() {
    if canary.count + stable.count == 0 { placeBet() } else { isBetDue = true }
  }

  private mutating func placeBet() {
    isBetDue = false
    reserve -= Elementary.log(2)
    for point in stakes.indices { stakes[point] = Elementary.logSum([stakes[point], reserve + OddsGrid.logPrior[point]]) }
  }
}
