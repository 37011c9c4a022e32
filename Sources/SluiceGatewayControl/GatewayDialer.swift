package import NIOCore
package import SluiceModel

/// Opens byte streams to the admin socket of a gateway.
package protocol GatewayDialer: Sendable {
  /// Throws when nothing answers there; nothing has been asked of the gateway by then.
  func dial(_ gateway: GatewayID) async throws -> any GatewayStream
}

/// Bytes in both directions to one gateway's admin socket. One reader at a time.
package protocol GatewayStream: Sendable {
  /// Throws once the stream has ended.
  func write(_ bytes: ByteBuffer) async throws
  /// The next bytes; nil at the end. Throws `GatewayUnreachable` where it turns out that the stream never reached the gateway.
  func read() async throws -> ByteBuffer?
  func close() async
}

/// The gateway could not be reached, and nothing was done there.
package struct GatewayUnreachable: Error, Hashable, Sendable, CustomStringConvertible {
  package var description: String

  package init(_ description: String) { self.description = description }
}

/// An order was sent and no answer came: whether it took effect is unknown.
package struct GatewayInDoubt: Error, Hashable, Sendable, CustomStringConvertible {
  package var description: String

  package init(_ description: String) { self.description = description }
}
