/// A share in hundredths of a per cent: 0 to 10 000.
public struct BasisPoints: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  /// 0 to 10 000.
  public let value: Int

  /// Clamps to 0 ... 10 000.
  @inlinable
  public init(_ value: Int) { self.value = min(max(value, 0), 10_000) }

  /// Nothing.
  public static let zero = BasisPoints(0)
  /// All.
  public static let whole = BasisPoints(10_000)

  /// `12.5%`.
  public var description: String {
    let (whole, rest) = value.quotientAndRemainder(dividingBy: 100)
    if rest == 0 { return "\(whole)%" }
    return rest % 10 == 0 ? "\(whole).\(rest / 10)%" : "\(whole).\(rest < 10 ? "0" : "")\(rest)%"
  }

  public static func < (left: Self, right: Self) -> Bool { left.value < right.value }
  public init(from decoder: any Decoder) throws { self.init(try decoder.singleValueContainer().decode(Int.self)) }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
}

/// A number of instances, or a share of them.
public enum Amount: Hashable, Codable, Sendable, CustomStringConvertible {
  case count(Int)
  case share(BasisPoints)

  /// How many of `total`, a share rounded down (what may be missing).
  public func roundedDown(of total: Int) -> Int {
    switch self {
    case .count(let count): count
    case .share(let share): total * share.value / 10_000
    }
  }

  /// How many of `total`, a share rounded up (what may be added).
  public func roundedUp(of total: Int) -> Int {
    switch self {
    case .count(let count): count
    case .share(let share): (total * share.value + 9_999) / 10_000
    }
  }

  public var description: String {
    switch self {
    case .count(let count): "\(count)"
    case .share(let share): "\(share)"
    }
  }
}

/// A span of time in whole milliseconds: what manifests and records hold, and what encodes as a plain number.
public struct Milliseconds: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  public var value: Int64

  @inlinable
  public init(_ value: Int64) { self.value = value }
  public static func seconds(_ seconds: Int64) -> Milliseconds { Milliseconds(seconds * 1000) }
  public static func minutes(_ minutes: Int64) -> Milliseconds { Milliseconds(minutes * 60_000) }
  public static let zero = Milliseconds(0)
  /// The longest span that a manifest, a route table or a configuration may name: more is a slip, and sums of it could overflow.
  public static let longest = Milliseconds.seconds(366 * 86_400)

  /// The same span for clocks and timers.
  public var duration: Duration { .milliseconds(value) }

  /// The largest exact unit: `500ms`, `10s`, `5m`, `1h`.
  public var description: String {
    if value == 0 { return "0s" }
    if value % 3_600_000 == 0 { return "\(value / 3_600_000)h" }
    if value % 60_000 == 0 { return "\(value / 60_000)m" }
    if value % 1000 == 0 { return "\(value / 1000)s" }
    return "\(value)ms"
  }

  public static func < (left: Self, right: Self) -> Bool { left.value < right.value }
  public static func + (left: Self, right: Self) -> Self { Milliseconds(left.value + right.value) }
  public static func - (left: Self, right: Self) -> Self { Milliseconds(left.value - right.value) }
  public static func * (left: Self, right: Int64) -> Self { Milliseconds(left.value * right) }
  public static func += (left: inout Self, right: Self) { left.value += right.value }
  public init(from decoder: any Decoder) throws { value = try decoder.singleValueContainer().decode(Int64.self) }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
}

/// A moment of wall time in milliseconds since 1970-01-01T00:00:00Z. Only for `--at`, windows and people; no deadline is kept in it.
public struct WallTime: Hashable, Comparable, Codable, Sendable {
  public var milliseconds: Int64
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }
  public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }
  public init(from decoder: any Decoder) throws { milliseconds = try decoder.singleValueContainer().decode(Int64.self) }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(milliseconds)
  }
}
