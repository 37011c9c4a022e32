package import NIOCore

/// The little of RFC 6455 that a client needs to exchange text frames. (The service's side is NIO's, so the two check each other.)
package enum WebSocketFrames {
  /// The sample key of RFC 6455 section 1.3 and the answer that belongs to it: a fixed key spares the generator a SHA-1.
  package static let key = "dGhlIHNhbXBsZSBub25jZQ=="
  package static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

  /// A frame that a server sent.
  package struct Frame: Equatable, Sendable {
    package var opcode: UInt8
    package var payload: ByteBuffer

    package init(opcode: UInt8, payload: ByteBuffer) {
      self.opcode = opcode
      self.payload = payload
    }
  }

  package static let text: UInt8 = 0x1
  package static let close: UInt8 = 0x8
  package static let ping: UInt8 = 0x9
  package static let pong: UInt8 = 0xA

  /// A whole masked frame (section 5.3). `payload` is at most 125 bytes long.
  package static func masked(_ opcode: UInt8, _ payload: some Collection<UInt8>, mask: UInt32) -> ByteBuffer {
    precondition(payload.count <= 125, "only short frames are built")
    var frame = ByteBuffer()
    frame.reserveCapacity(6 + payload.count)
    frame.writeInteger(0x80 | opcode)
    frame.writeInteger(0x80 | UInt8(payload.count))
    frame.writeInteger(mask)
    for (index, byte) in payload.enumerated() { frame.writeInteger(byte ^ UInt8(truncatingIfNeeded: mask >> (24 - 8 * UInt32(index % 4)))) }
    return frame
  }

  /// The next whole frame of a server, unmasked and unfragmented as every server answers short frames; nil when more bytes are needed.
  package static func next(_ input: inout ByteBuffer) throws(ResponseError) -> Frame? {
    var rest = input
    guard let first = rest.readInteger(as: UInt8.self), let second = rest.readInteger(as: UInt8.self) else { return nil }
    guard first & 0xF0 == 0x80, second & 0x80 == 0 else { throw ResponseError(reason: "a fragmented, reserved or masked WebSocket frame") }
    var length = Int(second)
    if second == 126 {
      guard let long = rest.readInteger(as: UInt16.self) else { return nil }
      length = Int(long)
    } else if second == 127 {
      throw ResponseError(reason: "a WebSocket frame of more than 64 KiB")
    }
    guard let payload = rest.readSlice(length: length) else { return nil }
    input = rest
    return Frame(opcode: first & 0x0F, payload: payload)
  }
}
