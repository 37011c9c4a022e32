import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// A server that does one thing to every request, on a port of its own choice.
final class MisbehavingServer: Sendable {
  /// What it does once a request's head has come.
  enum Behaviour: Sendable {
    /// Sends this, then goes on or closes.
    case answer(String, closes: Bool)
    /// Sends this, then resets the connection.
    case reset(String)
    /// Says nothing.
    case hang
    /// Sends the first after the head, the second after whatever comes next, and then closes.
    case dialog(String, [UInt8])
  }

  let port: Int
  private let listener: any Channel
  private let seen: Counter

  /// How many requests came, and on how many connections.
  final class Counter: Sendable {
    let requests = Atomic<Int>(0)
    let connections = Atomic<Int>(0)
  }

  var requests: Int { seen.requests.load(ordering: .relaxed) }
  var connections: Int { seen.connections.load(ordering: .relaxed) }

  init(_ behaviour: Behaviour) async throws {
    let seen = Counter()
    self.seen = seen
    listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          seen.connections.add(1, ordering: .relaxed)
          try channel.pipeline.syncOperations.addHandler(Handler(behaviour, seen))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    port = listener.localAddress?.port ?? 0
  }

  /// Closes the listener; its port then refuses.
  func close() async throws { try await listener.close() }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let behaviour: Behaviour
    private let seen: Counter
    private var input = ByteBuffer()
    private var inDialog = false

    init(_ behaviour: Behaviour, _ seen: Counter) {
      self.behaviour = behaviour
      self.seen = seen
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      var bytes = unwrapInboundIn(data)
      if inDialog, case .dialog(_, let last) = behaviour { return send(ByteBuffer(bytes: last), context, closes: true) }
      input.writeBuffer(&bytes)
      // Whole heads are enough: the requests of these tests have small bodies that come with them.
      guard String(buffer: input).contains("\r\n\r\n") else { return }
      input.clear()
      seen.requests.add(1, ordering: .relaxed)
      switch behaviour {
      case .answer(let text, let closes): send(ByteBuffer(string: text), context, closes: closes)
      case .reset(let text):
        var option = linger()
        option.l_onoff = 1
        option.l_linger = 0
        // Lingering for no time makes the close a reset; it takes effect at once, on the channel's own loop.
        guard let options = context.channel as? any SocketOptionProvider else { return }
        _ = options.setSoLinger(option)
        send(ByteBuffer(string: text), context, closes: true)
      case .hang: break
      case .dialog(let text, _):
        inDialog = true
        send(ByteBuffer(string: text), context, closes: false)
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func send(_ bytes: ByteBuffer, _ context: ChannelHandlerContext, closes: Bool) {
      let channel = context.channel
      let sent = context.writeAndFlush(wrapOutboundOut(bytes))
      if closes { sent.whenComplete { _ in channel.close(promise: nil) } }
    }
  }
}
