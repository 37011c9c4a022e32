import Foundation

/// A share counted in independent runs.
struct CountedShare {
  let hits: Int
  let runs: Int

  var share: Double { Double(hits) / Double(runs) }

  /// Wilson's 95 % interval (JASA 1927).
  var interval: ClosedRange<Double> {
    let z = 1.959_964
    let count = Double(runs)
    let center = share + z * z / (2 * count)
    let half = z * (share * (1 - share) / count + z * z / (4 * count * count)).squareRoot()
    let scale = 1 + z * z / count
    return max(0, (center - half) / scale)...min(1, (center + half) / scale)
  }

  /// `0.45 % (0.24–0.85)`.
  var text: String {
    String(format: "%.2f %% (%.2f–%.2f)", 100 * share, 100 * interval.lowerBound, 100 * interval.upperBound)
  }
}

/// A quantile of times to something that not every run came to; those that did not are later than all others.
struct Waits {
  private let sorted: [Int]
  private let runs: Int

  init(_ waits: [Int?]) {
    sorted = waits.compactMap(\.self).sorted()
    runs = waits.count
  }

  /// nil where so many runs did not come to it.
  func quantile(_ share: Double) -> Int? {
    let place = max(Int((share * Double(runs)).rounded(.up)) - 1, 0)
    return place < sorted.count ? sorted[place] : nil
  }

  /// The quantile, or that it lies beyond the run's end.
  func text(_ share: Double) -> String { quantile(share).map(String.init) ?? "never" }

  /// The 95 % interval of the median by order statistics: the ranks are binomial.
  var medianInterval: String {
    let half = 0.98 / Double(runs).squareRoot()
    return "\(text(0.5 - half))–\(text(0.5 + half))"
  }
}
