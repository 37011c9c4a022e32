/// Response times in buckets: eight to each doubling, from 64 µs to 134 s, so a bound is known within an eighth of its value.
public struct LatencyHistogram: Hashable, Codable, Sendable {
  /// 21 doublings, and one bucket for what is slower.
  public static let bucketCount = 21 * 8 + 1

  /// How many fell into each bucket; trailing empty ones are left out.
  public private(set) var counts: [Int]

  /// Empty.
  public init() { counts = [] }

  /// From the counts of a gateway's loop, in order of the buckets.
  public init(counts: [Int]) {
    let used = counts.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
    self.counts = Array(counts.prefix(min(used, Self.bucketCount)))
  }

  /// The bucket of a time.
  @inlinable
  public static func bucket(microseconds: Int) -> Int {
    guard microseconds >= 64 else { return 0 }
    let exponent = Int.bitWidth - 1 - microseconds.leadingZeroBitCount
    guard exponent < 27 else { return 21 * 8 }
    return (exponent - 6) * 8 + (microseconds >> (exponent - 3)) & 7
  }

  /// The first time that no longer belongs to the bucket, in microseconds; `Int.max` for the last.
  public static func upperBound(_ bucket: Int) -> Int {
    guard bucket < 21 * 8 else { return Int.max }
    return (8 + bucket % 8 + 1) << (bucket / 8 + 3)
  }

  public var total: Int { counts.reduce(0, +) }

  /// How many were slower than the bound; a bucket that holds the bound counts as not slower.
  public func slower(thanMicroseconds bound: Int) -> Int {
    let bucket = Self.bucket(microseconds: bound)
    return counts.dropFirst(bucket + 1).reduce(0, +)
  }

  /// The upper bound, in microseconds, of the bucket in which the `share` of the times lies (0.99: the 99th percentile); nil when empty.
  public func quantile(_ share: Double) -> Int? {
    let total = total
    guard total > 0 else { return nil }
    var left = Int((Double(total) * share).rounded(.up))
    for (bucket, count) in counts.enumerated() {
      left -= count
      if left <= 0 { return Self.upperBound(bucket) }
    }
    return nil
  }

  public static func += (left: inout Self, right: Self) {
    left = Self(counts: (0..<max(left.counts.count, right.counts.count)).map { left.at($0) + right.at($0) })
  }

  public static func - (left: Self, right: Self) -> Self {
    Self(counts: (0..<max(left.counts.count, right.counts.count)).map { left.at($0) - right.at($0) })
  }

  private func at(_ bucket: Int) -> Int { bucket < counts.count ? counts[bucket] : 0 }

  public init(from decoder: any Decoder) throws { self.init(counts: try decoder.singleValueContainer().decode([Int].self)) }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(counts)
  }
}

/// What the users of one side of a split have met: requests that ended while they cared, so one whose client left is not among them.
public struct ReleaseTraffic: Hashable, Codable, Sendable {
  public var requests: Int
  /// Of those: answered with 5xx, by the service or in its place, or broken off by the service.
  public var failures: Int
  /// Pairs of user and window in which a request ended; without a window the same as `requests`.
  public var exposures: Int
  /// Of those: with at least one failure.
  public var failedExposures: Int
  /// Of `requests`: answered by the stable release because no target of the canary was healthy. Each counts as a failure too.
  public var spilled: Int
  /// Times to the response's head.
  public var latency: LatencyHistogram

  public init(
    requests: Int = 0, failures: Int = 0, exposures: Int = 0, failedExposures: Int = 0, spilled: Int = 0,
    latency: LatencyHistogram = LatencyHistogram()
  ) {
    self.requests = requests
    self.failures = failures
    self.exposures = exposures
    self.failedExposures = failedExposures
    self.spilled = spilled
    self.latency = latency
  }

  public static func += (left: inout Self, right: Self) {
    left.requests += right.requests
    left.failures += right.failures
    left.exposures += right.exposures
    left.failedExposures += right.failedExposures
    left.spilled += right.spilled
    left.latency += right.latency
  }

  /// What has come since `right`, an earlier reading of the same counters.
  public static func - (left: Self, right: Self) -> Self {
    Self(
      requests: left.requests - right.requests, failures: left.failures - right.failures, exposures: left.exposures - right.exposures,
      failedExposures: left.failedExposures - right.failedExposures, spilled: left.spilled - right.spilled,
      latency: left.latency - right.latency)
  }
}
