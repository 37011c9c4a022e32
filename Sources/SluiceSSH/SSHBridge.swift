internal import Glibc
package import NIOCore
internal import NIOPosix

/// A running remote command behind a NIO channel: what handlers write is its stdin, its stdout is what they read.
///
/// The channel is one end of a local socket pair, so half closure, back-pressure and any NIO handler work as on a TCP connection.
package final class SSHBridge: Sendable {
  /// The near end, on the connection's event loop. Close it to end the bridge; it closes by itself when the command's output ends.
  package let channel: any Channel
  private let core: SSHBridgeCore
  private let connection: SSHConnection

  private init(channel: any Channel, core: SSHBridgeCore, connection: SSHConnection) {
    self.channel = channel
    self.core = core
    self.connection = connection
  }

  /// How the command ended. Throws `SSHError` when the connection was lost or the bridge closed first.
  package func exit() async throws -> SSHExit? { try await core.exit.get() }

  /// The last 8 KiB that the command wrote to stderr: what to show when it ended early.
  package func stderrTail() async throws -> String {
    try await channel.eventLoop.submit { String(buffer: self.core.stderr) }.get()
  }

  static func open(
    _ purpose: SSHSessionChannel.Purpose, on connection: SSHConnection,
    initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) async throws -> SSHBridge {
    let session = connection.session
    let timeout = connection.options.authTimeout
    var ends: [CInt] = [-1, -1]
    guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw SSHError(.channel, .channelRefused, host: session.host, cause: "no local socket pair (\(systemMessage(errno)))")
    }
    let core = SSHBridgeCore(session: session)
    let near: any Channel
    do {
      let far = ClientBootstrap(group: session.eventLoop).channelOption(.allowRemoteHalfClosure, value: true)
      _ = try await far.channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(SSHBridgeHandler(core: core)) }
      }.withConnectedSocket(ends[0]).get()
    } catch {
      _ = Glibc.close(ends[1])
      throw error
    }
    do {
      near = try await ClientBootstrap(group: session.eventLoop).channelInitializer(initializer).withConnectedSocket(ends[1]).get()
      try await session.eventLoop.flatSubmit { core.open(purpose, within: timeout) }.get()
    } catch {
      session.eventLoop.execute { core.farEndClosed() }
      throw error
    }
    return SSHBridge(channel: near, core: core, connection: connection)
  }

}

/// Between the far end of the socket pair and the session's channel.
///
/// `@unchecked Sendable`: all state is touched on the session's event loop only.
final class SSHBridgeCore: SSHChannelSink, @unchecked Sendable {
  private static let stderrLimit = 8 << 10

  let exit: EventLoopFuture<SSHExit?>
  private let session: SSHSession
  private let opened: EventLoopPromise<Void>
  private let exitPromise: EventLoopPromise<SSHExit?>
  private var channel: SSHSessionChannel?
  private var socket: (any Channel)?
  private var timer: Scheduled<Void>?
  private var isAutoReading = true
  private var outputEnded = false
  private(set) var stderr = ByteBuffer()

  init(session: SSHSession) {
    self.session = session
    opened = session.eventLoop.makePromise(of: Void.self)
    exitPromise = session.eventLoop.makePromise(of: SSHExit?.self)
    exit = exitPromise.futureResult
  }

  func open(_ purpose: SSHSessionChannel.Purpose, within timeout: Duration) -> EventLoopFuture<Void> {
    let channel = SSHSessionChannel(purpose, session: session, sink: self, lasts: true)
    self.channel = channel
    timer = session.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
      self.channel?.cancel(.notOpen(within: timeout, host: self.session.host))
    }
    session.open(channel)
    return opened.futureResult
  }

  // MARK: Socket side

  func attach(_ socket: any Channel) { self.socket = socket }

  func read(_ bytes: ByteBuffer) {
    guard let channel else { return }
    channel.write(bytes)
    if channel.pendingBytes > SSHSessionChannel.lowWater { setAutoRead(false) }
  }

  func socketInputEnded() {
    if let channel { channel.endInput() } else { farEndClosed() }
  }

  func socketWritable() { channel?.isReadingPaused = false }

  func farEndClosed() {
    // After the end of the output only how the command ended is still to come: that is not to be cut off.
    if outputEnded {
      channel?.endInput()
    } else {
      channel?.cancel(SSHError(.channel, .closed, host: session.host, cause: "the bridge was closed here"))
    }
    socket?.close(promise: nil)
    socket = nil
  }

  private func setAutoRead(_ value: Bool) {
    guard let socket, value != isAutoReading else { return }
    isAutoReading = value
    socket.setOption(.autoRead, value: value).whenFailure { _ in self.farEndClosed() }
  }

  // MARK: Sink

  func started(_ channel: SSHSessionChannel) {
    timer?.cancel()
    opened.succeed()
  }

  func received(_ chunk: SSHChunk, on channel: SSHSessionChannel) {
    switch chunk.stream {
    case .stderr:
      stderr.writeImmutableBuffer(chunk.bytes)
      stderr.moveReaderIndex(forwardBy: max(0, stderr.readableBytes - Self.stderrLimit))
      stderr.discardReadBytes()
    case .stdout:
      guard let socket else { return }
      socket.writeAndFlush(chunk.bytes, promise: nil)
      if !socket.isWritable { channel.isReadingPaused = true }
    }
  }

  func receivedEnd(on channel: SSHSessionChannel) {
    outputEnded = true
    socket?.close(mode: .output, promise: nil)
  }

  func wantsInput(_ channel: SSHSessionChannel) { setAutoRead(true) }

  func ended(_ result: Result<SSHExit?, SSHError>) {
    timer?.cancel()
    channel = nil
    switch result {
    case .success(let value): exitPromise.succeed(value)
    case .failure(let error):
      opened.fail(error)
      exitPromise.fail(error)
    }
    // What was written still goes out; the near end closes at the end of its input, and this end after it.
    socket?.close(mode: .output, promise: nil)
  }
}

/// Feeds the bridge from its end of the socket pair.
private final class SSHBridgeHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let core: SSHBridgeCore

  init(core: SSHBridgeCore) { self.core = core }

  func handlerAdded(context: ChannelHandlerContext) { core.attach(context.channel) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { core.read(unwrapInboundIn(data)) }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { core.socketWritable() }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .inputClosed? = event as? ChannelEvent { core.socketInputEnded() }
  }

  func channelInactive(context: ChannelHandlerContext) { core.farEndClosed() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
