/// FNV-1a, 64 bits: small, without a table, and enough to see a missing, repeated or changed piece of a body. Not for anything that has an enemy.
/// Source: Fowler, Noll, Vo; draft-eastlake-fnv, section 2.
struct Checksum {
  private var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func update(_ bytes: some Sequence<UInt8>) {
    var hash = value
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    value = hash
  }

  /// Sixteen lower-case hexadecimal digits.
  var hexadecimal: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
