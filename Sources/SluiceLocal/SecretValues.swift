internal import Crypto
internal import Foundation
package import SluiceModel

/// Secrets with their values. Printing one shows the names alone.
package struct SecretValues: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// By the environment variable that an instance finds it in.
  package let values: [String: String]

  package init(_ values: [String: String]) { self.values = values }

  package var description: String { "secrets(\(values.keys.sorted().joined(separator: ", ")))" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }

  /// SHA-256 of a salt and one value: enough for a gateway to recognise it, and not to tell it.
  package func digest(of name: String, salt: String = "") -> SluiceModel.Digest? {
    values[name].map { SluiceModel.Digest(hash: SHA256.hash(data: Data((salt + $0).utf8))) }
  }

  /// Tells one set of values from another without telling what they are: HMAC-SHA256 under the service's salt over the sorted names and
  /// values, each with its length before it; the first 16 hexadecimal digits. Empty when there are no secrets.
  package func version(salt: [UInt8]) -> String {
    guard !values.isEmpty else { return "" }
    var code = HMAC<SHA256>(key: SymmetricKey(data: salt))
    for (name, value) in values.sorted(by: { $0.key < $1.key }) {
      for text in [name, value] {
        withUnsafeBytes(of: UInt64(text.utf8.count).bigEndian) { code.update(data: $0) }
        code.update(data: Data(text.utf8))
      }
    }
    return String(hexadecimal(code.finalize()).prefix(16))
  }
}
