import Glibc
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Synchronization
import Testing

@testable import SluiceGateway

extension WithGateway {
  /// Each answer that the gateway makes itself says which target and why.
  @Suite(.timeLimit(.minutes(2))) struct FaultTests {
    static let scripts: [String: TestUpstream.Script] = [
      "dupte": .init(text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
      "clte": .init(text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
      "badname": .init(text: "HTTP/1.1 200 OK\r\nX Powered\u{1b}[31m By: secret\r\nContent-Length: 5\r\n\r\nhello"),
      "lf": .init(text: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
      "silent": .init(text: "", closes: true),
      "badchunk": .init(text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n|zz\r\n", pause: 20),
      "hang": .init(text: "|", pause: 3_600_000),
    ]

    @Test func `an answer that is refused names its target and what is wrong, in log, status and metrics, without control characters`()
      async throws
    {
      try await withGateway(scripts: Self.scripts) { gateway, upstreams in
        let timeouts = RouteTimeouts(connect: .seconds(1), response: Milliseconds(300), idle: .seconds(5))
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)], timeouts: timeouts))
        let place = "instance 1 of release 1 at 127.0.0.1:\(upstreams[0].port): "
        let wanted: [(String, Int, String)] = [
          ("dupte", 502, "shop: 502: \(place)its answer cannot be understood: bad Transfer-Encoding"),
          ("clte", 502, "shop: 502: \(place)its answer cannot be understood: both Content-Length and Transfer-Encoding"),
          ("badname", 502, "shop: 502: \(place)its answer cannot be understood: white space before a colon, in \"X Powered?[31m By\""),
          ("lf", 502, "shop: 502: \(place)its answer cannot be understood: bad status line, in \"HTTP/1.1 200 OK\""),
          ("silent", 502, "shop: 502: \(place)it closed the connection without an answer"),
          ("hang", 504, "shop: 504: \(place)it did not answer within the response timeout"),
          ("badchunk", 200, "shop: cut off: \(place)its answer broke off: a chunk breaks the grammar"),
        ]
        for (name, status, line) in wanted {
          let client = try await gateway.client()
          try await client.send("GET /raw/\(name) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
          #expect(Response(try await client.end()).status == status, "\(name)")
          await client.close()
          try await gateway.logged(line) { $0 == line }
        }
        let status = try await gateway.status()
        #expect(status.targets[0].faults == ["bad_answer": 4, "broke_off": 1, "no_answer": 1, "answer_cut": 1])
        #expect(status.targets[0].lastFault == "its answer broke off: a chunk breaks the grammar")
        #expect(status.targets[0].lastFaultAt != nil)
        let metrics = try await gateway.metrics()
        #expect(metrics.contains(",target=\"127.0.0.1:\(upstreams[0].port)\",kind=\"bad_answer\"} 4\n"), "\(metrics)")
        #expect(metrics.contains("sluice_gateway_answers_total{service=\"shop\",kind=\"no_answer\",outcome=\"504\"} 1\n"))
        #expect(!gateway.log.lines.withLock { $0 }.contains { $0.unicodeScalars.contains { $0.value < 32 } })
      }
    }

    @Test func `a target that cannot be reached, a closed switch and no target are told apart, and a flood is one line`() async throws {
      try await withGateway { gateway, upstreams in
        // No probe takes the target out while it is gone.
        var table = TestGateway.table(1, [(1, upstreams[0], .active)])
        table.probe.fall = 10_000
        try await gateway.serve(table)
        try await gateway.turn(.closed)
        let client = try await gateway.client()
        for _ in 0..<50 { #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 503) }
        try await gateway.logged("the switch") { $0.hasPrefix("shop: 503") && $0.hasSuffix(": the switch is closed") }
        try await gateway.turn(.open)
        try await upstreams[0].stop()
        #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 502)
        try await gateway.logged("no connection") { $0.hasSuffix("at 127.0.0.1:\(upstreams[0].port): it cannot be connected to") }
        await client.close()
        let metrics = try await gateway.metrics()
        #expect(metrics.contains("kind=\"closed\",outcome=\"503\"} 50\n"), "\(metrics)")
        #expect(metrics.contains("kind=\"unreachable\",outcome=\"502\"} 1\n"), "\(metrics)")
        #expect(gateway.log.lines.withLock { $0 }.count { $0.contains("the switch is closed") } <= 3)
      }
    }
  }
}

@Suite struct FaultBookTests {
  private func report(_ number: Int = 1, cause: String = "", count: Int = 1) -> FaultReport {
    let place = FaultReport.Place(
      instance: InstanceID(service: "shop", number: number), release: ReleaseNumber(3), authority: "10.0.0.1:80")
    return FaultReport(service: "shop", kind: .badAnswer, target: place, cause: cause, count: count)
  }

  @Test func `a new fault is told at once, its repetitions with their count and seldom`() {
    var book = FaultBook()
    book.take([report(cause: "bad field name")])
    let line = "shop: 502: instance 1 of release 3 at 10.0.0.1:80: its answer cannot be understood: bad field name"
    #expect(book.due(now: .seconds(5)) == [line])
    for second in 6..<15 {
      book.take([report(cause: "bad field name", count: 100)])
      #expect(book.due(now: .seconds(Int64(second))).isEmpty)
    }
    #expect(book.due(now: .seconds(15)) == [line.replacing("502:", with: "502, 900 times:")])
    #expect(book.due(now: .seconds(60)).isEmpty)
    // Another cause is another fault.
    book.take([report(cause: "bad status line")])
    #expect(book.due(now: .seconds(61)).count == 1)
  }

  @Test func `however many different faults there are, what is kept and told is bounded`() {
    var book = FaultBook()
    var lines = 0
    for second in 0..<10 {
      for number in 0..<1_000 { book.take([report(second * 1_000 + number)], others: 1) }
      lines += book.due(now: .seconds(Int64(second))).count
    }
    #expect(lines == FaultBook.limit + 1)
    #expect(book.due(now: .seconds(30)).count == 1)
  }

  @Test func `text of others is shown without what a terminal obeys, and cut`() {
    #expect(plainText(Array("a\u{1b}[2J\u{7f}\"b\u{202e}\r\n".utf8)) == "a?[2J?'b???")
    #expect(plainText(Array(repeating: 120, count: 500)).count == 60)
    #expect(plainText([0xff, 0x41]) == "\u{fffd}A")
  }
}
