internal import Crypto
internal import NIOCore

/// A public key of a person: ed25519 (RFC 8709) or ECDSA (RFC 5656).
package struct SSHPublicKey: Hashable, Sendable, CustomStringConvertible {
  /// As in `authorized_keys`, decoded.
  package let blob: [UInt8]
  /// `ssh-ed25519`, `ecdsa-sha2-nistp256` and so on.
  package let type: String
  /// An ed25519 key's 32 bytes, or an uncompressed point.
  private let point: [UInt8]

  /// Nil for another kind of key, and for what is none.
  package init?(blob: [UInt8]) {
    var buffer = ByteBuffer(bytes: blob)
    guard let name = buffer.readSSHString(), let type = String(validating: name, as: UTF8.self) else { return nil }
    switch type {
    case "ssh-ed25519":
      guard let point = buffer.readSSHString(), point.count == 32 else { return nil }
      self.point = point
    case "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521":
      guard let curve = buffer.readSSHString(), type.hasSuffix(String(decoding: curve, as: UTF8.self)), let point = buffer.readSSHString(),
        point.first == 4
      else { return nil }
      self.point = point
    default: return nil
    }
    guard buffer.readableBytes == 0 else { return nil }
    self.type = type
    self.blob = blob
  }

  /// Reads a line of a `.pub` or `authorized_keys` file: type, Base64, comment. Nil for anything else, options before the type included.
  package init?(line: String) {
    let words = line.split(separator: " ", maxSplits: 2)
    guard words.count >= 2, let blob = Base64.decode(words[1]), let key = SSHPublicKey(blob: blob), key.type == words[0] else { return nil }
    self = key
  }

  /// The line of a `.pub` file, without a comment.
  package var line: String { "\(type) \(Base64.encode(blob))" }
  /// `SHA256:…`, as `ssh-keygen -l` shows it.
  package var fingerprint: String { "SHA256:" + Base64.encode(Array(SHA256.hash(data: blob)), padding: false) }
  package var description: String { "\(type) \(fingerprint)" }

  /// Whether `signature` (the algorithm's name, then the signature itself) is this key's of `data`.
  func isValid(_ signature: [UInt8], of data: [UInt8]) -> Bool {
    var buffer = ByteBuffer(bytes: signature)
    guard let name = buffer.readSSHString(), name == Array(type.utf8), let bytes = buffer.readSSHString(), buffer.readableBytes == 0 else {
      return false
    }
    if type == "ssh-ed25519" {
      guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: point) else { return false }
      return key.isValidSignature(bytes, for: data)
    }
    switch type {
    case "ecdsa-sha2-nistp256":
      guard let key = try? P256.Signing.PublicKey(x963Representation: point), let raw = Self.raw(bytes, size: 32),
        let signature = try? P256.Signing.ECDSASignature(rawRepresentation: raw)
      else { return false }
      return key.isValidSignature(signature, for: data)
    case "ecdsa-sha2-nistp384":
      guard let key = try? P384.Signing.PublicKey(x963Representation: point), let raw = Self.raw(bytes, size: 48),
        let signature = try? P384.Signing.ECDSASignature(rawRepresentation: raw)
      else { return false }
      return key.isValidSignature(signature, for: data)
    default:
      guard let key = try? P521.Signing.PublicKey(x963Representation: point), let raw = Self.raw(bytes, size: 66),
        let signature = try? P521.Signing.ECDSASignature(rawRepresentation: raw)
      else { return false }
      return key.isValidSignature(signature, for: data)
    }
  }

  /// From two mpints (RFC 5656 section 3.1.2) to two numbers of that size.
  private static func raw(_ bytes: [UInt8], size: Int) -> [UInt8]? {
    var buffer = ByteBuffer(bytes: bytes)
    guard let r = buffer.readSSHString(), let s = buffer.readSSHString(), buffer.readableBytes == 0 else { return nil }
    var raw: [UInt8] = []
    for number in [r, s] {
      let digits = number.drop { $0 == 0 }
      guard digits.count <= size, number.first.map({ $0 < 128 }) ?? false else { return nil }
      raw += [UInt8](repeating: 0, count: size - digits.count) + digits
    }
    return raw
  }
}
