internal import NIOCore

/// A direct-tcpip channel of one session as the transport of another. Both live on one event loop.
///
/// `@unchecked Sendable`: all state is touched on that event loop only.
final class SSHJumpTransport: SSHTransport, SSHChannelSink, @unchecked Sendable {
  private let carrier: SSHSession
  private let session: SSHSession
  private let opened: EventLoopPromise<Void>
  private var channel: SSHSessionChannel?
  private var isOpened = false

  init(carrier: SSHSession, session: SSHSession) {
    self.carrier = carrier
    self.session = session
    opened = carrier.eventLoop.makePromise(of: Void.self)
  }

  func open(host: String, port: Int) -> EventLoopFuture<Void> {
    let channel = SSHSessionChannel(.directTCPIP(host: host, port: port), session: carrier, sink: self)
    self.channel = channel
    carrier.open(channel)
    return opened.futureResult
  }

  // MARK: Transport

  var isWritable: Bool { channel.map { $0.pendingBytes < SSHSessionChannel.lowWater } ?? false }

  func send(_ bytes: ByteBuffer) { channel?.write(bytes) }

  func close() {
    guard let channel else { return }
    // What is queued goes out first, and the far side closes; one that does not is cut off, so that its place is free again.
    channel.endInput()
    carrier.eventLoop.scheduleTask(in: .seconds(5)) {
      self.channel?.cancel(SSHError(.forward, .closed, host: self.carrier.host, cause: "the far side did not close the connection"))
    }
  }

  // MARK: Sink

  func started(_ channel: SSHSessionChannel) {
    isOpened = true
    session.attach(self)
    opened.succeed()
  }

  func received(_ chunk: SSHChunk, on channel: SSHSessionChannel) {
    guard chunk.stream == .stdout else { return }
    session.receive(chunk.bytes)
    session.pump()
  }

  func receivedEnd(on channel: SSHSessionChannel) {
    session.transportClosed(nil)
    channel.cancel(SSHError(.forward, .closed, host: carrier.host, cause: "the far side ended the connection"))
  }

  func wantsInput(_ channel: SSHSessionChannel) { session.pump() }

  func ended(_ result: Result<SSHExit?, SSHError>) {
    channel = nil
    guard isOpened else {
      if case .failure(let error) = result { opened.fail(error) }
      return
    }
    if case .failure(let error) = result {
      session.transportClosed("the jump host's connection ended: \(error.cause)")
    } else {
      session.transportClosed(nil)
    }
  }
}
