package import NIOCore

/// A request ready to be written, and what must come back.
package struct PreparedRequest: Sendable {
  package var exchange: Exchange
  /// The head, and the body unless it goes piece by piece.
  package var first: ByteBuffer
  /// The rest of the body, each piece `every` after the one before.
  package var pieces: [ByteBuffer] = []
  package var every: TimeAmount = .zero
}

/// Makes the bytes of requests; what is the same for all of them is made once.
package struct RequestFactory: Sendable {
  private let plan: LoadPlan
  private let streamBody: ByteBuffer
  private let pattern: ByteBuffer

  package init(_ plan: LoadPlan) {
    self.plan = plan
    streamBody = ByteBuffer(string: (0..<plan.streamChunks).map { "\($0 + 1)\n" }.joined() + "end\n")
    pattern = ByteBuffer(bytes: (0..<max(plan.postBytes, plan.uploadBytes)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
  }

  /// A request of this kind for a user. `random` makes bodies differ, so that no answer fits another request.
  package func request(_ kind: RequestKind, target: Int, user: Int, _ random: inout Random) -> PreparedRequest {
    switch kind {
    case .get: return simple(.get, .greeting, "GET / HTTP/1.1\r\n", target, user)
    case .slow:
      let wait = plan.slow.nanoseconds / 1_000_000
      return simple(.slow, .exactly(ByteBuffer(string: "slow \(wait)\n")), "GET /slow?ms=\(wait) HTTP/1.1\r\n", target, user)
    case .stream:
      let wait = plan.streamEvery.nanoseconds / 1_000_000
      return simple(.stream, .exactly(streamBody), "GET /stream?chunks=\(plan.streamChunks)&ms=\(wait) HTTP/1.1\r\n", target, user)
    case .post:
      let body = body(plan.postBytes, random.next())
      var request = simple(.post, receipt(body), "POST /echo HTTP/1.1\r\nContent-Length: \(plan.postBytes)\r\n", target, user)
      request.first.writeImmutableBuffer(body)
      return request
    case .upload: return upload(target, user, &random)
    case .ws:
      let dialog = Exchange.Dialog(frames: plan.frames, every: plan.framesEvery, mask: UInt32(truncatingIfNeeded: random.next()))
      let exchange = Exchange(.ws, .exactly(ByteBuffer()), dialog: dialog, acceptsAnyRelease: plan.acceptsAnyRelease)
      let lines =
        "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \(WebSocketFrames.key)\r\n"
      return PreparedRequest(exchange: exchange, first: head(lines, target, user))
    }
  }

  private func simple(
    _ kind: RequestKind, _ expectation: Exchange.Expectation, _ lines: String, _ target: Int, _ user: Int
  ) -> PreparedRequest {
    PreparedRequest(exchange: Exchange(kind, expectation, acceptsAnyRelease: plan.acceptsAnyRelease), first: head(lines, target, user))
  }

  /// Every other upload is chunked.
  private func upload(_ target: Int, _ user: Int, _ random: inout Random) -> PreparedRequest {
    let number = random.next()
    var body = body(plan.uploadBytes, number)
    let chunked = number & 1 == 1
    let framing = chunked ? "Transfer-Encoding: chunked" : "Content-Length: \(plan.uploadBytes)"
    var request = simple(.upload, receipt(body), "POST /upload HTTP/1.1\r\n\(framing)\r\n", target, user)
    request.every = plan.uploadEvery
    let size = (plan.uploadBytes + plan.uploadPieces - 1) / plan.uploadPieces
    while let part = body.readSlice(length: min(size, body.readableBytes)), part.readableBytes > 0 {
      var piece = ByteBuffer()
      if chunked { piece.writeString(String(part.readableBytes, radix: 16) + "\r\n") }
      piece.writeImmutableBuffer(part)
      if chunked { piece.writeString(body.readableBytes == 0 ? "\r\n0\r\n\r\n" : "\r\n") }
      request.pieces.append(piece)
    }
    request.exchange.unsent = request.pieces.count
    return request
  }

  private func head(_ lines: String, _ target: Int, _ user: Int) -> ByteBuffer {
    var head = ByteBuffer()
    head.reserveCapacity(256)
    head.writeString(lines)
    head.writeString("Host: ")
    head.writeString(plan.hostHeader ?? plan.targets[target].authority)
    head.writeString("\r\nCookie: ")
    head.writeString(plan.cookie)
    head.writeString("=u")
    head.writeString(String(user))
    head.writeString("\r\n\r\n")
    return head
  }

  /// `count` bytes of the pattern behind a number of eight bytes.
  private func body(_ count: Int, _ number: UInt64) -> ByteBuffer {
    var body = ByteBuffer()
    body.reserveCapacity(count)
    body.writeInteger(number)
    if count > 8, let rest = pattern.getSlice(at: 8, length: count - 8) { body.writeImmutableBuffer(rest) }
    return body
  }

  /// What the sample answers to a body it got whole.
  private func receipt(_ body: ByteBuffer) -> Exchange.Expectation {
    .exactly(ByteBuffer(string: "{\"bytes\":\(body.readableBytes),\"checksum\":\"\(Checksum.hexadecimal(body))\"}\n"))
  }
}

/// FNV-1a, 64 bits, written anew beside the sample's: a mistake in one of them shows as corrupt bodies.
package enum Checksum {
  /// Sixteen lower-case hexadecimal digits.
  package static func hexadecimal(_ bytes: ByteBuffer) -> String {
    let value = bytes.withUnsafeReadableBytes { bytes in
      var hash: UInt64 = 14_695_981_039_346_656_037
      for byte in bytes { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
      return hash
    }
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
