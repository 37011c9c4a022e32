internal import Glibc
internal import NIOCore
internal import NIOPosix

/// A private key file, as far as it can be read without its passphrase.
struct SSHKeyFile: Sendable {
  /// As configured, for messages.
  var path: String
  var content: [UInt8]
  /// `ssh-ed25519`, `ssh-rsa` and so on; nil where the file does not tell (an encrypted PEM, say).
  var type: String?
  /// The public key's blob, which the OpenSSH format holds in the clear.
  var publicKey: [UInt8]?
  var isEncrypted: Bool

  /// Reads a key file. Success with nil: there is no such file.
  static func load(_ path: String) async -> Result<SSHKeyFile?, SmallFile.Failure> {
    let expanded = SystemEnvironment.expandingTilde(path)
    do {
      let outcome = try await NIOThreadPool.singleton.runIfActive { SmallFile.read(expanded, limit: 256 << 10) }
      switch outcome {
      case .success(let content): return .success(SSHKeyFile(path: path, content: content))
      case .failure(let error) where error.number == ENOENT: return .success(nil)
      case .failure(let error): return .failure(error)
      }
    } catch {
      return .failure(SmallFile.Failure(number: EAGAIN))
    }
  }

  init(path: String, content: [UInt8]) {
    self.path = path
    self.content = content
    let text = String(decoding: content, as: UTF8.self)
    isEncrypted = text.contains("ENCRYPTED")
    if text.contains("BEGIN RSA PRIVATE KEY") { type = "ssh-rsa" }
    if text.contains("BEGIN DSA PRIVATE KEY") { type = "ssh-dss" }
    readOpenSSH(text)
  }

  /// The clear part of OpenSSH's format (PROTOCOL.key): magic, cipher, kdf, its options, number of keys, public key.
  private mutating func readOpenSSH(_ text: String) {
    guard var buffer = Self.openSSHBody(text), let cipher = buffer.readSSHString(), buffer.readSSHString() != nil,
      buffer.readSSHString() != nil, buffer.readInteger(as: UInt32.self) != nil, let blob = buffer.readSSHString()
    else { return }
    isEncrypted = cipher != Array("none".utf8)
    publicKey = blob
    type = SSHWire.firstString(of: blob)
  }

  /// What follows the public key, where it is not encrypted: the private one.
  func openSSHPrivateSection(_ text: String) -> [UInt8]? {
    guard var buffer = Self.openSSHBody(text), buffer.readSSHString() == Array("none".utf8), buffer.readSSHString() != nil,
      buffer.readSSHString() != nil, buffer.readInteger(as: UInt32.self) == 1, buffer.readSSHString() != nil
    else { return nil }
    return buffer.readSSHString()
  }

  /// What OpenSSH's armour holds after its magic.
  private static func openSSHBody(_ text: String) -> ByteBuffer? {
    let lines = text.split(whereSeparator: \.isNewline)
    guard let begin = lines.firstIndex(of: "-----BEGIN OPENSSH PRIVATE KEY-----"),
      let end = lines.firstIndex(of: "-----END OPENSSH PRIVATE KEY-----"), begin < end,
      let body = Base64.decode(lines[lines.index(after: begin)..<end].joined())
    else { return nil }
    let magic = Array("openssh-key-v1".utf8) + [0]
    return body.starts(with: magic) ? ByteBuffer(bytes: body.dropFirst(magic.count)) : nil
  }
}
