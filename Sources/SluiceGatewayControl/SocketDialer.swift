package import NIOCore
internal import NIOPosix
package import SluiceModel

/// Reaches gateways of this machine by their unix sockets.
package struct SocketDialer: GatewayDialer {
  private let group: any EventLoopGroup
  private let path: @Sendable (GatewayID) -> String

  package init(group: any EventLoopGroup, path: @escaping @Sendable (GatewayID) -> String) {
    self.group = group
    self.path = path
  }

  package func dial(_ gateway: GatewayID) async throws -> any GatewayStream {
    let path = path(gateway)
    let loop = group.next()
    let core = SocketCore(eventLoop: loop)
    do {
      let channel = try await ClientBootstrap(group: loop).connectTimeout(.seconds(5)).channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(SocketHandler(core: core)) }
      }.connect(unixDomainSocketPath: path).get()
      return SocketStream(channel: channel, core: core)
    } catch {
      throw GatewayUnreachable("no gateway answers at \(path) (\(error))")
    }
  }
}

private final class SocketStream: GatewayStream {
  private let channel: any Channel
  private let core: SocketCore

  init(channel: any Channel, core: SocketCore) {
    self.channel = channel
    self.core = core
  }

  deinit { channel.close(promise: nil) }

  func write(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

  func read() async throws -> ByteBuffer? {
    let core = core
    return try await withTaskCancellationHandler {
      try Task.checkCancellation()
      return try await core.eventLoop.flatSubmit { core.read() }.get()
    } onCancel: {
      core.eventLoop.execute { core.cancelRead() }
    }
  }

  func close() async { try? await channel.close() }
}

/// What has come and nobody has read yet, and who waits.
///
/// `@unchecked Sendable`: everything but the event loop is touched on that loop only.
private final class SocketCore: @unchecked Sendable {
  let eventLoop: any EventLoop
  private var waiting: EventLoopPromise<ByteBuffer?>?
  private var buffered = CircularBuffer<ByteBuffer>()
  private var end: Result<ByteBuffer?, any Error>?

  init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

  func read() -> EventLoopFuture<ByteBuffer?> {
    precondition(waiting == nil, "one reader at a time")
    if let bytes = buffered.popFirst() { return eventLoop.makeSucceededFuture(bytes) }
    if let end { return eventLoop.makeCompletedFuture(end) }
    let promise = eventLoop.makePromise(of: ByteBuffer?.self)
    waiting = promise
    return promise.futureResult
  }

  func received(_ bytes: ByteBuffer) {
    guard let waiting else { return buffered.append(bytes) }
    self.waiting = nil
    waiting.succeed(bytes)
  }

  func ended(_ result: Result<ByteBuffer?, any Error>) {
    if end == nil { end = result }
    waiting?.completeWith(result)
    waiting = nil
  }

  func cancelRead() {
    waiting?.fail(CancellationError())
    waiting = nil
  }
}

private final class SocketHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let core: SocketCore

  init(core: SocketCore) { self.core = core }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { core.received(unwrapInboundIn(data)) }
  func channelInactive(context: ChannelHandlerContext) { core.ended(.success(nil)) }
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    core.ended(.failure(error))
    context.close(promise: nil)
  }
}
