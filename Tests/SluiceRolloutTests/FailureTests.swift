import SluiceModel
import Testing

@testable import SluiceRollout

/// Rule 7 and what belongs to it: what counts, what goes back, what stays.
@Suite struct FailureTests {
  func broken(_ kind: Failure.Kind = .readiness) -> AttemptResult { .failed(Failure(kind, "no answer", output: "boom")) }

  @Test func `a release that never becomes ready is gone from the whole fleet, is marked bad, and is refused without force`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2)
    bench.run { $0.open.contains { isCheck($0.action) } && $0.record.rollout?.waves == 2 }
    let check = try bench.attempt(isCheck)
    bench.end(check, broken())
    #expect(bench.record.rollout?.direction.isForward == false)
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
    #expect(bench.record.ended?.wanted == ReleaseNumber(2) && bench.record.ended?.release == ReleaseNumber(1))
    #expect(bench.record.instances.allSatisfy { $0.release == ReleaseNumber(1) && $0.isServing })
    #expect(throws: Refusal.self) { try bench.apply(2) }
    try bench.apply(2, force: true)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `a first release that fails leaves nothing behind`() throws {
    var bench = Bench(Bench.policy())
    bench.take(epoch: 1)
    try bench.apply(1)
    bench.run { $0.open.contains { isCheck($0.action) } }
    bench.end(try bench.attempt(isCheck), broken(.start))
    bench.run()
    #expect(bench.record.ended?.result == .failed)
    #expect(bench.record.instances.isEmpty)
    #expect(bench.record.stable == nil)
  }

  @Test func `a dead host condemns no release`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2)
    bench.run { $0.open.contains { isStart($0.action) } }
    let start = try bench.attempt(isStart)
    let host = try #require(start.action.host)
    bench.tell(.hostUnreachable(host, "no route"))
    #expect(bench.record.rollout?.direction.isForward == false)
    bench.run()
    let release = try #require(bench.record.release(ReleaseNumber(2)))
    #expect(release.status == .candidate)
  }

  @Test func `within the budget a lost host ends as degraded on the others`() throws {
    var bench = try Bench.released(
      Bench.policy {
        $0.failureBudget = .count(1)
        $0.strategy = .rolling(Rolling(maxUnavailable: .count(2), maxSurge: .count(0)))
      }, slots: 1)
    bench.tell(.hostUnreachable("c1", "no route"))
    try bench.apply(2)
    bench.run()
    #expect(bench.record.ended?.result == .degraded)
    #expect(bench.record.instances.filter(\.isServing).map(\.release) == [ReleaseNumber(2), ReleaseNumber(2)])
  }

  @Test func `a port that something else has taken is tried elsewhere, and speaks against nobody`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2)
    bench.run { $0.open.contains { isStart($0.action) } }
    let start = try bench.attempt(isStart)
    guard case .start(let host, let number) = start.action else { return }
    let port = try #require(bench.record.instance(number)?.port)
    bench.end(start, broken(.portTaken))
    #expect(bench.record.rollout?.direction.isForward == true)
    #expect(bench.record.rollout?.failures.isEmpty == true)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(!bench.record.instances.contains { $0.host == host && $0.port == port && $0.release == ReleaseNumber(2) })
  }

  @Test func `ports that are always taken end a rollout after a bounded number of tries, and the release is not blamed`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 1))
    try bench.apply(2)
    var tries = 0
    for _ in 0..<200 where bench.record.rollout != nil {
      bench.run { $0.open.contains { isStart($0.action) } }
      guard bench.record.rollout?.direction.isForward == true, let start = bench.open.first(where: { isStart($0.action) }) else { break }
      tries += 1
      bench.end(start, broken(.portTaken))
    }
    #expect(tries == 6)
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
    #expect(bench.record.badReleases.isEmpty && bench.record.past?.map(\.number) == [ReleaseNumber(2)])
  }

  @Test func `an automatic rollback keeps new secrets where the release changed, and the old ones where only they did`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 1) { $0.strategy = .recreate(Recreate()) })
    try bench.apply(2, secrets: "s2")
    bench.run { $0.open.contains { isCheck($0.action) } }
    bench.end(try bench.attempt(isCheck), broken())
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
    #expect(bench.record.instances.map(\.secrets) == ["s2"])
    #expect(bench.record.stable?.secrets == "s2")

    bench = try Bench.released(Bench.policy(replicas: 1) { $0.strategy = .recreate(Recreate()) })
    try bench.apply(1, secrets: "wrong")
    bench.run { $0.open.contains { isCheck($0.action) } }
    bench.end(try bench.attempt(isCheck), broken())
    bench.run()
    #expect(bench.record.instances.map(\.secrets) == [""])
    #expect(bench.record.stable?.secrets == "")
  }

  @Test func `a rollout that had no room to begin leaves the secrets as they stand, and nothing to settle`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2, secrets: "new") { $0.placement.require = ["disk": "ssd"] }
    bench.run()
    #expect(bench.record.ended?.result == .failed)
    #expect(bench.record.stable?.secrets == "")
    try bench.command(.settle(cause: "drain", overrideFloor: false))
    #expect(bench.record.rollout == nil)
  }

  @Test(arguments: [(4, 4, 4), (40, 3, 3)])
  func `a scale once the last wave is over is still carried out, or dropped where there is no room`(
    wanted: Int, serving: Int, replicas: Int
  ) throws {
    var bench = try Bench.released(Bench.policy { $0.hooks = [.rolledBack: "tell"] })
    try bench.apply(2)
    bench.run { $0.record.rollout?.waves == 1 }
    try bench.command(.abort)
    bench.run { $0.open.contains { isHook($0.action) } }
    try #require(bench.record.rollout?.stage == .closing)
    try bench.command(.scale(wanted))
    bench.run()
    #expect(bench.record.rollout == nil)
    #expect(bench.serving.count == serving)
    #expect(bench.record.stable?.replicas == replicas)
  }

  @Test func `going back is by the manifest that the old release stood under`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2) { $0.placement.require = ["disk": "ssd"] }
    bench.run()
    #expect(bench.record.rollout == nil)
    #expect(bench.record.ended?.result == .failed)
    #expect(bench.record.policy.placement.require == [:])
    #expect(bench.serving == [1, 2, 3])
  }

  @Test func `aborting a scale puts the number back too`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.command(.scale(5))
    bench.run { $0.open.contains { isStart($0.action) } }
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.scale == nil)
    #expect(bench.serving.count == 3)
    #expect(bench.record.stable?.replicas == 3)
  }

  @Test func `a scale in mid-rollback stands when the rollback has ended`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2)
    bench.run { $0.record.rollout?.waves == 2 }
    try bench.command(.abort)
    try bench.command(.scale(4))
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
    #expect(bench.serving.count == 4)
    #expect(bench.record.stable?.replicas == 4)
  }

  @Test func `a rollout that is superseded leaves no attempt whose outcome the next one could take for its own`() throws {
    var bench = try Bench.released(Bench.policy { $0.hooks = [.preWave: "hook"] })
    try bench.apply(2)
    bench.run { $0.open.contains { isHook($0.action) } }
    let hook = try bench.attempt(isHook)
    try bench.apply(3)
    #expect(!bench.record.attempts.contains { $0.id == hook.id })
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(bench.record.instances.allSatisfy { $0.release == ReleaseNumber(3) })
  }

  @Test func `no wave runs before its hook has said yes, also while another hook only tells somebody`() throws {
    var bench = try Bench.released(Bench.policy { $0.hooks = [.failed: "tell", .preWave: "decide"] })
    try bench.apply(2)
    bench.run { $0.record.rollout?.waves == 2 }
    try bench.command(.pause)
    bench.run { $0.open.contains { isCheck($0.action) } }
    bench.end(try bench.attempt(isCheck), broken())
    bench.sent = []
    // The `failed` hook hangs.
    for _ in 0..<200 {
      guard let next = bench.open.first(where: { if case .hook = $0.action { false } else { true } }) else { break }
      bench.end(next, bench.answer(next))
    }
    #expect(!bench.sent.contains(where: isStart))
  }

  @Test func `a hook that hangs ends with the progress deadline: it fails the rollout when it decides, and nothing when it only tells`()
    throws
  {
    var bench = try Bench.released(Bench.policy { $0.hooks = [.preDeploy: "decide", .postDeploy: "tell"] })
    try bench.apply(2)
    bench.run { $0.open.contains { isHook($0.action) } }
    let hook = try bench.attempt(isHook)
    bench.pass(.minutes(10))
    #expect(bench.record.ended?.result == .failed)
    #expect(bench.serving.count == 3)
    #expect(!bench.record.attempts.contains { $0.id == hook.id })

    bench = try Bench.released(Bench.policy { $0.hooks = [.postDeploy: "tell"] })
    try bench.apply(2)
    bench.run { $0.open.contains { isHook($0.action) } }
    bench.pass(.minutes(10))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    #expect(bench.kinds().contains("hook-failed"))
  }

  @Test func `a hook that hangs is not waited for where the rollout stops to ask`() throws {
    var bench = try Bench.released(
      Bench.policy {
        $0.hooks = [.preWave: "hook"]
        $0.onFailure = .pause
      })
    try bench.apply(2)
    bench.run { $0.open.contains { isHook($0.action) } }
    bench.pass(.minutes(10))
    #expect(bench.record.rollout?.stoppedBy != nil)
    #expect(bench.record.attempts.isEmpty)
    // It is due again when an operator says so.
    try bench.command(.retry)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `a pause does not wait for a hook that hangs`() throws {
    var bench = try Bench.released(Bench.policy { $0.hooks = [.preDeploy: "hook"] })
    try bench.apply(2)
    bench.run { $0.open.contains { isHook($0.action) } }
    try bench.command(.pause)
    bench.pass(.minutes(10))
    #expect(bench.record.rollout?.direction != .forward)
    #expect(!bench.record.attempts.contains { isHook($0.action) })
  }

  @Test func `nor does one for a hook that only tells`() throws {
    var bench = try Bench.released(Bench.policy { $0.hooks = [.failed: "tell"] })
    try bench.apply(2)
    bench.run { $0.open.contains { isCheck($0.action) } }
    bench.end(try bench.attempt(isCheck), .failed(Failure(.readiness, "status 500")))
    #expect(bench.open.contains { isHook($0.action) })
    try bench.command(.pause)
    for _ in 0..<20 {
      guard let next = bench.open.first(where: { !isHook($0.action) }) else { break }
      bench.end(next, bench.answer(next))
    }
    #expect(bench.record.rollout?.gate == .paused(by: "anna"))
    bench.pass(.minutes(10))
    #expect(bench.kinds().contains("hook-failed") && bench.record.rollout?.hooks.isEmpty == true)
    #expect(!bench.record.attempts.contains { isHook($0.action) }, "it is not run again and again")
  }

  @Test func `an instance that no gateway reaches condemns its release only when its host is there`() throws {
    for answers in [true, false] {
      var bench = try Bench.released(Bench.policy())
      try bench.apply(2)
      bench.unhealthy = [4]
      bench.run { $0.phase(4).map { if case .warming(.some) = $0 { true } else { false } } ?? false && $0.open.isEmpty }
      bench.pass(.seconds(10))
      for _ in 0..<4 {
        guard let look = bench.open.first(where: \.action.looksOnly) else { break }
        bench.end(look, answers ? bench.answer(look) : .unreachable("no route"))
        bench.pass(.seconds(5))
      }
      let isBad = if case .bad? = bench.record.release(ReleaseNumber(2))?.status { true } else { false }
      #expect(bench.record.rollout?.direction.isForward == false)
      #expect(isBad == answers)
    }
  }
}
