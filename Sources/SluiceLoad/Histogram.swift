/// Times in microseconds with a relative error below 1.6 %: 64 buckets for each power of two. Merges by addition.
package struct Histogram: Sendable {
  private var buckets: [Int]
  package private(set) var count = 0
  /// The longest, exactly.
  package private(set) var maximum: Int64 = 0

  package init() { buckets = [Int](repeating: 0, count: 64 * 36) }

  package mutating func add(microseconds: Int64) {
    let value = max(0, microseconds)
    buckets[min(Self.index(value), buckets.count - 1)] += 1
    count += 1
    maximum = max(maximum, value)
  }

  package mutating func merge(_ other: Histogram) {
    for index in buckets.indices { buckets[index] += other.buckets[index] }
    count += other.count
    maximum = max(maximum, other.maximum)
  }

  /// The least bucket end that `share` (0 to 1) of all values do not exceed; 0 when there are none.
  package func quantile(_ share: Double) -> Int64 {
    guard count > 0 else { return 0 }
    let rank = max(1, Int((share * Double(count)).rounded(.up)))
    var seen = 0
    for (index, number) in buckets.enumerated() {
      seen += number
      if seen >= rank { return min(Self.end(index), maximum) }
    }
    return maximum
  }

  private static func index(_ value: Int64) -> Int {
    guard value >= 128 else { return Int(value) }
    let shift = 63 - value.leadingZeroBitCount - 6
    return (shift << 6) + Int(value >> Int64(shift))
  }

  private static func end(_ index: Int) -> Int64 {
    guard index >= 128 else { return Int64(index) }
    let shift = (index >> 6) - 1
    return (Int64(index - (shift << 6)) + 1) << Int64(shift) - 1
  }
}
