import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Listens, and on `stop` ends what was accepted.
final class Server: Sendable {
  private let sample: Sample
  private let group: MultiThreadedEventLoopGroup
  private let listener: any Channel
  private let connections: Connections

  /// Binds and begins to accept.
  init(_ sample: Sample, _ options: Options) throws {
    let connections = Connections()
    let group = MultiThreadedEventLoopGroup(numberOfThreads: options.loops)
    self.sample = sample
    self.connections = connections
    self.group = group
    listener = try ServerBootstrap(group: group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.backlog, value: 4096)
      .childChannelInitializer { channel in
        connections.add(channel)
        return channel.eventLoop.makeCompletedFuture { try Self.configure(channel, sample) }
      }
      .bind(to: SocketAddress(ipAddress: options.address, port: options.port)).wait()
  }

  /// Where it listens, as `address:port`.
  var address: String {
    guard let address = listener.localAddress, let ip = address.ipAddress, let port = address.port else { return "?" }
    return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
  }

  /// NIO's own upgrade handler looks at the first request of a connection only; here any request may become a WebSocket, so `RequestHandler` does it.
  private static func configure(_ channel: any Channel, _ sample: Sample) throws {
    let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes))
    let others: [any RemovableChannelHandler] = [HTTPResponseEncoder(), HTTPServerPipelineHandler(), HTTPServerProtocolErrorHandler()]
    let pipeline = channel.pipeline.syncOperations
    try pipeline.addHandler(others[0])
    try pipeline.addHandler(decoder)
    try pipeline.addHandlers(Array(others[1...]))
    try pipeline.addHandler(RequestHandler(sample, decoder: decoder, others: others))
  }

  /// Stops accepting, tells every connection to end after its request, and waits at most `grace`. Idle connections are closed at once.
  func stop(grace: Duration) {
    // A listener that fails to close accepts nothing more once the process ends, which is next.
    try? listener.close().wait()
    connections.quiesce()
    connections.waitUntilEmpty(atMost: grace)
  }
}

/// The open connections.
final class Connections: Sendable {
  private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

  func add(_ channel: any Channel) {
    let key = ObjectIdentifier(channel)
    channels.withLock { $0[key] = channel }
    channel.closeFuture.whenComplete { _ in _ = self.channels.withLock { $0.removeValue(forKey: key) } }
  }

  func quiesce() {
    for channel in channels.withLock({ Array($0.values) }) { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
  }

  /// Looks every ten milliseconds, on the main thread, which has nothing else to do then.
  func waitUntilEmpty(atMost limit: Duration) {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline, !channels.withLock(\.isEmpty) { usleep(10_000) }
  }
}
