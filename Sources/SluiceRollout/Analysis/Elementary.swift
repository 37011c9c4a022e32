/// The logarithm and the exponential in nothing but IEEE 754 additions, multiplications and divisions: pure targets link no libm, and two
/// controllers must come to the same verdict to the last bit. Tests hold them against values of mpmath: the relative error is below 1e-15
/// (`log` and `log1p` near 0: of the result; `exp`: of the result, as far as that is a normal number).
package enum Elementary {
  /// ln 2 in two parts (as in FreeBSD's `e_log.c`): the first has 20 trailing zero bits, so its product with an exponent is exact.
  private static let ln2High = 6.93147180369123816490e-01
  private static let ln2Low = 1.90821492927058770002e-10

  /// The natural logarithm; of 0 it is −∞, of a negative number not a number.
  package static func log(_ x: Double) -> Double {
    guard x > 0 else { return x == 0 ? -.infinity : .nan }
    guard x.isFinite else { return x }
    var exponent = Double(x.exponent)
    var mantissa = x.significand
    // Into √½ ... √2, so that the result for x near 1 loses nothing to the exponent's share.
    if mantissa > 1.414_213_562_373_095_1 {
      mantissa /= 2
      exponent += 1
    }
    return exponent * ln2High + (logNearOne(mantissa - 1) + exponent * ln2Low)
  }

  /// ln(1 + x), exact to the last bits for small x too.
  package static func log1p(_ x: Double) -> Double {
    x > -0.25 && x < 0.4 ? logNearOne(x) : log(1 + x)
  }

  /// ln(1 + x) for √½ ≤ 1 + x ≤ √2: 2 artanh(s) with s = x ⁄ (2 + x) by its power series (DLMF 4.6.4); |s| ≤ 0.172, so what is left out
  /// after s²³ is below 1e-19 of the result.
  private static func logNearOne(_ x: Double) -> Double {
    let s = x / (2 + x)
    let square = s * s
    var sum = 0.0
    for divisor in stride(from: 23, through: 3, by: -2) { sum = (sum + 1 / Double(divisor)) * square }
    return 2 * (s + s * sum)
  }

  /// e to the power x; 0 far below, ∞ far above.
  package static func exp(_ x: Double) -> Double {
    guard x < 709.782_712_893_384 else { return x.isNaN ? x : .infinity }
    guard x > -745.2 else { return 0 }
    let power = (x / (ln2High + ln2Low)).rounded()
    let rest = (x - power * ln2High) - power * ln2Low
    // |rest| ≤ ½ ln 2: the Taylor series up to the 15th power leaves out less than 1e-20.
    var sum = 1.0
    for divisor in stride(from: 15, through: 1, by: -1) { sum = 1 + sum * rest / Double(divisor) }
    // In two halves, since a power of two below 2^-1022 would lose the number's bits too early.
    let half = Int(power) / 2
    return sum * Double(sign: .plus, exponent: half, significand: 1) * Double(sign: .plus, exponent: Int(power) - half, significand: 1)
  }

  /// ln of the sum of e^x over all x: without overflow, whatever the size of x.
  package static func logSum(_ terms: [Double]) -> Double {
    guard let greatest = terms.max(), greatest.isFinite else { return terms.max() ?? -.infinity }
    return greatest + log(terms.reduce(0) { $0 + exp($1 - greatest) })
  }
}
