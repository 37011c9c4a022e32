/// An IPv6 address as 128 bits: hosts of requests and of routes are compared by it, since one address has many spellings (RFC 4291 section 2.2).
package struct IPv6Address: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let high: UInt64
  package let low: UInt64

  /// Nil when the octets are no IPv6 address. A zone is not part of one.
  package init?(_ octets: UnsafeRawBufferPointer) {
    guard octets.count >= 2, octets.count <= 45 else { return nil }
    var reader = Reader(octets: octets)
    guard let groups = reader.groups() else { return nil }
    high = groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }
    low = groups[4...].reduce(0) { $0 << 16 | UInt64($1) }
  }

  /// Nil when the text is no IPv6 address.
  package init?(_ text: some StringProtocol) {
    guard let address = Array(text.utf8).withUnsafeBytes(IPv6Address.init) else { return nil }
    self = address
  }

  package static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }

  private var groups: [UInt16] {
    [high, low].flatMap { half in [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: half >> UInt64($0)) } }
  }

  /// The one spelling of RFC 5952 section 4: lower case, no leading zeros, the first longest run of zeros as `::`.
  package var description: String {
    let groups = groups
    var longest = 0..<0
    var at = 0
    while at < 8 {
      var end = at
      while end < 8, groups[end] == 0 { end += 1 }
      if end - at > max(longest.count, 1) { longest = at..<end }
      at = max(end, at + 1)
    }
    func text(_ range: Range<Int>) -> String { groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
    return longest.isEmpty ? text(0..<8) : "\(text(0..<longest.lowerBound))::\(text(longest.upperBound..<8))"
  }

  /// Reads groups of hexadecimal digits, one `::`, and an IPv4 address in the place of the last two groups.
  private struct Reader {
    let octets: UnsafeRawBufferPointer
    var at = 0

    mutating func groups() -> [UInt16]? {
      var before: [UInt16] = []
      var after: [UInt16]?
      if starts("::") {
        at = 2
        after = []
      } else if octets[0] == 58 {
        return nil
      }
      while at < octets.count {
        if let tail = dotted() {
          append(tail, &before, &after)
          break
        }
        guard let group = group() else { return nil }
        append([group], &before, &after)
        if at == octets.count { break }
        guard octets[at] == 58 else { return nil }
        if starts("::") {
          guard after == nil else { return nil }
          after = []
          at += 2
        } else {
          at += 1
          guard at < octets.count else { return nil }
        }
      }
      guard let after else { return before.count == 8 ? before : nil }
      let missing = 8 - before.count - after.count
      return missing >= 1 ? before + Array(repeating: 0, count: missing) + after : nil
    }

    private func starts(_ word: StaticString) -> Bool {
      at + 1 < octets.count && octets[at] == word.utf8Start[0] && octets[at + 1] == word.utf8Start[1]
    }

    private func append(_ groups: [UInt16], _ before: inout [UInt16], _ after: inout [UInt16]?) {
      if after == nil { before += groups } else { after? += groups }
    }

    private mutating func group() -> UInt16? {
      var value: UInt16 = 0
      var count = 0
      while at < octets.count, count < 4, let digit = Self.digit(octets[at]) {
        value = value << 4 | digit
        count += 1
        at += 1
      }
      return count > 0 ? value : nil
    }

    private static func digit(_ octet: UInt8) -> UInt16? {
      switch octet {
      case 48...57: UInt16(octet - 48)
      case 65...70: UInt16(octet - 55)
      case 97...102: UInt16(octet - 87)
      default: nil
      }
    }

    /// Four decimal numbers to the end of the text; nil, without a step, where something else stands.
    private func dotted() -> [UInt16]? {
      var bytes: [UInt16] = []
      var (place, value, digits) = (at, 0, 0)
      while place <= octets.count {
        if place == octets.count || octets[place] == 46 {
          guard digits > 0, value < 256, bytes.count < 4 else { return nil }
          bytes.append(UInt16(value))
          (value, digits) = (0, 0)
        } else {
          guard octets[place] >= 48, octets[place] <= 57, digits < 3, digits == 0 || value > 0 else { return nil }
          value = value * 10 + Int(octets[place] - 48)
          digits += 1
        }
        place += 1
      }
      return bytes.count == 4 ? [bytes[0] << 8 | bytes[1], bytes[2] << 8 | bytes[3]] : nil
    }
  }
}
