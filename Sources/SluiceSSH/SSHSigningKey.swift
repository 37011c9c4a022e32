internal import Crypto
internal import NIOCore

/// A private key that can sign here: ed25519, or ECDSA over one of NIST's curves.
enum SSHSigningKey {
  case ed25519(Curve25519.Signing.PrivateKey)
  case p256(P256.Signing.PrivateKey)
  case p384(P384.Signing.PrivateKey)
  case p521(P521.Signing.PrivateKey)

  var type: String {
    switch self {
    case .ed25519: "ssh-ed25519"
    case .p256: "ecdsa-sha2-nistp256"
    case .p384: "ecdsa-sha2-nistp384"
    case .p521: "ecdsa-sha2-nistp521"
    }
  }

  /// As `authorized_keys` has it, decoded.
  var publicKey: [UInt8] {
    var blob = ByteBuffer()
    blob.writeSSHString(type.utf8)
    if case .ed25519(let key) = self {
      blob.writeSSHString(Array(key.publicKey.rawRepresentation))
      return Array(blob.readableBytesView)
    }
    blob.writeSSHString(type.utf8.suffix(8))
    switch self {
    case .ed25519: break
    case .p256(let key): blob.writeSSHString(Array(key.publicKey.x963Representation))
    case .p384(let key): blob.writeSSHString(Array(key.publicKey.x963Representation))
    case .p521(let key): blob.writeSSHString(Array(key.publicKey.x963Representation))
    }
    return Array(blob.readableBytesView)
  }

  /// The algorithm's name and the signature, as RFC 4253 section 6.6 has them.
  func sign(_ data: [UInt8]) throws -> [UInt8] {
    var bytes = ByteBuffer()
    bytes.writeSSHString(type.utf8)
    switch self {
    case .ed25519(let key): bytes.writeSSHString(Array(try key.signature(for: data)))
    case .p256(let key): bytes.writeSSHString(Self.numbers(Array(try key.signature(for: data).rawRepresentation)))
    case .p384(let key): bytes.writeSSHString(Self.numbers(Array(try key.signature(for: data).rawRepresentation)))
    case .p521(let key): bytes.writeSSHString(Self.numbers(Array(try key.signature(for: data).rawRepresentation)))
    }
    return Array(bytes.readableBytesView)
  }

  /// Two numbers of half the size each, as mpints.
  private static func numbers(_ raw: [UInt8]) -> [UInt8] {
    var buffer = ByteBuffer()
    for half in [raw.prefix(raw.count / 2), raw.suffix(raw.count / 2)] {
      let digits = Array(half.drop { $0 == 0 })
      buffer.writeSSHString((digits.first ?? 128) >= 128 ? [0] + digits : digits)
    }
    return Array(buffer.readableBytesView)
  }
}

extension SSHKeyFile {
  /// The key itself; nil where it is encrypted, of another kind, or damaged.
  var signingKey: SSHSigningKey? {
    if isEncrypted { return nil }
    let text = String(decoding: content, as: UTF8.self)
    if let section = openSSHPrivateSection(text) { return Self.key(section) }
    // What openssl writes: SEC 1 and PKCS #8.
    if let key = try? P256.Signing.PrivateKey(pemRepresentation: text) { return .p256(key) }
    if let key = try? P384.Signing.PrivateKey(pemRepresentation: text) { return .p384(key) }
    if let key = try? P521.Signing.PrivateKey(pemRepresentation: text) { return .p521(key) }
    return nil
  }

  /// PROTOCOL.key, section 3: two equal check numbers, then the key by its own type.
  private static func key(_ section: [UInt8]) -> SSHSigningKey? {
    var buffer = ByteBuffer(bytes: section)
    guard let check = buffer.readInteger(as: UInt32.self), check == buffer.readInteger(as: UInt32.self), let name = buffer.readSSHString()
    else { return nil }
    let type = String(decoding: name, as: UTF8.self)
    if type == "ssh-ed25519" {
      guard buffer.readSSHString() != nil, let both = buffer.readSSHString(), both.count == 64 else { return nil }
      return (try? Curve25519.Signing.PrivateKey(rawRepresentation: both.prefix(32))).map { .ed25519($0) }
    }
    guard buffer.readSSHString() != nil, buffer.readSSHString() != nil, let number = buffer.readSSHString() else { return nil }
    let digits = Array(number.drop { $0 == 0 })
    func padded(_ size: Int) -> [UInt8] { [UInt8](repeating: 0, count: max(0, size - digits.count)) + digits }
    switch type {
    case "ecdsa-sha2-nistp256": return (try? P256.Signing.PrivateKey(rawRepresentation: padded(32))).map { .p256($0) }
    case "ecdsa-sha2-nistp384": return (try? P384.Signing.PrivateKey(rawRepresentation: padded(48))).map { .p384($0) }
    case "ecdsa-sha2-nistp521": return (try? P521.Signing.PrivateKey(rawRepresentation: padded(66))).map { .p521($0) }
    default: return nil
    }
  }
}
