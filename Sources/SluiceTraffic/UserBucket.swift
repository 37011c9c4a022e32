public import SluiceModel

/// One of the 10 000 parts into which a salt divides all users (DESIGN section 4, rule 5): `xxh32(salt ":" user key) mod 10000`, seed 0.
///
/// Each gateway finds the same one without talking to another, and so does HAProxy's `xxh32`. `Tests/SluiceTrafficTests/Vectors` holds examples.
public struct UserBucket: Hashable, Sendable {
  /// How many there are: a basis point of the users each.
  public static let count = 10_000

  /// 0 to 9 999.
  public let number: Int

  /// The bucket of a salted hash.
  @inlinable
  public init(hash: UInt32) { number = Int(hash) % Self.count }

  /// Whether users of this bucket are among the share. Strictly below it, so 0 % holds nobody and 100 % everybody, and more share only adds.
  @inlinable
  public func isWithin(_ share: BasisPoints) -> Bool { number < share.value }
}

/// A salt, hashed once, so that a user's hash costs no more than the user's own octets.
public struct UserSalt: Sendable {
  @usableFromInline let state: XXH32

  /// Takes the salt and the colon that follows it.
  public init(_ salt: String) {
    var state = XXH32()
    let octets = Array(salt.utf8) + [58]
    octets.withUnsafeBytes { state.take($0) }
    self.state = state
  }

  /// `xxh32(salt ":" key)`.
  @inlinable
  public func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
    var state = state
    state.take(key)
    return state.value
  }
}
