import NIOCore
import SluiceGatewayAPI
import SluiceModel

/// One connection of the admin socket: HTTP/1.1 and JSON, one request at a time. Lives on the control loop.
final class AdminConnection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// A record copy is the largest thing sent here.
  static let bodyLimit = 16 * 1_048_576

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

  init(api: AdminAPI) { self.api = api }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !watching else { return }
    var buffer = unwrapInboundIn(data)
    received.writeBuffer(&buffer)
    serve(context)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let event = event as? ChannelEvent, event == .inputClosed else { return context.fireUserInboundEventTriggered(event) }
    inputClosed = true
    if !busy, !watching { context.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  private func serve(_ context: ChannelHandlerContext) {
    guard !busy, !watching, received.readableBytes > 0 else { return }
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
      if inputClosed, !busy, !watching { context.close(promise: nil) }
    }
  }

  /// Turns the connection into a stream of lines, from a snapshot on.
  private func watch(_ context: ChannelHandlerContext, _ snapshot: GatewayStatus) {
    watching = true
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    var buffer = ByteBuffer(string: head)
    if var line = WatchHub.chunk(.snapshot(gateway: snapshot)) { buffer.writeBuffer(&line) }
    context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    api.control.watchers.add(context.channel)
    api.control.noteAll()
    api.control.tellTraffic(all: true)
    let channel = context.channel
    let heartbeat = context.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
      guard let line = WatchHub.chunk(.heartbeat(clock: wallTime())) else { return }
      if channel.isWritable { channel.writeAndFlush(line, promise: nil) } else { channel.close(promise: nil) }
    }
    channel.closeFuture.whenComplete { _ in heartbeat.cancel() }
  }
}

extension Span {
  var count: Int { end - start }
}
