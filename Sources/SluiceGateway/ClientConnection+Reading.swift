import NIOCore

/// When octets are read from the client (DESIGN section 6, "Bounded"): nothing that is not written is read on, requests sent ahead of their turn
/// included. Whatever a client does, it costs the gateway a bounded amount.
extension ClientConnection {
  /// What a client may send ahead of its turn before it is not read on. In octets; the read that goes beyond is kept whole.
  static let pipelineLimit = 16_384
  /// What is kept at most. A client that shuts its side is read to its end at once, whatever has come: the system tells its end with all before
  /// it. What goes beyond is dropped, and the connection closes after the answers to what was kept. In octets.
  static let aheadLimit = 1_048_576

  /// Whether octets of the client have a use or a place now.
  private var wantsMore: Bool {
    switch state {
    case .idle: !gate.isFull
    case .held: ahead <= Self.pipelineLimit
    case .exchanging:
      if body.isDone { ahead <= Self.pipelineLimit } else { upstream.map { !$0.gate.isFull } ?? (replaySize <= Self.replayLimit) }
    case .tunnel: upstream.map { !$0.gate.isFull } ?? true
    case .discarding, .lingering, .closed: true
    }
  }

  /// Octets that wait for their turn.
  var ahead: Int { inbound?.readableBytes ?? 0 }

  /// Reads on, or stops: to be called when anything has changed that decides about it.
  @inline(__always)
  func updateReading() {
    let wanted = wantsMore
    if wanted == readsPaused { setReading(wanted) }
  }

  private func setReading(_ reading: Bool) {
    guard let context else { return }
    readsPaused = !reading
    context.channel.setReading(reading)
  }

  /// Keeps what cannot be served yet, behind what is there.
  func keep(_ buffer: inout ByteBuffer) {
    guard ahead > 0 else {
      inbound = buffer
      return
    }
    guard !overflowed, ahead <= Self.aheadLimit else {
      overflowed = true
      return
    }
    // Without this the octets of all requests served before would stay in front for as long as one is always waiting.
    inbound!.discardReadBytes()
    inbound!.writeBuffer(&buffer)
  }

  /// No request can follow what is there: the client has shut its side, or sent too much.
  var inputEnded: Bool { inputClosed || overflowed }

  /// The client has shut its side.
  func inputEnds() {
    inputClosed = true
    switch state {
    case .idle: endIfNothingFollows()
    // What is not written yet closes the connection when it is.
    case .lingering: if buffered == 0 { close() }
    case .discarding: closeAfterWriting(lingering: false)
    case .held:
      // Most have left altogether: what nobody waits for is not done later. One that only shut its side is told.
      keepAlive = false
      service?.abandon(self)
      state = .idle
      dropHead()
      answer(.heldTooLong)
    case .exchanging:
      // A client that shuts its side after a whole request still waits for the answer (RFC 9112 section 9.6), and for those to what it sent ahead.
      if ahead == 0 { keepAlive = false }
      if !body.isDone { leaveUnfinished() }
    case .tunnel: upstream?.closeOutput()
    case .closed: break
    }
  }

  /// The client ended in the middle of a request's body. It may still wait for the answers before.
  func leaveUnfinished() {
    if answering || buffered == 0 { return leave(.gone) }
    abandonUpstream(.gone)
    closeAfterWriting(lingering: false)
  }

  /// Between requests, with no whole one waiting: the end of the input is the end of the connection, once everything is written.
  func endIfNothingFollows() {
    guard state == .idle, inputEnded, !gate.isFull else { return }
    if overflowed || buffered > 0 { closeAfterWriting(lingering: overflowed) } else { close() }
  }

  /// Octets that the client has not taken.
  var buffered: Int { (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

  /// There are too many connections: this one is told so and ends.
  func turnAway() {
    keepAlive = false
    body = RequestBody(lost: true)
    answer(.tooManyConnections)
  }
}
