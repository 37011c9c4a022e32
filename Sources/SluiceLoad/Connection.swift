import NIOCore

#if canImport(Glibc)
  import Glibc
#endif

/// One connection of a client. Carries one request at a time, on its event loop only.
final class Connection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private var context: ChannelHandlerContext?
  private var exchange: Exchange?
  /// Told once per request; `Bool`: whether the connection can carry another one.
  private var completion: ((Outcome, Bool) -> Void)?
  private var input = ByteBuffer()
  private var failure: String?
  private var deadline = NIODeadline.distantFuture
  /// Which request it is, so that what was scheduled for an earlier one does nothing.
  private var number = 0

  /// Open, and without a request.
  var isIdle: Bool { context?.channel.isActive == true && exchange == nil && failure == nil }
  /// Whether it has carried a request.
  var isUsed: Bool { number > 0 }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  /// Writes a request. Must be idle.
  func send(_ request: PreparedRequest, deadline: NIODeadline, completion: @escaping (Outcome, Bool) -> Void) {
    precondition(exchange == nil, "a connection carries one request at a time")
    number += 1
    exchange = request.exchange
    self.deadline = deadline
    self.completion = completion
    guard let context else { return end(Outcome(.cut, detail: "closed as it was to be used"), reusable: false) }
    context.writeAndFlush(wrapOutboundOut(request.first), promise: nil)
    if !request.pieces.isEmpty { send(request.pieces[...], every: request.every, of: number) }
  }

  /// Ends a request whose time is over.
  func expire(_ now: NIODeadline) {
    guard now > deadline, let exchange else { return }
    end(exchange.expired(), reusable: false)
  }

  func close() { context?.close(promise: nil) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    guard exchange != nil else {
      // An answer to nothing, such as 408: the connection is of no use any more.
      failure = "unasked bytes"
      return context.close(promise: nil)
    }
    if input.readableBytes == 0 { input = bytes } else { input.writeBuffer(&bytes) }
    advance()
  }

  func channelInactive(context: ChannelHandlerContext) {
    self.context = nil
    if var exchange { end(exchange.closed(failure), reusable: false) }
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if failure == nil { failure = describe(error) }
    context.close(promise: nil)
  }

  private func advance() {
    let number = number
    while number == self.number, let step = exchange?.received(&input) {
      switch step {
      case .wait: return
      case .send(let bytes, let wait):
        if wait == .zero {
          context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        } else {
          later(wait, of: number) { $0.context?.writeAndFlush($0.wrapOutboundOut(bytes), promise: nil) }
        }
      case .finished(let outcome, let reusable): return end(outcome, reusable: reusable)
      }
    }
  }

  /// The first piece goes at once, the others each a while after the one before.
  private func send(_ pieces: ArraySlice<ByteBuffer>, every wait: TimeAmount, of number: Int) {
    guard let piece = pieces.first, exchange != nil else { return }
    context?.writeAndFlush(wrapOutboundOut(piece), promise: nil)
    exchange?.unsent = pieces.count - 1
    let rest = pieces.dropFirst()
    if !rest.isEmpty { later(wait, of: number) { $0.send(rest, every: wait, of: number) } }
  }

  private func later(_ wait: TimeAmount, of number: Int, _ action: @escaping (Connection) -> Void) {
    context?.eventLoop.assumeIsolated().scheduleTask(in: wait) {
      if self.number == number, self.exchange != nil { action(self) }
    }
  }

  private func end(_ outcome: Outcome, reusable: Bool) {
    let completion = completion
    self.completion = nil
    exchange = nil
    deadline = .distantFuture
    if !reusable {
      failure = failure ?? "used up"
      context?.close(promise: nil)
    }
    completion?(outcome, reusable)
  }
}

/// Whether a connection failed for want of local ports, descriptors or memory (EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS).
func isLocalShortage(_ error: any Error) -> Bool {
  guard let error = error as? IOError else { return false }
  return [EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS].contains(error.errnoCode)
}

/// An error in the words of the system, without where it was thrown.
func describe(_ error: any Error) -> String {
  guard let error = error as? IOError else { return "\(error)" }
  switch error.errnoCode {
  case ECONNRESET: return "reset"
  case ECONNREFUSED: return "refused"
  case EPIPE: return "broken pipe"
  case EHOSTUNREACH: return "no route to host"
  default: return "errno \(error.errnoCode)"
  }
}
