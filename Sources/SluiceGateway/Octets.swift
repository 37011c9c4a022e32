/// Classes of octets in HTTP/1 messages (RFC 9110 section 5.6.2, RFC 9112 section 2.2), as bit masks so that no table is loaded.
enum Octet {
  static let tab: UInt8 = 9
  static let lineFeed: UInt8 = 10
  static let carriageReturn: UInt8 = 13
  static let space: UInt8 = 32
  static let comma: UInt8 = 44
  static let colon: UInt8 = 58

  // tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
  private static let tokenLow: UInt64 = mask("!#$%&'*+-.0123456789", from: 0)
  private static let tokenHigh: UInt64 = mask("ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~", from: 64)

  // unreserved / sub-delims / ":" / "[" / "]" / "%" of RFC 3986 section 3.2.2
  private static let hostLow: UInt64 = mask("!$%&'()*+,-.0123456789:;=", from: 0)
  private static let hostHigh: UInt64 = mask("ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~", from: 64)

  private static func mask(_ characters: StaticString, from base: UInt8) -> UInt64 {
    var mask: UInt64 = 0
    characters.withUTF8Buffer { octets in
      for octet in octets { mask |= 1 << UInt64(octet - base) }
    }
    return mask
  }

  /// Whether the octet may stand in a token: a method or a field name.
  @inline(__always)
  static func isToken(_ octet: UInt8) -> Bool {
    if octet >= 128 { return false }
    return octet < 64 ? tokenLow >> UInt64(octet) & 1 == 1 : tokenHigh >> UInt64(octet - 64) & 1 == 1
  }

  /// Whether the octet may stand in a host and port.
  @inline(__always)
  static func isHost(_ octet: UInt8) -> Bool {
    if octet >= 128 { return false }
    return octet < 64 ? hostLow >> UInt64(octet) & 1 == 1 : hostHigh >> UInt64(octet - 64) & 1 == 1
  }

  /// Whether the octet may stand in a request target. "#" may not: a fragment is never sent.
  @inline(__always)
  static func isTarget(_ octet: UInt8) -> Bool { octet > 32 && octet < 127 && octet != 35 }

  /// Whether the octet may stand in a field value: visible, space, tab, or obs-text.
  @inline(__always)
  static func isValue(_ octet: UInt8) -> Bool { octet >= 32 ? octet != 127 : octet == tab }

  /// A letter in lower case; another octet as it is.
  @inline(__always)
  static func lower(_ octet: UInt8) -> UInt8 { octet >= 65 && octet <= 90 ? octet | 0x20 : octet }

  /// The value of a hexadecimal digit; nil for another octet.
  @inline(__always)
  static func hexadecimal(_ octet: UInt8) -> Int? {
    switch octet {
    case 48...57: Int(octet) - 48
    case 65...70: Int(octet) - 55
    case 97...102: Int(octet) - 87
    default: nil
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Whether `range` holds `word` (given in lower case), letters in any case.
  @inline(__always)
  func holds(_ word: StaticString, at start: Int, _ end: Int) -> Bool {
    let count = word.utf8CodeUnitCount
    guard end - start == count else { return false }
    let wanted = word.utf8Start
    for index in 0..<count where self[start + index] | 0x20 != wanted[index] { return false }
    return true
  }

  /// The first octet from `start` that may not stand in a field value; `end` when all may. Eight at a time while it can.
  @inline(__always)
  func endOfValue(from start: Int, to end: Int) -> Int {
    var at = start
    let ones: UInt64 = 0x0101_0101_0101_0101
    let high: UInt64 = 0x8080_8080_8080_8080
    while at + 8 <= end {
      let word = loadUnaligned(fromByteOffset: at, as: UInt64.self)
      let belowSpace = (word &- ones &* 0x20) & ~word & high
      let delete = word ^ (ones &* 0x7f)
      let isDelete = (delete &- ones) & ~delete & high
      if belowSpace | isDelete != 0 { break }
      at += 8
    }
    while at < end, Octet.isValue(self[at]) { at += 1 }
    return at
  }

  /// The range without spaces and tabs at its ends.
  @inline(__always)
  func trimmed(_ start: Int, _ end: Int) -> (start: Int, end: Int) {
    var first = start
    var last = end
    while first < last, self[first] == Octet.space || self[first] == Octet.tab { first += 1 }
    while last > first, self[last - 1] == Octet.space || self[last - 1] == Octet.tab { last -= 1 }
    return (first, last)
  }

  /// A decimal number of at most 18 digits and nothing else; nil for another form.
  func decimal(_ start: Int, _ end: Int) -> Int? {
    guard end > start, end - start <= 18 else { return nil }
    var value = 0
    for index in start..<end {
      let digit = self[index] &- 48
      guard digit < 10 else { return nil }
      value = value * 10 + Int(digit)
    }
    return value
  }
}
