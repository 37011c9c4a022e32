import NIOCore
import SluiceLoad
import Testing

struct ExchangeTests {
  private let greeting =
    "HTTP/1.1 200 OK\r\nX-Sample-Version: v1\r\nX-Sample-Host: a1\r\nX-Sample-Instance: 3\r\nContent-Length: 6\r\n\r\nv1 a1\n"

  private func finish(_ text: String, _ kind: RequestKind = .get) -> (Outcome, reusable: Bool)? {
    var exchange = Exchange(kind, .greeting)
    var input = ByteBuffer(string: text)
    guard case .finished(let outcome, let reusable) = exchange.received(&input) else { return nil }
    return (outcome, reusable)
  }

  @Test func `an answer byte by byte is the same as at once`() throws {
    let whole = try #require(finish(greeting))
    #expect(whole.0.fate == .answered)
    #expect(whole.0.release == "v1" && whole.0.host == "a1" && whole.0.instance == "3" && whole.0.status == 200)
    #expect(whole.reusable)
    var exchange = Exchange(.get, .greeting)
    var input = ByteBuffer()
    for (index, byte) in greeting.utf8.enumerated() {
      input.writeInteger(byte)
      let step = exchange.received(&input)
      if index < greeting.utf8.count - 1 { #expect(step == .wait) } else { #expect(step == .finished(whole.0, reusable: true)) }
    }
  }

  @Test func `bytes after the answer make the connection unusable`() throws {
    let outcome = try #require(finish(greeting + "HTTP/1.1 408 Late\r\n"))
    #expect(outcome.0.fate == .answered)
    #expect(!outcome.reusable)
  }

  @Test func `Connection close makes the connection unusable`() throws {
    let outcome = try #require(finish(greeting.replacing("X-Sample-Instance: 3", with: "connection: Close")))
    #expect(outcome.0.fate == .answered)
    #expect(!outcome.reusable)
  }

  @Test func `an answer before the request is written leaves the connection unusable`() throws {
    var exchange = Exchange(.upload, .greeting)
    exchange.unsent = 1
    var input = ByteBuffer(string: "HTTP/1.1 503 Closed\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
    guard case .finished(let outcome, let reusable) = exchange.received(&input) else {
      Issue.record("not finished")
      return
    }
    #expect(outcome.fate == .rejected)
    #expect(!reusable)
  }

  @Test func `the service's own 503 with Retry-After is its answer`() throws {
    let outcome = try #require(finish("HTTP/1.1 503 No\r\nX-Sample-Version: v1\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"))
    #expect(outcome.0.fate == .answered)
    #expect(outcome.0.status == 503)
  }

  @Test func `the service's own 404 is not what was asked for`() throws {
    let outcome = try #require(finish("HTTP/1.1 404 No\r\nX-Sample-Version: v1\r\nContent-Length: 0\r\n\r\n"))
    #expect(outcome.0.fate == .corrupt)
  }

  @Test func `a release other than the greeting's is corrupt`() throws {
    #expect(try #require(finish(greeting.replacing("v1 a1", with: "v2 a1"))).0.fate == .corrupt)
    #expect(try #require(finish(greeting.replacing("Length: 6", with: "Length: 3"))).0.fate == .corrupt)
  }

  @Test func `interim answers are passed over`() throws {
    let outcome = try #require(finish("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + greeting))
    #expect(outcome.0.fate == .answered)
  }

  @Test func `a body that ends with the connection is whole when the connection ends well`() {
    let text = "HTTP/1.1 200 OK\r\nX-Sample-Version: v1\r\nX-Sample-Host: a1\r\n\r\nv1 a1\n"
    for (reason, fate) in [(nil, Fate.answered), ("reset", .cut)] as [(String?, Fate)] {
      var exchange = Exchange(.get, .greeting)
      var input = ByteBuffer(string: text)
      #expect(exchange.received(&input) == .wait)
      #expect(exchange.closed(reason).fate == fate)
    }
  }

  @Test func `an end is told by where it happened`() {
    var exchange = Exchange(.upload, .greeting)
    exchange.unsent = 2
    #expect(exchange.closed("reset").detail == "reset while the request was being written")
    exchange.unsent = 0
    #expect(exchange.closed(nil).detail == "closed before any answer")
    var input = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nv1")
    #expect(exchange.received(&input) == .wait)
    #expect(exchange.closed(nil) == Outcome(.cut, head: ResponseHead(status: 200), detail: "closed in the middle of the answer"))
    #expect(exchange.expired().fate == .timeout)
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/2 200 and so on and on\r\n\r\n",
  ])
  func `what is no HTTP is corrupt`(text: String) throws {
    let outcome = try #require(finish(text))
    #expect(outcome.0.fate == .corrupt)
    #expect(outcome.0.detail?.isEmpty == false)
    #expect(!outcome.reusable)
  }

  @Test func `a WebSocket exchanges its frames, then closes`() throws {
    var exchange = Exchange(.ws, .greeting, dialog: Exchange.Dialog(frames: 2, every: .milliseconds(5), mask: 0))
    let head = "HTTP/1.1 101 Yes\r\nX-Sample-Version: v1\r\nSec-WebSocket-Accept: \(WebSocketFrames.accept)\r\n\r\n"
    var input = ByteBuffer(string: head)
    #expect(exchange.received(&input) == .send(WebSocketFrames.masked(1, "frame 1".utf8, mask: 0), after: .zero))
    #expect(exchange.received(&input) == .wait)
    input = ByteBuffer(bytes: [0x89, 0x01, 0x70, 0x81, 0x07] + Array("frame 1".utf8))
    #expect(exchange.received(&input) == .send(WebSocketFrames.masked(0xA, "p".utf8, mask: 0), after: .zero))
    #expect(exchange.received(&input) == .send(WebSocketFrames.masked(1, "frame 2".utf8, mask: 0), after: .milliseconds(5)))
    var half = exchange
    #expect(half.closed("reset").fate == .closedLongLived)
    input = ByteBuffer(bytes: [0x81, 0x07] + Array("frame 2".utf8))
    #expect(exchange.received(&input) == .send(WebSocketFrames.masked(8, [0x03, 0xE8], mask: 0), after: .zero))
    var whole = exchange
    #expect(whole.closed(nil).fate == .answered)
    input = ByteBuffer(bytes: [0x88, 0x02, 0x03, 0xE8])
    guard case .finished(let outcome, _) = exchange.received(&input) else {
      Issue.record("not finished")
      return
    }
    #expect(outcome.fate == .answered)
    #expect(outcome.status == 101)
  }

  @Test func `frames are as RFC 6455 section 5.7 shows them`() throws {
    let masked = WebSocketFrames.masked(1, "Hello".utf8, mask: 0x37fa_213d)
    #expect(Array(masked.readableBytesView) == [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
    var input = ByteBuffer(bytes: [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c])
    #expect(try WebSocketFrames.next(&input) == nil)
    input.writeInteger(UInt8(0x6f))
    #expect(try WebSocketFrames.next(&input) == WebSocketFrames.Frame(opcode: 1, payload: ByteBuffer(string: "Hello")))
    #expect(input.readableBytes == 0)
  }
}
