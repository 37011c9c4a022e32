import NIOCore
import SluiceGatewayAPI
import SluiceModel

/// One connection of the admin socket: HTTP/1.1 and JSON, one request at a time. Lives on the control loop.
final class AdminConnection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// A record copy is the largest thing sent here.
  static let bodyLimit = 16 * 1_048_576
  /// What is read ahead of its turn. In octets.
  static let aheadLimit = 65_536
  /// A connection on which nothing moves is closed after this: whoever left it open is gone. It is longer than any controller waits.
  static let idle = TimeAmount.minutes(10)

  /// What an admin request comes to.
  enum Reply {
    case json([UInt8])
    case text(String)
    case watch(GatewayStatus)
  }

  private let api: AdminAPI
  private var received = ByteBuffer()
  private var head = RequestHead()
  private var busy = false
  /// The client has shut its side: nothing follows what has been read. A bridge whose input ends does so.
  private var inputClosed = false
  private var watching = false
  private var silence = WatchHub.Silence()
  private var readsPaused = false
  /// Of the reads: rises with each.
  private var moves = 0
  private var idleTimer: Scheduled<Void>?

  init(api: AdminAPI) { self.api = api }

  func channelActive(context: ChannelHandlerContext) {
    guard api.control.adminConnections < ControlPlane.adminConnectionLimit else { return context.close(promise: nil) }
    api.control.adminConnections += 1
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    context.channel.closeFuture.whenComplete { _ in
      bound.value.api.control.adminConnections -= 1
      bound.value.idleTimer?.cancel()
    }
    watchIdle(context, since: moves)
  }

  private func watchIdle(_ context: ChannelHandlerContext, since: Int) {
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    idleTimer = context.eventLoop.scheduleTask(in: Self.idle) {
      let (this, context) = bound.value
      guard !this.watching else { return }
      if this.moves == since, !this.busy { context.close(promise: nil) } else { this.watchIdle(context, since: this.moves) }
    }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !watching else { return }
    var buffer = unwrapInboundIn(data)
    moves += 1
    received.writeBuffer(&buffer)
    serve(context)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    guard context.channel.isWritable, !watching else { return }
    serve(context)
    closeIfDone(context)
  }

  /// Nothing is read on while requests wait, or answers that nobody has taken.
  private func updateReading(_ context: ChannelHandlerContext) {
    let wanted = watching || (context.channel.isWritable && (!busy || received.readableBytes <= Self.aheadLimit))
    guard wanted == readsPaused else { return }
    readsPaused = !wanted
    context.channel.setReading(wanted)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let event = event as? ChannelEvent, event == .inputClosed else { return context.fireUserInboundEventTriggered(event) }
    inputClosed = true
    closeIfDone(context)
  }

  /// The client's side is shut, and what could be answered has been: the connection ends once all is written.
  private func closeIfDone(_ context: ChannelHandlerContext) {
    guard inputClosed, !busy, !watching, received.readableBytes == 0 || context.channel.isWritable else { return }
    let channel = context.channel
    context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in channel.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  private func serve(_ context: ChannelHandlerContext) {
    serveNext(context)
    if context.channel.isActive { updateReading(context) }
  }

  private func serveNext(_ context: ChannelHandlerContext) {
    guard !busy, !watching, context.channel.isWritable, received.readableBytes > 0 else { return }
    switch received.withUnsafeReadableBytes({ head.scan($0, limits: ScanLimits(), trusted: true) }) {
    case .more: return
    case .fault(let fault):
      let error = AdminError(reason: .badRequest, error: LocalAnswer.fault(fault).text, remedy: "send HTTP/1.1")
      return finish(context, .failure(error), close: true)
    case .complete: break
    }
    var length = 0
    switch head.framing {
    case .none, .untilClose: break
    case .length(let wanted): length = wanted
    case .chunked:
      let error = AdminError(reason: .badRequest, error: "a body must have a Content-Length", remedy: "send it without chunks")
      return finish(context, .failure(error), close: true)
    }
    if length > Self.bodyLimit {
      let error = AdminError(reason: .tooBig, error: "the body is \(length) octets", remedy: "send at most \(Self.bodyLimit)")
      return finish(context, .failure(error), close: true)
    }
    if head.expectsContinue, received.readableBytes < head.length + length {
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
    }
    guard received.readableBytes >= head.length + length else { return }
    let method = received.getString(at: received.readerIndex + head.methodSpan.start, length: head.methodSpan.count) ?? ""
    let target = received.getString(at: received.readerIndex + head.target.start, length: head.target.count) ?? ""
    received.moveReaderIndex(forwardBy: head.length)
    let body = received.readBytes(length: length) ?? []
    received.discardReadBytes()
    run(context, method: method, target: target, body: body, close: !head.keepAlive)
  }

  private func run(_ context: ChannelHandlerContext, method: String, target: String, body: [UInt8], close: Bool) {
    busy = true
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    api.run(method: method, target: target, body: body).whenComplete { result in
      let (this, context) = bound.value
      this.busy = false
      guard context.channel.isActive else { return }
      this.finish(context, result, close: close || (this.inputClosed && this.received.readableBytes == 0))
    }
  }

  private func finish(_ context: ChannelHandlerContext, _ result: Result<Reply, any Error>, close: Bool) {
    switch result {
    case .success(.json(let octets)): write(context, status: 200, type: "application/json", octets, close: close)
    case .success(.text(let text)): write(context, status: 200, type: "text/plain; version=0.0.4", Array(text.utf8), close: close)
    case .success(.watch(let snapshot)): watch(context, snapshot)
    case .failure(let error):
      let refusal =
        error as? AdminError ?? AdminError(reason: .badRequest, error: "\(error)", remedy: "see the documentation of the admin API")
      // Its type has nothing that cannot be encoded.
      let octets = (try? AdminJSON.encode(refusal)) ?? []
      write(context, status: refusal.reason.status, type: "application/json", octets, close: close)
    }
  }

  private func write(_ context: ChannelHandlerContext, status: Int, type: String, _ octets: [UInt8], close: Bool) {
    var buffer = ByteBuffer()
    buffer.writeString("HTTP/1.1 \(status) \(status == 200 ? "OK" : "Refused")\r\nContent-Type: \(type)\r\n")
    buffer.writeString("Content-Length: \(octets.count + 1)\r\n\(close ? "Connection: close\r\n" : "")\r\n")
    buffer.writeBytes(octets)
    buffer.writeStaticString("\n")
    let written = context.eventLoop.makePromise(of: Void.self)
    context.writeAndFlush(wrapOutboundOut(buffer), promise: written)
    if close {
      let channel = context.channel
      written.futureResult.whenComplete { _ in channel.close(promise: nil) }
    } else {
      serve(context)
      closeIfDone(context)
    }
  }

  /// Turns the connection into a stream of lines, from a snapshot on.
  private func watch(_ context: ChannelHandlerContext, _ snapshot: GatewayStatus) {
    watching = true
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    var buffer = ByteBuffer(string: head)
    if var line = WatchHub.chunk(.snapshot(gateway: snapshot)) { buffer.writeBuffer(&line) }
    WatchHub.bound(context.channel, snapshot: buffer.readableBytes)
    context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    api.control.watchers.add(context.channel)
    api.control.noteAll()
    api.control.tellTraffic(all: true)
    updateReading(context)
    let channel = context.channel
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let heartbeat = context.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
      guard let line = WatchHub.chunk(.heartbeat(clock: wallTime())) else { return }
      if channel.isWritable, !bound.value.silence.isOver(channel) {
        channel.writeAndFlush(line, promise: nil)
      } else {
        channel.close(promise: nil)
      }
    }
    channel.closeFuture.whenComplete { _ in heartbeat.cancel() }
  }
}

extension Span {
  var count: Int { end - start }
}
