internal import NIOCore

/// Who a channel's output is for. Called on the session's event loop; may call the channel back.
protocol SSHChannelSink: AnyObject {
  /// The command runs, or the far end of the forwarded connection accepted.
  func started(_ channel: SSHSessionChannel)
  func received(_ chunk: SSHChunk, on channel: SSHSessionChannel)
  /// The far side will send nothing more.
  func receivedEnd(on channel: SSHSessionChannel)
  /// Less than the low water mark waits to be sent, and input has not ended.
  func wantsInput(_ channel: SSHSessionChannel)
  /// The last call: how it ended. The exit is nil for a forwarded connection.
  func ended(_ result: Result<SSHExit?, SSHError>)
}

/// One channel of a session, from waiting for a slot to being freed. Lives on the session's event loop.
final class SSHSessionChannel {
  enum Purpose {
    case exec(command: [UInt8])
    case directTCPIP(host: String, port: Int)
  }

  private enum Phase {
    case waiting, opening
    case starting(LibSSH2Channel)
    case running(LibSSH2Channel)
    /// Telling the server that nothing more is wanted of it.
    case closing(LibSSH2Channel)
    /// Until the server is done with it too (when its command has ended), the channel counts: the server's limit counts it as well.
    case draining(LibSSH2Channel)
    case freeing(LibSSH2Channel)
    case gone
  }

  /// Input held here before the window takes it.
  static let lowWater = 256 << 10

  private let purpose: Purpose
  private let host: String
  private let sink: any SSHChannelSink
  private weak var session: SSHSession?
  private var phase = Phase.waiting
  private var isEnded = false
  private var pending = CircularBuffer<ByteBuffer>()
  private var inputEnded = false
  private var sentEOF = false
  private var reportedEnd = false

  /// Bytes waiting for the window.
  private(set) var pendingBytes = 0
  /// Bytes that have gone out in all.
  private(set) var sentBytes: Int64 = 0
  private(set) var lastActivity = NIODeadline.now()
  /// It goes on until it is closed, or as long as a file is large: what only asks something is not to wait for it.
  let lasts: Bool
  /// How often the server refused it though nothing else was open.
  var refusals = 0
  /// The server has opened a session for it.
  private(set) var hadSession = false
  /// While set nothing is read and the window closes: back-pressure on the far side.
  var isReadingPaused = false { didSet { if oldValue, !isReadingPaused { session?.pump() } } }

  init(_ purpose: Purpose, session: SSHSession, sink: any SSHChannelSink, lasts: Bool = false) {
    self.purpose = purpose
    self.lasts = lasts
    self.session = session
    self.sink = sink
    host = session.host
  }

  /// Goes on from the host to somewhere else, and is no session in sshd's count.
  var isForwarded: Bool { if case .directTCPIP = purpose { true } else { false } }

  /// Nothing of it is left in the session.
  var isGone: Bool { if case .gone = phase { true } else { false } }

  /// The server counts it as a session, or may.
  var holdsSession: Bool { hadSession && !isGone }

  /// It holds a session and will not give it back by itself.
  var holdsOn: Bool {
    switch phase {
    case .starting, .running: lasts && !isEnded
    case .waiting, .opening, .closing, .draining, .freeing, .gone: false
    }
  }

  /// The command has been handed to the host, so that a loss leaves it in doubt.
  private var mayHaveRun: Bool {
    guard case .exec = purpose else { return false }
    switch phase {
    case .waiting, .opening: return false
    case .starting, .running, .closing, .draining, .freeing, .gone: return true
    }
  }

  // MARK: The user's side

  func write(_ bytes: ByteBuffer) {
    guard !inputEnded, !isEnded, bytes.readableBytes > 0 else { return }
    pending.append(bytes)
    pendingBytes += bytes.readableBytes
    session?.pump()
  }

  func endInput() {
    guard !inputEnded else { return }
    inputEnded = true
    session?.pump()
  }

  /// Gives the channel up: the sink hears `error` at once, and the channel is closed and freed behind it.
  func cancel(_ error: SSHError) {
    var error = error
    if mayHaveRun, !isEnded { error.inDoubt = true }
    end(.failure(error))
    switch phase {
    case .waiting: phase = .gone
    case .opening, .closing, .draining, .freeing, .gone: break
    case .starting(let handle), .running(let handle): phase = .closing(handle)
    }
    session?.pump()
  }

  // MARK: The session's side

  /// The session has ended; its handles die with it.
  func fail(_ error: SSHError) {
    var error = error
    if mayHaveRun { error.inDoubt = true }
    phase = .gone
    end(.failure(error))
  }

  func openOperation(_ session: SSHSession) -> SSHSerialOperation {
    phase = .opening
    var held: Int?
    return SSHSerialOperation(
      step: { library in
        held = held ?? self.session?.heldSessions(beside: self)
        let outcome =
          switch self.purpose {
          case .exec: library.openChannel(type: "session")
          case .directTCPIP(let host, let port): library.openDirectTCPIP(host: host, port: port)
          }
        switch outcome {
        case .again: return .again
        case .done(let handle): self.opened(handle)
        case .failed(let failure):
          if failure.endsSession { return .endsSession(failure) }
          if !self.isForwarded, !self.isEnded, let session = self.session, session.putOff(self, held: held ?? 0) {
            self.phase = .waiting
            return .finished
          }
          self.phase = .gone
          self.end(.failure(self.refusal(failure)))
        }
        return .finished
      }, fail: { self.fail($0) })
  }

  private func opened(_ handle: LibSSH2Channel) {
    hadSession = !isForwarded
    if isEnded {
      phase = .closing(handle)
    } else if case .exec = purpose {
      phase = .starting(handle)
    } else {
      phase = .running(handle)
      sink.started(self)
    }
  }

  /// Does what can be done now; true where something moved.
  func step(_ session: SSHSession) -> Bool {
    switch phase {
    case .waiting, .opening, .gone: return false
    case .starting(let handle): return start(handle, session)
    case .running(let handle): return run(handle, session)
    case .closing(let handle):
      if case .again = session.library.close(handle) { return false }
      phase = .draining(handle)
      return true
    case .draining(let handle): return drain(handle, session)
    case .freeing(let handle):
      if case .again = session.library.free(handle) { return false }
      phase = .gone
      return true
    }
  }

  /// Throws away what the server still sends, and frees the channel once the server has closed it.
  private func drain(_ handle: LibSSH2Channel, _ session: SSHSession) -> Bool {
    do throws(LibSSH2Failure) {
      var moved = false
      for stream in [SSHChunk.Stream.stdout, .stderr] {
        while try session.library.read(handle, stream).value() ?? nil != nil { moved = true }
      }
      guard session.library.isAtEOF(handle), try session.library.waitClosed(handle).value() != nil else { return moved }
    } catch {
      session.noticed(error)
      guard session.failure == nil else { return false }
    }
    phase = .freeing(handle)
    return true
  }

  private func start(_ handle: LibSSH2Channel, _ session: SSHSession) -> Bool {
    guard case .exec(let command) = purpose else { return false }
    switch session.library.start(handle, command: command) {
    case .again: return false
    case .done:
      phase = .running(handle)
      lastActivity = .now()
      sink.started(self)
      return true
    case .failed(let failure):
      guard !failure.endsSession else {
        session.noticed(failure)
        return false
      }
      phase = .closing(handle)
      end(
        .failure(
          SSHError(
            .exec, .commandRefused, host: host, cause: "the server refused to run the command (\(failure.message))",
            remedy: "Look for ForceCommand, a restricted shell or a command= option in authorized_keys on the host.")))
      return true
    }
  }

  private func run(_ handle: LibSSH2Channel, _ session: SSHSession) -> Bool {
    var moved = false
    do throws(LibSSH2Failure) {
      if try send(handle, session) { moved = true }
      if try receive(handle, session) { moved = true }
      if !isEnded, try finish(handle, session) { moved = true }
    } catch {
      if error.endsSession {
        session.noticed(error)
      } else if case .running = phase {
        phase = .closing(handle)
        end(.failure(SSHError(.channel, .channelRefused, host: host, cause: "the channel broke (\(error.message))", inDoubt: mayHaveRun)))
      }
      return false
    }
    return moved
  }

  private func send(_ handle: LibSSH2Channel, _ session: SSHSession) throws(LibSSH2Failure) -> Bool {
    var moved = false
    while !isEnded, session.hasRoomToWrite, var front = pending.first {
      guard let count = try session.library.write(handle, front).value(), count > 0 else { break }
      front.moveReaderIndex(forwardBy: count)
      if front.readableBytes == 0 { pending.removeFirst() } else { pending[pending.startIndex] = front }
      pendingBytes -= count
      sentBytes += Int64(count)
      lastActivity = .now()
      moved = true
    }
    if pending.isEmpty, inputEnded, !sentEOF, try session.library.sendEOF(handle).value() != nil {
      sentEOF = true
      moved = true
    }
    if !isEnded, !inputEnded, pendingBytes < Self.lowWater { sink.wantsInput(self) }
    return moved
  }

  private func receive(_ handle: LibSSH2Channel, _ session: SSHSession) throws(LibSSH2Failure) -> Bool {
    var moved = false
    for stream in [SSHChunk.Stream.stdout, .stderr] {
      while !isEnded, !isReadingPaused, let bytes = try session.library.read(handle, stream).value() ?? nil {
        lastActivity = .now()
        moved = true
        sink.received(SSHChunk(stream: stream, bytes: bytes), on: self)
      }
    }
    return moved
  }

  /// At the end of the output reports it, and when the far side has closed the channel, how it ended.
  private func finish(_ handle: LibSSH2Channel, _ session: SSHSession) throws(LibSSH2Failure) -> Bool {
    guard session.library.isAtEOF(handle) else { return false }
    var moved = false
    if !reportedEnd {
      reportedEnd = true
      moved = true
      sink.receivedEnd(on: self)
    }
    guard !isEnded, try session.library.waitClosed(handle).value() != nil else { return moved }
    phase = .freeing(handle)
    if case .exec = purpose { end(.success(session.library.exit(of: handle))) } else { end(.success(nil)) }
    return true
  }

  private func end(_ result: Result<SSHExit?, SSHError>) {
    guard !isEnded else { return }
    isEnded = true
    pending.removeAll()
    pendingBytes = 0
    sink.ended(result)
  }

  /// libssh2 tells the server's reason (RFC 4254 section 5.1) only by its message.
  private func refusal(_ failure: LibSSH2Failure) -> SSHError {
    let isProhibited = failure.message.contains("administratively prohibited")
    switch purpose {
    case .exec:
      return SSHError(
        .channel, .tooManySessions, host: host, cause: "the server refused another session (\(failure.message))",
        remedy:
          "Look for MaxSessions 0 in its sshd_config: Sluice needs one, and is faster with the usual 10.")
    case .directTCPIP(let target, let port) where isProhibited:
      return SSHError(
        .forward, .forwardingForbidden, host: host, cause: "the server forbids forwarding to \(target) port \(port)",
        remedy: "Set AllowTcpForwarding (and PermitOpen, where used) in sshd_config, or use an exec probe.")
    case .directTCPIP(let target, let port):
      return SSHError(
        .forward, .forwardRefused, host: host, cause: "nothing accepts connections at \(target) port \(port) (\(failure.message))")
    }
  }
}

extension LibSSH2Outcome {
  /// The value, or nil where the call has to be repeated.
  func value() throws(LibSSH2Failure) -> Value? {
    switch self {
    case .done(let value): value
    case .again: nil
    case .failed(let failure): throw failure
    }
  }
}
