import SluiceModel
import Testing

@testable import SluiceRollout

/// What stands is judged by what it promised, whatever the newest release promises.
@Suite struct TableCheckTests {
  static let first = ReadinessCheck(probe: .tcp)
  static let second = ReadinessCheck(probe: .http(path: "/up", status: 204), interval: .seconds(2))

  /// Applies a release with a check of its own, and gives the checks of every table that was decided on the way.
  static func apply(_ release: Int, _ readiness: ReadinessCheck, _ bench: inout Bench) throws -> [TableContent] {
    let spec = ReleaseSpec(artifact: Digest("artifact"), run: RunSpec(command: ["shop"]), readiness: readiness)
    try bench.command(
      .apply(policy: bench.record.policy, digest: Digest("digest-\(release)"), spec: spec, secrets: "", force: true))
    var tables: [TableContent] = []
    bench.run { bench in
      if let content = bench.record.table.content, content != tables.last { tables.append(content) }
      return false
    }
    return tables
  }

  @Test(
    arguments: [
      .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(0))), .rolling(Rolling()), .blueGreen(BlueGreen(keepOld: .zero)),
      .recreate(Recreate()), .canary(Canary(steps: [CanaryStep(users: BasisPoints(1_000))])),
    ] as [Strategy])
  func `every target of every table is asked what its own release promised, forwards and back`(_ strategy: Strategy) throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 3) {
        $0.strategy = strategy
        $0.route?.user = .standard
      }, slots: 3)
    let promised = { (release: ReleaseNumber) in release == ReleaseNumber(2) ? Self.second : Self.first }
    let forward = try Self.apply(2, Self.second, &bench)
    try #require(bench.record.ended?.result == .succeeded, "\(String(describing: bench.record.rollout))")
    try #require(bench.record.stable?.release == ReleaseNumber(2))
    let back = try Self.apply(1, Self.first, &bench)
    #expect(bench.record.ended?.result == .succeeded)
    for table in forward + back {
      for target in table.targets { #expect(table.check(of: target.release) == promised(target.release), "\(target)") }
    }
    #expect((forward + back).contains { Set($0.targets.map(\.release)).count == 2 } || strategy == .recreate(Recreate()))
    // Where all promise the same, the table says it once.
    #expect(bench.record.table.content?.checks == nil && bench.record.table.content?.readiness == Self.first)
  }

  @Test func `a release that the record has forgotten keeps what the table said of it`() throws {
    var bench = try Bench.released(
      Bench.policy(replicas: 2) { $0.strategy = .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(0))) })
    let spec = ReleaseSpec(artifact: Digest("artifact"), run: RunSpec(command: ["shop"]), readiness: Self.second)
    try bench.command(.apply(policy: bench.record.policy, digest: Digest("digest-2"), spec: spec, secrets: "", force: false))
    bench.run { Set($0.record.table.content?.targets.map(\.release) ?? []).count == 2 }
    let before = try #require(bench.record.table.content?.checks)
    #expect(before == [TableCheck(release: ReleaseNumber(1), readiness: Self.first)])
    bench.record.releases.removeAll { $0.number == ReleaseNumber(1) }
    var decider = Decider(record: bench.record, view: bench.view, wall: WallTime(milliseconds: 0))
    decider.composeTable()
    #expect(decider.record.table.content?.checks == before)
  }
}
