/// Text from outside (hosts, services, gateways, files) as a terminal may be given it: nothing in it moves the cursor, sets a title, answers
/// a question or turns the line round.
package enum PlainText {
  /// Longest escape sequence that is taken away whole; of a longer one only the escape itself is.
  private static let sequenceLimit = 4_096

  /// Escape sequences (ECMA-48: CSI, OSC and their like) are left out; other control characters are written as `^G` or `\u{9b}`, and so are the
  /// characters that reorder, hide or break a line (Unicode's bidirectional controls, separators and tags). Tabs and line ends stay.
  package static func clean(_ text: String) -> String {
    if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) || $0 == 0x0A || $0 == 0x09 }) { return text }
    let scalars = Array(text.unicodeScalars)
    var result = String.UnicodeScalarView()
    var place = 0
    while place < scalars.count {
      let scalar = scalars[place]
      switch scalar.value {
      case 0x09, 0x0A: result.append(scalar)
      case 0x0D where place + 1 == scalars.count || scalars[place + 1] == "\n": break
      case 0x1B, 0x90, 0x98, 0x9B, 0x9D, 0x9E, 0x9F:
        if let end = endOfSequence(scalars, from: place) {
          place = end
          continue
        }
        result.append(contentsOf: visible(scalar).unicodeScalars)
      case _ where isHarmful(scalar.value): result.append(contentsOf: visible(scalar).unicodeScalars)
      default: result.append(scalar)
      }
      place += 1
    }
    return String(result)
  }

  /// Whether text would come out of `clean` as it is.
  package static func isClean(_ text: String) -> Bool { clean(text) == text }

  private static func isHarmful(_ value: UInt32) -> Bool {
    switch value {
    case 0..<0x20, 0x7F...0x9F: true
    case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x206F, 0xFEFF, 0xE0000...0xE007F: true
    default: false
    }
  }

  private static func visible(_ scalar: Unicode.Scalar) -> String {
    if scalar.value < 0x20 { return "^" + String(Unicode.Scalar(UInt8(scalar.value + 0x40))) }
    return scalar.value == 0x7F ? "^?" : "\\u{\(String(scalar.value, radix: 16))}"
  }

  /// Where the sequence that begins here has ended; nil where it never does.
  private static func endOfSequence(_ scalars: [Unicode.Scalar], from start: Int) -> Int? {
    var place = start + 1
    var kind = scalars[start].value
    if kind == 0x1B {
      guard place < scalars.count, (0x20..<0x7F).contains(scalars[place].value) else { return nil }
      // ESC and a character of 0x40 to 0x5F stand for the control character that is 0x40 higher (ECMA-48 section 5.3).
      kind = scalars[place].value + 0x40
      switch kind {
      case 0x90, 0x98, 0x9B, 0x9D, 0x9E, 0x9F: place += 1
      default: return end(scalars, place, skipping: 0x20...0x2F, last: 0x30...0x7E)
      }
    }
    if kind == 0x9B { return end(scalars, place, skipping: 0x20...0x3F, last: 0x40...0x7E) }
    // A string: up to BEL or the string terminator, and never over the end of a line.
    while place < scalars.count, place - start < sequenceLimit {
      switch scalars[place].value {
      case 0x07, 0x9C: return place + 1
      case 0x1B where place + 1 < scalars.count && scalars[place + 1] == "\\": return place + 2
      case 0x0A, 0x0D, 0x1B: return nil
      default: place += 1
      }
    }
    return nil
  }

  private static func end(
    _ scalars: [Unicode.Scalar], _ start: Int, skipping: ClosedRange<UInt32>, last: ClosedRange<UInt32>
  ) -> Int? {
    var place = start
    while place < scalars.count, place - start < sequenceLimit, skipping.contains(scalars[place].value) { place += 1 }
    return place < scalars.count && last.contains(scalars[place].value) ? place + 1 : nil
  }
}
