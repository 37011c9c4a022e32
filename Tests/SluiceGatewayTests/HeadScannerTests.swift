import SluiceGateway
import Testing

@Suite struct HeadScannerTests {
  static func scan(_ octets: some Collection<UInt8>) -> (RequestHead, ScanOutcome) {
    var head = RequestHead()
    let outcome = Array(octets).withUnsafeBytes { head.scan($0, limits: ScanLimits(), trusted: false) }
    return (head, outcome)
  }

  static func judged(_ head: RequestHead, _ outcome: ScanOutcome) -> CorpusCase.Expected? {
    switch outcome {
    case .complete: .accepted(head.framing, keepAlive: head.keepAlive)
    case .fault(let fault): .refused(fault)
    case .more: nil
    }
  }

  @Test func `the corpus has no name twice, and is as large as it claims`() {
    #expect(RequestCorpus.all.count >= 100)
    #expect(Set(RequestCorpus.all.map(\.name)).count == RequestCorpus.all.count)
  }

  @Test(arguments: RequestCorpus.all)
  func `a request of the corpus is judged as expected`(_ example: CorpusCase) {
    let (head, outcome) = Self.scan(example.octets)
    #expect(Self.judged(head, outcome) == example.expected)
  }

  /// Whatever arrives first, the judgement is the same: at each prefix it is either the final one or none.
  @Test(arguments: RequestCorpus.all)
  func `a request split anywhere is judged the same`(_ example: CorpusCase) {
    let step = example.octets.count > 2_000 ? 97 : 1
    for count in stride(from: 0, through: example.octets.count, by: step) {
      let (head, outcome) = Self.scan(example.octets[..<count])
      if let judged = Self.judged(head, outcome) {
        #expect(judged == example.expected, "after \(count) octets")
      } else {
        #expect(count < example.octets.count, "never judged")
      }
    }
  }

  @Test func `an accepted head ends where its empty line ends, whatever follows`() {
    let text = "GET /a?b HTTP/1.1\r\nHost: example.org:80\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nX-Other: 2\r\n\r\n"
    let (head, outcome) = Self.scan(Array((text + "GET / HTTP/1.1\r\n").utf8))
    #expect(outcome == .complete)
    #expect(head.length == text.utf8.count)
    let octets = Array(text.utf8)
    #expect(String(decoding: octets[head.target.start..<head.target.end], as: UTF8.self) == "/a?b")
    #expect(String(decoding: octets[head.host.start..<head.host.end], as: UTF8.self) == "example.org:80")
    let cut = head.cuts.map { String(decoding: octets[$0.start..<$0.end], as: UTF8.self) }
    #expect(cut == ["Connection: keep-alive, X-Mine\r\n", "X-Mine: 1\r\n"])
  }

  @Test func `what belongs to one connection or could be forged is cut, and only then`() {
    let forged = ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "Forwarded: for=1.1.1.1"]
    let own = ["Keep-Alive: timeout=5", "Proxy-Connection: close", "TE: trailers", "Upgrade: foo", "HTTP2-Settings: AA"]
    let kept = ["Accept: */*", "X-Real: 1", "Cookie: a=b"]
    let octets = Array("GET / HTTP/1.1\r\nHost: a\r\n\((forged + own + kept).joined(separator: "\r\n"))\r\n\r\n".utf8)
    for trusted in [false, true] {
      var head = RequestHead()
      let outcome = octets.withUnsafeBytes { head.scan($0, limits: ScanLimits(), trusted: trusted) }
      #expect(outcome == .complete)
      let cut = Set(head.cuts.map { String(decoding: octets[$0.start..<$0.end - 2], as: UTF8.self) })
      // The address list of a trusted peer is written anew with the peer added.
      #expect(cut == Set(own + (trusted ? [forged[0]] : forged)))
      #expect(head.forwardedFor.count == (trusted ? 1 : 0))
    }
  }

  @Test func `an upgrade is one only with its Connection option, and never to h2c`() {
    func upgrade(_ fields: String) -> Bool { Self.scan(Array("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n".utf8)).0.upgrade }
    #expect(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\n"))
    #expect(upgrade("Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n"))
    #expect(!upgrade("Upgrade: websocket\r\n"))
    #expect(!upgrade("Connection: Upgrade\r\n"))
    #expect(!upgrade("Connection: Upgrade\r\nUpgrade: h2c\r\n"))
  }

  @Test func `random changes of good requests never crash, and never end beyond what was given`() {
    var random = Seeded(11)
    let seeds = RequestCorpus.all.filter { $0.octets.count < 500 }
    var complete = 0
    for _ in 0..<30_000 {
      var octets = seeds.randomElement(using: &random)!.octets
      for _ in 0..<(1 + Int(random.next() % 4)) where !octets.isEmpty {
        let at = Int(random.next() % UInt64(octets.count))
        switch random.next() % 4 {
        case 0: octets[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: octets.remove(at: at)
        case 2: octets.insert([13, 10, 0, 32, 58, 9].randomElement(using: &random)!, at: at)
        default: octets.insert(contentsOf: octets[at..<min(octets.count, at + 9)], at: at)
        }
      }
      let (head, outcome) = Self.scan(octets)
      guard outcome == .complete else { continue }
      complete += 1
      #expect(head.length <= octets.count)
      #expect(octets[..<head.length].suffix(4).elementsEqual([13, 10, 13, 10]))
      #expect(!octets[..<head.length].contains(0))
    }
    #expect(complete > 1_000)
  }
}

/// A small generator with a seed (SplitMix64), so that a failing run can be repeated.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}
