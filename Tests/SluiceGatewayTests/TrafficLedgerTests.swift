import NIOCore
@testable import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

/// Generations that come and go, without a clock.
@Suite struct TrafficLedgerTests {
  static func plan(_ generation: UInt64) -> SplitPlan {
    SplitPlan(
      RouteTable.Split(
        share: .whole, salt: "s", generation: revision(generation), user: TestGateway.byHeader, userWindow: .seconds(1)))
  }

  static func revision(_ version: UInt64) -> Revision { Revision(epoch: 1, version: version) }

  static func end(_ traffic: SplitTraffic?, _ side: SplitRule.Side = .canary, user: UInt32 = 7, failed: Bool = false, tick: Int) {
    traffic?.ended(side, SideTraffic.End(user: user, failed: failed, spilled: false, microseconds: 300), tick: tick)
  }

  @Test func `a service that never had a split tells of none`() {
    var ledger = TrafficLedger()
    #expect(ledger.turn(to: nil, tick: 0) == nil)
    #expect(ledger.tally == nil)
  }

  @Test func `what ends later counts in its own generation, and in the sum for good`() throws {
    var ledger = TrafficLedger()
    let first = ledger.turn(to: Self.plan(1), tick: 0)
    Self.end(first, tick: 0)
    let second = ledger.turn(to: Self.plan(2), tick: 100)
    #expect(ledger.turn(to: Self.plan(2), tick: 110) === second)
    Self.end(first, .stable, tick: 120)
    Self.end(second, failed: true, tick: 120)
    var tally = try #require(ledger.tally)
    #expect(tally.generations.map(\.revision) == [Self.revision(1), Self.revision(2)])
    #expect(tally.generations[0].counts.canary.traffic.requests == 1 && tally.generations[0].counts.stable.traffic.requests == 1)
    #expect(tally.generations[1].counts.canary.traffic.failures == 1)
    #expect(tally.all.canary.traffic.requests == 2 && tally.all.stable.traffic.requests == 1)
    ledger.forget(tick: 100 + TrafficLedger.keptTicks - 1)
    #expect(ledger.tally?.generations.count == 2)
    ledger.forget(tick: 100 + TrafficLedger.keptTicks)
    _ = ledger.turn(to: nil, tick: 5_000)
    ledger.forget(tick: 5_000 + TrafficLedger.keptTicks)
    tally = try #require(ledger.tally)
    #expect(tally.generations.isEmpty)
    #expect(tally.all.canary.traffic.requests == 2 && tally.all.stable.traffic.requests == 1)
    #expect(tally.all.canary.microseconds == 600)
  }

  @Test func `a generation that comes back soon goes on where it was`() {
    var ledger = TrafficLedger()
    let first = ledger.turn(to: Self.plan(1), tick: 0)
    _ = ledger.turn(to: nil, tick: 10)
    #expect(ledger.turn(to: Self.plan(1), tick: 20) === first)
    ledger.forget(tick: 100_000)
    #expect(ledger.tally?.generations.map(\.revision) == [Self.revision(1)])
  }

  @Test func `a user counts once in a window on each side, and a request without a key each time`() {
    let traffic = SplitTraffic(generation: Self.revision(1), windowTicks: 10)
    for tick in [0, 3, 9, 10, 19] { Self.end(traffic, tick: tick) }
    Self.end(traffic, .stable, tick: 19)
    for _ in 0..<3 {
      traffic.ended(.stable, SideTraffic.End(user: nil, failed: true, spilled: false, microseconds: 1), tick: 19)
    }
    let counts = traffic.counts
    #expect(counts.canary.traffic.requests == 5 && counts.canary.traffic.exposures == 2)
    #expect(counts.stable.traffic.requests == 4 && counts.stable.traffic.exposures == 4 && counts.stable.traffic.failedExposures == 3)
    #expect(counts.canary.traffic.latency.total == 5)
  }
}

@Suite struct TrafficStreamTests {
  static let shop = ServiceName("shop")
  static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

  static func tally(_ generations: [(UInt64, requests: Int)]) -> SplitTally {
    var tally = SplitTally()
    for (version, requests) in generations {
      var counts = SplitCounts()
      counts.canary.traffic.requests = requests
      tally.generations.append(.init(revision: TrafficLedgerTests.revision(version), counts: counts))
    }
    return tally
  }

  @Test func `only what has changed is news, unless everything is asked for`() {
    var stream = TrafficStream()
    stream.follow(Self.shop, TrafficLedgerTests.revision(1), now: Self.start)
    func news(_ requests: Int, all: Bool = false) -> [Int] {
      stream.news(Self.shop, Self.tally([(1, requests)]), all: all).map(\.canary.requests)
    }
    #expect(news(0) == [0])
    #expect(news(0) == [])
    #expect(news(4) == [4])
    #expect(news(4) == [])
    #expect(news(4, all: true) == [4])
    #expect(news(5, all: true) == [5])
    #expect(news(5) == [])
  }

  @Test func `a generation that has gone is told of for two minutes, and one that nobody asked for never`() {
    var stream = TrafficStream()
    stream.follow(Self.shop, TrafficLedgerTests.revision(1), now: Self.start)
    stream.follow(Self.shop, TrafficLedgerTests.revision(2), now: Self.start + .seconds(10))
    stream.follow(Self.shop, nil, now: Self.start + .seconds(20))
    stream.follow("other", nil, now: Self.start)
    func told(_ seconds: Int64) -> [UInt64] {
      guard stream.told(now: Self.start + .seconds(seconds)) == [Self.shop] else { return [] }
      return stream.news(Self.shop, Self.tally([(2, 1), (1, 1), (9, 1)]), all: true).map(\.generation.version)
    }
    #expect(told(129) == [1, 2])
    #expect(told(130) == [2])
    #expect(told(139) == [2])
    #expect(told(140) == [])
  }
}
