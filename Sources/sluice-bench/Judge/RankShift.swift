import Glibc

/// Hodges and Lehmann's estimate of how far one sample lies above another, and the lower end of its 98 % interval by Mann and Whitney's test with
/// the normal approximation, corrected for ties (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, section 4.3).
struct RankShift {
  let estimate: Double
  let lowerBound: Double

  /// nil where the lower end is not above 0: nobody asks for it then, and the sorting is spared.
  init?(_ upper: [Double], over lower: [Double]) {
    let pooled = (upper + lower).sorted()
    guard let first = pooled.first, let last = pooled.last, first < last else { return nil }
    var differences: [Double] = []
    differences.reserveCapacity(upper.count * lower.count)
    for high in upper { for low in lower { differences.append(high - low) } }
    let pairs = Double(differences.count)
    let total = Double(pooled.count)
    let ties = Self.tieSum(pooled) / (total * (total - 1))
    let deviation = (pairs / 12 * (total + 1 - ties)).squareRoot()
    let rank = Int((pairs / 2 - Normal.quantile(0.99) * deviation - 0.5).rounded(.down))
    guard differences.count(where: { $0 <= 0 }) < rank else { return nil }
    differences.sort()
    lowerBound = differences[rank - 1]
    let middle = differences.count / 2
    estimate = differences.count % 2 == 1 ? differences[middle] : (differences[middle - 1] + differences[middle]) / 2
  }

  /// Σ t³ − t over the groups of equal values.
  private static func tieSum(_ sorted: [Double]) -> Double {
    var sum = 0.0
    var start = 0
    for place in 1...sorted.count where place == sorted.count || sorted[place] != sorted[start] {
      let size = Double(place - start)
      sum += size * size * size - size
      start = place
    }
    return sum
  }
}

/// The standard normal distribution.
enum Normal {
  /// The value below which so much of it lies: by halving erfc, which is exact enough and called seldom.
  static func quantile(_ share: Double) -> Double {
    var low = -10.0
    var high = 10.0
    for _ in 0..<60 {
      let middle = (low + high) / 2
      if erfc(-middle / 2.0.squareRoot()) / 2 < share { low = middle } else { high = middle }
    }
    return high
  }
}
