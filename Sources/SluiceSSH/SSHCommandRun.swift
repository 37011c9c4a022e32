internal import NIOCore

/// Where a command's stdin comes from.
enum SSHInputFeed: Sendable {
  case none
  case bytes(ByteBuffer)
  /// `head` goes before the file.
  case file(SSHInputFile, head: ByteBuffer, progress: (@Sendable (Int64) -> Void)?)

  /// As long as a file may be.
  var lasts: Bool { if case .file = self { true } else { false } }
}

/// One `execute`: gathers output, feeds input, keeps the time.
///
/// `@unchecked Sendable`: all state is touched on the session's event loop only.
final class SSHCommandRun: SSHChannelSink, @unchecked Sendable {
  private let limits: SSHLimits
  private let feed: SSHInputFeed
  private let session: SSHSession
  private let promise: EventLoopPromise<SSHResult>
  private var channel: SSHSessionChannel?
  private var stdout = ByteBuffer()
  private var stderr = ByteBuffer()
  private var isCancelled = false
  private var isReadingFile = false
  private var fileEnded = false
  private var reportedProgress: Int64 = 0
  private var timers: [Scheduled<Void>] = []
  private var startTimer: Scheduled<Void>?

  init(limits: SSHLimits, feed: SSHInputFeed, session: SSHSession) {
    self.limits = limits
    self.feed = feed
    self.session = session
    promise = session.eventLoop.makePromise(of: SSHResult.self)
  }

  func start(_ command: [UInt8]) -> EventLoopFuture<SSHResult> {
    // The cancellation may get to the loop before the start does.
    guard !isCancelled else {
      promise.fail(cancelled)
      return promise.futureResult
    }
    let channel = SSHSessionChannel(.exec(command: command), session: session, sink: self, lasts: feed.lasts)
    self.channel = channel
    if let timeout = limits.timeout {
      timers.append(session.eventLoop.scheduleTask(in: TimeAmount(timeout)) { self.timeIsUp(timeout) })
    }
    session.open(channel)
    return promise.futureResult
  }

  func cancel() {
    isCancelled = true
    channel?.cancel(cancelled)
  }

  private var cancelled: SSHError { SSHError(.exec, .closed, host: session.host, cause: "the command was cancelled here") }

  // MARK: Sink

  func started(_ channel: SSHSessionChannel) {
    if let silence = limits.silence { watchSilence(silence) }
    if let start = limits.start { startTimer = session.eventLoop.scheduleTask(in: TimeAmount(start)) { self.saidNothing(start) } }
    switch feed {
    case .none: channel.endInput()
    case .bytes(let bytes):
      channel.write(bytes)
      channel.endInput()
    case .file(_, let head, _):
      channel.write(head)
      readFile(channel)
    }
  }

  func received(_ chunk: SSHChunk, on channel: SSHSessionChannel) {
    startTimer?.cancel()
    var bytes = chunk.bytes
    let total: Int
    switch chunk.stream {
    case .stdout: total = stdout.readableBytes + bytes.readableBytes
    case .stderr: total = stderr.readableBytes + bytes.readableBytes
    }
    guard total <= limits.maxOutput else {
      return channel.cancel(
        SSHError(
          .exec, .outputTooLarge, host: session.host, cause: "the command wrote more than \(limits.maxOutput) bytes",
          remedy: "Let it say less, or raise the limit."))
    }
    switch chunk.stream {
    case .stdout: stdout.writeBuffer(&bytes)
    case .stderr: stderr.writeBuffer(&bytes)
    }
  }

  func receivedEnd(on channel: SSHSessionChannel) {}

  func wantsInput(_ channel: SSHSessionChannel) { readFile(channel) }

  func ended(_ result: Result<SSHExit?, SSHError>) {
    startTimer?.cancel()
    timers.forEach { $0.cancel() }
    timers.removeAll()
    if let channel { report(channel) }
    channel = nil
    switch result {
    case .success(let exit): promise.succeed(SSHResult(stdout: stdout, stderr: stderr, exit: exit ?? .status(0)))
    case .failure(let error): promise.fail(error)
    }
  }

  // MARK: Input from a file

  private func readFile(_ channel: SSHSessionChannel) {
    guard case .file(let file, _, _) = feed, !isReadingFile, !fileEnded else { return }
    report(channel)
    isReadingFile = true
    file.read(on: session.eventLoop).whenComplete { result in
      self.isReadingFile = false
      guard let channel = self.channel else { return }
      switch result {
      case .success(let bytes) where bytes.readableBytes > 0: channel.write(bytes)
      case .success:
        self.fileEnded = true
        channel.endInput()
      case .failure(let error):
        let cause = "\(file.path) could not be read any further (\(error))"
        channel.cancel(SSHError(.exec, .inputUnreadable, host: self.session.host, cause: cause))
      }
    }
  }

  private func report(_ channel: SSHSessionChannel) {
    guard case .file(let file, let head, let progress?) = feed, channel.sentBytes > max(reportedProgress, Int64(head.readableBytes)) else {
      return
    }
    reportedProgress = channel.sentBytes
    progress(file.offset + channel.sentBytes - Int64(head.readableBytes))
  }

  // MARK: Time

  private func timeIsUp(_ timeout: Duration) {
    channel?.cancel(
      SSHError(
        .timeout, .commandTimeout, host: session.host, cause: "the command did not end within \(timeout)",
        remedy: "Look at the host: the command is not killed by this."))
  }

  private func saidNothing(_ start: Duration) {
    channel?.cancel(
      SSHError(
        .timeout, .noStart, host: session.host, cause: "sshd let Sluice in, and the command did not begin within \(start)",
        remedy:
          "Log in by hand and look: a home directory on a file server that is gone, a login script that waits, or a machine out of memory does this."
      ))
  }

  /// Looks again when the silence could be complete, not at every byte.
  private func watchSilence(_ silence: Duration) {
    guard let channel else { return }
    let due = channel.lastActivity + TimeAmount(silence)
    guard due > .now() else {
      return channel.cancel(
        SSHError(
          .timeout, .silence, host: session.host, cause: "the command neither wrote nor read for \(silence)",
          remedy: "Look at the host: the command is not killed by this."))
    }
    timers = timers.suffix(1) + [session.eventLoop.scheduleTask(deadline: due) { self.watchSilence(silence) }]
  }
}
