import Crypto
import SluiceModel

/// What a gateway knows of the secret of a split's override field: its SHA-256, with a salt before it.
struct OverrideSecret: Sendable {
  private let expected: [UInt8]
  private let salt: [UInt8]

  /// Nil when the digest is not 64 hexadecimal digits, or the salt is longer than any.
  init?(_ override: SplitOverride) {
    let digest = override.digest
    salt = Array((override.salt ?? "").utf8)
    guard salt.count <= 64 else { return nil }
    let digits = digest.rawValue.utf8.map(Octet.hexadecimal)
    guard digits.count == 64 else { return nil }
    var octets: [UInt8] = []
    for index in stride(from: 0, to: 64, by: 2) {
      guard let high = digits[index], let low = digits[index + 1] else { return nil }
      octets.append(UInt8(high << 4 | low))
    }
    expected = octets
  }

  /// Whether this is the secret. Takes as long for a near miss as for any other.
  func matches(_ secret: UnsafeRawBufferPointer) -> Bool {
    var hash = SHA256()
    hash.update(data: salt)
    hash.update(bufferPointer: secret)
    var difference: UInt8 = 0
    for (octet, wanted) in zip(hash.finalize(), expected) { difference |= octet ^ wanted }
    return difference == 0
  }
}
