/// Bounds of the numbers that come from hosts, gateways, files and admin requests. A number beyond its bound is a slip or a lie: it is refused
/// where it enters, in words, so that nothing inside can overflow and nobody is locked out by a number that none can exceed.
package enum Bounds {
  /// The highest epoch of a fence, and of a revision. One take-over a second reaches it in nine million years.
  package static let epoch: UInt64 = 1 << 48
  /// The highest version of a revision.
  package static let version: UInt64 = 1 << 48
  /// How far a fence's epoch may be above the one that stands: more than any number of controllers ever claimed.
  package static let epochLeap: UInt64 = 1 << 32
  /// The highest number of an instance, of a release, and of a version of secrets.
  package static let number = 1 << 31
  /// The ports that an instance can listen on.
  package static let ports = 1...65_535
  /// The latest moment that an order can name: the end of the year 9999.
  package static let wallTime = WallTime(milliseconds: 253_402_300_799_999)
}

extension Fence {
  /// Whether its epoch is one that a controller can have reached.
  package var isBounded: Bool { epoch <= Bounds.epoch }

  /// Whether it is so far above the one that stands that no controller can have counted up to it.
  package func leaps(over standing: Fence) -> Bool {
    let (rise, isBelow) = epoch.subtractingReportingOverflow(standing.epoch)
    return !isBelow && rise > Bounds.epochLeap
  }
}

extension Revision {
  /// Whether its epoch and version are ones that a controller can have reached.
  package var isBounded: Bool { epoch <= Bounds.epoch && version <= Bounds.version }
}
