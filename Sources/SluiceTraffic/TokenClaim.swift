/// Reads a claim of a JSON Web Token in its compact form (RFC 7519 section 3, RFC 7515 section 7.1). The signature is not looked at: the claim
/// groups users and grants nothing.
///
/// Keeps its space from one token to the next. Anything that is not well-formed has no claim.
public struct TokenClaim: Sendable {
  /// A longer token is not read. In octets.
  public static let lengthLimit = 16_384

  private var payload: [UInt8] = []

  public init() {}

  /// The token of an Authorization field (RFC 6750 section 2.1); nil when it holds something else.
  public static func bearer(_ field: UnsafeRawBufferPointer) -> Range<Int>? {
    let scheme: StaticString = "bearer"
    guard field.count > 7, field[6] == 32 else { return nil }
    for index in 0..<6 where field[index] | 0x20 != scheme.utf8Start[index] { return nil }
    var start = 7
    while start < field.count, field[start] == 32 { start += 1 }
    return start < field.count ? start..<field.count : nil
  }

  /// Puts the claim's value into `value`, in the place of what was there: a string's characters, or a number as it is written. Says whether
  /// there is one that is not empty.
  public mutating func read(_ name: [UInt8], token: UnsafeRawBufferPointer, into value: inout [UInt8]) -> Bool {
    value.removeAll(keepingCapacity: true)
    guard token.count <= Self.lengthLimit, let first = token.firstIndex(of: 46),
      let second = token[(first + 1)...].firstIndex(of: 46), token[(second + 1)...].firstIndex(of: 46) == nil,
      decode(token, first + 1, second)
    else { return false }
    let found = payload.withUnsafeBytes { octets in
      var scanner = JSONMember(octets)
      return scanner.find(name, into: &value)
    }
    if !found { value.removeAll(keepingCapacity: true) }
    return found && !value.isEmpty
  }

  /// Base64url without padding (RFC 7515 section 2, RFC 4648 section 5): bits that no octet needs must be zero.
  private mutating func decode(_ octets: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
    payload.removeAll(keepingCapacity: true)
    var bits: UInt32 = 0
    var held: UInt32 = 0
    for at in start..<end {
      guard let sextet = Self.sextet(octets[at]) else { return false }
      bits = bits << 6 | UInt32(sextet)
      held += 6
      if held >= 8 {
        held -= 8
        payload.append(UInt8(truncatingIfNeeded: bits >> held))
        bits &= 1 << held - 1
      }
    }
    return held < 6 && bits == 0
  }

  private static func sextet(_ octet: UInt8) -> UInt8? {
    switch octet {
    case 65...90: octet - 65
    case 97...122: octet - 71
    case 48...57: octet + 4
    case 45: 62
    case 95: 63
    default: nil
    }
  }
}
