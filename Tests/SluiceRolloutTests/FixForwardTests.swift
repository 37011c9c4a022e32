import SluiceModel
import Testing

@testable import SluiceRollout

/// The fix for an outage goes out as a canary, while the stable release is dead.
@Suite struct FixForwardTests {
  private static let gateway = GatewayID(gateway: "edge", host: "g1")

  private static func canary(_ steps: [CanaryStep] = [CanaryStep(users: BasisPoints(2_000), approve: true)]) throws -> Bench {
    var bench = try CanaryTests.released(steps, replicas: 2)
    bench.unhealthy = [1, 2]
    for number in [1, 2] { bench.ended[number] = Downtime(isTriedAgain: false, end: EndedFact(.unsupervised)) }
    bench.takeAgain()
    try bench.apply(2)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    return bench
  }

  /// Every table that is decided names somebody for each of its sides.
  private static func checkTable(_ bench: Bench) {
    guard let content = bench.record.table.content, let split = content.split else { return }
    let others = content.targets.contains { $0.release != split.release && !$0.draining && !(content.idle?.contains($0.release) ?? false) }
    #expect(others, "table \(bench.record.table.revision) splits users, and nobody serves those it leaves")
  }

  @Test func `it begins, and says that nobody answers the others`() throws {
    let bench = try Self.canary()
    #expect(bench.record.table.content?.split?.share == BasisPoints(2_000))
    #expect(bench.kinds().contains("stable-down"))
    #expect(bench.record.rollout?.gate?.description.contains("no instance of the stable release @1 serves") == true)
  }

  @Test(arguments: [true, false])
  func `promoted, it gets all users as soon as the others' pool is gone, and ends whole`(_ full: Bool) throws {
    var bench = try Self.canary()
    try bench.command(.promote(full: full))
    var shares: [Int?] = []
    bench.run { bench in
      Self.checkTable(bench)
      shares.append(bench.record.table.content?.split?.share.value)
      return bench.record.rollout == nil
    }
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 2)
    #expect(bench.record.instances.allSatisfy { $0.release == ReleaseNumber(2) })
    #expect(shares.last == .some(nil))
  }

  @Test func `aborted, the stable release comes up again before the canary goes`() throws {
    var bench = try Self.canary()
    try bench.command(.abort)
    bench.run { bench in
      Self.checkTable(bench)
      #expect(!bench.serving.isEmpty, "somebody serves all the while")
      return bench.record.rollout == nil
    }
    #expect(bench.record.ended?.result == .rolledBack && bench.record.ended?.byOperator == true)
    #expect(bench.record.instances.map(\.release) == [ReleaseNumber(1), ReleaseNumber(1)] && bench.serving.count == 2)
  }

  @Test func `aborted after the old ones have gone, all users stay with the new release until the stable one serves`() throws {
    var bench = try Self.canary()
    try bench.command(.promote(full: true))
    bench.run { $0.record.table.content?.split == nil && $0.record.instances.contains { $0.release == ReleaseNumber(2) && $0.isServing } }
    try bench.command(.abort)
    bench.run { bench in
      Self.checkTable(bench)
      let stable = bench.record.instances.contains { $0.release == ReleaseNumber(1) && $0.isServing }
      if !stable { #expect(bench.record.table.content?.split == nil, "nobody is sent to what does not serve") }
      return bench.record.rollout == nil
    }
    #expect(bench.record.ended?.result == .rolledBack && bench.serving.count == 2)
  }

  @Test func `where the stable release does not come up, going back stops at a gate and the canary goes on serving`() throws {
    var bench = try Self.canary()
    try bench.command(.abort)
    for _ in 0..<12 {
      bench.run { $0.open.contains { isCheck($0.action) } || $0.record.rollout?.stoppedBy != nil }
      guard bench.record.rollout?.stoppedBy == nil else { break }
      let check = try bench.attempt(isCheck)
      bench.end(check, .failed(Failure(.start, "the database is away")))
    }
    bench.run()
    guard case .failed(let failure)? = bench.record.rollout?.gate else {
      Issue.record("it waits at \(String(describing: bench.record.rollout?.gate))")
      return
    }
    #expect(failure.message == "the database is away")
    #expect(bench.record.instances.contains { $0.release == ReleaseNumber(2) && $0.isServing })
    try bench.apply(3)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    #expect(bench.record.instances.contains { $0.release == ReleaseNumber(3) && $0.isServing }, "a newer fix supersedes it")
  }

  @Test func `an abort ends where the stable release is as sick as it was, once nothing of the new one is left`() throws {
    var bench = try CanaryTests.released([CanaryStep(users: BasisPoints(2_000), approve: true)], replicas: 2)
    bench.unhealthy = [1, 2]
    bench.takeAgain()
    try bench.apply(2)
    bench.unhealthy.insert(3)
    bench.run { $0.record.instance(3)?.phase != .reserved }
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.rollout == nil, "it waits at \(String(describing: bench.record.rollout?.gate))")
    #expect(bench.record.instances.map(\.number) == [1, 2])
  }

  @Test func `a fix that supersedes one of which nothing is left gets its users, also where the stable release is dead`() throws {
    var bench = try Bench.released(
      CanaryTests.policy([CanaryStep(users: BasisPoints(2_000), approve: true)], replicas: 1), slots: 6)
    bench.unhealthy = [1]
    bench.ended[1] = Downtime(isTriedAgain: false, end: EndedFact(.unsupervised))
    bench.takeAgain()
    try bench.apply(2)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    bench.unhealthy.insert(2)
    try bench.apply(3)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    #expect(bench.record.rollout?.audience?.release == ReleaseNumber(3))
    #expect(bench.record.table.content?.split?.release == ReleaseNumber(3), "its step begins")
  }

  @Test func `where the stable release has too few, the users of a superseded canary go straight to the new one`() throws {
    var bench = try CanaryTests.released([CanaryStep(users: BasisPoints(2_000), approve: true)], replicas: 2)
    try bench.apply(2)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    bench.unhealthy = [1]
    bench.ended[1] = Downtime(isTriedAgain: false, end: EndedFact(.exited, exitStatus: 0))
    bench.takeAgain()
    try bench.apply(3)
    var served: [Int] = []
    bench.run { bench in
      served.append(bench.serving.count)
      if case .approval? = bench.record.rollout?.gate { return true }
      return false
    }
    #expect(served.allSatisfy { $0 >= 2 }, "the floor is kept: \(served)")
    #expect(bench.record.table.content?.split?.release == ReleaseNumber(3) && bench.record.rollout?.audience?.salt == "shop/3")
    bench.run(steps: 20)
    #expect(bench.record.instances.allSatisfy { $0.release != ReleaseNumber(2) }, "the superseded canary goes then")
  }

  @Test func `a canary that has stopped goes on when it is promoted in full`() throws {
    var bench = try Bench.released(
      CanaryTests.policy([CanaryStep(users: BasisPoints(2_000), approve: true)], replicas: 2) { $0.onFailure = .pause }, slots: 6)
    try bench.apply(2)
    bench.run { $0.open.contains { isCheck($0.action) } }
    for _ in 0..<8 {
      guard bench.record.rollout?.stoppedBy == nil, let check = bench.open.first(where: { isCheck($0.action) }) else { break }
      bench.end(check, .failed(Failure(.start, "the licence server is away")))
      bench.run { $0.open.contains { isCheck($0.action) } || $0.record.rollout?.stoppedBy != nil }
    }
    #expect(bench.record.rollout?.gate?.description.contains("the licence server is away") == true)
    for verb in [Command.Verb.promote(full: false), .split(BasisPoints(1_000))] {
      let refusal = #expect(throws: Refusal.self) { try bench.command(verb) }
      #expect(refusal?.message.contains("has stopped: ") == true && refusal?.remedy.contains("sluice rollout retry") == true)
    }
    try bench.command(.promote(full: true))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 2)
    #expect(bench.record.instances.allSatisfy { $0.release == ReleaseNumber(2) })
  }

  @Test func `promoted in full with room for one more only, a fix that supersedes a canary goes on all the same`() throws {
    let task = ReleaseTask(command: ["migrate"], irreversible: true)
    var bench = try Bench.released(
      CanaryTests.policy([CanaryStep(users: BasisPoints(5_000), approve: true)], replicas: 2) {
        $0.ports = PortRange(from: 8080, to: 8080)
      }, hostsPerRack: 2, slots: 1)
    try bench.apply(2, task: task)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    try #require(bench.record.instances.count { $0.release == ReleaseNumber(2) } == 1)
    // The way back is closed, and one of the old ones is gone with its host.
    let lost = try #require(bench.record.instances.first { $0.release == ReleaseNumber(1) })
    bench.cordon([lost.host])
    bench.end(lost.number)
    try bench.apply(3)
    bench.run()
    if bench.record.rollout != nil {
      try bench.command(.promote(full: true))
      bench.run()
    }
    #expect(bench.record.rollout == nil, "\(String(describing: bench.record.rollout?.gate))")
    #expect(bench.record.instances.allSatisfy { $0.release == ReleaseNumber(3) } && bench.serving.count == 2)
  }

  @Test func `what a wave takes away from beside a superseded canary is not counted as what can take over its users`() throws {
    let task = ReleaseTask(command: ["migrate"], irreversible: true)
    var bench = try Bench.released(
      CanaryTests.policy([CanaryStep(users: BasisPoints(5_000), approve: true)], replicas: 3), racks: 3, slots: 5)
    try bench.apply(2, task: task)
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    let away = try #require(bench.record.instances.first { $0.release == ReleaseNumber(1) }).host
    bench.tell(.hostUnreachable(away, "no route"))
    try bench.apply(3)
    bench.run(steps: 50)
    try bench.command(.promote(full: true))
    var moves = 0
    bench.run { bench in
      if bench.record.rollout != nil { #expect(!bench.record.serving.isEmpty, "users are sent to somebody") }
      guard let audience = bench.record.rollout?.audience, audience.release == ReleaseNumber(2), case .users(let share) = audience.share
      else { return bench.record.rollout == nil }
      let others = bench.record.instances.count { $0.release != ReleaseNumber(2) && $0.isServing && $0.condemned == nil }
      #expect(others * 10_000 >= (10_000 - share.value) * 3 - 3, "\(share) of users remain, and \(others) of 3 serve the others")
      moves += 1
      return false
    }
    #expect(moves > 0 && bench.record.rollout == nil && bench.record.ended?.release == ReleaseNumber(3))
  }
}
