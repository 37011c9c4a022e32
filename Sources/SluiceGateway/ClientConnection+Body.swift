import NIOCore

/// The request's body on its way, or dropped.
extension ClientConnection {
  /// Passes on what belongs to the body; what is left belongs to the next request.
  func forwardBody(_ buffer: inout ByteBuffer) {
    guard let piece = body.take(&buffer) else { return badBody() }
    armForTarget()
    if replay != nil {
      replaySize += piece.readableBytes
      if upstream != nil, replaySize > Self.replayLimit { replay = nil } else { replay!.append(piece) }
    }
    upstream?.send(piece)
    if buffer.readableBytes > 0 { inbound = buffer }
    if upstream == nil { updateReading() }
  }

  /// Reads on what the client still sends after an early answer, so that the next request can be found.
  func discard(_ buffer: inout ByteBuffer) {
    discarded += buffer.readableBytes
    guard discarded <= Self.discardLimit, body.take(&buffer) != nil else { return closeAfterWriting(lingering: true) }
    guard body.isDone else { return }
    state = .idle
    worker.wheel.set(self, ticks: worker.keepAliveTicks)
    if buffer.readableBytes > 0 {
      inbound = buffer
      processInbound()
    }
  }

  /// A chunk breaks the grammar: the target must not see an end that was none.
  func badBody() {
    body = RequestBody(lost: true)
    keepAlive = false
    let answering = self.answering
    abandonUpstream(.gone)
    if answering { return leave(.gone) }
    answer(.badBody)
  }
}
