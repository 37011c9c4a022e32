internal import NIOCore
internal import NIOPosix

/// A connection to an SSH agent over its unix socket (draft-miller-ssh-agent): lists identities and signs. One request at a time is answered, in order.
final class SSHAgent: Sendable {
  struct Identity: Sendable, Hashable {
    var publicKey: [UInt8]
    var comment: String
    var type: String { SSHWire.firstString(of: publicKey) ?? "" }
  }

  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private let channel: any Channel
  private let requests: NIOLoopBound<SSHAgentHandler>

  private init(channel: any Channel, requests: NIOLoopBound<SSHAgentHandler>) {
    self.channel = channel
    self.requests = requests
  }

  static func connect(_ path: String, on eventLoop: any EventLoop) async throws -> SSHAgent {
    let channel = try await ClientBootstrap(group: eventLoop)
      .connectTimeout(.seconds(5))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(SSHAgentHandler(eventLoop: channel.eventLoop))
        }
      }
      .connect(unixDomainSocketPath: SystemEnvironment.expandingTilde(path)).get()
    let requests = try await channel.eventLoop.submit {
      NIOLoopBound(try channel.pipeline.syncOperations.handler(type: SSHAgentHandler.self), eventLoop: channel.eventLoop)
    }.get()
    return SSHAgent(channel: channel, requests: requests)
  }

  func close() { channel.close(promise: nil) }

  /// SSH_AGENTC_REQUEST_IDENTITIES (11), answered by 12.
  func identities() async throws -> [Identity] {
    var answer = try await ask(ByteBuffer(bytes: [11])).get()
    guard answer.readInteger(as: UInt8.self) == 12, let count = answer.readInteger(as: UInt32.self) else {
      throw Failure(description: "the agent refused to list its keys")
    }
    var identities: [Identity] = []
    for _ in 0..<count {
      guard let blob = answer.readSSHString(), let comment = answer.readSSHString() else {
        throw Failure(description: "the agent's list of keys is cut short")
      }
      identities.append(Identity(publicKey: blob, comment: String(decoding: comment, as: UTF8.self)))
    }
    return identities
  }

  /// SSH_AGENTC_SIGN_REQUEST (13), answered by 14. The signature alone, without the algorithm's name before it.
  func sign(_ data: [UInt8], publicKey: [UInt8]) -> EventLoopFuture<[UInt8]> {
    var request = ByteBuffer(bytes: [13])
    request.writeSSHString(publicKey)
    request.writeSSHString(data)
    request.writeInteger(UInt32(0))
    return ask(request).flatMapThrowing { answer in
      var answer = answer
      guard answer.readInteger(as: UInt8.self) == 14, let blob = answer.readSSHString() else {
        throw Failure(description: "the agent refused to sign")
      }
      var signature = ByteBuffer(bytes: blob)
      guard signature.readSSHString() != nil, let bytes = signature.readSSHString() else {
        throw Failure(description: "the agent's signature is not one")
      }
      return bytes
    }
  }

  private func ask(_ message: ByteBuffer) -> EventLoopFuture<ByteBuffer> {
    let requests = requests
    return channel.eventLoop.flatSubmit { requests.value.ask(message) }
  }
}

/// Frames messages by their 32-bit length and pairs answers with requests.
final class SSHAgentHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private static let longestAnswer = 1 << 20

  private let eventLoop: any EventLoop
  private var context: ChannelHandlerContext?
  private var pending = CircularBuffer<EventLoopPromise<ByteBuffer>>()
  private var input = ByteBuffer()

  init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) {
    self.context = nil
    fail("the agent hung up")
  }

  func ask(_ message: ByteBuffer) -> EventLoopFuture<ByteBuffer> {
    guard let context else { return eventLoop.makeFailedFuture(SSHAgent.Failure(description: "the agent hung up")) }
    let promise = context.eventLoop.makePromise(of: ByteBuffer.self)
    guard context.channel.isActive else {
      promise.fail(SSHAgent.Failure(description: "the agent hung up"))
      return promise.futureResult
    }
    pending.append(promise)
    var framed = context.channel.allocator.buffer(capacity: message.readableBytes + 4)
    framed.writeInteger(UInt32(message.readableBytes))
    framed.writeImmutableBuffer(message)
    context.writeAndFlush(wrapOutboundOut(framed), promise: nil)
    return promise.futureResult
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    input.writeBuffer(&bytes)
    while let length = input.getInteger(at: input.readerIndex, as: UInt32.self) {
      guard length <= Self.longestAnswer else {
        fail("the agent sent a message of \(length) bytes")
        return context.close(promise: nil)
      }
      guard input.readableBytes >= 4 + Int(length) else { break }
      input.moveReaderIndex(forwardBy: 4)
      guard let message = input.readSlice(length: Int(length)) else { break }
      pending.popFirst()?.succeed(message)
    }
    input.discardReadBytes()
  }

  func channelInactive(context: ChannelHandlerContext) { fail("the agent hung up") }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    fail("the agent's socket failed (\(error))")
    context.close(promise: nil)
  }

  private func fail(_ reason: String) {
    while let promise = pending.popFirst() { promise.fail(SSHAgent.Failure(description: reason)) }
  }
}
