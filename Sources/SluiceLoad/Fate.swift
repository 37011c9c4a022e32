/// What a request asks of the sample service.
package enum RequestKind: String, CaseIterable, Sendable {
  /// `GET /`, answered at once.
  case get
  /// `POST /echo` with a small body, whose length and checksum come back.
  case post
  /// `GET /slow`, answered after some seconds.
  case slow
  /// `GET /stream`, a chunked answer over some seconds.
  case stream
  /// `POST /upload`, a body sent piece by piece.
  case upload
  /// A WebSocket that exchanges frames for some seconds.
  case ws
}

/// What became of a request. Each has exactly one fate; nothing is ever tried again.
package enum Fate: String, CaseIterable, Sendable {
  /// The service's own answer came whole, with the content that belongs to it. Its status may be an error of the service.
  case answered
  /// No connection could be made, so nothing was sent.
  case refusedConnect
  /// 503 with `Retry-After` that the service did not give itself: a closed switch.
  case rejected
  /// The connection ended before the answer was whole.
  case cut
  /// A 5xx that the service did not give itself: the gateway's.
  case error5xx
  /// Another answer that the service did not give itself, such as the gateway's 404.
  case foreign
  /// The service's whole answer, but not the content that belongs to it.
  case corrupt
  /// No connection, or no whole answer, in time.
  case timeout
  /// A WebSocket that the other side closed while frames were being exchanged.
  case closedLongLived

  /// Whether DESIGN section 6 calls this request lost.
  package var isLost: Bool {
    switch self {
    case .answered, .rejected, .closedLongLived: false
    case .refusedConnect, .cut, .error5xx, .foreign, .corrupt, .timeout: true
    }
  }
}

/// The fate of one request, and what its answer said.
package struct Outcome: Equatable, Sendable {
  package var fate: Fate
  /// 0 when there was no answer.
  package var status = 0
  package var release: String?
  package var host: String?
  package var instance: String?
  /// Why, in words, where the fate alone does not say it.
  package var detail: String?

  package init(_ fate: Fate, head: ResponseHead? = nil, detail: String? = nil) {
    self.fate = fate
    status = head?.status ?? 0
    release = head?.release
    host = head?.host
    instance = head?.instance
    self.detail = detail
  }
}
