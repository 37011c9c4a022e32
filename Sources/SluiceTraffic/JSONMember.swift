/// Finds one member of a JSON object (RFC 8259), strictly: the whole text is read, and one fault anywhere means that nothing is found.
///
/// Only as much of JSON as that needs: no value but the wanted one is kept. Nesting is bounded, and every octet is read once.
struct JSONMember {
  /// Objects and arrays within each other; deeper is a fault.
  static let depthLimit = 32

  private let octets: UnsafeRawBufferPointer
  private var at = 0
  /// The characters of the string read last.
  private var text: [UInt8] = []
  /// Whether any octet so far is beyond ASCII.
  private var hasHighOctets = false

  init(_ octets: UnsafeRawBufferPointer) { self.octets = octets }

  /// Puts the value of the top-level member into `value`: a string's characters, or a number as it is written. False when the text is no
  /// object, or has no such member, or has it twice (RFC 7519 section 4), or as something else.
  mutating func find(_ wanted: [UInt8], into value: inout [UInt8]) -> Bool {
    var found = 0
    skipSpace()
    guard take(123) else { return false }
    skipSpace()
    if !take(125) {
      repeat {
        skipSpace()
        guard string(), separator(58) else { return false }
        if text == wanted {
          found += 1
          value.removeAll(keepingCapacity: true)
          guard wantedValue(into: &value) else { return false }
        } else {
          guard skipValue(depth: 1) else { return false }
        }
        skipSpace()
      } while take(44)
      guard take(125) else { return false }
    }
    skipSpace()
    // Octets that are no UTF-8 are a fault too (RFC 8259 section 8.1); they stand in strings, or a fault was found by now.
    return at == octets.count && found == 1 && (!hasHighOctets || String(validating: octets, as: UTF8.self) != nil)
  }

  private mutating func wantedValue(into value: inout [UInt8]) -> Bool {
    if peek == 34 {
      guard string() else { return false }
      value.append(contentsOf: text)
      return true
    }
    let start = at
    guard number() else { return false }
    value.append(contentsOf: octets[start..<at])
    return true
  }

  private mutating func skipValue(depth: Int) -> Bool {
    guard depth <= Self.depthLimit, let first = peek else { return false }
    switch first {
    case 34: return string()
    case 123: return skipMembers(depth: depth)
    case 91: return skipElements(depth: depth)
    case 116: return word("true")
    case 102: return word("false")
    case 110: return word("null")
    default: return number()
    }
  }

  private mutating func skipMembers(depth: Int) -> Bool {
    at += 1
    skipSpace()
    if take(125) { return true }
    repeat {
      skipSpace()
      guard string(), separator(58), skipValue(depth: depth + 1) else { return false }
      skipSpace()
    } while take(44)
    return take(125)
  }

  private mutating func skipElements(depth: Int) -> Bool {
    at += 1
    skipSpace()
    if take(93) { return true }
    repeat {
      skipSpace()
      guard skipValue(depth: depth + 1) else { return false }
      skipSpace()
    } while take(44)
    return take(93)
  }

  // MARK: Strings

  /// Reads the string that begins here into `text`.
  private mutating func string() -> Bool {
    text.removeAll(keepingCapacity: true)
    guard take(34) else { return false }
    while let octet = peek {
      at += 1
      switch octet {
      case 34: return true
      case 92: if !escape() { return false }
      case 0..<32: return false
      default:
        hasHighOctets = hasHighOctets || octet >= 128
        text.append(octet)
      }
    }
    return false
  }

  private mutating func escape() -> Bool {
    guard let octet = peek else { return false }
    at += 1
    switch octet {
    case 34, 47, 92: text.append(octet)
    case 98: text.append(8)
    case 102: text.append(12)
    case 110: text.append(10)
    case 114: text.append(13)
    case 116: text.append(9)
    case 117:
      guard let scalar = escapedScalar() else { return false }
      text.append(contentsOf: UTF8.encode(scalar)!)
    default: return false
    }
    return true
  }

  /// `XXXX`, or `XXXX\uXXXX` for what lies above U+FFFF; half of a pair is a fault.
  private mutating func escapedScalar() -> Unicode.Scalar? {
    guard let first = codeUnit() else { return nil }
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard take(92), take(117), let second = codeUnit(), UTF16.isLeadSurrogate(first), UTF16.isTrailSurrogate(second) else { return nil }
    return Unicode.Scalar(0x1_0000 + (UInt32(first) - 0xD800) << 10 + UInt32(second) - 0xDC00)
  }

  private mutating func codeUnit() -> UInt16? {
    guard at + 4 <= octets.count else { return nil }
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = HexDigit.value(octets[at]) else { return nil }
      unit = unit << 4 | UInt16(digit)
      at += 1
    }
    return unit
  }

  // MARK: The rest

  private mutating func number() -> Bool {
    _ = take(45)
    if !take(48) { guard digits() else { return false } }
    if take(46) { guard digits() else { return false } }
    if take(101) || take(69) {
      if !take(43) { _ = take(45) }
      guard digits() else { return false }
    }
    return true
  }

  private mutating func digits() -> Bool {
    let start = at
    while let octet = peek, octet >= 48, octet <= 57 { at += 1 }
    return at > start
  }

  private mutating func word(_ word: StaticString) -> Bool {
    guard at + word.utf8CodeUnitCount <= octets.count else { return false }
    for index in 0..<word.utf8CodeUnitCount where octets[at + index] != word.utf8Start[index] { return false }
    at += word.utf8CodeUnitCount
    return true
  }

  private var peek: UInt8? { at < octets.count ? octets[at] : nil }

  private mutating func take(_ octet: UInt8) -> Bool {
    guard peek == octet else { return false }
    at += 1
    return true
  }

  /// The octet, with white space around it.
  private mutating func separator(_ octet: UInt8) -> Bool {
    skipSpace()
    guard take(octet) else { return false }
    skipSpace()
    return true
  }

  private mutating func skipSpace() {
    while let octet = peek, octet == 32 || octet == 9 || octet == 10 || octet == 13 { at += 1 }
  }
}
