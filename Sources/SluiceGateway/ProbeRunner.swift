import Glibc
import NIOCore
import NIOPosix
import SluiceGatewayAPI
import SluiceModel

/// Probes every active target once per process, on its own event loop, and tells each outcome.
///
/// Marked Sendable because the control side holds it; everything is touched on `loop` only.
final class ProbeRunner: @unchecked Sendable {
  /// Service, target, whether it passed, and what was seen.
  typealias Report = @Sendable (ServiceName, TargetKey, Bool, String) -> Void

  private struct Key: Hashable {
    var service: ServiceName
    var target: TargetKey
  }

  private let loop: any EventLoop
  private let report: Report
  private var running: [Key: RunningProbe] = [:]

  init(loop: any EventLoop, report: @escaping Report) {
    self.loop = loop
    self.report = report
  }

  /// Probes exactly these targets of the service from now on, each by its own release's check. A new one is probed at once; one that is known goes
  /// on in its rhythm, also when its check is another.
  func follow(_ service: ServiceName, _ table: RouteTable?) {
    loop.execute {
      var wanted: Set<Key> = []
      for (target, probe) in table?.probedTargets ?? [] where target.state == .active {
        let key = Key(service: service, target: TargetKey(target))
        wanted.insert(key)
        if let known = self.running[key] {
          known.probe = probe
        } else if let address = try? SocketAddress(ipAddress: target.address, port: target.port) {
          let running = RunningProbe(loop: self.loop, address: address, authority: key.target.authority, probe: probe) {
            self.report(service, key.target, $0, $1)
          }
          self.running[key] = running
          running.begin()
        }
      }
      for (key, probe) in self.running where key.service == service && !wanted.contains(key) {
        probe.stop()
        self.running[key] = nil
      }
    }
  }

  func stop() {
    loop.execute {
      for probe in self.running.values { probe.stop() }
      self.running = [:]
    }
  }
}

/// The probes of one target, one after the other.
private final class RunningProbe {
  var probe: RouteTable.Probe
  private let loop: any EventLoop
  private let address: SocketAddress
  private let authority: String
  private let report: (Bool, String) -> Void
  private var next: Scheduled<Void>?
  private var stopped = false

  init(
    loop: any EventLoop, address: SocketAddress, authority: String, probe: RouteTable.Probe, report: @escaping (Bool, String) -> Void
  ) {
    self.loop = loop
    self.address = address
    self.authority = authority
    self.probe = probe
    self.report = report
  }

  func begin() {
    let asked = probe.kind
    let began = NIODeadline.now()
    let bound = NIOLoopBound(self, eventLoop: loop)
    let done = loop.makePromise(of: String.self)
    let limit = TimeAmount.milliseconds(probe.timeout.value)
    let handler = ProbeHandler(request: request, done: done)
    let late = loop.scheduleTask(in: limit) { [probe] in done.fail(ProbeFailure("no answer within \(probe.timeout)")) }
    let boundHandler = NIOLoopBound(handler, eventLoop: loop)
    ClientBootstrap(group: loop)
      .connectTimeout(limit)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(boundHandler.value) }
      }
      .connect(to: address)
      .whenComplete { result in
        switch result {
        case .failure(let error): done.fail(ProbeFailure(Self.text(error)))
        case .success(let channel): done.futureResult.whenComplete { _ in channel.close(promise: nil) }
        }
      }
    done.futureResult.whenComplete { result in
      late.cancel()
      let this = bound.value
      guard !this.stopped else { return }
      // What was asked by another check than the target's says nothing of it: it is asked anew.
      guard this.probe.kind == asked else { return this.begin() }
      let took = Milliseconds((NIODeadline.now() - began).nanoseconds / 1_000_000)
      switch result {
      case .success(let seen): this.report(true, "\(seen) in \(took.value < 1 ? "less than 1ms" : "\(took)")")
      case .failure(let error): this.report(false, (error as? ProbeFailure)?.text ?? "\(error)")
      }
      let wait = max(0, this.probe.interval.value - took.value)
      this.next = this.loop.scheduleTask(in: .milliseconds(wait)) { bound.value.begin() }
    }
  }

  func stop() {
    stopped = true
    next?.cancel()
  }

  private var request: ProbeHandler.Request {
    switch probe.kind {
    case .tcp: .none
    case .http(let path, let status, let host, let headers):
      .http(
        ProbeRequest.text(path: path, host: host, headers: headers, authority: authority, agent: "sluice-gateway"), expected: status)
    }
  }

  fileprivate static func text(_ error: any Error) -> String {
    if let failure = error as? NIOConnectionError, let first = failure.connectionErrors.first { return text(first.error) }
    if let failure = error as? IOError { return text(errno: failure.errnoCode) }
    if let failure = error as? ChannelError, case .connectTimeout = failure { return "no connection in time" }
    return plainText("\(error)".utf8, limit: 200)
  }

  /// The system's words, without those of the library that met the error.
  private static func text(errno code: Int32) -> String {
    switch code {
    case ECONNREFUSED: "connection refused: nothing listens there"
    case ECONNRESET, EPIPE: "the connection was reset"
    case ETIMEDOUT: "no connection in time"
    default: String(cString: strerror(code)).lowercased()
    }
  }
}

private struct ProbeFailure: Error {
  var text: String
  init(_ text: String) { self.text = text }
}

/// One probe's connection.
private final class ProbeHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  enum Request {
    case none
    case http(String, expected: Int)
  }

  private let request: Request
  private let done: EventLoopPromise<String>
  private var received = ByteBuffer()
  private var head = ResponseHead()
  private var interims = 0

  init(request: Request, done: EventLoopPromise<String>) {
    self.request = request
    self.done = done
  }

  func channelActive(context: ChannelHandlerContext) {
    switch request {
    case .none: done.succeed("connected")
    case .http(let text, _): context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .http(_, let expected) = request else { return }
    var buffer = unwrapInboundIn(data)
    received.writeBuffer(&buffer)
    while received.readableBytes > 0 {
      switch received.withUnsafeReadableBytes({ head.scan($0, limits: ScanLimits(), toHead: false) }) {
      case .more: return
      case .fault(let fault): return done.fail(ProbeFailure("the answer is no HTTP: \(fault.answerWords)\(excerpt)"))
      case .complete:
        // The answer comes after any number of interim ones (RFC 9110 section 15.2); 101 would be another protocol.
        if head.status < 200, head.status != 101, head.status != expected {
          interims += 1
          guard interims <= UpstreamConnection.interimLimit else { return done.fail(ProbeFailure("interim answers without an end")) }
          received.moveReaderIndex(forwardBy: head.length)
          continue
        }
        if head.status == expected { return done.succeed("status \(head.status)") }
        return done.fail(ProbeFailure("status \(head.status), expected \(expected)"))
      }
    }
  }

  private var excerpt: String {
    let line = received.withUnsafeReadableBytes { faultyLine($0) }
    return line.isEmpty ? "" : ", in \"\(line)\""
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    done.fail(ProbeFailure(RunningProbe.text(error)))
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    let begun = received.readableBytes > 0
    done.fail(ProbeFailure(begun ? "the connection closed in the middle of the answer's head" : "the connection closed without an answer"))
  }
}
