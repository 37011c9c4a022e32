/// Reads a parameter of a request target's query, as forms write it (WHATWG URL, section 5.1: `application/x-www-form-urlencoded`).
public enum QueryParameter {
  /// Puts the decoded value of the first parameter with this name into `value`, in the place of what was there. Says whether there is one
  /// that is not empty.
  ///
  /// `+` is a space; a `%` without two digits behind it stands for itself. Names are compared as they are written.
  @inlinable
  public static func read(_ name: [UInt8], target: UnsafeRawBufferPointer, into value: inout [UInt8]) -> Bool {
    value.removeAll(keepingCapacity: true)
    guard var at = target.firstIndex(of: 63) else { return false }
    while at < target.count {
      at &+= 1
      var end = at
      while end < target.count, target[end] != 38 { end &+= 1 }
      if begins(target, at, end, name) {
        decode(target, at &+ name.count &+ 1, end, into: &value)
        return !value.isEmpty
      }
      at = end
    }
    return false
  }

  /// Whether `name=` is at the beginning of the range.
  @inlinable
  static func begins(_ octets: UnsafeRawBufferPointer, _ start: Int, _ end: Int, _ name: [UInt8]) -> Bool {
    guard end &- start > name.count, octets[start &+ name.count] == 61 else { return false }
    for index in 0..<name.count where octets[start &+ index] != name[index] { return false }
    return true
  }

  @inlinable
  static func decode(_ octets: UnsafeRawBufferPointer, _ start: Int, _ end: Int, into value: inout [UInt8]) {
    var at = start
    while at < end {
      let octet = octets[at]
      if octet == 37, at &+ 2 < end, let high = HexDigit.value(octets[at &+ 1]), let low = HexDigit.value(octets[at &+ 2]) {
        value.append(high << 4 | low)
        at &+= 3
      } else {
        value.append(octet == 43 ? 32 : octet)
        at &+= 1
      }
    }
  }
}

/// A hexadecimal digit, in either case.
public enum HexDigit {
  /// 0 to 15; nil for another octet.
  @inlinable
  public static func value(_ octet: UInt8) -> UInt8? {
    switch octet {
    case 48...57: octet - 48
    case 65...70: octet - 55
    case 97...102: octet - 87
    default: nil
    }
  }
}
