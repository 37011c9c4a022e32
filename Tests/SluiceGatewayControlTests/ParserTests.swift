import NIOCore
import Testing

@testable import SluiceGatewayControl

@Suite struct ParserTests {
  /// Feeds a text split at every place, and joins neighbouring bodies.
  private func parse(_ text: String, pieces: Int, end: Bool = false) throws -> [ResponseParser.Event] {
    var parser = ResponseParser()
    var events: [ResponseParser.Event] = []
    var rest = ByteBuffer(string: text)
    while let piece = rest.readSlice(length: min(pieces, rest.readableBytes)), piece.readableBytes > 0 { events += try parser.feed(piece) }
    if end { events += try parser.feedEnd() }
    return events.reduce(into: []) { all, event in
      if case .body(let more) = event, case .body(var before)? = all.last {
        before.writeImmutableBuffer(more)
        all[all.count - 1] = .body(before)
      } else {
        all.append(event)
      }
    }
  }

  @Test(arguments: [1, 2, 3, 7, 1_000])
  func `answers of every framing are read, however they are cut`(pieces: Int) throws {
    #expect(
      try parse("HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-length:  5 \r\n\r\nhello", pieces: pieces)
        == [.head(status: 200, persists: true), .body(ByteBuffer(string: "hello")), .end])
    #expect(
      try parse(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5;x=1\r\nhe\r\nl\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
        pieces: pieces)
        == [.head(status: 200, persists: false), .body(ByteBuffer(string: "he\r\nl0123456789")), .end])
    #expect(
      try parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 409 Refused\r\nContent-Length: 0\r\n\r\n", pieces: pieces)
        == [.head(status: 409, persists: true), .end])
    #expect(
      try parse("HTTP/1.0 200 OK\n\nall", pieces: pieces, end: true)
        == [.head(status: 200, persists: false), .body(ByteBuffer(string: "all")), .end])
    #expect(try parse("HTTP/1.1 204 No\r\n\r\n", pieces: pieces) == [.head(status: 204, persists: true), .end])
  }

  @Test(arguments: [
    "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
  ])
  func `what is no answer of a gateway is a fault`(text: String) {
    #expect(throws: ResponseParser.Fault.self) { try parse(text, pieces: 1) }
    #expect(throws: ResponseParser.Fault.self) { try parse(text, pieces: 1_000) }
  }

  @Test func `an endless head is a fault`() {
    #expect(throws: ResponseParser.Fault.self) {
      try parse("HTTP/1.1 200 OK\r\n" + String(repeating: "A: b\r\n", count: 20_000), pieces: 4_096)
    }
  }

  @Test(arguments: ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"])
  func `an end before the end is a fault`(text: String) {
    #expect(throws: ResponseParser.Fault.self) { try parse(text, pieces: 1_000, end: true) }
  }
}
