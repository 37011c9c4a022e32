/// The alternatives that every test of the analysis bets on: the odds of an event are θ times those of the bound that is tested, for 22 fixed
/// θ > 1, weighed by a prior. A sum of likelihood ratios with fixed weights is an e-process whatever the weights (Robbins' method of
/// mixtures); grid and prior decide only how soon it is sure.
///
/// ln θ runs from 0.05 (θ = 1.05) to 6.4 (θ = 602), three points to each doubling: a canary of φ times the odds is found out by every θ between
/// 1 and about φ², so a geometric grid of ln θ has several for any φ from 1.05 up, however many events there are. The prior's density over
/// ln θ is x e^(−x ⁄ 0.8), a gamma density of mean 1.6 (θ = 5): a release that is broken is several times worse. That makes it as quick as
/// the beta-binomial mixture of Lindon and Malek (arXiv 2011.03567) with the uniform prior, which needs the share to be known and to stand
/// still; `sluice-bench judge` prints both.
package enum OddsGrid {
  /// ln θ of each point.
  package static let logOdds: [Double] = (0..<22).map { 0.05 * Elementary.exp(Double($0) * Elementary.log(2) / 3) }
  /// θ − 1 of each point.
  static let excess: [Double] = logOdds.map { Elementary.exp($0) - 1 }
  /// ln of each point's weight; the weights sum to 1. On a geometric grid a density f(x) has the weights x f(x).
  package static let logPrior: [Double] = {
    let raw = logOdds.map { 2 * Elementary.log($0) - $0 / 0.8 }
    let whole = Elementary.logSum(raw)
    return raw.map { $0 - whole }
  }()

  /// ln of the likelihood ratio at one point: of `events`, `hits` fell where they fall with probability `share` under the bound, and with θ
  /// times the odds under the alternative: θ^hits ⁄ (1 + share (θ − 1))^events.
  @inline(__always)
  static func logRatio(_ point: Int, hits: Int, of events: Int, share: Double) -> Double {
    Double(hits) * logOdds[point] - Double(events) * Elementary.log1p(share * excess[point])
  }
}
