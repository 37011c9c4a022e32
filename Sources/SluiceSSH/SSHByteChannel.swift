package import NIOCore
internal import Synchronization

/// Bytes in both directions, to a running command or through a forwarded connection, with back-pressure both ways.
///
/// One reader at a time; any task may write. Dropping the last reference closes it.
package final class SSHByteChannel: Sendable, AsyncSequence {
  package typealias Element = SSHChunk

  private let core: SSHByteChannelCore
  /// Keeps the connection while the channel is in use.
  private let connection: SSHConnection
  private let reads = Atomic(0)
  private var eventLoop: any EventLoop { connection.session.eventLoop }

  private init(core: SSHByteChannelCore, connection: SSHConnection) {
    self.core = core
    self.connection = connection
  }

  deinit {
    let core = core
    eventLoop.execute { core.close() }
  }

  static func open(_ purpose: SSHSessionChannel.Purpose, on connection: SSHConnection) async throws -> SSHByteChannel {
    let session = connection.session
    let core = SSHByteChannelCore(session: session)
    let timeout = connection.options.authTimeout
    try await withTaskCancellationHandler {
      try Task.checkCancellation()
      do {
        try await session.eventLoop.flatSubmit { core.open(purpose, within: timeout) }.get()
      } catch let error as SSHError where error.code == .closed && Task.isCancelled {
        throw CancellationError()
      }
    } onCancel: {
      session.eventLoop.execute { core.close() }
    }
    return SSHByteChannel(core: core, connection: connection)
  }

  /// The next piece of output; nil at its end. Throws `SSHError` when the connection is lost, `.closed` after `close()`.
  package func read() async throws -> SSHChunk? {
    let number = reads.add(1, ordering: .relaxed).newValue
    return try await withTaskCancellationHandler {
      try Task.checkCancellation()
      return try await eventLoop.flatSubmit { self.core.read(number) }.get()
    } onCancel: {
      eventLoop.execute { self.core.cancelRead(number) }
    }
  }

  /// Hands bytes over; returns when there is room for more, so a loop of writes goes at the host's pace. Throws `SSHError` once the channel has ended.
  package func write(_ bytes: ByteBuffer) async throws {
    try await eventLoop.flatSubmit { self.core.write(bytes) }.get()
  }

  /// Ends the command's stdin (or the sending half of the connection) after what has been written.
  package func closeInput() async throws {
    try await eventLoop.submit { self.core.closeInput() }.get()
  }

  /// How the command ended (nil for a forwarded connection), once it has. Read the output first: unread output holds the end back.
  package func exit() async throws -> SSHExit? { try await core.exit.get() }

  /// Closes the channel. sshd does not kill the command: it sees its stdin end and its writes fail.
  package func close() async {
    _ = try? await eventLoop.submit { self.core.close() }.get()
  }

  package struct AsyncIterator: AsyncIteratorProtocol {
    let channel: SSHByteChannel

    package mutating func next() async throws -> SSHChunk? { try await channel.read() }
  }

  package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(channel: self) }
}

/// The event loop's half of a byte channel.
///
/// `@unchecked Sendable`: all state is touched on the session's event loop only.
final class SSHByteChannelCore: SSHChannelSink, @unchecked Sendable {
  /// Output held for a slow reader before the window is left to close.
  private static let bufferLimit = 256 << 10

  let exit: EventLoopFuture<SSHExit?>
  private let session: SSHSession
  private let opened: EventLoopPromise<Void>
  private let exitPromise: EventLoopPromise<SSHExit?>
  private var channel: SSHSessionChannel?
  private var timer: Scheduled<Void>?
  private var isOpened = false
  private var isClosed = false
  private var buffered = CircularBuffer<SSHChunk>()
  private var bufferedBytes = 0
  private var reachedEnd = false
  private var failure: SSHError?
  private var reader: EventLoopPromise<SSHChunk?>?
  private var readNumber = 0
  private var cancelledRead = 0
  private var writers = CircularBuffer<EventLoopPromise<Void>>()

  init(session: SSHSession) {
    self.session = session
    opened = session.eventLoop.makePromise(of: Void.self)
    exitPromise = session.eventLoop.makePromise(of: SSHExit?.self)
    exit = exitPromise.futureResult
  }

  func open(_ purpose: SSHSessionChannel.Purpose, within timeout: Duration) -> EventLoopFuture<Void> {
    // A cancellation may get to the loop before the call does.
    guard !isClosed else {
      ended(.failure(closedError))
      return opened.futureResult
    }
    let channel = SSHSessionChannel(purpose, session: session, sink: self, lasts: true)
    self.channel = channel
    timer = session.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
      self.channel?.cancel(.notOpen(within: timeout, host: self.session.host))
    }
    session.open(channel)
    return opened.futureResult
  }

  func read(_ number: Int) -> EventLoopFuture<SSHChunk?> {
    guard cancelledRead < number else { return session.eventLoop.makeFailedFuture(CancellationError()) }
    readNumber = number
    guard reader == nil else {
      return session.eventLoop.makeFailedFuture(
        SSHError(.channel, .closed, host: session.host, cause: "two readers at once on one channel", remedy: "Read from one task."))
    }
    if let chunk = buffered.popFirst() {
      bufferedBytes -= chunk.bytes.readableBytes
      if bufferedBytes < Self.bufferLimit { channel?.isReadingPaused = false }
      return session.eventLoop.makeSucceededFuture(chunk)
    }
    if reachedEnd { return session.eventLoop.makeSucceededFuture(nil) }
    if let failure { return session.eventLoop.makeFailedFuture(failure) }
    let promise = session.eventLoop.makePromise(of: SSHChunk?.self)
    reader = promise
    return promise.futureResult
  }

  /// Cancels the read of this number, whether it has begun or not.
  func cancelRead(_ number: Int) {
    cancelledRead = max(cancelledRead, number)
    guard readNumber == number else { return }
    reader?.fail(CancellationError())
    reader = nil
  }

  func write(_ bytes: ByteBuffer) -> EventLoopFuture<Void> {
    guard let channel, failure == nil else {
      return session.eventLoop.makeFailedFuture(failure ?? endedError)
    }
    let promise = session.eventLoop.makePromise(of: Void.self)
    writers.append(promise)
    channel.write(bytes)
    settleWriters()
    return promise.futureResult
  }

  func closeInput() { channel?.endInput() }

  func close() {
    isClosed = true
    channel?.cancel(closedError)
  }

  private var closedError: SSHError { SSHError(.channel, .closed, host: session.host, cause: "the channel was closed here") }

  private var endedError: SSHError { SSHError(.channel, .closed, host: session.host, cause: "the far side has ended the channel") }

  private func settleWriters() {
    guard let channel, channel.pendingBytes < SSHSessionChannel.lowWater else { return }
    while let writer = writers.popFirst() { writer.succeed() }
  }

  // MARK: Sink

  func started(_ channel: SSHSessionChannel) {
    timer?.cancel()
    isOpened = true
    opened.succeed()
  }

  func received(_ chunk: SSHChunk, on channel: SSHSessionChannel) {
    if let reader {
      self.reader = nil
      return reader.succeed(chunk)
    }
    buffered.append(chunk)
    bufferedBytes += chunk.bytes.readableBytes
    if bufferedBytes >= Self.bufferLimit { channel.isReadingPaused = true }
  }

  func receivedEnd(on channel: SSHSessionChannel) {
    reachedEnd = true
    reader?.succeed(nil)
    reader = nil
  }

  func wantsInput(_ channel: SSHSessionChannel) { settleWriters() }

  func ended(_ result: Result<SSHExit?, SSHError>) {
    timer?.cancel()
    channel = nil
    switch result {
    case .success(let value):
      reachedEnd = true
      reader?.succeed(nil)
      for writer in writers { writer.fail(endedError) }
      exitPromise.succeed(value)
    case .failure(let error):
      if !reachedEnd || error.code == .closed { failure = error }
      if !isOpened { opened.fail(error) }
      reader?.fail(error)
      for writer in writers { writer.fail(error) }
      exitPromise.fail(error)
    }
    reader = nil
    writers.removeAll()
  }
}

extension SSHError {
  /// A stream, bridge or forwarded connection that had to wait too long.
  static func notOpen(within timeout: Duration, host: String) -> SSHError {
    SSHError(
      .timeout, .commandTimeout, host: host, cause: "the channel was not open within \(timeout)",
      remedy: "\(SSHSession.channelLimit) commands may be running on this connection already.")
  }
}
