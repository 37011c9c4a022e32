import SluiceModel

/// Tells what may be a secret, so that no diagnostic repeats it.
enum SecretMask {
  /// Whether a key's name says that its value is a secret.
  static func isSecret(key: String) -> Bool { SecretWords.isSecret(key: key) }

  /// Whether a value is a URL with a password in it.
  static func isSecret(value: String) -> Bool { SecretWords.isSecret(value: value) }

  /// The column, from 1, at which to mask a line of a document that is not valid YAML, or nil. Such text has no tree to ask, so this goes by
  /// keys and indentation and rather hides too much.
  static func column(ofLine line: Int, in text: SourceText) -> Int? {
    let scalars = text.scalars(ofLine: line)
    var indent = indentation(scalars)
    var above = line - 1
    while above > 0, indent > 0 {
      let other = text.scalars(ofLine: above)
      let depth = indentation(other)
      if depth < indent, depth < other.count, other[depth] != "#" {
        indent = depth
        let keys = keys(of: other)
        if keys.contains(where: { isSecret(key: $0.name) || $0.name == "env" }) { return indentation(scalars) + 1 }
      }
      above -= 1
    }
    if let key = keys(of: scalars).first(where: { isSecret(key: $0.name) }) { return key.end + 1 }
    let string = String(String.UnicodeScalarView(scalars))
    return isSecret(value: string) ? indentation(scalars) + 1 : nil
  }

  private static func indentation(_ line: [Unicode.Scalar]) -> Int { line.prefix { $0 == " " || $0 == "\t" }.count }

  /// The words before a colon, and the index behind each colon.
  private static func keys(of line: [Unicode.Scalar]) -> [(name: String, end: Int)] {
    var keys: [(String, Int)] = []
    var word = String.UnicodeScalarView()
    for (index, scalar) in line.enumerated() {
      if scalar.properties.isAlphabetic || scalar == "_" || scalar == "-" || ("0"..."9").contains(scalar) {
        word.append(scalar)
      } else if scalar == ":", !word.isEmpty {
        keys.append((String(word), index + 1))
        word = .init()
      } else if scalar != "\"", scalar != "'" {
        word = .init()
      }
    }
    return keys
  }
}
