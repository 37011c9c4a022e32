package import NIOCore

/// The head of a response: only what the generator looks at.
package struct ResponseHead: Equatable, Sendable {
  package var status: Int
  /// `X-Sample-Version`: who answered is the service itself, not something before it.
  package var release: String?
  package var host: String?
  package var instance: String?
  package var hasRetryAfter = false
  /// The server ends the connection after this response.
  package var closes = false
  /// `Sec-WebSocket-Accept`.
  package var webSocketAccept: String?

  package init(status: Int) { self.status = status }
}

/// A response that is no HTTP/1.1.
package struct ResponseError: Error, Equatable, Sendable {
  /// What is wrong with it.
  package var reason: String
}

/// Takes one HTTP/1.1 response apart as its bytes come (RFC 9112). Strict: what it cannot be sure of is an error.
package struct ResponseParser: Sendable {
  /// What was found next.
  package enum Event: Equatable, Sendable {
    /// The final head, or that of a switch of protocols (101).
    case head(ResponseHead)
    case body(ByteBuffer)
    case end
  }

  private enum State {
    case head
    case body(Int)
    case untilClose
    case chunkSize
    case chunk(Int)
    case chunkEnd
    case trailers
    case end
    case finished
  }

  private var state = State.head

  package init() {}

  /// Whether the end of the connection is the regular end of the body.
  package var endsWithConnection: Bool {
    if case .untilClose = state { true } else { false }
  }

  /// The next event in `input`, whose used bytes are consumed; nil when more bytes are needed.
  package mutating func next(_ input: inout ByteBuffer) throws(ResponseError) -> Event? {
    while true {
      switch state {
      case .head:
        guard let length = Self.headLength(input) else {
          if input.readableBytes > 65_536 { throw ResponseError(reason: "head of more than 64 KiB") }
          return nil
        }
        let fields = try Self.readHead(input, length)
        input.moveReaderIndex(forwardBy: length)
        // Interim responses announce, they do not answer (RFC 9110 section 15.2).
        if (100..<200).contains(fields.head.status), fields.head.status != 101 { continue }
        state = Self.bodyState(fields)
        return .head(fields.head)
      case .body(let rest):
        guard let piece = Self.take(rest, &input) else { return nil }
        state = piece.readableBytes == rest ? .end : .body(rest - piece.readableBytes)
        return .body(piece)
      case .untilClose:
        guard let piece = Self.take(.max, &input) else { return nil }
        return .body(piece)
      case .chunkSize:
        guard let line = try Self.line(&input) else { return nil }
        let digits = line.prefix { $0 != ";" && $0 != " " }
        guard let size = Int(digits, radix: 16), size >= 0, digits.utf8.first != UInt8(ascii: "+") else {
          throw ResponseError(reason: "chunk size '\(line)'")
        }
        state = size == 0 ? .trailers : .chunk(size)
      case .chunk(let rest):
        guard let piece = Self.take(rest, &input) else { return nil }
        state = piece.readableBytes == rest ? .chunkEnd : .chunk(rest - piece.readableBytes)
        return .body(piece)
      case .chunkEnd:
        guard let line = try Self.line(&input) else { return nil }
        guard line.isEmpty else { throw ResponseError(reason: "a chunk longer than its size") }
        state = .chunkSize
      case .trailers:
        guard let line = try Self.line(&input) else { return nil }
        if line.isEmpty { state = .end }
      case .end:
        state = .finished
        return .end
      case .finished: return nil
      }
    }
  }

  private static func take(_ limit: Int, _ input: inout ByteBuffer) -> ByteBuffer? {
    input.readableBytes == 0 ? nil : input.readSlice(length: min(limit, input.readableBytes))
  }

  private static func line(_ input: inout ByteBuffer) throws(ResponseError) -> String? {
    guard let end = input.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else {
      if input.readableBytes > 4096 { throw ResponseError(reason: "line of more than 4 KiB") }
      return nil
    }
    let length = end - input.readerIndex
    let text = input.readString(length: length) ?? ""
    input.moveReaderIndex(forwardBy: 1)
    guard text.utf8.last == UInt8(ascii: "\r") else { throw ResponseError(reason: "a line without CR") }
    return String(text.utf8.dropLast()) ?? ""
  }

  /// The head's length with its empty line; nil while that has not come.
  private static func headLength(_ input: ByteBuffer) -> Int? {
    input.withUnsafeReadableBytes { bytes in
      var index = 3
      while index < bytes.count {
        // Only the last of the four bytes needs a look at each place.
        if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10, bytes[index - 3] == 13 { return index + 1 }
        index += 1
      }
      return nil
    }
  }
}

extension ResponseParser {
  private struct Fields {
    var head: ResponseHead
    var length: Int?
    var chunked = false
    var isHTTP10 = false
  }

  private static func bodyState(_ fields: Fields) -> State {
    switch fields.head.status {
    case 101, 204, 304: .end
    default:
      if fields.chunked {
        .chunkSize
      } else if let length = fields.length {
        length == 0 ? .end : .body(length)
      } else {
        .untilClose
      }
    }
  }

  private static func readHead(_ input: ByteBuffer, _ length: Int) throws(ResponseError) -> Fields {
    let result: Result<Fields, ResponseError> = input.withUnsafeReadableBytes { bytes in
      let head = UnsafeRawBufferPointer(rebasing: bytes[..<length])
      do throws(ResponseError) {
        return .success(try fields(head))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private static func fields(_ bytes: UnsafeRawBufferPointer) throws(ResponseError) -> Fields {
    guard bytes.count >= 16, text(bytes[0..<7]) == "HTTP/1.", bytes[8] == 32, let status = Int(text(bytes[9..<12])),
      (100...999).contains(status)
    else { throw ResponseError(reason: "status line '\(text(bytes.prefix(40).prefix { $0 != 13 }))'") }
    var fields = Fields(head: ResponseHead(status: status), isHTTP10: bytes[7] == UInt8(ascii: "0"))
    fields.head.closes = fields.isHTTP10
    var start = bytes.firstIndex(of: 10).map { $0 + 1 } ?? bytes.count
    while start < bytes.count, bytes[start] != 13 {
      var end = start
      while bytes[end] != 10 { end += 1 }
      var colon = start
      while colon < end, bytes[colon] != UInt8(ascii: ":") { colon += 1 }
      guard colon < end else { throw ResponseError(reason: "a header line without colon") }
      try add(name: bytes[start..<colon], value: trimmed(bytes[(colon + 1)..<end]), to: &fields)
      start = end + 1
    }
    if fields.chunked, fields.length != nil { throw ResponseError(reason: "both Content-Length and Transfer-Encoding") }
    return fields
  }

  /// Only names of an interesting length are compared: most headers are none of ours.
  private static func add(name: Slice<UnsafeRawBufferPointer>, value: Slice<UnsafeRawBufferPointer>, to fields: inout Fields)
    throws(ResponseError)
  {
    switch name.count {
    case 14 where equals(name, "content-length"):
      guard let length = Int(text(value)), length >= 0, fields.length == nil || fields.length == length else {
        throw ResponseError(reason: "Content-Length '\(text(value))'")
      }
      fields.length = length
    case 17 where equals(name, "transfer-encoding"):
      guard equals(value, "chunked") else { throw ResponseError(reason: "Transfer-Encoding '\(text(value))'") }
      fields.chunked = true
    case 10 where equals(name, "connection"):
      if equals(value, "close") { fields.head.closes = true }
      if equals(value, "keep-alive") { fields.head.closes = false }
    case 11 where equals(name, "retry-after"): fields.head.hasRetryAfter = true
    case 13 where equals(name, "x-sample-host"): fields.head.host = text(value)
    case 16 where equals(name, "x-sample-version"): fields.head.release = text(value)
    case 17 where equals(name, "x-sample-instance"): fields.head.instance = text(value)
    case 20 where equals(name, "sec-websocket-accept"): fields.head.webSocketAccept = text(value)
    default: break
    }
  }

  private static func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String { String(decoding: bytes, as: UTF8.self) }

  private static func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
    var rest = bytes
    while let first = rest.first, first == 32 || first == 9 { rest.removeFirst() }
    while let last = rest.last, last == 32 || last == 9 || last == 13 { rest.removeLast() }
    return rest
  }

  /// `name` is lower case.
  private static func equals(_ bytes: Slice<UnsafeRawBufferPointer>, _ name: StaticString) -> Bool {
    guard bytes.count == name.utf8CodeUnitCount else { return false }
    var index = bytes.startIndex
    for offset in 0..<bytes.count {
      let byte = bytes[index]
      let lower = byte >= 65 && byte <= 90 ? byte | 32 : byte
      if lower != name.utf8Start[offset] { return false }
      index += 1
    }
    return true
  }
}
