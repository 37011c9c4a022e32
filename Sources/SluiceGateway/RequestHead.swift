/// A request's head, scanned once and in place (RFC 9112 sections 2 to 6). Offsets count from the head's first octet.
package struct RequestHead {
  package enum Method: Hashable {
    case get, head, post, put, delete, options, patch, trace, other

    /// Whether doing it twice is the same as doing it once (RFC 9110 section 9.2.2).
    package var isIdempotent: Bool {
      switch self {
      case .get, .head, .put, .delete, .options, .trace: true
      case .post, .patch, .other: false
      }
    }
  }

  package private(set) var method = Method.other
  package private(set) var methodSpan = Span(start: 0, end: 0)
  /// The origin-form target: what is sent on. Empty for an absolute-form target without a path.
  package private(set) var target = Span(start: 0, end: 0)
  /// Host and port, from the target's authority or from Host; empty when there is neither.
  package private(set) var host = Span(start: 0, end: 0)
  /// Whether a Host line must be written, because the target carried the authority or the client sent none.
  private(set) var writesHost = false
  /// 0 or 1.
  package private(set) var minor = 1
  /// Where the field lines begin.
  private(set) var fieldsStart = 0
  /// Octets of the head with its empty line.
  package private(set) var length = 0
  package private(set) var framing = BodyFraming.none
  package private(set) var keepAlive = true
  /// Whether the client asks for another protocol, and may get it.
  package private(set) var upgrade = false
  package private(set) var expectsContinue = false
  /// The client's own X-Forwarded-For values and whether it named protocol and host: for trusted peers only.
  package private(set) var forwardedFor: [Span] = []
  private(set) var forwardedProto = false
  private(set) var forwardedHost = false
  private var fields = ConnectionFields()
  private var upgradeLine = Span(start: 0, end: 0)
  private var hasHost = false

  package init() {}

  /// Lines that are not passed on, in order.
  package var cuts: [Span] { fields.cuts }

  /// Leaves a line out of what is passed on.
  mutating func cut(_ line: Span) {
    guard !fields.cuts.contains(line) else { return }
    fields.cuts.append(line)
    fields.cuts.sort { $0.start < $1.start }
  }

  /// Scans `octets` from its start. `trusted`: X-Forwarded-* and Forwarded of this peer are believed.
  package mutating func scan(_ octets: UnsafeRawBufferPointer, limits: ScanLimits, trusted: Bool) -> ScanOutcome {
    let end = min(octets.count, limits.head)
    let outcome = scan(octets, end: end, limits: limits, trusted: trusted)
    return outcome == .more && octets.count >= limits.head ? .fault(.tooBig) : outcome
  }

  private mutating func scan(_ octets: UnsafeRawBufferPointer, end: Int, limits: ScanLimits, trusted: Bool) -> ScanOutcome {
    reset()
    switch scanRequestLine(octets, end: end, limits: limits) {
    case .complete: break
    case let other: return other
    }
    var cursor = FieldCursor(at: fieldsStart)
    var count = 0
    while true {
      switch cursor.next(octets, end: end) {
      case .field:
        count += 1
        if count > limits.fields { return .fault(.tooBig) }
        if let fault = read(cursor, octets, limits, trusted: trusted) { return .fault(fault) }
      case .end:
        length = cursor.at
        if let fault = conclude(octets) { return .fault(fault) }
        return .complete
      case .more: return .more
      case .fault(let fault): return .fault(fault)
      }
    }
  }

  private mutating func reset() {
    fields.reset()
    forwardedFor.removeAll(keepingCapacity: true)
    forwardedProto = false
    forwardedHost = false
    upgrade = false
    upgradeLine = Span(start: 0, end: 0)
    expectsContinue = false
    hasHost = false
    writesHost = false
    host = Span(start: 0, end: 0)
  }

  private mutating func scanRequestLine(_ octets: UnsafeRawBufferPointer, end: Int, limits: ScanLimits) -> ScanOutcome {
    var at = 0
    // One empty line before a request is forgiven (RFC 9112 section 2.2).
    if end > 0, octets[0] == Octet.carriageReturn {
      guard end > 1 else { return .more }
      guard octets[1] == Octet.lineFeed else { return .fault(.malformed(.lineEnd)) }
      at = 2
    }
    let methodStart = at
    while at < end, Octet.isToken(octets[at]) {
      at += 1
      if at - methodStart > 32 { return .fault(.malformed(.method)) }
    }
    guard at < end else { return .more }
    guard octets[at] == Octet.space, at > methodStart else { return .fault(.malformed(.method)) }
    methodSpan = Span(start: methodStart, end: at)
    at += 1
    let targetStart = at
    while at < end, Octet.isTarget(octets[at]) {
      at += 1
      if at - targetStart > limits.target { return .fault(.targetTooLong) }
    }
    guard at < end else { return .more }
    guard octets[at] == Octet.space, at > targetStart else {
      return .fault(.malformed(octets[at] < Octet.space ? .requestLine : .target))
    }
    let targetEnd = at
    at += 1
    if let outcome = scanVersion(octets, at: at, end: end) { return outcome }
    fieldsStart = at + 10
    method = Self.method(octets, methodSpan)
    if octets.holds("connect", at: methodSpan.start, methodSpan.end) { return .fault(.notImplemented) }
    return scanTarget(octets, Span(start: targetStart, end: targetEnd))
  }

  /// `HTTP/1.1` CR LF from `at`; nil when it is there.
  private mutating func scanVersion(_ octets: UnsafeRawBufferPointer, at: Int, end: Int) -> ScanOutcome? {
    let known: StaticString = "HTTP/1."
    for index in 0..<10 {
      guard at + index < end else { return .more }
      let octet = octets[at + index]
      switch index {
      case 0..<5: if octet != known.utf8Start[index] { return .fault(.malformed(.requestLine)) }
      case 5:
        guard octet == 49 else { return .fault(octet >= 48 && octet <= 57 ? .version : .malformed(.requestLine)) }
      case 6: if octet != 46 { return .fault(.malformed(.requestLine)) }
      case 7:
        guard octet == 48 || octet == 49 else { return .fault(octet >= 48 && octet <= 57 ? .version : .malformed(.requestLine)) }
        minor = Int(octet) - 48
      case 8: if octet != Octet.carriageReturn { return .fault(.malformed(octet == Octet.lineFeed ? .lineEnd : .requestLine)) }
      default: if octet != Octet.lineFeed { return .fault(.malformed(.lineEnd)) }
      }
    }
    return nil
  }

  /// Origin-form, absolute-form, or `*` with OPTIONS (RFC 9112 section 3.2).
  private mutating func scanTarget(_ octets: UnsafeRawBufferPointer, _ span: Span) -> ScanOutcome {
    target = span
    let first = octets[span.start]
    if first == 47 { return .complete }
    if first == 42, span.end - span.start == 1 { return method == .options ? .complete : .fault(.malformed(.target)) }
    let secure = span.end - span.start > 8 && octets.holds("https://", at: span.start, span.start + 8)
    guard secure || (span.end - span.start > 7 && octets.holds("http://", at: span.start, span.start + 7)) else {
      return .fault(.malformed(.target))
    }
    let authority = span.start + (secure ? 8 : 7)
    var at = authority
    while at < span.end, octets[at] != 47, octets[at] != 63 {
      guard Octet.isHost(octets[at]) else { return .fault(.malformed(.target)) }
      at += 1
    }
    guard at > authority else { return .fault(.malformed(.target)) }
    // A query without a path would need a slash put before it.
    guard at == span.end || octets[at] == 47 else { return .fault(.malformed(.target)) }
    host = Span(start: authority, end: at)
    writesHost = true
    target = Span(start: at, end: span.end)
    return .complete
  }

  private static func method(_ octets: UnsafeRawBufferPointer, _ span: Span) -> Method {
    // Methods are case-sensitive (RFC 9110 section 9.1).
    func `is`(_ word: StaticString) -> Bool {
      (0..<word.utf8CodeUnitCount).allSatisfy { octets[span.start + $0] == word.utf8Start[$0] }
    }
    switch (span.end - span.start, octets[span.start]) {
    case (3, 71): return `is`("GET") ? .get : .other
    case (3, 80): return `is`("PUT") ? .put : .other
    case (4, 72): return `is`("HEAD") ? .head : .other
    case (4, 80): return `is`("POST") ? .post : .other
    case (5, 80): return `is`("PATCH") ? .patch : .other
    case (5, 84): return `is`("TRACE") ? .trace : .other
    case (6, 68): return `is`("DELETE") ? .delete : .other
    case (7, 79): return `is`("OPTIONS") ? .options : .other
    default: return .other
    }
  }

  // By length first, so that most fields cost one comparison.
  private mutating func read(_ cursor: FieldCursor, _ octets: UnsafeRawBufferPointer, _ limits: ScanLimits, trusted: Bool) -> HeadFault? {
    let (start, end, value) = (cursor.name.start, cursor.name.end, cursor.value)
    switch end - start {
    case 2: if octets.holds("te", at: start, end) { fields.cuts.append(cursor.line) }
    case 4: if octets.holds("host", at: start, end) { return readHost(cursor, octets) }
    case 6:
      if octets.holds("expect", at: start, end), octets.holds("100-continue", at: value.start, value.end) { expectsContinue = true }
    case 7:
      if octets.holds("upgrade", at: start, end) {
        // h2c would carry requests past every check made here.
        upgrade = !octets.holds("h2c", at: value.start, value.end) && !value.isEmpty && upgradeLine.isEmpty
        upgradeLine = cursor.line
      }
    case 9: if !trusted, octets.holds("forwarded", at: start, end) { fields.cuts.append(cursor.line) }
    case 10:
      if octets.holds("connection", at: start, end) {
        return fields.readConnection(octets, value, line: cursor.line, limit: limits.options)
      }
      if octets.holds("keep-alive", at: start, end) { fields.cuts.append(cursor.line) }
    case 14:
      if octets.holds("content-length", at: start, end) { return fields.readContentLength(octets, value) }
      if octets.holds("http2-settings", at: start, end) { fields.cuts.append(cursor.line) }
    case 15:
      if octets.holds("x-forwarded-for", at: start, end) {
        fields.cuts.append(cursor.line)
        if trusted, !value.isEmpty { forwardedFor.append(value) }
      }
    case 16:
      if octets.holds("proxy-connection", at: start, end) { fields.cuts.append(cursor.line) }
      if octets.holds("x-forwarded-host", at: start, end) {
        if trusted { forwardedHost = true } else { fields.cuts.append(cursor.line) }
      }
    case 17:
      if octets.holds("transfer-encoding", at: start, end) {
        // HTTP/1.0 knows no transfer coding (RFC 9112 section 6.1).
        return minor == 0 ? .malformed(.transferEncoding) : fields.readTransferEncoding(octets, value)
      }
      if octets.holds("x-forwarded-proto", at: start, end) {
        if trusted { forwardedProto = true } else { fields.cuts.append(cursor.line) }
      }
    default: break
    }
    return nil
  }

  private mutating func readHost(_ cursor: FieldCursor, _ octets: UnsafeRawBufferPointer) -> HeadFault? {
    guard !hasHost else { return .malformed(.severalHosts) }
    hasHost = true
    for index in cursor.value.start..<cursor.value.end where !Octet.isHost(octets[index]) { return .malformed(.host) }
    if writesHost { fields.cuts.append(cursor.line) } else { host = cursor.value }
    return nil
  }

  private mutating func conclude(_ octets: UnsafeRawBufferPointer) -> HeadFault? {
    if !hasHost {
      if minor == 1 { return .malformed(.noHost) }
      writesHost = true
    }
    framing =
      if fields.chunked { .chunked } else if let length = fields.contentLength, length > 0 { .length(length) } else { .none }
    keepAlive = minor == 1 ? !fields.close : fields.keepAlive && !fields.close
    upgrade = upgrade && fields.upgradeToken && minor == 1
    if !upgradeLine.isEmpty { fields.cuts.append(upgradeLine) }
    if fields.nominates { fields.cutNominated(octets, from: fieldsStart, to: length) }
    if fields.cuts.count > 1 { fields.cuts.sort { $0.start < $1.start } }
    return nil
  }

  /// The Upgrade line to send on, when `upgrade`.
  var upgradeSpan: Span { upgradeLine }
}

/// Bounds for one head, in octets and fields.
package struct ScanLimits: Hashable, Sendable {
  package var head = 32_768
  package var fields = 128
  package var target = 8_192
  /// Options in all Connection fields together.
  package var options = 32

  package init(head: Int = 32_768, fields: Int = 128, target: Int = 8_192, options: Int = 32) {
    self.head = head
    self.fields = fields
    self.target = target
    self.options = options
  }
}
