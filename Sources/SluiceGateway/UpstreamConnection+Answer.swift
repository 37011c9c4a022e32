import NIOCore

/// The answer on its way from the target to the client.
extension UpstreamConnection {
  /// Reads heads until the final one; interim answers are passed on as they are.
  func readHeads(_ client: ClientConnection) {
    while case .head = phase, let readable = pending?.readableBytes, readable > 0 {
      let outcome = pending!.withUnsafeReadableBytes { head.scan($0, limits: worker.scanLimits, toHead: client.toHead) }
      switch outcome {
      case .more: return
      case .fault(let fault): return refuse(client, fault.answerWords, pending!.withUnsafeReadableBytes { faultyLine($0) })
      case .complete:
        if head.status >= 200 { return answerBegins(client) }
        if head.status == 101 { return switchProtocol(client) }
        interims += 1
        guard interims <= Self.interimLimit else { return refuse(client, "more than \(Self.interimLimit) interim answers") }
        passInterim(client)
      }
    }
  }

  private func passInterim(_ client: ClientConnection) {
    let interim = pending!.readSlice(length: head.length)!
    // HTTP/1.0 knows none of them (RFC 9110 section 15.2).
    if client.minor == 1 { client.write(interim) }
    client.armForTarget()
    if pending!.readableBytes == 0 { pending = nil }
  }

  private func switchProtocol(_ client: ClientConnection) {
    guard client.wantsUpgrade, head.switchesProtocol, client.body.isDone else {
      return refuse(client, "it switches to a protocol that nobody asked for")
    }
    phase = .tunnel
    target.counts.answered(101)
    let rest = pending!
    pending = nil
    client.write(rest)
    client.becomeTunnel()
  }

  private func refuse(_ client: ClientConnection, _ cause: String, _ example: String = "") {
    self.client = nil
    phase = .idle
    pending = nil
    close()
    guard client.upstream === self else { return }
    client.upstream = nil
    client.fail(.badResponse, cause: cause, example: example)
  }

  private func answerBegins(_ client: ClientConnection) {
    var answer = pending!
    pending = nil
    client.answering = true
    client.service?.answered(target, status: head.status)
    client.placement?.answered(head.status)
    let cookie = client.placement?.cookie
    reusable = head.keepAlive
    if let seconds = head.keepAliveSeconds { idleSeconds = min(LoopTarget.idleSeconds, seconds - 1) }
    dechunks = false
    switch head.framing {
    case .none: phase = .length(0)
    case .length(let length): phase = .length(length)
    case .chunked:
      phase = .chunked
      chunks = ChunkScanner()
      dechunks = client.minor == 0
    case .untilClose: phase = .untilClose
    }
    if head.framing == .untilClose || dechunks || client.mustCloseAfterEarlyAnswer { client.keepAlive = false }
    if head.passesUntouched, client.minor == 1, client.keepAlive, cookie == nil {
      passBody(&answer, client, headLength: head.length)
      return
    }
    let connection: StaticString? =
      client.keepAlive ? (client.minor == 0 ? "Connection: keep-alive\r\n" : nil) : "Connection: close\r\n"
    let without = dechunks ? head.codingLine : nil
    client.write(
      answer.withUnsafeReadableBytes { octets in
        client.withOutbound { head.write(octets, into: &$0, connection: connection, cookie: cookie, without: without) }
      })
    answer.moveReaderIndex(forwardBy: head.length)
    passBody(&answer, client)
  }

  /// Passes on what belongs to the answer, with `headLength` octets of head in front of it, in one piece.
  @inline(__always)
  func passBody(_ buffer: inout ByteBuffer, _ client: ClientConnection, headLength: Int = 0) {
    worker.wheel.set(client, ticks: client.service?.idleTicks ?? worker.keepAliveTicks)
    let available = buffer.readableBytes - headLength
    var done = false
    var taken = available
    switch phase {
    case .length(let remaining):
      taken = min(remaining, available)
      phase = .length(remaining - taken)
      done = remaining == taken
    case .chunked:
      if dechunks { return passDechunked(&buffer, client) }
      guard let scanned = scanChunks(buffer, from: headLength) else { return breakOff(client) }
      taken = scanned.end - headLength
      done = scanned.done
    case .untilClose, .idle, .head, .tunnel: break
    }
    if taken == available {
      if buffer.readableBytes > 0 { client.write(buffer) }
    } else {
      // More than the answer: whatever it is, this connection carries nothing after it.
      reusable = false
      client.write(buffer.readSlice(length: headLength + taken)!)
    }
    if done { ended(client) }
  }

  private func scanChunks(_ buffer: ByteBuffer, from: Int) -> (end: Int, done: Bool)? {
    var at = from
    return buffer.withUnsafeReadableBytes { octets in
      while true {
        switch chunks.next(octets, at: &at) {
        case .data: continue
        case .more: return (at, false)
        case .end: return (at, true)
        case .bad: return nil
        }
      }
    }
  }

  private func passDechunked(_ buffer: inout ByteBuffer, _ client: ClientConnection) {
    var at = 0
    var pieces: [Span] = []
    var last = ChunkScanner.Piece.more
    buffer.withUnsafeReadableBytes { octets in
      last = chunks.next(octets, at: &at)
      while case .data(let span) = last {
        pieces.append(span)
        last = chunks.next(octets, at: &at)
      }
    }
    for span in pieces {
      client.write(buffer.getSlice(at: buffer.readerIndex + span.start, length: span.end - span.start)!)
    }
    if last == .bad { return breakOff(client) }
    if last == .end { ended(client) }
  }

  private func breakOff(_ client: ClientConnection) {
    self.client = nil
    phase = .idle
    close()
    client.answerBroke(reset: dechunks, cause: "a chunk breaks the grammar")
  }

  /// The answer is whole: this connection goes back to the pool, if it may.
  private func ended(_ client: ClientConnection) {
    self.client = nil
    phase = .idle
    acknowledgedBefore = nil
    interims = 0
    lastUse = worker.wheel.tick
    setReading(true)
    if isReused { target.reuseAnswered() }
    if reusable, !closing, client.body.isDone, idleSeconds > 0, context != nil, target.keep(self) { rest() } else { close() }
    client.answerEnded()
  }

  func rest() {
    phase = .idle
    worker.wheel.set(self, ticks: idleSeconds * 10)
  }
}

extension ClientConnection {
  /// Whether more of the answer may be read for it.
  var takesMore: Bool { !gate.isFull }

  /// A client that waits for 100 and gets a final answer may or may not send its body: what follows cannot be told apart.
  var mustCloseAfterEarlyAnswer: Bool { !body.isDone && expectsContinue }
}
