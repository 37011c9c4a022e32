public import SluiceModel

/// Which side of a split a user is on: first the deny list, then the allow list, then the tester's own
/// word, then the bucket (DESIGN section 4, rule 5).
public struct SplitRule: Sendable {
  /// The two sides of a split.
  public enum Side: String, Hashable, Sendable, CaseIterable {
    case canary
    case stable
  }

  @usableFromInline let share: BasisPoints
  @usableFromInline let salt: UserSalt
  @usableFromInline let denied: UserList
  @usableFromInline let allowed: UserList

  /// A user in both lists is denied.
  public init(share: BasisPoints, salt: String, allow: [String] = [], deny: [String] = []) {
    let salt = UserSalt(salt)
    self.share = share
    self.salt = salt
    denied = UserList(deny, salt: salt)
    allowed = UserList(allow, salt: salt)
  }

  /// The salted hash of a key: what `side` and the counters know a user by.
  @inlinable
  public func hash(_ key: UnsafeRawBufferPointer) -> UInt32 { salt.hash(key) }

  /// The side of the user with this key and its `hash`.
  @inlinable
  public func side(_ key: UnsafeRawBufferPointer, hash: UInt32, override: Side? = nil) -> Side {
    if denied.contains(key, hash: hash) { return .stable }
    if allowed.contains(key, hash: hash) { return .canary }
    if let override { return override }
    return UserBucket(hash: hash).isWithin(share) ? .canary : .stable
  }

  /// The side of a request without a user key: nobody's bucket, so a share never holds it.
  @inlinable
  public func sideWithoutKey(override: Side? = nil) -> Side { override ?? .stable }
}

/// User keys that are looked up by a hash that is known already; equal hashes are told apart by the keys themselves.
public struct UserList: Sendable {
  /// In order, beside the key of each.
  @usableFromInline let hashes: [UInt32]
  @usableFromInline let keys: [[UInt8]]

  /// The hashes are those of the salt.
  public init(_ users: [String], salt: UserSalt) {
    let entries = users.map { user in
      let octets = Array(user.utf8)
      return (hash: octets.withUnsafeBytes(salt.hash), key: octets)
    }.sorted { $0.hash < $1.hash }
    hashes = entries.map(\.hash)
    keys = entries.map(\.key)
  }

  /// Whether the key, of this salted hash, is in the list.
  @inlinable
  public func contains(_ key: UnsafeRawBufferPointer, hash: UInt32) -> Bool {
    if hashes.isEmpty { return false }
    var low = 0
    var high = hashes.count
    while low < high {
      let middle = (low + high) / 2
      if hashes[middle] < hash { low = middle + 1 } else { high = middle }
    }
    while low < hashes.count, hashes[low] == hash {
      if keys[low].elementsEqual(key) { return true }
      low += 1
    }
    return false
  }
}
