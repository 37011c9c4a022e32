internal import NIOCore

/// The little of SSH's wire format (RFC 4251 section 5) that is read and written outside libssh2: key blobs and agent messages.
enum SSHWire {
  /// The string that a blob opens with, where it is there in full and UTF-8.
  static func firstString(of blob: [UInt8]) -> String? {
    var buffer = ByteBuffer(bytes: blob)
    guard let bytes = buffer.readSSHString() else { return nil }
    return String(validating: bytes, as: UTF8.self)
  }
}

extension ByteBuffer {
  /// A string: a 32-bit length and that many bytes. Nil, and nothing consumed, where it is cut short.
  mutating func readSSHString() -> [UInt8]? {
    guard let length = getInteger(at: readerIndex, as: UInt32.self), readableBytes - 4 >= Int(length) else { return nil }
    moveReaderIndex(forwardBy: 4)
    return readBytes(length: Int(length))
  }

  mutating func writeSSHString(_ bytes: some Collection<UInt8>) {
    writeInteger(UInt32(bytes.count))
    writeBytes(bytes)
  }
}

/// Base64 (RFC 4648 section 4); decoding wants whole groups with their padding and nothing else.
enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func encode(_ bytes: [UInt8], padding: Bool = true) -> String {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
      let left = bytes.count - index
      let group = UInt32(bytes[index]) << 16 | (left > 1 ? UInt32(bytes[index + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[index + 2]) : 0)
      out.append(alphabet[Int(group >> 18)])
      out.append(alphabet[Int(group >> 12 & 63)])
      if left > 1 { out.append(alphabet[Int(group >> 6 & 63)]) } else if padding { out.append(UInt8(ascii: "=")) }
      if left > 2 { out.append(alphabet[Int(group & 63)]) } else if padding { out.append(UInt8(ascii: "=")) }
      index += 3
    }
    return String(decoding: out, as: UTF8.self)
  }

  static func decode(_ text: some StringProtocol) -> [UInt8]? {
    let bytes = Array(text.utf8)
    guard bytes.count.isMultiple(of: 4) else { return nil }
    let padding = bytes.suffix(2).count { $0 == UInt8(ascii: "=") }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count / 4 * 3)
    for start in stride(from: 0, to: bytes.count, by: 4) {
      var group: UInt32 = 0
      for position in start..<start + 4 {
        let isPadding = position >= bytes.count - padding
        guard let value = isPadding ? (bytes[position] == UInt8(ascii: "=") ? 0 : nil) : value(of: bytes[position]) else { return nil }
        group = group << 6 | value
      }
      out += [UInt8(group >> 16), UInt8(group >> 8 & 255), UInt8(group & 255)]
    }
    out.removeLast(min(padding, out.count))
    return out
  }

  private static func value(of character: UInt8) -> UInt32? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
