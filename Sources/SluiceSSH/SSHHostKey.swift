internal import Crypto

/// A host's public key as the SSH wire carries it (RFC 4253 section 6.6).
package struct SSHHostKey: Sendable, Hashable, CustomStringConvertible {
  /// The key's type and data, as base64 text in known_hosts decodes to.
  package var blob: [UInt8]

  package init(blob: [UInt8]) { self.blob = blob }

  /// `ssh-ed25519`, `ecdsa-sha2-nistp256` and so on: the blob's first string; empty where the blob is not a key.
  package var type: String { SSHWire.firstString(of: blob) ?? "" }

  /// `SHA256:` and unpadded base64, as `ssh-keygen -l` prints it.
  package var fingerprint: String {
    "SHA256:" + Base64.encode(Array(SHA256.hash(data: blob)), padding: false)
  }

  /// Type and base64 key, as in known_hosts and in a .pub file.
  package var line: String { "\(type) \(Base64.encode(blob))" }

  package var description: String { "\(type) \(fingerprint)" }
}
