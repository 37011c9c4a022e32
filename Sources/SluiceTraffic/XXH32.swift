/// The 32-bit xxHash with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), fed piece by piece.
///
/// A copy made after some pieces goes on by itself: a salt is taken in once, and each user's key into a copy. Nothing is allocated.
public struct XXH32: Sendable {
  @usableFromInline static let prime1: UInt32 = 0x9E37_79B1
  @usableFromInline static let prime2: UInt32 = 0x85EB_CA77
  @usableFromInline static let prime3: UInt32 = 0xC2B2_AE3D
  @usableFromInline static let prime4: UInt32 = 0x27D4_EB2F
  @usableFromInline static let prime5: UInt32 = 0x1656_67B1

  @usableFromInline var lane1: UInt32
  @usableFromInline var lane2: UInt32
  @usableFromInline var lane3: UInt32
  @usableFromInline var lane4: UInt32
  /// Octets that do not fill a stripe yet: the first `count % 16` of these.
  @usableFromInline var rest: (UInt64, UInt64) = (0, 0)
  @usableFromInline var count = 0

  /// Of nothing yet.
  @inlinable
  public init() {
    lane1 = Self.prime1 &+ Self.prime2
    lane2 = Self.prime2
    lane3 = 0
    lane4 = 0 &- Self.prime1
  }

  /// The hash of these octets alone.
  @inlinable
  public static func hash(_ octets: UnsafeRawBufferPointer) -> UInt32 {
    var hash = XXH32()
    hash.take(octets)
    return hash.value
  }

  /// Takes in the next octets.
  @inlinable
  public mutating func take(_ octets: UnsafeRawBufferPointer) {
    let held = count & 15
    count &+= octets.count
    var at = 0
    if held > 0 {
      at = min(16 - held, octets.count)
      keep(octets, 0, at, behind: held)
      guard held + at == 16 else { return }
      withUnsafeBytes(of: rest) { stripe in mix(stripe, 0) }
    }
    while at &+ 16 <= octets.count {
      mix(octets, at)
      at &+= 16
    }
    keep(octets, at, octets.count, behind: 0)
  }

  @inlinable
  mutating func keep(_ octets: UnsafeRawBufferPointer, _ start: Int, _ end: Int, behind held: Int) {
    withUnsafeMutableBytes(of: &rest) { rest in
      var index = held
      for at in start..<end {
        rest[index] = octets[at]
        index &+= 1
      }
    }
  }

  @inlinable @inline(__always)
  mutating func mix(_ octets: UnsafeRawBufferPointer, _ at: Int) {
    lane1 = Self.round(lane1, Self.word(octets, at))
    lane2 = Self.round(lane2, Self.word(octets, at &+ 4))
    lane3 = Self.round(lane3, Self.word(octets, at &+ 8))
    lane4 = Self.round(lane4, Self.word(octets, at &+ 12))
  }

  /// Of all that was taken in.
  @inlinable
  public var value: UInt32 {
    var hash =
      count >= 16
      ? Self.rotated(lane1, 1) &+ Self.rotated(lane2, 7) &+ Self.rotated(lane3, 12) &+ Self.rotated(lane4, 18) : Self.prime5
    hash &+= UInt32(truncatingIfNeeded: count)
    withUnsafeBytes(of: rest) { octets in
      let end = count & 15
      var at = 0
      while at &+ 4 <= end {
        hash = Self.rotated(hash &+ Self.word(octets, at) &* Self.prime3, 17) &* Self.prime4
        at &+= 4
      }
      while at < end {
        hash = Self.rotated(hash &+ UInt32(octets[at]) &* Self.prime5, 11) &* Self.prime1
        at &+= 1
      }
    }
    hash = (hash ^ hash >> 15) &* Self.prime2
    hash = (hash ^ hash >> 13) &* Self.prime3
    return hash ^ hash >> 16
  }

  @inlinable @inline(__always)
  static func word(_ octets: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
    UInt32(littleEndian: octets.loadUnaligned(fromByteOffset: at, as: UInt32.self))
  }

  @inlinable @inline(__always)
  static func rotated(_ value: UInt32, _ bits: UInt32) -> UInt32 { value &<< bits | value &>> (32 &- bits) }

  @inlinable @inline(__always)
  static func round(_ lane: UInt32, _ word: UInt32) -> UInt32 { rotated(lane &+ word &* prime2, 13) &* prime1 }
}
