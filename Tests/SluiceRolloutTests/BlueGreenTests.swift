import SluiceModel
import Testing

@testable import SluiceRollout

/// A whole second pool, one flip, and one step back.
@Suite struct BlueGreenTests {
  static func released(
    replicas: Int = 3, gateways: Int = 1, slots: Int = 4,
    _ blueGreen: BlueGreen = BlueGreen(preview: ["preview.shop"], keepOld: .minutes(10))
  ) throws -> Bench {
    try Bench.released(Bench.policy(replicas: replicas) { $0.strategy = .blueGreen(blueGreen) }, slots: slots, gateways: gateways)
  }

  private static func isFlipped(_ bench: Bench) -> Bool { bench.record.table.content?.idle == [ReleaseNumber(1)] }

  @Test func `the new pool is whole and seen by its preview only, then gets all users at once`() throws {
    var bench = try Self.released()
    try bench.apply(2)
    bench.run { $0.record.instances.count { $0.release == ReleaseNumber(2) && $0.isServing } == 3 }
    #expect(bench.record.table.content?.idle == [ReleaseNumber(2)])
    #expect(bench.record.table.content?.preview == TablePreview(hosts: ["preview.shop"], release: ReleaseNumber(2)))
    bench.run(until: Self.isFlipped)
    #expect(bench.record.table.content?.preview == nil)
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing } == 3, "the old pool is kept")
    bench.run { if case .holding? = $0.record.rollout?.gate { true } else { false } }
    let flipped = bench.record.activeTime
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.activeTime - flipped >= .minutes(10))
    #expect(bench.record.instances.map(\.release) == Array(repeating: ReleaseNumber(2), count: 3))
    #expect(bench.record.table.content?.idle == nil)
  }

  @Test func `the decision to flip is known elsewhere before the first gateway is told, and rolls forward`() throws {
    var bench = try Self.released(gateways: 2)
    try bench.apply(2)
    bench.run { $0.record.rollout?.step?.index == 1 && $0.record.rollout?.step?.stage == .recording && !$0.open.isEmpty }
    #expect(!Self.isFlipped(bench))
    let copy = try bench.attempt { $0 == .replicate }
    bench.end(copy, .succeeded(.nothing))
    #expect(Self.isFlipped(bench))
    // The controller dies when one of two gateways has it: the next one gives it to the other.
    let tables = bench.open.filter { isTable($0.action) }
    try #require(tables.count == 2)
    bench.end(tables[0], bench.answer(tables[0]))
    bench.take(epoch: 2)
    #expect(Self.isFlipped(bench))
    bench.run { if case .holding? = $0.record.rollout?.gate { true } else { false } }
    let revisions = bench.record.gateways.map(\.revision)
    #expect(revisions == [bench.record.table.revision, bench.record.table.revision])
  }

  @Test func `while a gateway has not acknowledged the flip both pools stay`() throws {
    var bench = try Self.released(gateways: 2, BlueGreen(keepOld: .zero))
    try bench.apply(2)
    bench.run(until: Self.isFlipped)
    let late = GatewayID(gateway: "edge", host: "g2")
    bench.silent = [late]
    bench.tell(.gatewayUnreachable(late, "no route"))
    bench.run(steps: 200)
    #expect(
      bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing }
        + bench.record.instances.count { $0.release == ReleaseNumber(1) } >= 3)
    #expect(bench.sent.allSatisfy { !isStop($0) })
    #expect(bench.record.rollout?.gate == .gatewayUnreachable(late, "no route"))
  }

  @Test func `going back while the old pool is kept is one table`() throws {
    var bench = try Self.released()
    try bench.apply(2)
    bench.run { if case .holding? = $0.record.rollout?.gate { true } else { false } }
    try bench.command(.rollback(to: nil))
    #expect(bench.record.table.content?.idle == [ReleaseNumber(2)], "all users are back on the old pool by the table of this very moment")
    #expect(bench.open.contains { isTable($0.action) })
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
    #expect(bench.record.instances.map(\.number) == [1, 2, 3])
  }

  @Test func `a host that is drained while both pools stand fails nothing: what it has of the old one goes with the old one`() throws {
    var bench = try Self.released()
    try bench.apply(2)
    bench.run { $0.record.instances.count { $0.release == ReleaseNumber(2) && $0.isServing } == 3 && $0.open.isEmpty }
    let host = try #require(bench.record.instances.first { $0.release == ReleaseNumber(1) }).host
    bench.cordon([host])
    try bench.command(.settle(cause: "drain", overrideFloor: false))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded, "\(bench.events.map(\.text))")
    #expect(bench.record.instances.map(\.release) == Array(repeating: ReleaseNumber(2), count: 3))
    #expect(!bench.record.instances.contains { $0.host == host })
  }

  @Test(arguments: [(8, 7), (3, 1), (2, 5)])
  func `a release with another number of replicas has both pools whole beside each other`(_ before: Int, _ after: Int) throws {
    var bench = try Self.released(replicas: before, slots: 8)
    try bench.apply(2) { $0.replicas = after }
    bench.run { $0.record.instances.count { $0.release == ReleaseNumber(2) && $0.isServing } == after }
    #expect(bench.record.instances.count { $0.release == ReleaseNumber(1) && $0.isServing } == before)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded, "\(bench.events.map(\.text))")
    #expect(bench.record.instances.map(\.release) == Array(repeating: ReleaseNumber(2), count: after))
  }

  @Test func `promote ends the time for which the old pool is kept`() throws {
    var bench = try Self.released()
    try bench.apply(2)
    bench.run { if case .holding? = $0.record.rollout?.gate { true } else { false } }
    try bench.command(.promote(full: false))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.activeTime < .minutes(5))
  }

  @Test func `with approval nobody is moved before an operator says so`() throws {
    var bench = try Self.released(BlueGreen(approve: true, keepOld: .zero))
    try bench.apply(2)
    bench.run()
    #expect(bench.record.rollout?.gate == .approval(step: 1, .nobody, ""))
    #expect(bench.record.table.content?.idle == [ReleaseNumber(2)])
    try bench.command(.promote(full: false))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `an instance that fails in the new pool costs users nothing`() throws {
    var bench = try Self.released()
    try bench.apply(2)
    bench.run { $0.open.contains { isCheck($0.action) } }
    let check = try bench.attempt(isCheck)
    bench.end(check, .failed(Failure(.readiness, "no answer")))
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
    #expect(bench.record.instances.map(\.number) == [1, 2, 3])
    #expect(bench.record.badReleases.map(\.why) == ["no answer"])
  }

  @Test func `without room for a second pool it does not begin`() throws {
    var bench = try Self.released(replicas: 3, slots: 1)
    try bench.apply(2)
    bench.run()
    #expect(bench.record.ended?.result == .failed)
    #expect(bench.sent.allSatisfy { !isStart($0) })
  }

  @Test func `a rollback after the end is another flip, without questions`() throws {
    var bench = try Self.released(BlueGreen(approve: true, keepOld: .zero))
    try bench.apply(2)
    bench.run()
    try bench.command(.promote(full: false))
    bench.run()
    try #require(bench.record.ended?.release == ReleaseNumber(2))
    try bench.command(.rollback(to: nil))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.ended?.release == ReleaseNumber(1))
  }

  @Test(arguments: [true, false])
  func `promoted in full, what supersedes a flipped release serves beside what the stable one has left`(isHostLost: Bool) throws {
    var bench = try Self.released(slots: 5)
    try bench.apply(2) { $0.failureBudget = .count(9) }
    bench.run(until: Self.isFlipped)
    if isHostLost {
      let away = try #require(bench.record.instances.first { $0.release == ReleaseNumber(1) }).host
      bench.tell(.hostUnreachable(away, "no route"))
    }
    try bench.apply(3)
    bench.run(steps: 30)
    if bench.record.rollout?.step != nil { try bench.command(.promote(full: true)) }
    bench.run { bench in
      let served = bench.record.serving.count
      if bench.record.rollout != nil { #expect(served >= 2, "\(served) serve: \(bench.record.instances.map(\.phase))") }
      return bench.record.rollout == nil
    }
    #expect(bench.record.ended?.release == ReleaseNumber(3), "\(bench.events.map(\.text))")
    #expect(bench.record.instances.allSatisfy { $0.release == ReleaseNumber(3) || $0.isLost })
  }
}
