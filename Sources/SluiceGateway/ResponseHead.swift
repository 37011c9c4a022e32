/// A response's head, scanned once and in place (RFC 9112 sections 4 to 6). Offsets count from the head's first octet.
package struct ResponseHead {
  package private(set) var status = 0
  /// 0 or 1.
  package private(set) var minor = 1
  package private(set) var length = 0
  private(set) var fieldsStart = 0
  package private(set) var framing = BodyFraming.none
  /// Whether the upstream connection may carry another request.
  package private(set) var keepAlive = true
  /// Seconds the target keeps an idle connection, where it says so (`Keep-Alive: timeout=5`).
  package private(set) var keepAliveSeconds: Int?
  /// Nothing in the head belongs to the upstream connection alone, except perhaps one plain `Connection: keep-alive`.
  package private(set) var passesUntouched = true
  /// The Transfer-Encoding line, to be left out for a client that knows no chunks.
  private(set) var codingLine: Span?
  private var fields = ConnectionFields()

  package init() {}

  /// Lines that are not passed on, in order.
  package var cuts: [Span] { fields.cuts }

  /// Scans `octets` from its start; `toHead`: the request was HEAD, so no body follows whatever the fields say.
  package mutating func scan(_ octets: UnsafeRawBufferPointer, limits: ScanLimits, toHead: Bool) -> ScanOutcome {
    fields.reset()
    keepAliveSeconds = nil
    codingLine = nil
    let end = min(octets.count, limits.head)
    let outcome = scan(octets, end: end, limits: limits, toHead: toHead)
    return outcome == .more && octets.count >= limits.head ? .fault(.tooBig) : outcome
  }

  private mutating func scan(_ octets: UnsafeRawBufferPointer, end: Int, limits: ScanLimits, toHead: Bool) -> ScanOutcome {
    switch scanStatusLine(octets, end: end) {
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
        if let fault = read(cursor, octets, limits) { return .fault(fault) }
      case .end:
        length = cursor.at
        conclude(octets, toHead: toHead)
        return .complete
      case .more: return .more
      case .fault(let fault): return .fault(fault)
      }
    }
  }

  /// `HTTP/1.1 200 reason` CR LF.
  private mutating func scanStatusLine(_ octets: UnsafeRawBufferPointer, end: Int) -> ScanOutcome {
    let known: StaticString = "HTTP/1."
    for index in 0..<12 {
      guard index < end else { return .more }
      let octet = octets[index]
      let good =
        switch index {
        case 0..<7: octet == known.utf8Start[index]
        case 7: octet == 48 || octet == 49
        case 8: octet == Octet.space
        case 9: octet >= 49 && octet <= 57
        default: octet >= 48 && octet <= 57
        }
      guard good else { return .fault(.malformed(.statusLine)) }
    }
    minor = Int(octets[7]) - 48
    status = (Int(octets[9]) - 48) * 100 + (Int(octets[10]) - 48) * 10 + Int(octets[11]) - 48
    let reasonEnd = octets.endOfValue(from: 12, to: end)
    guard reasonEnd < end else { return .more }
    guard octets[reasonEnd] == Octet.carriageReturn else { return .fault(.malformed(.statusLine)) }
    // The space before an empty reason is often left out.
    guard reasonEnd == 12 || octets[12] == Octet.space else { return .fault(.malformed(.statusLine)) }
    guard reasonEnd + 1 < end else { return .more }
    guard octets[reasonEnd + 1] == Octet.lineFeed else { return .fault(.malformed(.lineEnd)) }
    fieldsStart = reasonEnd + 2
    return .complete
  }

  private mutating func read(_ cursor: FieldCursor, _ octets: UnsafeRawBufferPointer, _ limits: ScanLimits) -> HeadFault? {
    let (start, end, value) = (cursor.name.start, cursor.name.end, cursor.value)
    switch end - start {
    case 7: if octets.holds("upgrade", at: start, end) { fields.cuts.append(cursor.line) }
    case 10:
      if octets.holds("connection", at: start, end) {
        return fields.readConnection(octets, value, line: cursor.line, limit: limits.options)
      }
      if octets.holds("keep-alive", at: start, end) {
        fields.cuts.append(cursor.line)
        readKeepAlive(octets, value)
      }
    case 14: if octets.holds("content-length", at: start, end) { return fields.readContentLength(octets, value) }
    case 16: if octets.holds("proxy-connection", at: start, end) { fields.cuts.append(cursor.line) }
    case 17:
      if octets.holds("transfer-encoding", at: start, end) {
        codingLine = cursor.line
        return minor == 0 ? .malformed(.transferEncoding) : fields.readTransferEncoding(octets, value)
      }
    default: break
    }
    return nil
  }

  private mutating func readKeepAlive(_ octets: UnsafeRawBufferPointer, _ value: Span) {
    var start = value.start
    while start < value.end {
      var end = start
      while end < value.end, octets[end] != 44 { end += 1 }
      let part = octets.trimmed(start, end)
      if part.end - part.start > 8, octets.holds("timeout=", at: part.start, part.start + 8) {
        keepAliveSeconds = octets.decimal(part.start + 8, part.end)
      }
      start = end + 1
    }
  }

  private mutating func conclude(_ octets: UnsafeRawBufferPointer, toHead: Bool) {
    if toHead || status < 200 || status == 204 || status == 304 {
      framing = .none
    } else if fields.chunked {
      framing = .chunked
    } else if let length = fields.contentLength {
      framing = length == 0 ? .none : .length(length)
    } else {
      framing = .untilClose
    }
    keepAlive = framing != .untilClose && (minor == 1 ? !fields.close : fields.keepAlive && !fields.close)
    if fields.nominates { fields.cutNominated(octets, from: fieldsStart, to: length) }
    if fields.cuts.count > 1 { fields.cuts.sort { $0.start < $1.start } }
    passesUntouched =
      minor == 1 && (fields.cuts.isEmpty || (fields.cuts.count == 1 && fields.keepAlive && !fields.nominates && !fields.close))
  }

  /// Whether the target agrees to leave HTTP on this connection.
  var switchesProtocol: Bool { status == 101 && fields.upgradeToken }
}

extension HeadFault {
  /// What is wrong with a target's answer.
  var answerWords: String {
    switch self {
    case .malformed(let reason): reason.rawValue
    case .targetTooLong, .tooBig: "its head has too many octets or fields"
    case .tooManyOptions: "Connection names too many options"
    case .notImplemented: "a transfer coding that is not supported"
    case .version: "its HTTP version is not supported"
    }
  }
}

/// The line of an answer's head that breaks the grammar, as far as it may be shown: the status line, or a field's name, since what follows a name
/// may be a secret. Empty where no line does by itself. Only asked for once an answer was refused.
func faultyLine(_ octets: UnsafeRawBufferPointer) -> String {
  let lineEnd = octets.firstIndex(of: Octet.lineFeed) ?? octets.endIndex
  let isStatusLine = octets.starts(with: "HTTP/1.".utf8) && lineEnd < octets.endIndex && octets[lineEnd - 1] == Octet.carriageReturn
  guard isStatusLine else { return plainText(octets[..<lineEnd].prefix { $0 != Octet.carriageReturn }) }
  var cursor = FieldCursor(at: lineEnd + 1)
  while true {
    let start = cursor.at
    switch cursor.next(octets, end: octets.count) {
    case .field: continue
    case .fault: return plainText(octets[start...].prefix { $0 != Octet.colon && $0 != Octet.lineFeed && $0 != Octet.carriageReturn })
    case .end, .more: return ""
    }
  }
}
