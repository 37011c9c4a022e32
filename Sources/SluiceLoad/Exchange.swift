package import NIOCore

/// One request and all that comes back for it: pure, fed by the connection that carries it, ends in one `Outcome`.
package struct Exchange: Sendable {
  /// What to do now.
  package enum Step: Equatable, Sendable {
    case wait
    /// Send these bytes after this time.
    case send(ByteBuffer, after: TimeAmount)
    /// It is over; `reusable` tells whether the connection can carry another request.
    case finished(Outcome, reusable: Bool)
  }

  /// What the answer's body must be.
  package enum Expectation: Sendable {
    /// `VERSION HOST` as the headers of the same answer say.
    case greeting
    case exactly(ByteBuffer)
  }

  /// The frames of a WebSocket.
  package struct Dialog: Sendable {
    /// How many frames to send and see come back.
    package var frames: Int
    package var every: TimeAmount
    package var mask: UInt32

    package init(frames: Int, every: TimeAmount, mask: UInt32) {
      self.frames = frames
      self.every = every
      self.mask = mask
    }
  }

  private enum Phase {
    case response
    /// The number of the frame that is awaited; past the last one the answer to our close.
    case frames(Int)
  }

  package let kind: RequestKind
  /// Pieces of the body that are still to be sent.
  package var unsent = 0
  private var phase = Phase.response
  private var parser = ResponseParser()
  private var head: ResponseHead?
  private var expected: ByteBuffer
  private var isWrong = false
  private let expectation: Expectation
  private let dialog: Dialog?
  private let acceptsAnyRelease: Bool

  /// `acceptsAnyRelease`: answers without `X-Sample-Version` are taken for the service's own (below 500), and bodies are not compared.
  package init(_ kind: RequestKind, _ expectation: Expectation, dialog: Dialog? = nil, acceptsAnyRelease: Bool = false) {
    self.kind = kind
    self.expectation = expectation
    self.dialog = dialog
    self.acceptsAnyRelease = acceptsAnyRelease
    if case .exactly(let bytes) = expectation { expected = bytes } else { expected = ByteBuffer() }
  }

  /// Bytes came. What is not used stays in `input`.
  package mutating func received(_ input: inout ByteBuffer) -> Step {
    do throws(ResponseError) {
      while true {
        if case .frames(let number) = phase { return try frame(number, &input) }
        guard let event = try parser.next(&input) else { return .wait }
        switch event {
        case .head(let head):
          self.head = head
          if case .greeting = expectation { expected = ByteBuffer(string: "\(head.release ?? "") \(head.host ?? "")\n") }
          if head.status == 101 { return opened(head) }
        case .body(let bytes): compare(bytes)
        case .end:
          // Left-over bytes belong to no request: the next answer on this connection could not be trusted.
          let reusable = head?.closes == false && unsent == 0 && input.readableBytes == 0
          return .finished(judged(), reusable: reusable)
        }
      }
    } catch {
      return .finished(Outcome(.corrupt, head: head, detail: error.reason), reusable: false)
    }
  }

  /// The connection ended; `reason` is the error that ended it, if any.
  package mutating func closed(_ reason: String?) -> Outcome {
    if case .frames(let number) = phase {
      if number > (dialog?.frames ?? 0) { return Outcome(.answered, head: head) }
      return Outcome(.closedLongLived, head: head, detail: reason ?? "closed without a close frame")
    }
    if parser.endsWithConnection, reason == nil { return judged() }
    let place = unsent > 0 ? "while the request was being written" : head == nil ? "before any answer" : "in the middle of the answer"
    return Outcome(.cut, head: head, detail: "\(reason ?? "closed") \(place)")
  }

  /// Its time is over.
  package func expired() -> Outcome {
    Outcome(.timeout, head: head, detail: head == nil ? "no answer" : "answer incomplete")
  }

  private mutating func compare(_ bytes: ByteBuffer) {
    guard let piece = expected.readSlice(length: bytes.readableBytes) else {
      isWrong = true
      return
    }
    if piece != bytes { isWrong = true }
  }

  /// The fate of a whole response.
  private func judged() -> Outcome {
    guard let head else { return Outcome(.cut, detail: "no head") }
    if head.release == nil {
      if head.status == 503, head.hasRetryAfter { return Outcome(.rejected, head: head) }
      if head.status >= 500 { return Outcome(.error5xx, head: head) }
      return acceptsAnyRelease ? Outcome(.answered, head: head) : Outcome(.foreign, head: head, detail: "no X-Sample-Version")
    }
    // The service may fail of itself, and say so; but to what the generator asks, it has no other answer than these.
    if head.status >= 500 { return Outcome(.answered, head: head) }
    if kind == .ws { return Outcome(.corrupt, head: head, detail: "no upgrade") }
    if head.status != 200 { return Outcome(.corrupt, head: head, detail: "status \(head.status)") }
    if isWrong || expected.readableBytes > 0 { return Outcome(.corrupt, head: head, detail: isWrong ? "body differs" : "body too short") }
    return Outcome(.answered, head: head)
  }

  private mutating func opened(_ head: ResponseHead) -> Step {
    guard let dialog else { return .finished(Outcome(.corrupt, head: head, detail: "an upgrade nobody asked for"), reusable: false) }
    guard head.webSocketAccept == WebSocketFrames.accept else {
      return .finished(Outcome(.corrupt, head: head, detail: "wrong Sec-WebSocket-Accept"), reusable: false)
    }
    guard head.release != nil || acceptsAnyRelease else {
      return .finished(Outcome(.foreign, head: head, detail: "no X-Sample-Version"), reusable: false)
    }
    phase = .frames(1)
    return .send(WebSocketFrames.masked(WebSocketFrames.text, "frame 1".utf8, mask: dialog.mask), after: .zero)
  }

  private mutating func frame(_ number: Int, _ input: inout ByteBuffer) throws(ResponseError) -> Step {
    guard let dialog, let frame = try WebSocketFrames.next(&input) else { return .wait }
    switch frame.opcode {
    case WebSocketFrames.close:
      if number > dialog.frames { return .finished(Outcome(.answered, head: head), reusable: false) }
      let code = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt16.self) ?? 1005
      return .finished(Outcome(.closedLongLived, head: head, detail: "close \(code)"), reusable: false)
    case WebSocketFrames.text:
      guard number <= dialog.frames, frame.payload == ByteBuffer(string: "frame \(number)") else {
        return .finished(Outcome(.corrupt, head: head, detail: "frame \(number) differs"), reusable: false)
      }
      phase = .frames(number + 1)
      if number == dialog.frames {
        return .send(WebSocketFrames.masked(WebSocketFrames.close, [0x03, 0xE8], mask: dialog.mask), after: .zero)
      }
      return .send(WebSocketFrames.masked(WebSocketFrames.text, "frame \(number + 1)".utf8, mask: dialog.mask), after: dialog.every)
    case WebSocketFrames.ping:
      return .send(
        WebSocketFrames.masked(WebSocketFrames.pong, frame.payload.readableBytesView.prefix(125), mask: dialog.mask), after: .zero)
    default: return try self.frame(number, &input)
    }
  }
}
