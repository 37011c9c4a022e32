import SluiceGateway
import Testing

@Suite struct ResponseHeadTests {
  struct Example: Sendable, CustomStringConvertible {
    var description: String
    var text: String
    var toHead = false
    var framing: BodyFraming?
    var keepAlive = true
    var untouched = true
  }

  static let examples: [Example] = [
    Example(description: "a length", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", framing: .length(5)),
    Example(description: "chunked", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", framing: .chunked),
    Example(description: "neither", text: "HTTP/1.1 200 OK\r\n\r\n", framing: .untilClose, keepAlive: false),
    Example(description: "HEAD", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", toHead: true, framing: BodyFraming.none),
    Example(description: "204", text: "HTTP/1.1 204 No Content\r\n\r\n", framing: BodyFraming.none),
    Example(description: "304 with a length", text: "HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", framing: BodyFraming.none),
    Example(description: "100", text: "HTTP/1.1 100 Continue\r\n\r\n", framing: BodyFraming.none),
    Example(description: "no reason", text: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", framing: BodyFraming.none),
    Example(
      description: "close", text: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", framing: .length(5),
      keepAlive: false, untouched: false),
    Example(description: "keep-alive", text: "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", framing: .length(5)),
    Example(
      description: "keep-alive with a time",
      text: "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\n",
      framing: .length(5), untouched: false),
    Example(
      description: "a named field", text: "HTTP/1.1 200 OK\r\nConnection: X\r\nX: 1\r\nContent-Length: 5\r\n\r\n", framing: .length(5),
      untouched: false),
    Example(
      description: "HTTP/1.0", text: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", framing: .length(5), keepAlive: false, untouched: false
    ),
    Example(description: "both", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    Example(description: "two lengths", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    Example(description: "a bare LF", text: "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n"),
    Example(description: "a fold", text: "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
    Example(description: "a status of two digits", text: "HTTP/1.1 20 OK\r\n\r\n"),
    Example(description: "a status of four digits", text: "HTTP/1.1 2000 OK\r\n\r\n"),
    Example(description: "a status of 099", text: "HTTP/1.1 099 OK\r\n\r\n"),
    Example(description: "no HTTP", text: "hello\r\n\r\n"),
    Example(description: "HTTP/2", text: "HTTP/2.0 200 OK\r\n\r\n"),
    Example(description: "another coding", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
  ]

  @Test(arguments: examples)
  func `an answer's head is framed as its fields say, whole and split anywhere`(_ example: Example) {
    let octets = Array(example.text.utf8)
    for count in 0...octets.count {
      var head = ResponseHead()
      let outcome = octets[..<count].withUnsafeBytes { head.scan($0, limits: ScanLimits(), toHead: example.toHead) }
      switch outcome {
      case .more: #expect(count < octets.count)
      case .fault: #expect(example.framing == nil)
      case .complete:
        #expect(count == octets.count)
        #expect(head.framing == example.framing)
        #expect(head.keepAlive == example.keepAlive)
        #expect(head.passesUntouched == example.untouched)
      }
    }
  }
}

@Suite struct ChunkScannerTests {
  /// Feeds the octets in the given pieces; the data, and where the body ended, or nil when it is bad.
  static func read(_ octets: [UInt8], pieces: [Int]) -> (data: [UInt8], end: Int?, bad: Bool) {
    var scanner = ChunkScanner()
    var data: [UInt8] = []
    var offset = 0
    for size in pieces + [octets.count] {
      let piece = Array(octets[offset..<min(octets.count, offset + size)])
      var at = 0
      let last = piece.withUnsafeBytes { bytes in
        while true {
          let next = scanner.next(bytes, at: &at)
          guard case .data(let span) = next else { return next }
          data += piece[span.start..<span.end]
        }
      }
      if last == .bad { return (data, nil, true) }
      if last == .end { return (data, offset + at, false) }
      offset += piece.count
    }
    return (data, nil, false)
  }

  static let good: [(String, String)] = [
    ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", "0123456789x"),
    ("005\r\nhello\r\n000\r\n\r\n", "hello"), ("5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello"),
    ("1\r\n\r\r\n1\r\n\n\r\n0\r\nX: y\r\nZ: \t\r\n\r\n", "\r\n"),
  ]

  static let bad = [
    "\r\n", "g\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "-1\r\n", "+5\r\nhello",
    "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhelloX\r\n", "5\r\nhello\r\n\r\n", "5\rhello", "5;a\nb\r\nhello\r\n",
    "5;a\rb\r\nhello\r\n", "5;a\u{0}\r\nhello\r\n", "1234567890123456\r\n", "0\r\nX y\r\n\r\n", "0\r\n X: y\r\n\r\n",
    "0\r\nX: y\n\r\n", "0\r\n: y\r\n\r\n", "0\r\n\rX", "0\r\nX : y\r\n\r\n", ";\r\n", "5\r\nhello\r\n0\n\n",
  ]

  @Test func `good bodies end exactly at their end, split at every octet`() {
    for (text, data) in Self.good {
      let octets = Array((text + "GET").utf8)
      for first in 0..<octets.count {
        let read = Self.read(octets, pieces: [first])
        #expect(read.end == text.utf8.count, "\(text.debugDescription) split at \(first)")
        #expect(String(decoding: read.data, as: UTF8.self) == data)
      }
      let single = Self.read(octets, pieces: Array(repeating: 1, count: octets.count))
      #expect(single.end == text.utf8.count)
      #expect(String(decoding: single.data, as: UTF8.self) == data)
    }
  }

  @Test func `bad bodies are found bad, split at every octet`() {
    for text in Self.bad {
      let octets = Array(text.utf8)
      for first in 0..<octets.count { #expect(Self.read(octets, pieces: [first]).bad, "\(text.debugDescription) split at \(first)") }
    }
  }

  @Test func `extensions and trailers are bounded`() {
    let long = String(repeating: "a", count: ChunkScanner.extensionLimit + 1)
    #expect(Self.read(Array("5;\(long)\r\nhello\r\n".utf8), pieces: []).bad)
    let trailers = String(repeating: "X: aaaaaaaaaa\r\n", count: ChunkScanner.trailerLimit / 10)
    #expect(Self.read(Array("0\r\n\(trailers)\r\n".utf8), pieces: []).bad)
  }

  @Test func `random octets never crash the scanner, and the same octets end the same however they are split`() {
    var random = Seeded(5)
    let alphabet = Array("0123abF;\r\n\r\n\r\n: xX".utf8)
    for _ in 0..<20_000 {
      let octets = (0..<Int(random.next() % 40)).map { _ in alphabet.randomElement(using: &random)! }
      let whole = Self.read(octets, pieces: [])
      let split = Self.read(octets, pieces: (0..<6).map { _ in Int(random.next() % 7) })
      #expect(whole.end == split.end)
      #expect(whole.bad == split.bad)
      #expect(whole.data == split.data)
    }
  }
}
