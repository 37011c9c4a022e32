import Glibc

/// The closed form that the analysis' grid stands in for: the one-sided beta-binomial mixture of Lindon and Malek (arXiv 2011.03567) for a share
/// that stands still. E = B(a + n₁, b + n₀)(1 − I(a + n₁, b + n₀)) ⁄ [B(a, b)(1 − I(a, b)) ρ^n₁ (1 − ρ)^n₀], I at ρ.
struct BetaMixture {
  /// ρ: with what probability a failure is the canary's, if the canary is as bad as tolerated.
  let share: Double
  var a = 1.0
  var b = 1.0

  init(share: Double) { self.share = share }

  /// ln E after so many failures of either side.
  func logValue(canary: Int, stable: Int) -> Double {
    let left = a + Double(canary)
    let right = b + Double(stable)
    return Self.logBeta(left, right) + Self.logTail(share, left, right) - Self.logBeta(a, b) - Self.logTail(share, a, b)
      - Double(canary) * log(share) - Double(stable) * log1p(-share)
  }

  /// ln B(a, b).
  static func logBeta(_ a: Double, _ b: Double) -> Double { lgamma(a) + lgamma(b) - lgamma(a + b) }

  /// ln(1 − I_x(a, b)), the regularised incomplete beta function: exact also where it is tiny.
  static func logTail(_ x: Double, _ a: Double, _ b: Double) -> Double {
    // The fraction converges fast on the far side of the mean; on the other the complement is taken.
    if 1 - x < (b + 1) / (a + b + 2) { return logFront(1 - x, b, a) + log(fraction(1 - x, b, a)) }
    return log1p(-exp(logFront(x, a, b)) * fraction(x, a, b))
  }

  /// ln of x^a (1 − x)^b ⁄ (a B(a, b)).
  private static func logFront(_ x: Double, _ a: Double, _ b: Double) -> Double {
    a * log(x) + b * log1p(-x) - log(a) - logBeta(a, b)
  }

  /// The continued fraction of DLMF 8.17.22 by Lentz's method: I_x(a, b) = x^a (1 − x)^b ⁄ (a B(a, b)) × this.
  private static func fraction(_ x: Double, _ a: Double, _ b: Double) -> Double {
    var c = 1.0
    var d = 1 / (1 - (a + b) * x / (a + 1))
    var value = d
    for step in 1..<100_000 {
      let m = Double(step)
      let terms = [
        m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
      ]
      var change = 1.0
      for term in terms {
        d = 1 / (1 + term * d)
        c = 1 + term / c
        change = c * d
        value *= change
      }
      if abs(change - 1) < 1e-15 { break }
    }
    return value
  }
}
