import NIOCore
import SluiceLoad
import Testing

struct TallyTests {
  private func request(_ number: Int, _ fate: Fate, release: String? = nil, milliseconds: Int64 = 5) -> Finished {
    var outcome = Outcome(fate)
    outcome.release = release
    outcome.status = release == nil ? 0 : 200
    outcome.host = release.map { _ in "a\(number % 2)" }
    let start = Int64(number) * 1_000_000
    return Finished(
      kind: number.isMultiple(of: 2) ? .get : .slow, outcome: outcome, start: start, end: start + milliseconds * 1_000_000, client: 0,
      user: number,
      target: 0, reused: false)
  }

  @Test func `sums of two loops are the sums of all`() {
    var whole = Tally(targets: ["t"], epoch: 1000)
    var first = whole
    var second = whole
    for number in 0..<90 {
      let fate = Fate.allCases[number % Fate.allCases.count]
      let finished = request(number, fate, release: fate == .answered ? "v\(1 + number / 45)" : nil)
      whole.add(finished)
      if number % 3 == 0 { first.add(finished) } else { second.add(finished) }
    }
    first.merge(second)
    let (one, both) = (whole.summary(elapsed: 1_000_000_000, gap: 7_000_000), first.summary(elapsed: 1_000_000_000, gap: 7_000_000))
    #expect(one.requests == 90 && both.requests == 90)
    #expect(one.fates == both.fates)
    #expect(one.losses == both.losses && one.losses.count == 20)
    #expect(one.fates.values.reduce(0, +) == 90)
    #expect(one.lost == 60 && both.lost == 60)
    #expect(one.kinds.values.map(\.requests).reduce(0, +) == 90)
    #expect(one.kinds.values.map(\.lost).reduce(0, +) == 60)
    #expect(both.releases.values.map(\.answered).reduce(0, +) == one.fates["answered"])
    #expect(both.releases["v2"]?.firstMilliseconds == Int64(1050))
    #expect(both.releases["v1"]?.lastMilliseconds == Int64(1041))
    #expect(both.releases["v1"]?.hosts.values.reduce(0, +) == both.releases["v1"]?.answered)
    #expect(one.maxGapMilliseconds == 7)
    #expect(one.requestsPerSecond == 90)
  }

  @Test func `lost is what DESIGN says`() {
    let kept = Fate.allCases.filter { !$0.isLost }
    #expect(kept == [.answered, .rejected, .closedLongLived])
  }

  @Test func `quantiles are right within their error`() {
    var times = Histogram()
    #expect(times.quantile(0.5) == 0)
    var other = Histogram()
    for value in 1...50_000 { value.isMultiple(of: 2) ? times.add(microseconds: Int64(value)) : other.add(microseconds: Int64(value)) }
    times.merge(other)
    for share in [0.001, 0.01, 0.5, 0.9, 0.99] {
      let exact = share * 50_000
      let found = Double(times.quantile(share))
      #expect(found >= exact && found <= exact * 1.017, "\(share): \(found)")
    }
    #expect(times.quantile(1) == 50_000)
    #expect(times.maximum == 50_000)
    times.add(microseconds: .max / 2)
    #expect(times.maximum == .max / 2)
  }

  @Test func `a record is one JSON object a line`() {
    var lines = RecordLines(epoch: 1000, monotonicStart: 500)
    var finished = request(2, .cut, milliseconds: 3)
    finished.outcome.detail = "a \"quoted\" \\ line\n"
    lines.add(finished)
    lines.add(request(4, .answered, release: "v1"))
    let text = String(buffer: lines.take())
    #expect(
      text == """
        {"start":2000500,"end":5000500,"at":1002,"kind":"get","fate":"cut","status":0,"user":"u2","client":0,"target":0,"reused":false,\
        "detail":"a \\"quoted\\" \\\\ line\\u000a"}
        {"start":4000500,"end":9000500,"at":1004,"kind":"get","fate":"answered","status":200,"user":"u4","client":0,"target":0,"reused":false,\
        "release":"v1","host":"a0"}

        """)
    #expect(lines.readableBytes == 0)
  }
}
