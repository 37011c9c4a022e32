/// Tells by name and form what may be a secret, so that nothing repeats it.
package enum SecretWords {
  private static let words = [
    "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "API_KEY", "PRIVATE_KEY", "PRIVATEKEY", "CREDENTIAL", "AUTHORIZATION",
  ].map { Array($0.utf8) }

  /// Whether a key's name says that its value is a secret.
  package static func isSecret(key: String) -> Bool {
    let upper = key.utf8.map { (byte) -> UInt8 in
      switch byte {
      case 97...122: byte - 32
      case 45: 95
      default: byte
      }
    }
    // By bytes, since this is asked of every key.
    return words.contains { word in
      upper.indices.contains { upper[$0...].starts(with: word) }
    }
  }

  /// Whether a value is a URL with a password in it.
  package static func isSecret(value: String) -> Bool {
    guard value.utf8.contains(64), let scheme = value.firstRange(of: "://") else { return false }
    let authority = value[scheme.upperBound...].prefix { !"/?#".contains($0) }
    guard let at = authority.lastIndex(of: "@") else { return false }
    return authority[..<at].contains(":")
  }
}
