internal import NIOCore

/// The answers on one stream to a gateway's admin socket, byte by byte: HTTP/1.1 as the gateway writes it (RFC 9112). A machine without I/O.
struct ResponseParser {
  enum Event: Equatable {
    /// `persists`: another request may follow on this stream.
    case head(status: Int, persists: Bool)
    case body(ByteBuffer)
    case end
  }

  struct Fault: Error, Equatable, CustomStringConvertible {
    var description: String
  }

  private enum State {
    case head
    case counted(Int)
    case chunkSize
    case chunk(Int)
    case chunkEnd
    case trailers
    case untilClose
    case done
  }

  private static let headLimit = 32 << 10

  private var state = State.head
  private var bytes = ByteBuffer()

  /// Whether nothing of an answer has come yet.
  var isUntouched: Bool {
    if case .head = state { return bytes.readableBytes == 0 }
    return false
  }

  mutating func feed(_ more: ByteBuffer) throws(Fault) -> [Event] {
    bytes.writeImmutableBuffer(more)
    var events: [Event] = []
    while try step(&events) {}
    bytes.discardReadBytes()
    return events
  }

  /// The stream has ended: an answer that is not whole is a fault.
  mutating func feedEnd() throws(Fault) -> [Event] {
    switch state {
    case .untilClose:
      state = .done
      return [.end]
    case .done: return []
    default: throw Fault(description: isUntouched ? "the stream ended before an answer" : "the stream ended in the middle of an answer")
    }
  }

  /// One step; false when more bytes are needed.
  private mutating func step(_ events: inout [Event]) throws(Fault) -> Bool {
    switch state {
    case .head: return try head(&events)
    case .counted(0):
      events.append(.end)
      state = .done
      return true
    case .counted(let left):
      guard let part = body(left) else { return false }
      events.append(.body(part))
      state = .counted(left - part.readableBytes)
      return true
    case .chunkSize:
      guard let line = try line() else { return false }
      let digits = line.prefix { $0 != ";" }
      guard let size = Int(digits.trimmingSpaces, radix: 16), size >= 0 else { throw Fault(description: "\"\(line)\" is no chunk size") }
      state = size == 0 ? .trailers : .chunk(size)
      return true
    case .chunk(let left):
      guard let part = body(left) else { return false }
      events.append(.body(part))
      state = part.readableBytes == left ? .chunkEnd : .chunk(left - part.readableBytes)
      return true
    case .chunkEnd:
      guard let line = try line() else { return false }
      guard line.isEmpty else { throw Fault(description: "a chunk does not end where it says") }
      state = .chunkSize
      return true
    case .trailers:
      guard let line = try line() else { return false }
      if line.isEmpty {
        events.append(.end)
        state = .done
      }
      return true
    case .untilClose:
      guard let part = body(.max) else { return false }
      events.append(.body(part))
      return true
    case .done:
      guard bytes.readableBytes == 0 else { throw Fault(description: "more than one answer came") }
      return false
    }
  }

  private mutating func head(_ events: inout [Event]) throws(Fault) -> Bool {
    let view = bytes.readableBytesView
    var end: Int?
    var previous = view.startIndex
    for index in view.indices where view[index] == UInt8(ascii: "\n") {
      if index - previous <= 1, index > view.startIndex {
        end = index
        break
      }
      previous = index + 1
    }
    guard let end else {
      guard view.count <= Self.headLimit else { throw Fault(description: "the answer's head is too long") }
      return false
    }
    let text = bytes.readString(length: end + 1 - view.startIndex) ?? ""
    // "\r\n" is one character, and so is not split by "\n".
    let lines = text.split(whereSeparator: \.isNewline)
    let first = (lines.first ?? "").split(separator: " ")
    guard first.count >= 2, first[0].hasPrefix("HTTP/1."), let status = Int(first[1]), (100...599).contains(status) else {
      throw Fault(description: "\"\(lines.first ?? "")\" is no HTTP answer")
    }
    // An interim answer: the real one follows (RFC 9110 section 15.2).
    if status < 200 { return true }
    let fields = Fields(lines.dropFirst())
    let persists = first[0] == "HTTP/1.1" && fields.value("connection") != "close"
    events.append(.head(status: status, persists: persists))
    if status == 204 || status == 304 {
      state = .counted(0)
    } else if fields.value("transfer-encoding") == "chunked" {
      state = .chunkSize
    } else if let text = fields.value("content-length") {
      guard let length = Int(text), length >= 0 else { throw Fault(description: "\"\(text)\" is no length") }
      state = .counted(length)
    } else {
      state = .untilClose
    }
    return true
  }

  private mutating func body(_ most: Int) -> ByteBuffer? {
    guard bytes.readableBytes > 0 else { return nil }
    return bytes.readSlice(length: min(most, bytes.readableBytes))
  }

  private mutating func line() throws(Fault) -> String? {
    guard let end = bytes.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else {
      guard bytes.readableBytes <= 1_024 else { throw Fault(description: "a line is too long") }
      return nil
    }
    let text = bytes.readString(length: end + 1 - bytes.readerIndex) ?? ""
    return String(text.prefix { !$0.isNewline })
  }

  private struct Fields {
    private var pairs: [(String, String)] = []

    init(_ lines: ArraySlice<Substring>) {
      for line in lines {
        guard let colon = line.firstIndex(of: ":") else { continue }
        pairs.append((line[..<colon].lowercased(), String(line[line.index(after: colon)...]).trimmingSpaces.lowercased()))
      }
    }

    func value(_ name: String) -> String? { pairs.first { $0.0 == name }?.1 }
  }
}

extension StringProtocol {
  fileprivate var trimmingSpaces: String {
    var text = self[...]
    while let first = text.first, first == " " || first == "\t" { text = text.dropFirst() }
    while let last = text.last, last == " " || last == "\t" { text = text.dropLast() }
    return String(text)
  }
}
