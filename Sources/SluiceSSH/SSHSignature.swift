internal import Crypto
internal import NIOCore

/// Signatures of messages in OpenSSH's own format (PROTOCOL.sshsig, version 1), as `ssh-keygen -Y sign` makes and `ssh-keygen -Y verify` takes them.
package enum SSHSignature {
  /// Why a text is no signature of a message.
  package struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
  }

  /// What is hashed before it is signed: all keys do with it, and it is OpenSSH's default.
  private static let hash = "sha512"
  private static let magic = Array("SSHSIG".utf8)
  private static let begin = "-----BEGIN SSH SIGNATURE-----"
  private static let end = "-----END SSH SIGNATURE-----"

  /// Whose signature of `message` the armoured text is. Throws `Problem` where it is nobody's, of another namespace, or cannot be checked here.
  package static func signer(of message: [UInt8], signature armored: String, namespace: String) throws(Problem) -> SSHPublicKey {
    let parts = try parse(armored)
    guard parts.namespace == namespace else {
      throw Problem(description: "it is signed for \(printable(parts.namespace)), not for \(namespace)")
    }
    guard let signed = signedData(message, namespace: namespace, hash: parts.hash) else {
      throw Problem(description: "its hash \(printable(parts.hash)) is not known here")
    }
    guard let key = SSHPublicKey(blob: parts.publicKey) else {
      throw Problem(description: "its key is of a kind that cannot be checked here (only ed25519 and ECDSA can)")
    }
    guard key.isValid(parts.signature, of: signed) else { throw Problem(description: "the signature does not fit the content") }
    return key
  }

  /// The armoured signature: `sign` is given what the key is to sign, and answers with the key's name and signature (RFC 4253 section 6.6).
  static func make(of message: [UInt8], namespace: String, publicKey: [UInt8], sign: (_ data: [UInt8]) async throws -> [UInt8]) async throws
    -> String
  {
    guard let data = signedData(message, namespace: namespace, hash: hash) else { preconditionFailure("sha512 is always known") }
    var blob = ByteBuffer(bytes: magic)
    blob.writeInteger(UInt32(1))
    blob.writeSSHString(publicKey)
    blob.writeSSHString(namespace.utf8)
    blob.writeSSHString([])
    blob.writeSSHString(hash.utf8)
    blob.writeSSHString(try await sign(data))
    let text = Array(Base64.encode(Array(blob.readableBytesView)).utf8)
    let lines = stride(from: 0, to: text.count, by: 70).map { String(decoding: text[$0..<min($0 + 70, text.count)], as: UTF8.self) }
    return ([begin] + lines + [end]).joined(separator: "\n")
  }

  private struct Parts {
    var publicKey: [UInt8]
    var namespace: String
    var hash: String
    var signature: [UInt8]
  }

  private static func parse(_ armored: String) throws(Problem) -> Parts {
    let lines = armored.split(whereSeparator: \.isNewline)
    guard lines.first == begin[...], let last = lines.firstIndex(of: end[...]), let body = Base64.decode(lines[1..<last].joined()),
      body.starts(with: magic)
    else { throw Problem(description: "it is not a signature in OpenSSH's format") }
    var buffer = ByteBuffer(bytes: body.dropFirst(magic.count))
    guard buffer.readInteger(as: UInt32.self) == 1, let publicKey = buffer.readSSHString(), let namespace = buffer.readSSHString(),
      buffer.readSSHString() != nil, let hash = buffer.readSSHString(), let signature = buffer.readSSHString(), buffer.readableBytes == 0
    else { throw Problem(description: "the signature is cut short or of another version") }
    return Parts(
      publicKey: publicKey, namespace: String(decoding: namespace, as: UTF8.self), hash: String(decoding: hash, as: UTF8.self),
      signature: signature)
  }

  private static func signedData(_ message: [UInt8], namespace: String, hash: String) -> [UInt8]? {
    let digest: [UInt8]
    switch hash {
    case "sha512": digest = Array(SHA512.hash(data: message))
    case "sha256": digest = Array(SHA256.hash(data: message))
    default: return nil
    }
    var buffer = ByteBuffer(bytes: magic)
    buffer.writeSSHString(namespace.utf8)
    buffer.writeSSHString([])
    buffer.writeSSHString(hash.utf8)
    buffer.writeSSHString(digest)
    return Array(buffer.readableBytesView)
  }

  /// What a stranger wrote, for a message.
  private static func printable(_ text: String) -> String {
    "\"" + String(text.unicodeScalars.prefix(40).map { (32...126).contains($0.value) ? Character($0) : "?" }) + "\""
  }
}
