import SluiceModel
import Testing

@testable import SluiceRollout

/// A canary by steps: a share of users at a time, the stable pool whole beside it.
@Suite struct CanaryTests {
  static let user = UserKey(source: .cookie("uid"), absent: .issue, issued: .init(name: "uid"))

  static func policy(_ steps: [CanaryStep], replicas: Int = 4, _ change: (inout ServicePolicy) -> Void = { _ in }) -> ServicePolicy {
    Bench.policy(replicas: replicas) {
      $0.strategy = .canary(Canary(steps: steps, maxSurge: .count(1)))
      $0.route?.user = user
      change(&$0)
    }
  }

  static func released(_ steps: [CanaryStep], replicas: Int = 4, gateways: Int = 1) throws -> Bench {
    try Bench.released(policy(steps, replicas: replicas), slots: 6, gateways: gateways)
  }

  /// The shares that tables gave, in order, without repeats.
  static func shares(_ bench: Bench) -> String {
    bench.events.filter { $0.kind == "split" }.map { String($0.text.split(separator: " gets ")[1].split(separator: ":")[0]) }
      .joined(separator: ", ")
  }

  @Test func `it goes through its steps by time, then replaces the rest`() throws {
    var bench = try Self.released([
      CanaryStep(users: BasisPoints(100), hold: .seconds(60)), CanaryStep(users: BasisPoints(5_000), hold: .seconds(30)),
    ])
    try bench.apply(2)
    bench.run { $0.record.table.content?.split != nil }
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(2) } == 1)
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing } == 4)
    let split = try #require(bench.record.table.content?.split)
    #expect(split.share == BasisPoints(100) && split.release == ReleaseNumber(2) && split.salt == "shop/2")
    bench.run { $0.record.rollout?.gate != nil }
    let began = bench.record.activeTime
    #expect(bench.record.rollout?.gate == .holding(step: 1, .users(BasisPoints(100)), until: began + .seconds(60)))
    bench.run { $0.record.table.content?.split?.share == BasisPoints(5_000) }
    #expect(bench.record.activeTime - began >= .seconds(60))
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(2) && $0.isServing } == 2)
    #expect(bench.record.table.content?.split?.salt == "shop/2")
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(bench.record.instances.map(\.release) == Array(repeating: ReleaseNumber(2), count: 4))
    #expect(bench.record.table.content?.split == nil && bench.record.table.content?.idle == nil)
    #expect(Self.shares(bench) == "1% of users, 50% of users")
  }

  @Test func `no user is sent to a canary that is still starting`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(1_000), hold: .seconds(60))])
    try bench.apply(2)
    while bench.record.rollout?.step?.stage == .filling, let next = bench.open.first {
      for target in bench.record.table.content?.targets ?? [] where target.release == ReleaseNumber(2) {
        #expect(bench.record.table.content?.idle == [ReleaseNumber(2)], "table \(bench.record.table.revision) sends users to \(target)")
      }
      bench.end(next, bench.answer(next))
    }
    #expect(bench.record.rollout?.step?.stage == .recording)
  }

  @Test func `the share is known elsewhere before any gateway is told`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(1_000), hold: .seconds(60))], gateways: 2)
    try bench.apply(2)
    bench.run { $0.record.rollout?.step?.stage == .recording && $0.open.contains { $0.action == .replicate } }
    #expect(bench.record.table.content?.split == nil)
    let copy = try bench.attempt { $0 == .replicate }
    bench.end(copy, .succeeded(.nothing))
    #expect(bench.record.table.content?.split?.share == BasisPoints(1_000))
  }

  @Test func `the time of a step begins when the last gateway has its share`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(1_000), hold: .seconds(60))], gateways: 2)
    try bench.apply(2)
    bench.run { $0.record.table.content?.split != nil }
    let tables = bench.open.filter { isTable($0.action) }
    try #require(tables.count == 2)
    bench.end(tables[0], bench.answer(tables[0]))
    bench.pass(.seconds(100))
    #expect(bench.record.rollout?.step?.since == nil)
    bench.end(tables[1], bench.answer(tables[1]))
    #expect(bench.record.rollout?.step?.since == bench.record.activeTime)
  }

  @Test func `an abort in a step takes users away at once and loses no stable instance`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(5_000), hold: .seconds(60))])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    try bench.command(.abort)
    #expect(bench.record.table.content?.split == nil)
    #expect(bench.record.table.content?.idle == [ReleaseNumber(2)])
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
    #expect(bench.record.instances.map(\.release) == Array(repeating: ReleaseNumber(1), count: 4))
    #expect(bench.record.instances.map(\.number) == [1, 2, 3, 4], "the stable instances are the ones of before")
  }

  @Test func `an abort while the rest is replaced first brings stable back, and moves users as it can carry them`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(2_500))])
    try bench.apply(2)
    bench.run { bench in
      bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing } == 2
        && bench.record.rollout?.audience?.share == .users(BasisPoints(7_500))
    }
    let before = try #require(bench.record.table.content?.split?.share)
    try bench.command(.abort)
    #expect(bench.record.table.content?.split?.share == min(before, BasisPoints(5_000)), "two of four stable ones can carry half")
    var shares: [Int] = []
    bench.run { bench in
      shares.append(bench.record.table.content?.split?.share.value ?? 0)
      return bench.record.rollout == nil
    }
    #expect(shares == shares.sorted(by: >), "users only move back: \(shares)")
    #expect(bench.record.ended?.result == .rolledBack)
    #expect(bench.record.instances.map(\.release) == Array(repeating: ReleaseNumber(1), count: 4))
  }

  @Test func `a step that asks for approval waits for an operator, and promote goes on`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(5_000), approve: true)])
    try bench.apply(2)
    bench.run()
    #expect(bench.record.rollout?.gate == .approval(step: 1, .users(BasisPoints(5_000)), ""))
    bench.pass(.minutes(600))
    #expect(bench.record.rollout?.gate == .approval(step: 1, .users(BasisPoints(5_000)), ""), "no deadline runs at a gate")
    try bench.command(.promote(full: false))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `promote ends a hold early, and before the step is reached it is refused`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(1_000), hold: .minutes(60)), CanaryStep(users: BasisPoints(5_000))])
    try bench.apply(2)
    #expect(throws: Refusal.self) { try bench.command(.promote(full: false)) }
    bench.run { $0.record.rollout?.gate != nil }
    try bench.command(.promote(full: false))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.activeTime < .minutes(60))
  }

  @Test func `promote in full skips the steps, and users follow the capacity`() throws {
    var bench = try Self.released([
      CanaryStep(users: BasisPoints(100), hold: .minutes(60)), CanaryStep(users: BasisPoints(200), approve: true),
    ])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    try bench.command(.promote(full: true))
    var shares: [Int] = []
    bench.run { bench in
      if let share = bench.record.table.content?.split?.share.value, shares.last != share { shares.append(share) }
      return bench.record.rollout == nil
    }
    #expect(shares == [2_500, 5_000, 7_500])
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `promote in full before the first instance serves ends whole too`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(100), hold: .minutes(60))])
    try bench.apply(2)
    try bench.command(.promote(full: true))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(bench.record.instances.map(\.release) == Array(repeating: ReleaseNumber(2), count: 4))
  }

  @Test func `a share by hand gets the instances it needs and waits for the operator`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(100), hold: .minutes(60))])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    try bench.command(.split(BasisPoints(6_000)))
    bench.run { $0.record.rollout?.gate == .approval(step: 1, .users(BasisPoints(6_000)), "") }
    #expect(bench.record.table.content?.split?.share == BasisPoints(6_000))
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(2) && $0.isServing } == 3)
    try bench.command(.split(BasisPoints(300)))
    bench.run { $0.record.table.content?.split?.share == BasisPoints(300) }
    #expect(bench.record.table.content?.split?.salt == "shop/2")
  }

  @Test func `promoted while the host of its only instance is drained, its users find one of it all the while`() throws {
    var bench = try Bench.released(
      Self.policy([CanaryStep(users: BasisPoints(4_000), approve: true)], replicas: 2), racks: 2, slots: 4)
    try bench.apply(2)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    let only = try #require(bench.record.instances.first { $0.release == ReleaseNumber(2) })
    bench.cordon([only.host])
    try bench.command(.promote(full: true))
    bench.run { bench in
      let left = bench.targets(draining: false).contains { bench.record.instance($0)?.release == ReleaseNumber(2) }
      #expect(left, "table \(bench.record.table.revision) leaves none")
      return bench.record.rollout == nil
    }
    #expect(bench.record.ended?.result == .succeeded && !bench.hosts.contains(only.host))
  }

  @Test func `going back while a host of the stable release is drained, what users need of it goes last`() throws {
    var bench = try Bench.released(
      Self.policy([CanaryStep(users: BasisPoints(2_000), approve: true)], replicas: 3), racks: 2, slots: 8)
    try bench.apply(2)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    try bench.command(.promote(full: true))
    bench.run { $0.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing } == 1 && $0.record.rollout?.wave == nil }
    let left = try #require(bench.record.instances.first { $0.release == ReleaseNumber(1) && $0.isServing })
    bench.cordon([left.host])
    try bench.command(.abort)
    bench.run { bench in
      if case .users(let share)? = bench.record.rollout?.audience?.share {
        let stable = bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing }
        #expect(stable * 10_000 >= (10_000 - share.value) * 3 - 3, "\(share) of users remain, and \(stable) of 3 serve the others")
      }
      return bench.record.rollout == nil
    }
    #expect(bench.record.ended?.result == .rolledBack && bench.serving.count == 3 && !bench.hosts.contains(left.host))
  }

  @Test func `a newer release in mid-canary sends the users back before its own steps begin`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(5_000), hold: .minutes(5))])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    try bench.apply(3)
    #expect(bench.record.table.content?.split == nil && bench.record.table.content?.idle == [ReleaseNumber(2)])
    bench.run { $0.record.table.content?.split != nil || $0.record.rollout == nil }
    #expect(bench.record.instances.allSatisfy { $0.release != ReleaseNumber(2) }, "the superseded canary is gone")
    #expect(bench.record.table.content?.split?.salt == "shop/3")
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(bench.record.instances.map(\.release) == Array(repeating: ReleaseNumber(3), count: 4))
  }

  @Test func `a newer release while the rest is replaced restores stable first`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(2_500))])
    try bench.apply(2)
    bench.run { $0.record.instances.count { $0.release == ReleaseNumber(1) } <= 2 }
    try bench.apply(3)
    bench.run { $0.record.instances.contains { $0.release == ReleaseNumber(3) } }
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing } == 4)
    #expect(bench.record.instances.allSatisfy { $0.release != ReleaseNumber(2) })
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `a first release, a scaling, a restart and a rollback go by waves`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(100), approve: true)])
    try bench.command(.scale(5))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 5)
    try bench.command(.restart(instance: nil))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.rollout == nil)
    try bench.apply(2)
    bench.run()
    try bench.command(.promote(full: false))
    bench.run()
    #expect(bench.record.ended?.release == ReleaseNumber(2))
    try bench.command(.rollback(to: nil))
    bench.run()
    #expect(bench.record.ended?.release == ReleaseNumber(1) && bench.record.ended?.result == .succeeded)
  }

  @Test func `scaling in a step grows the stable pool and the canary's`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(5_000), hold: .minutes(5))])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    try bench.command(.scale(6))
    bench.run { $0.record.instances.count(where: \.isServing) == 9 }
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(1) } == 6)
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(2) } == 3)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 6)
  }

  @Test func `a release that supersedes a canary keeps the number it was scaled to`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(5_000), hold: .minutes(5))])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    try bench.command(.scale(6))
    bench.run { $0.record.instances.count(where: \.isServing) == 9 }
    try bench.apply(3)
    bench.run {
      $0.record.rollout?.audience?.share == .users(BasisPoints(5_000)) && $0.record.rollout?.audience?.release == ReleaseNumber(3)
    }
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing } == 6)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 6)
  }

  @Test func `gateways are told to fall back only while stable is whole and a controller is meant to be there`() throws {
    var bench = try Self.released([
      CanaryStep(users: BasisPoints(2_500), hold: .minutes(1)), CanaryStep(users: BasisPoints(5_000), approve: true),
    ])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    #expect(bench.record.table.content?.split?.fallBack == .init(after: .minutes(2), leastTargets: 4))
    let generation = bench.record.table.content?.split?.generation
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    bench.run()
    #expect(bench.record.table.content?.split?.fallBack == nil, "an operator was asked: the controller leaves on purpose")
    #expect(bench.record.table.content?.split?.generation != generation, "the share is another one")
    try bench.command(.promote(full: false))
    bench.run { $0.record.rollout?.step == nil && $0.record.table.content?.split != nil }
    #expect(bench.record.table.content?.split?.fallBack == nil)
  }

  @Test func `where gateways fell back, the step begins again under a new table`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(2_500), hold: .minutes(1))])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    bench.pass(.seconds(50))
    let before = bench.record.table.revision
    let id = GatewayID(gateway: "edge", host: "g1")
    var fact = bench.fact(id)
    fact.fellBack = true
    bench.tell(.gateway(fact))
    #expect(bench.record.table.revision > before && bench.record.rollout?.step?.since == nil)
    #expect(bench.kinds().contains("fell-back"))
    let again = bench.record.activeTime
    bench.run { $0.record.rollout?.step == nil }
    #expect(bench.record.activeTime - again >= .minutes(1))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `a host drained in a step has its instances replaced, each by one of its own release`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(2_500), hold: .minutes(5))])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    let canary = try #require(bench.record.instances.first { $0.release == ReleaseNumber(2) })
    bench.cordon([canary.host])
    bench.settle()
    bench.run { bench in bench.record.instances.allSatisfy { $0.host != canary.host } }
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing } == 4)
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(2) && $0.isServing } == 1)
  }

  @Test func `an older status of the same start of a gateway does not overwrite a newer one`() throws {
    var bench = try Self.released([CanaryStep(users: BasisPoints(2_500), hold: .minutes(5))])
    let id = GatewayID(gateway: "edge", host: "g1")
    func fact(_ sequence: UInt64, healthy: Bool) -> GatewayFact {
      var fact = bench.fact(id)
      fact.boot = "b1"
      fact.sequence = sequence
      fact.targets = fact.targets.map { TargetFact(instance: $0.instance, healthy: healthy) }
      return fact
    }
    let (older, newer, anew) = (fact(7, healthy: false), fact(8, healthy: true), fact(1, healthy: false))
    bench.tell(.gateway(newer))
    bench.tell(.gateway(older))
    #expect(bench.serving.count == 4)
    var restarted = anew
    restarted.boot = "b2"
    bench.tell(.gateway(restarted))
    #expect(bench.serving.isEmpty, "another start counts from one again")
  }
}
