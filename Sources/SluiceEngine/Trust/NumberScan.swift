/// Looks for numbers that arithmetic could not carry, before anything is made of them.
package enum NumberScan {
  /// The first whole number in a JSON text beyond `most`, as it stands there; nil: there is none. What a string holds does not count.
  package static func excess(in json: [UInt8], most: UInt64 = 1 << 48) -> String? {
    var index = 0
    var isInString = false
    while index < json.count {
      let byte = json[index]
      if isInString {
        if byte == UInt8(ascii: "\\") { index += 1 } else if byte == UInt8(ascii: "\"") { isInString = false }
      } else if byte == UInt8(ascii: "\"") {
        isInString = true
      } else if isDigit(byte) {
        let start = index
        while index < json.count, isPartOfNumber(json[index]) { index += 1 }
        let number = json[start..<index]
        if number.allSatisfy(isDigit), UInt64(String(decoding: number, as: UTF8.self)).map({ $0 > most }) ?? true {
          return String(decoding: number.prefix(40), as: UTF8.self)
        }
        continue
      }
      index += 1
    }
    return nil
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
  private static func isPartOfNumber(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") || byte == UInt8(ascii: "+")
      || byte == UInt8(ascii: "-")
  }
}
