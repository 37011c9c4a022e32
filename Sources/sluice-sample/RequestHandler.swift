import Glibc
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Synchronization

/// Answers one request after the other on one connection. NIO's pipelining handler in front of it holds back the next request until the last one is answered,
/// and closes the connection after it when the service is told to stop.
final class RequestHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let sample: Sample
  /// The request that is being read or answered.
  private var head: HTTPRequestHead?
  private var received = 0
  private var checksum = Checksum()
  /// What goes on later: a slow answer, or the next chunk. Nothing may be written once the connection is gone.
  private var pending: Scheduled<Void>?

  private let decoder: any RemovableChannelHandler
  private let others: [any RemovableChannelHandler]

  /// `decoder` and `others`: the HTTP handlers before this one, which leave with it when the connection becomes a WebSocket.
  init(_ sample: Sample, decoder: any RemovableChannelHandler, others: [any RemovableChannelHandler]) {
    self.sample = sample
    self.decoder = decoder
    self.others = others
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      sample.counters.accepted.add(1, ordering: .relaxed)
      self.head = head
      received = 0
      checksum = Checksum()
      if head.headers.contains(name: "Expect") {
        context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
      }
    case .body(let bytes):
      received += bytes.readableBytes
      checksum.update(bytes.readableBytesView)
    case .end: answerSoon(context)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    pending?.cancel()
    pending = nil
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  private func answerSoon(_ context: ChannelHandlerContext) {
    guard let head else { return }
    let target = Target(head.uri)
    if sample.delay > .zero, target.path != sample.healthPath {
      later(sample.delay, context) { handler in handler.answer(head, target, context) }
    } else {
      answer(head, target, context)
    }
  }

  private func answer(_ head: HTTPRequestHead, _ target: Target, _ context: ChannelHandlerContext) {
    if target.path != sample.healthPath, !target.path.hasPrefix("/admin/"), sample.nextFails() {
      return text("this release fails some of its requests\n", .internalServerError, context)
    }
    switch target.path {
    case "/": text("\(sample.version) \(sample.host)\n", .ok, context)
    case sample.healthPath:
      let good = sample.health.good.load(ordering: .relaxed)
      text(good ? "ok\n" : "failing on purpose\n", good ? .ok : .serviceUnavailable, context)
    case "/echo": receipt(context)
    case "/counters": text(sample.counters.line + "\n", .ok, context)
    case "/ws": upgrade(head, context)
    case "/upload", "/admin/health", "/admin/crash":
      guard head.method == .POST else { return text("use POST\n", .methodNotAllowed, context) }
      change(target, context)
    case "/slow":
      guard let wait = target.number("ms", 0...600_000, standard: 1000) else { return refuse("ms: 0 to 600000", context) }
      later(.milliseconds(Int64(wait)), context) { handler in handler.text("slow \(wait)\n", .ok, context) }
    case "/stream":
      guard let chunks = target.number("chunks", 0...1_000_000, standard: 10), let wait = target.number("ms", 0...600_000, standard: 100)
      else {
        return refuse("chunks: 0 to 1000000, ms: 0 to 600000", context)
      }
      begin(.ok, [("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")], context)
      stream(1, of: chunks, every: .milliseconds(Int64(wait)), context)
    case "/bytes":
      guard let count = target.number("n", 0...1_073_741_824, standard: 1024) else { return refuse("n: 0 to 1073741824", context) }
      bytes(count, context)
    default: text("not found: \(target.path)\n", .notFound, context)
    }
  }

  /// What only a POST may ask for.
  private func change(_ target: Target, _ context: ChannelHandlerContext) {
    switch target.path {
    case "/admin/health":
      guard let value = target["ok"], let good = Bool(String(value)) else { return refuse("ok: true or false", context) }
      sample.health.good.store(good, ordering: .relaxed)
      text("health \(good)\n", .ok, context)
    case "/admin/crash":
      Log.error("sluice-sample: crash asked for \(sample.counters.line)")
      abort()
    default: receipt(context)
    }
  }

  /// The length and checksum of the request's body.
  private func receipt(_ context: ChannelHandlerContext) {
    text("{\"bytes\":\(received),\"checksum\":\"\(checksum.hexadecimal)\"}\n", .ok, context)
  }

  private func refuse(_ range: String, _ context: ChannelHandlerContext) { text("out of range; \(range)\n", .badRequest, context) }

  private func stream(_ number: Int, of count: Int, every wait: TimeAmount, _ context: ChannelHandlerContext) {
    let last = number > count
    let line = context.channel.allocator.buffer(string: last ? "end\n" : "\(number)\n")
    context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(line))), promise: nil)
    if last { return end(.ok, context) }
    later(wait, context) { handler in handler.stream(number + 1, of: count, every: wait, context) }
  }

  /// `count` bytes, 0 to 255 over and over; the pieces share one buffer.
  private func bytes(_ count: Int, _ context: ChannelHandlerContext) {
    begin(.ok, [("Content-Type", "application/octet-stream"), ("Content-Length", "\(count)")], context)
    let piece = ByteBuffer(bytes: (0..<65_536).map { UInt8(truncatingIfNeeded: $0) })
    var rest = count
    while rest > 0 {
      let length = min(rest, piece.readableBytes)
      context.write(wrapOutboundOut(.body(.byteBuffer(piece.getSlice(at: 0, length: length) ?? piece))), promise: nil)
      rest -= length
    }
    end(.ok, context)
  }

  private func text(_ text: String, _ status: HTTPResponseStatus, _ context: ChannelHandlerContext) {
    begin(status, [("Content-Type", "text/plain"), ("Content-Length", "\(text.utf8.count)")], context)
    if head?.method != .HEAD {
      context.write(wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(string: text)))), promise: nil)
    }
    end(status, context)
  }

  private func begin(_ status: HTTPResponseStatus, _ fields: [(String, String)], _ context: ChannelHandlerContext) {
    guard let head else { return }
    var headers = sample.headers()
    for (name, value) in fields { headers.add(name: name, value: value) }
    if !keepsAlive(head) { headers.add(name: "Connection", value: "close") }
    context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
  }

  /// The answer counts once the kernel has all of it.
  private func end(_ status: HTTPResponseStatus, _ context: ChannelHandlerContext) {
    guard let head else { return }
    self.head = nil
    let sample = sample
    let closes = !keepsAlive(head)
    let channel = context.channel
    let done = context.eventLoop.makePromise(of: Void.self)
    done.futureResult.whenComplete { result in
      if case .success = result {
        sample.counters.answered.add(1, ordering: .relaxed)
        if sample.accessLog { Log.output("\(head.method) \(head.uri) \(status.code)") }
      }
      if closes { channel.close(promise: nil) }
    }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: done)
  }

  /// NIO's decoder reads nothing more after a request that asks for an upgrade, so a refused one ends the connection.
  private func keepsAlive(_ head: HTTPRequestHead) -> Bool {
    head.isKeepAlive && head.version == .http1_1 && !head.headers.contains(name: "Upgrade")
  }

  /// Turns the connection into a WebSocket (RFC 6455 section 4.2).
  private func upgrade(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let headers = sample.headers()
    let upgrader = NIOWebSocketServerUpgrader(
      shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture(headers) },
      upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() })
    let answer = upgrader.buildUpgradeResponse(channel: context.channel, upgradeRequest: head, initialResponseHeaders: HTTPHeaders())
    answer.assumeIsolated().whenComplete { result in
      switch result {
      case .success(let headers): self.become(webSocketWith: headers, context)
      case .failure: self.text("this is a WebSocket\n", .upgradeRequired, context)
      }
    }
  }

  private func become(webSocketWith headers: HTTPHeaders, _ context: ChannelHandlerContext) {
    context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: headers))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    sample.counters.answered.add(1, ordering: .relaxed)
    sample.counters.webSockets.add(1, ordering: .relaxed)
    let pipeline = context.pipeline.syncOperations
    do {
      try pipeline.addHandlers([
        WebSocketFrameEncoder(), ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: 1 << 20)), WebSocketEcho(),
      ])
    } catch {
      return context.close(promise: nil)
    }
    for handler in others { pipeline.removeHandler(handler, promise: nil) }
    pipeline.removeHandler(self, promise: nil)
    // Last: what it has read beyond the request are frames.
    pipeline.removeHandler(decoder, promise: nil)
  }

  private func later(_ wait: TimeAmount, _ context: ChannelHandlerContext, _ action: @escaping (RequestHandler) -> Void) {
    pending = context.eventLoop.assumeIsolated().scheduleTask(in: wait) {
      self.pending = nil
      action(self)
    }
  }
}
