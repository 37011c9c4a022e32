/// A part of a head, as offsets from the head's first octet.
package struct Span: Hashable, Sendable {
  package var start: Int
  package var end: Int

  package init(start: Int, end: Int) {
    self.start = start
    self.end = end
  }

  var isEmpty: Bool { start == end }
}

/// Why a head cannot be accepted.
package enum HeadFault: Error, Hashable {
  /// 400: it breaks the grammar, or could be understood in two ways.
  case malformed(Reason)
  /// 414.
  case targetTooLong
  /// 431: too many octets or fields.
  case tooBig
  /// 431: Connection names too many options.
  case tooManyOptions
  /// 501: a transfer coding other than chunked, or CONNECT.
  case notImplemented
  /// 505.
  case version

  /// What is wrong, for the answer's text and the tests.
  package enum Reason: String, Hashable, Sendable {
    case method = "bad method"
    case target = "bad request target"
    case requestLine = "bad request line"
    case statusLine = "bad status line"
    case lineEnd = "a line must end with CR LF"
    case fieldName = "bad field name"
    case whitespaceBeforeColon = "white space before a colon"
    case folded = "a folded line"
    case fieldValue = "bad octet in a field value"
    case host = "bad Host"
    case noHost = "Host is missing"
    case severalHosts = "more than one Host"
    case contentLength = "bad Content-Length"
    case severalLengths = "more than one Content-Length"
    case lengthAndCoding = "both Content-Length and Transfer-Encoding"
    case transferEncoding = "bad Transfer-Encoding"
    case connection = "Connection names a field that must stay"
  }
}

/// Walks over the field lines of a head in place (RFC 9112 section 5), strictly.
struct FieldCursor {
  /// What the next line is.
  enum Step: Equatable {
    /// A field; `name`, `value` and `line` tell where.
    case field
    /// The empty line; `at` is behind it.
    case end
    /// The head is not complete.
    case more
    case fault(HeadFault)
  }

  var at: Int
  private(set) var name = Span(start: 0, end: 0)
  private(set) var value = Span(start: 0, end: 0)
  /// The whole line with its CR LF.
  private(set) var line = Span(start: 0, end: 0)

  init(at: Int) { self.at = at }

  /// Reads one line of `octets[at..<end]`.
  @inline(__always)
  mutating func next(_ octets: UnsafeRawBufferPointer, end: Int) -> Step {
    guard at < end else { return .more }
    let start = at
    let first = octets[start]
    if first == Octet.carriageReturn {
      guard start + 1 < end else { return .more }
      guard octets[start + 1] == Octet.lineFeed else { return .fault(.malformed(.lineEnd)) }
      at = start + 2
      return .end
    }
    if first == Octet.space || first == Octet.tab { return .fault(.malformed(.folded)) }
    var position = start
    while position < end, Octet.isToken(octets[position]) { position += 1 }
    guard position < end else { return .more }
    guard octets[position] == Octet.colon, position > start else {
      return .fault(.malformed(Self.reason(octets[position], empty: position == start)))
    }
    let nameEnd = position
    position = octets.endOfValue(from: position + 1, to: end)
    guard position < end else { return .more }
    let valueEnd = position
    if octets[position] != Octet.carriageReturn {
      return .fault(.malformed(octets[position] == Octet.lineFeed ? .lineEnd : .fieldValue))
    }
    guard position + 1 < end else { return .more }
    guard octets[position + 1] == Octet.lineFeed else { return .fault(.malformed(.lineEnd)) }
    name = Span(start: start, end: nameEnd)
    let trimmed = octets.trimmed(nameEnd + 1, valueEnd)
    value = Span(start: trimmed.start, end: trimmed.end)
    line = Span(start: start, end: position + 2)
    at = position + 2
    return .field
  }

  private static func reason(_ octet: UInt8, empty: Bool) -> HeadFault.Reason {
    switch octet {
    case Octet.space, Octet.tab: empty ? .folded : .whitespaceBeforeColon
    case Octet.lineFeed, Octet.carriageReturn: .lineEnd
    default: .fieldName
    }
  }
}

/// How the end of a message's body is found (RFC 9112 section 6.3).
package enum BodyFraming: Hashable, Sendable {
  case none
  case length(Int)
  case chunked
  /// Until the connection closes; responses only.
  case untilClose
}

/// What a scan came to.
package enum ScanOutcome: Hashable, Sendable {
  case complete
  case more
  case fault(HeadFault)
}

/// The fields that decide how a message is framed and what stays on this connection, shared by both directions.
struct ConnectionFields {
  var contentLength: Int?
  var chunked = false
  var close = false
  var keepAlive = false
  var upgradeToken = false
  /// Connection names fields that must be cut.
  var nominates = false
  /// Lines that are not passed on.
  var cuts: [Span] = []
  /// Values of Connection fields.
  private var connectionValues: [Span] = []
  /// Options of all Connection fields.
  private var options = 0

  mutating func reset() {
    contentLength = nil
    chunked = false
    close = false
    keepAlive = false
    upgradeToken = false
    nominates = false
    options = 0
    cuts.removeAll(keepingCapacity: true)
    connectionValues.removeAll(keepingCapacity: true)
  }

  mutating func readContentLength(_ octets: UnsafeRawBufferPointer, _ value: Span) -> HeadFault? {
    guard contentLength == nil else { return .malformed(.severalLengths) }
    guard let length = octets.decimal(value.start, value.end) else { return .malformed(.contentLength) }
    contentLength = length
    return chunked ? .malformed(.lengthAndCoding) : nil
  }

  mutating func readTransferEncoding(_ octets: UnsafeRawBufferPointer, _ value: Span) -> HeadFault? {
    guard !chunked else { return .malformed(.transferEncoding) }
    guard contentLength == nil else { return .malformed(.lengthAndCoding) }
    if octets.holds("chunked", at: value.start, value.end) {
      chunked = true
      return nil
    }
    // A known coding before chunked could be passed on, but nobody sends it; anything else cannot be framed.
    for index in value.start..<value.end where !Octet.isToken(octets[index]) && octets[index] != 44 && octets[index] != 32 {
      return .malformed(.transferEncoding)
    }
    return value.isEmpty ? .malformed(.transferEncoding) : .notImplemented
  }

  /// Reads a Connection field's options (RFC 9110 section 7.6.1): at most `limit` in all fields, since each is looked for among all fields.
  mutating func readConnection(_ octets: UnsafeRawBufferPointer, _ value: Span, line: Span, limit: Int) -> HeadFault? {
    cuts.append(line)
    var start = value.start
    while start <= value.end {
      var end = start
      while end < value.end, octets[end] != 44 { end += 1 }
      let option = octets.trimmed(start, end)
      if option.end > option.start {
        options += 1
        if options > limit { return .tooManyOptions }
        if octets.holds("close", at: option.start, option.end) {
          close = true
        } else if octets.holds("keep-alive", at: option.start, option.end) {
          keepAlive = true
        } else if octets.holds("upgrade", at: option.start, option.end) {
          upgradeToken = true
        } else {
          if octets.holds("host", at: option.start, option.end) || octets.holds("content-length", at: option.start, option.end)
            || octets.holds("transfer-encoding", at: option.start, option.end)
          {
            return .malformed(.connection)
          }
          nominates = true
          connectionValues.append(Span(start: option.start, end: option.end))
        }
      }
      start = end + 1
    }
    return nil
  }

  /// Adds the lines that Connection names; a second walk, only where it names any.
  mutating func cutNominated(_ octets: UnsafeRawBufferPointer, from start: Int, to end: Int) {
    var cursor = FieldCursor(at: start)
    while cursor.next(octets, end: end) == .field {
      let name = cursor.name
      let named = connectionValues.contains { value in
        value.end - value.start == name.end - name.start
          && (0..<(name.end - name.start)).allSatisfy { octets[value.start + $0] | 0x20 == octets[name.start + $0] | 0x20 }
      }
      if named { cuts.append(cursor.line) }
    }
    cuts.sort { $0.start < $1.start }
    // What is cut for its own name may be named too.
    var last: Span?
    cuts.removeAll { line in
      defer { last = line }
      return line == last
    }
  }
}
