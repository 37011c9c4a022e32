import Foundation
import Testing

@testable import SluiceRollout
@testable import sluice_bench

/// The elementary functions that the analysis brings along, and the closed form that it is measured by. Reference values: mpmath, 40 digits.
@Suite struct AnalysisMathTests {
  static let logarithms: [(Double, Double)] = [
    (Double.leastNonzeroMagnitude, -744.4400719213812), (1e-300, -690.7755278982137), (1e-09, -20.72326583694641),
    (0.1, -2.3025850929940455),
    (0.5, -0.6931471805599453), (0.7071067811865475, -0.34657359027997275), (0.9999999999999999, -1.1102230246251565e-16),
    (1, 0), (1.0000000000000002, 2.2204460492503128e-16), (1.01, 0.009950330853168092), (1.4142135623730951, 0.3465735902799727),
    (1.5, 0.4054651081081644), (2.0, 0.6931471805599453), (2.718281828459045, 1.0), (10.0, 2.302585092994046),
    (123456.789, 11.723646487185881), (1_000_000_000.0, 20.72326583694641), (1.7976931348623157e+308, 709.782712893384),
  ]

  @Test(arguments: logarithms)
  func `log is right to the last bits`(_ x: Double, _ expected: Double) {
    #expect(isClose(Elementary.log(x), expected))
  }

  @Test func `log of nothing, less than nothing and endless`() {
    #expect(Elementary.log(0) == -.infinity)
    #expect(Elementary.log(-1).isNaN)
    #expect(Elementary.log(.nan).isNaN)
    #expect(Elementary.log(.infinity) == .infinity)
  }

  static let shifted: [(Double, Double)] = [
    (-0.999, -6.907755278982136), (-0.5, -0.6931471805599453), (-0.25, -0.2876820724517809), (-0.1, -0.10536051565782631),
    (-1e-05, -1.0000050000333337e-05), (-1e-12, -1.0000000000005e-12), (0, 0), (1e-300, 1e-300), (1e-17, 1e-17),
    (1e-09, 9.999999995e-10), (0.0001, 9.999500033330834e-05), (0.1, 0.09531017980432487), (0.39, 0.3293037471426004),
    (0.4, 0.33647223662121295), (0.41, 0.3435897043900769), (1.0, 0.6931471805599453), (5.0, 1.791759469228055),
    (600.0, 6.398594934535208),
  ]

  @Test(arguments: shifted)
  func `log1p is right to the last bits, near 0 too`(_ x: Double, _ expected: Double) {
    #expect(isClose(Elementary.log1p(x), expected))
  }

  static let powers: [(Double, Double)] = [
    (-708.0, 3.307553003638408e-308), (-100.0, 3.720075976020836e-44), (-20.5, 1.2501528663867426e-09), (-1.0, 0.36787944117144233),
    (-0.3465, 0.7071588192872713), (-1e-10, 0.9999999999), (0.0, 1.0), (1e-17, 1.0), (1e-05, 1.00001000005), (0.3466, 1.4142509118505286),
    (0.5, 1.6487212707001282), (1.0, 2.718281828459045), (2.302585092994046, 10.000000000000002), (50.25, 6.657293676747253e+21),
    (700.0, 1.0142320547350045e+304), (709.7, 1.6549840276802644e+308),
  ]

  @Test(arguments: powers)
  func `exp is right to the last bits`(_ x: Double, _ expected: Double) {
    #expect(isClose(Elementary.exp(x), expected))
  }

  @Test func `exp goes over into 0 and infinity`() {
    #expect(Elementary.exp(-745) == Double.leastNonzeroMagnitude)
    #expect(Elementary.exp(-800) == 0)
    #expect(Elementary.exp(-.infinity) == 0)
    #expect(Elementary.exp(710) == .infinity)
    #expect(Elementary.exp(.nan).isNaN)
  }

  @Test func `log and exp agree with libm all along the line`() {
    var random = SplitMix64(seed: 7)
    for _ in 0..<20_000 {
      let x = (random.uniform() - 0.5) * 1400
      #expect(isClose(Elementary.exp(x), Foundation.exp(x)))
      let y = Foundation.exp(x)
      #expect(isClose(Elementary.log(y), Foundation.log(y)))
      let z = random.uniform() * 2 - 1
      #expect(isClose(Elementary.log1p(z), Foundation.log1p(z)))
    }
  }

  @Test func `a sum in logarithms neither overflows nor loses the small`() {
    #expect(isClose(Elementary.logSum([1000, 1000]), 1000.6931471805599))
    #expect(isClose(Elementary.logSum([-2000, -2000, -2000]), -1998.9013877113318))
    #expect(Elementary.logSum([-.infinity, 3]) == 3)
    #expect(Elementary.logSum([-.infinity, -.infinity]) == -.infinity)
    #expect(Elementary.logSum([]) == -.infinity)
  }

  static let tails: [(Double, Double, Double, Double)] = [
    (0.1, 1, 1, -0.10536051565782631), (0.1, 4, 1, -0.00010000500033335836), (0.1, 4, 20, -0.21409834966818359),
    (0.5, 10, 1, -0.0009770396478266127), (0.0625, 300, 5000, -3.3654003469422578), (0.13, 21, 41, -1.559776751559553e-05),
    (0.01, 150, 9000, -1.0734776105181246e-08), (0.9, 3, 40, -85.55061060818257), (0.1, 2, 400, -38.43063419642621),
  ]

  @Test(arguments: tails)
  func `the closed form's incomplete beta function is right`(_ x: Double, _ a: Double, _ b: Double, _ expected: Double) {
    #expect(abs(BetaMixture.logTail(x, a, b) - expected) <= 1e-9 * abs(expected))
  }

  static let mixtures: [(Double, Int, Int, Double)] = [
    (0.1, 3, 0, 5.6267214285197396), (0.1, 2, 0, 3.6109179126442243), (0.05, 2, 0, 4.944020545014272), (0.5, 9, 0, 4.627909672957581),
    (0.1, 10, 12, 7.8804848482115855), (0.14285714285714285, 15, 24, 5.405719624007365), (0.1, 100, 900, -4.283034979306436),
    (0.01, 5, 100, 0.9910865132688862),
  ]

  @Test(arguments: mixtures)
  func `the closed form of the beta mixture is right`(_ share: Double, _ canary: Int, _ stable: Int, _ expected: Double) {
    #expect(abs(BetaMixture(share: share).logValue(canary: canary, stable: stable) - expected) < 1e-9)
  }

  @Test func `the prior over the grid is a distribution around five times the odds`() {
    let weights = OddsGrid.logPrior.map(Foundation.exp)
    #expect(isClose(weights.reduce(0, +), 1))
    let mean = zip(weights, OddsGrid.logOdds).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(abs(mean - 1.6) < 0.02)
    #expect(isClose(OddsGrid.logOdds[0], 0.05))
    #expect(isClose(OddsGrid.logOdds[21], 6.4))
  }

  private func isClose(_ value: Double, _ expected: Double) -> Bool {
    value == expected || abs(value - expected) <= 1e-15 * abs(expected)
  }
}
