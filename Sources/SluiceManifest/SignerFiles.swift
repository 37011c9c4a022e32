import Foundation
import SluiceModel

/// Reads the files that `spec.signers` of a fleet names: public keys, one a line, as in `.pub`, `authorized_keys` and `allowed_signers` files.
struct SignerFiles {
  /// Kinds of keys whose signatures can be checked.
  private static let kinds = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]
  private static let largest = 1 << 20

  let report: Report

  /// The same fleet with the keys in the place of the files' names.
  func read(_ fleet: Declared<Fleet>) -> Declared<Fleet> {
    guard let files = fleet.value.signers else { return fleet }
    var value = fleet.value
    var keys: [String] = []
    for (index, file) in files.enumerated() {
      for key in self.keys(of: file, at: fleet.document.place("spec.signers[\(index)]"), in: fleet.document) where !keys.contains(key) {
        keys.append(key)
      }
    }
    value.signers = keys
    return Declared(document: fleet.document, value: value)
  }

  private func keys(of file: String, at place: Place, in document: Document) -> [String] {
    let path = LocalPath.resolve(file, from: document.baseDirectory, home: NSHomeDirectory())
    guard let content = FileManager.default.contents(atPath: path), content.count <= Self.largest else {
      report.error(
        .fileMissing, "the file of signers `\(file)` cannot be read", at: place,
        suggestion: "looked for at \(path); the public keys of those who may decide what runs belong into it")
      return []
    }
    var keys: [String] = []
    for (number, line) in String(decoding: content, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard let first = words.first, !first.hasPrefix("#") else { continue }
      if line.contains("PRIVATE KEY") {
        report.error(
          .invalidValue, "the file of signers `\(file)` holds a private key", at: place,
          suggestion: "name its .pub file: private keys stay private")
        return []
      }
      if let key = Self.key(words) {
        keys.append(key)
      } else {
        report.error(
          .invalidValue, "line \(number + 1) of the file of signers `\(file)` is no public key that signs copies", at: place,
          suggestion: "ed25519 and ECDSA keys do: ssh-keygen -t ed25519; take other keys out")
      }
    }
    if keys.isEmpty, !report.hasErrors {
      report.error(
        .invalidValue, "the file of signers `\(file)` holds no public key", at: place,
        suggestion: "without one nobody's copies are believed")
    }
    return keys
  }

  /// `type base64`, without options before and comments behind it.
  private static func key(_ words: [Substring]) -> String? {
    guard let place = words.firstIndex(where: { kinds.contains(String($0)) }), place + 1 < words.count,
      let blob = Data(base64Encoded: String(words[place + 1])), blob.count > 4 + words[place].utf8.count,
      blob.dropFirst(4).starts(with: words[place].utf8)
    else { return nil }
    return "\(words[place]) \(words[place + 1])"
  }
}
