internal import Crypto
internal import Foundation
package import SluiceModel

/// What makes two releases the same one.
package enum ReleaseDigest {
  /// A change of what is hashed, or how, must raise it: the same release would get another digest.
  private static let format = 1

  private struct Canonical: Encodable {
    var format: Int
    var release: ReleaseSpec
  }

  /// SHA-256 of the release as JSON with sorted keys and no white space.
  package static func of(_ spec: ReleaseSpec) throws -> SluiceModel.Digest {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return SluiceModel.Digest(hash: SHA256.hash(data: try encoder.encode(Canonical(format: format, release: spec))))
  }

  /// SHA-256.
  package static func of(_ bytes: [UInt8]) -> SluiceModel.Digest { SluiceModel.Digest(hash: SHA256.hash(data: bytes)) }
}

extension SluiceModel.Digest {
  init(hash: SHA256Digest) { self.init(hexadecimal(hash)) }
}

/// Two lower-case digits a byte.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  var text = ""
  for byte in bytes { text += (byte < 16 ? "0" : "") + String(byte, radix: 16) }
  return text
}
