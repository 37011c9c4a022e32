internal import NIOCore
internal import Synchronization

/// One connection's engine: a libssh2 session, its operations and its channels, all on one event loop.
///
/// After each input every open operation is worked on until none moves any more, and then what libssh2 wrote is flushed once.
/// It knows no policy: who is who, how often to try and what to say to the operator is decided above.
///
/// `@unchecked Sendable`: all state is touched on `eventLoop` only; each entry point checks that.
final class SSHSession: @unchecked Sendable {
  /// At most this many commands at once; sshd's MaxSessions is 10 unless set. Where the server lets fewer be open, `sessionLimit` is what was seen.
  static let channelLimit = 8
  /// Forwarded connections, which sshd does not count: enough for a rack behind a jump host, few enough to look through after each input.
  static let forwardLimit = 100
  /// Output kept back while the transport is slow.
  private static let outboxLimit = 256 << 10

  let eventLoop: any EventLoop
  /// What errors call the host.
  let host: String
  let library: LibSSH2Session
  /// Succeeds with the reason when the session has ended, whoever ended it.
  let ended: EventLoopFuture<SSHError>

  private let endedPromise: EventLoopPromise<SSHError>
  private var transport: (any SSHTransport)?
  private var serial = CircularBuffer<SSHSerialOperation>()
  private var channels: [SSHSessionChannel] = []
  private var waiting = CircularBuffer<SSHSessionChannel>()
  /// No session is asked for before this: the server has just refused one.
  private var sessionsFrom: NIODeadline = .uptimeNanoseconds(0)
  /// When sessions were given back that the server may still count: it sees a closed one go only after it has read all that came with the close.
  private var lately: [NIODeadline] = []
  private let sessionLimitSeen = Atomic(SSHSession.channelLimit)
  private let lastingSeen = Atomic(0)
  /// How many commands the server lets be open at once, as far as is known. For any thread.
  var sessionLimit: Int { sessionLimitSeen.load(ordering: .acquiring) }
  /// How many of the open or waiting commands go on until they are closed. For any thread.
  var lastingCount: Int { lastingSeen.load(ordering: .acquiring) }
  private(set) var failure: SSHError? { didSet { endedFlag.store(true, ordering: .releasing) } }
  private let endedFlag = Atomic(false)
  /// For any thread.
  var hasEnded: Bool { endedFlag.load(ordering: .acquiring) }
  private var isPumping = false
  private var pumpAgain = false
  /// Authenticated: channels may be opened and an idle connection kept alive.
  private var isReady = false
  /// The first bytes the server sent: what it says instead of a banner is worth showing.
  private(set) var greeting = ByteBuffer()
  private var keepAlive: TimeAmount?
  private var lastInput: NIODeadline = .now()

  init(host: String, eventLoop: any EventLoop) throws(LibSSH2Failure) {
    self.host = host
    self.eventLoop = eventLoop
    library = try LibSSH2Session()
    endedPromise = eventLoop.makePromise(of: SSHError.self)
    ended = endedPromise.futureResult
  }

  deinit {
    // A session whose connect failed never had anything to end.
    if failure == nil { endedPromise.succeed(SSHError(.lost, .closed, host: host, cause: "the connection was never made")) }
  }

  // MARK: Transport side

  func attach(_ transport: any SSHTransport) {
    eventLoop.preconditionInEventLoop()
    if failure == nil { self.transport = transport } else { transport.close() }
  }

  func receive(_ bytes: ByteBuffer) {
    eventLoop.preconditionInEventLoop()
    guard failure == nil else { return }
    lastInput = .now()
    if greeting.readableBytes < 255, !isReady {
      greeting.writeImmutableBuffer(bytes.getSlice(at: bytes.readerIndex, length: min(255, bytes.readableBytes))!)
    }
    var bytes = bytes
    if library.wire.inbox.readableBytes == 0 { library.wire.inbox = bytes } else { library.wire.inbox.writeBuffer(&bytes) }
  }

  /// The transport has ended. What had already arrived is still read, so that a command that finished counts as finished.
  func transportClosed(_ cause: String?) {
    eventLoop.preconditionInEventLoop()
    guard failure == nil else { return }
    transport = nil
    pump()
    fail(lostError(cause ?? "the connection was closed by the host or the network"))
  }

  // MARK: Operations

  /// Queues one of the operations whose state libssh2 keeps per session.
  func enqueue(_ operation: SSHSerialOperation) {
    eventLoop.preconditionInEventLoop()
    if let failure { return operation.fail(failure) }
    serial.append(operation)
    pump()
  }

  /// Runs a serial operation to its end; fails with the error that `rejected` makes of libssh2's, or with the one that ended the session.
  func perform<Value: Sendable>(
    _ call: @escaping @Sendable (LibSSH2Session) -> LibSSH2Outcome<Value>, rejected: @escaping @Sendable (LibSSH2Failure) -> SSHError
  ) -> EventLoopFuture<Value> {
    eventLoop.flatSubmit {
      let promise = self.eventLoop.makePromise(of: Value.self)
      self.enqueue(
        SSHSerialOperation(
          step: { library in
            switch call(library) {
            case .again: return .again
            case .done(let value): promise.succeed(value)
            case .failed(let failure):
              promise.fail(rejected(failure))
              if failure.endsSession { return .endsSession(failure) }
            }
            return .finished
          }, fail: { promise.fail($0) }))
      return promise.futureResult
    }
  }

  /// Channels may be opened from now on; an idle connection is asked for a sign of life every `keepAlive`.
  func becomeReady(keepAlive: TimeAmount?) {
    eventLoop.preconditionInEventLoop()
    isReady = true
    greeting.clear()
    self.keepAlive = keepAlive
    if let keepAlive { scheduleKeepAlive(keepAlive) }
    pump()
  }

  /// Opens the channel when there is room for it.
  func open(_ channel: SSHSessionChannel) {
    eventLoop.preconditionInEventLoop()
    if let failure { return channel.fail(failure) }
    waiting.append(channel)
    pump()
  }

  /// Ends everything with this error. Bytes already written still go out where they can.
  func fail(_ error: SSHError) {
    eventLoop.preconditionInEventLoop()
    guard failure == nil else { return }
    failure = error
    let operations = serial, open = channels, queued = waiting
    serial.removeAll()
    channels.removeAll()
    waiting.removeAll()
    for operation in operations { operation.fail(error) }
    for channel in open { channel.fail(error) }
    for channel in queued { channel.fail(error) }
    flush()
    library.wire.outboxClosed = true
    library.wire.inboxEnded = true
    transport?.close()
    transport = nil
    endedPromise.succeed(error)
  }

  /// Says goodbye to the server and ends everything with `.closed`.
  func shutdown() {
    eventLoop.preconditionInEventLoop()
    guard failure == nil else { return }
    library.disconnect()
    fail(SSHError(.lost, .closed, host: host, cause: "the connection was closed here"))
  }

  // MARK: The pump

  /// Works on everything that is open until nothing moves, then flushes once.
  func pump() {
    eventLoop.preconditionInEventLoop()
    guard !isPumping else {
      pumpAgain = true
      return
    }
    guard failure == nil else { return }
    isPumping = true
    repeat {
      pumpAgain = false
      if stepSerial() { pumpAgain = true }
      startWaiting()
      for channel in channels where failure == nil {
        if channel.step(self) { pumpAgain = true }
      }
      forgetGone()
      readWhenIdle()
    } while pumpAgain && failure == nil
    isPumping = false
    lastingSeen.store(channels.count { $0.lasts } + waiting.count { $0.lasts && !$0.isGone }, ordering: .releasing)
    guard failure == nil else { return }
    if let reason = library.wire.disconnectReason { return fail(lostError("the server disconnected: \(reason)")) }
    let held = library.wire.outbox.readableBytes >= Self.outboxLimit
    flush()
    // What was held back by the limit has no event of its own to wait for if the transport took it all.
    if held, transport?.isWritable == true { eventLoop.execute { self.pump() } }
  }

  /// Whether a channel may write more now.
  var hasRoomToWrite: Bool { library.wire.outbox.readableBytes < Self.outboxLimit && transport?.isWritable == true }

  /// Ends the session if this failure of one operation is the session's own.
  func noticed(_ failure: LibSSH2Failure) {
    guard failure.endsSession else { return }
    fail(lostError(library.wire.disconnectReason.map { "the server disconnected: \($0)" } ?? failure.message))
  }

  func lostError(_ cause: String) -> SSHError {
    SSHError(.lost, .lost, host: host, cause: "connection lost: \(cause)", remedy: "Look at the host before repeating what was under way.")
  }

  private func stepSerial() -> Bool {
    guard let operation = serial.first else { return false }
    switch operation.step(library) {
    case .again: return false
    case .finished:
      serial.removeFirst()
      return true
    case .endsSession(let failure):
      serial.removeFirst()
      noticed(failure)
      return false
    }
  }

  private func startWaiting() {
    guard isReady, !waiting.isEmpty else { return }
    var left = CircularBuffer<SSHSessionChannel>()
    var vain: [SSHSessionChannel] = []
    while failure == nil, let channel = waiting.popFirst() {
      guard !channel.isGone else { continue }
      switch room(for: channel) {
      case .now:
        channels.append(channel)
        serial.append(channel.openOperation(self))
        pumpAgain = true
      case .later: left.append(channel)
      case .never: vain.append(channel)
      }
    }
    waiting = left
    for channel in vain { channel.fail(sessionsHeld) }
  }

  /// libssh2 reads only on behalf of an operation. A server's keep-alive request must be answered on an idle connection too, so input that nobody
  /// reads starts one: opening a channel of a type that no server knows, whose refusal is the reply (so none stays queued, as with libssh2's own).
  private func readWhenIdle() {
    guard isReady, failure == nil, serial.isEmpty, !pumpAgain, library.wire.inbox.readableBytes > 0 else { return }
    serial.append(heartbeat())
    pumpAgain = true
  }

  private func heartbeat() -> SSHSerialOperation {
    SSHSerialOperation(
      step: { library in
        switch library.openChannel(type: "keepalive@sluice") {
        case .again: return .again
        case .done(let channel):
          _ = library.free(channel)
          return .finished
        case .failed(let failure): return failure.endsSession ? .endsSession(failure) : .finished
        }
      }, fail: { _ in })
  }

  private func flush() {
    guard library.wire.outbox.readableBytes > 0, let transport else { return }
    let bytes = library.wire.outbox
    library.wire.outbox = ByteBufferAllocator().buffer(capacity: min(bytes.readableBytes, Self.outboxLimit))
    transport.send(bytes)
  }

  private func scheduleKeepAlive(_ interval: TimeAmount) {
    eventLoop.scheduleTask(in: interval) { [weak self] in
      guard let self, self.failure == nil else { return }
      let quiet = NIODeadline.now() - self.lastInput
      if quiet > interval * 3 {
        return self.fail(self.lostError("no sign of life for \(quiet.nanoseconds / 1_000_000_000) s"))
      }
      if quiet >= interval, self.serial.isEmpty { self.enqueue(self.heartbeat()) }
      self.scheduleKeepAlive(interval)
    }
  }
}

// MARK: What the server lets be open

extension SSHSession {
  private enum Room { case now, later, never }

  private func room(for channel: SSHSessionChannel) -> Room {
    let open = channels.filter { $0.isForwarded == channel.isForwarded }
    if channel.isForwarded { return open.count < Self.forwardLimit ? .now : .later }
    if open.count < sessionLimit { return NIODeadline.now() < sessionsFrom ? .later : .now }
    // Of what the server lets be open nothing will end by itself: waiting would be in vain.
    return sessionLimit < Self.channelLimit && open.allSatisfy(\.holdsOn) ? .never : .later
  }

  private var sessionsHeld: SSHError {
    SSHError(
      .channel, .tooManySessions, host: host,
      cause:
        "the server lets \(sessionLimit) \(sessionLimit == 1 ? "session" : "sessions") be open on a connection, and what lasts holds them all",
      remedy: "Raise MaxSessions (10 unless set) in its sshd_config.")
  }

  /// How many sessions the server may count beside this channel's.
  func heldSessions(beside channel: SSHSessionChannel) -> Int {
    let now = NIODeadline.now()
    lately.removeAll { $0 + .milliseconds(300) < now }
    return channels.count { $0 !== channel && $0.holdsSession } + lately.count
  }

  /// The server has refused a session. True where the channel waits for another's end; false where there is none to wait for.
  ///
  /// - Parameter held: `heldSessions` when it was asked: the server lets no more than these be open.
  func putOff(_ channel: SSHSessionChannel, held: Int) -> Bool {
    if held == 0 {
      guard channel.refusals < 3 else { return false }
      channel.refusals += 1
    } else if held < sessionLimit {
      sessionLimitSeen.store(held, ordering: .releasing)
    }
    channels.removeAll { $0 === channel }
    waiting.prepend(channel)
    sessionsFrom = .now() + .milliseconds(50)
    eventLoop.scheduleTask(deadline: sessionsFrom + .milliseconds(1)) { [weak self] in self?.pump() }
    return true
  }

  /// No more than this many commands are to be open at once: another connection to the same server has found that out.
  func expectSessions(_ limit: Int) {
    eventLoop.preconditionInEventLoop()
    if limit < sessionLimit { sessionLimitSeen.store(max(1, limit), ordering: .releasing) }
  }

  /// How many sessions the server lets be open beside those that are: tried out, up to a number, without running anything.
  func countSessions(upTo most: Int) -> EventLoopFuture<Int> {
    eventLoop.flatSubmit {
      let promise = self.eventLoop.makePromise(of: Int.self)
      let probe = SSHSessionProbe(most: most)
      self.enqueue(
        SSHSerialOperation(
          step: { [weak self] library in
            let progress = probe.step(library)
            if case .finished = progress {
              if probe.count > 0, probe.count < most { self?.expectSessions(probe.count) }
              promise.succeed(probe.count)
            }
            if case .endsSession(let failure) = progress { promise.fail(failure) }
            return progress
          }, fail: { promise.fail($0) }))
      return promise.futureResult
    }
  }

  private func forgetGone() {
    for channel in channels where channel.isGone && channel.hadSession { lately.append(.now()) }
    channels.removeAll { $0.isGone }
  }
}

/// An operation whose state libssh2 keeps per session, so that only one may be under way.
struct SSHSerialOperation {
  enum Progress {
    case again, finished
    case endsSession(LibSSH2Failure)
  }

  /// Called after every input until it is not `.again`.
  let step: (LibSSH2Session) -> Progress
  /// The session ended first.
  let fail: (SSHError) -> Void
}
