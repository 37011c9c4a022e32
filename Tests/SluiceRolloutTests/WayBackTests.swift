import Foundation
import SluiceModel
import Testing

@testable import SluiceRollout

/// Where a rollback goes, with what it ends, and which releases are kept for it.
@Suite struct WayBackTests {
  private func released(_ last: Int) throws -> Bench {
    var bench = try Bench.released(Bench.policy())
    for release in 2...last { try reach(release, &bench) }
    return bench
  }

  private func reach(_ release: Int, _ bench: inout Bench, force: Bool = false) throws {
    try bench.apply(release, force: force)
    bench.run()
    try #require(bench.record.ended?.result == .succeeded)
  }

  private func fail(_ release: Int, _ bench: inout Bench) throws {
    try bench.apply(release)
    bench.run { $0.open.contains { isCheck($0.action) } }
    let check = try bench.attempt(isCheck)
    bench.end(check, .failed(Failure(.start, "it ends at once")))
    bench.run()
    try #require(bench.record.ended?.result == .rolledBack)
  }

  private func back(_ bench: inout Bench, to: Int? = nil, marksBad: Bool? = nil) throws -> Int? {
    try bench.command(.rollback(to: to.map { ReleaseNumber($0) }, marksBad: marksBad))
    bench.run()
    try #require(bench.record.ended?.result == .succeeded)
    return bench.record.stable?.release?.number
  }

  @Test func `one rollback after another goes on to the release before`() throws {
    var bench = try released(3)
    #expect(try back(&bench) == 2)
    #expect(bench.record.previous == ReleaseNumber(1))
    #expect(try back(&bench) == 1)
    #expect(bench.record.previous == nil)
    #expect(throws: Refusal.self) { try bench.command(.rollback(to: nil)) }
    #expect(try back(&bench, to: 3) == 3, "forward again by its number")
    #expect(bench.record.previous == ReleaseNumber(1), "the release before is the one that it came from")
  }

  @Test func `a release that follows a rollback goes back to where it came from`() throws {
    var bench = try released(3)
    #expect(try back(&bench) == 2)
    try reach(4, &bench)
    #expect(try back(&bench) == 2)
    #expect(try back(&bench) == 1)
  }

  @Test func `a record of before the way was kept goes back by the releases' numbers`() throws {
    var bench = try released(3)
    #expect(try back(&bench) == 2)
    (bench.record.way, bench.record.past, bench.record.nextRelease) = (nil, nil, nil)
    bench.record.previous = ReleaseNumber(3)
    let text = String(decoding: try JSONEncoder().encode(bench.record), as: UTF8.self)
    #expect(!text.contains("\"way\"") && !text.contains("\"nextRelease\""))
    bench.record = try JSONDecoder().decode(ServiceRecord.self, from: Data(text.utf8))
    #expect(try back(&bench) == 1)
  }

  @Test func `the release that is left can be marked bad, so that its digest is refused`() throws {
    var bench = try released(2)
    #expect(try back(&bench, marksBad: true) == 1)
    #expect(throws: Refusal.self) { try bench.apply(2) }
    #expect(bench.record.badReleases.map(\.why) == ["rolled back by anna"])
    try reach(2, &bench, force: true)
    #expect(bench.record.stable?.release == ReleaseNumber(2) && bench.record.badReleases.isEmpty)
  }

  @Test func `in mid-rollout it marks the release that was under way`() throws {
    var bench = try released(2)
    try bench.apply(3)
    bench.run { $0.record.rollout?.waves == 1 }
    try bench.command(.rollback(to: nil, marksBad: true))
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack && bench.record.ended?.byOperator == true)
    #expect(throws: Refusal.self) { try bench.apply(3) }
  }

  @Test func `releases that fail push none that succeeded out, and leave number, digest and verdict`() throws {
    var bench = try released(3)
    for release in 4...12 { try fail(release, &bench) }
    #expect(bench.record.releases.map(\.number.number) == [1, 2, 3])
    #expect(bench.record.badReleases.map(\.number.number) == Array(4...12))
    #expect(throws: Refusal.self) { try bench.apply(7) }
    try reach(7, &bench, force: true)
    #expect(bench.record.stable?.release == ReleaseNumber(7), "it keeps its number")
    try reach(13, &bench)
    #expect(bench.record.stable?.release == ReleaseNumber(13), "no number is given twice")
    #expect(try back(&bench, to: 1) == 1)
  }

  @Test func `five that succeeded are kept, and no more verdicts than fifty`() throws {
    var bench = try released(8)
    #expect(bench.record.releases.map(\.number.number) == [4, 5, 6, 7, 8])
    #expect(bench.record.keptDigests.map(\.rawValue) == [8, 7, 6, 5, 4].map { "digest-\($0)" })
    for release in 9...65 { try fail(release, &bench) }
    #expect(bench.record.badReleases.map(\.number.number) == Array(16...65))
    #expect(bench.record.keptDigests.count == 5)
    #expect(bench.record.hosts.count == 3 && bench.record.backoffs.isEmpty && bench.record.commands.count <= 64)
  }

  @Test func `with a dead host it ends on the wanted release, degraded`() throws {
    var bench = try released(2)
    let dead = HostName("a1")
    bench.take(epoch: 2)
    bench.unhealthy = Set(bench.record.instances.filter { $0.host == dead }.map(\.number))
    bench.tell(.hostUnreachable(dead, "no route"))
    bench.tell(.gateway(bench.fact(GatewayID(gateway: "edge", host: "g1"))))
    try bench.command(.rollback(to: nil))
    bench.run()
    #expect(bench.record.ended?.result == .degraded && bench.record.ended?.release == ReleaseNumber(1))
    #expect(bench.record.instances.allSatisfy { $0.isLost || $0.release == ReleaseNumber(1) && $0.isServing })
  }

  @Test func `with a host that dies on the way it ends so too, and what fails on a host that is there turns it round`() throws {
    for dies in [true, false] {
      var bench = try released(2)
      try bench.command(.rollback(to: nil))
      bench.run { $0.open.contains { isCheck($0.action) } }
      let check = try bench.attempt(isCheck)
      if dies {
        bench.tell(.hostUnreachable(check.action.host ?? "a1", "no route"))
      } else {
        bench.end(check, .failed(Failure(.start, "it ends at once")))
      }
      bench.run()
      #expect(bench.record.ended?.result == (dies ? .degraded : .rolledBack))
      #expect(bench.record.ended?.release == ReleaseNumber(dies ? 1 : 2) && bench.record.ended?.byOperator == nil)
    }
  }
}
