import SluiceModel
import Testing

@testable import SluiceRollout

/// A command that is run once for a release, before its first wave.
@Suite struct TaskTests {
  static let migrate = ReleaseTask(command: ["shop", "migrate"])
  static let second = ReleaseNumber(2)

  private func applied(_ task: ReleaseTask, _ change: (inout ServicePolicy) -> Void = { _ in }) throws -> (Bench, Attempt) {
    var bench = try Bench.released(Bench.policy(change))
    try bench.apply(2, task: task)
    bench.run { $0.open.contains { isTask($0.action) } }
    return (bench, try bench.attempt(isTask))
  }

  private func runs(_ bench: Bench) -> Int { bench.sent.count(where: isTask) }

  @Test func `it runs once, on one host, before anything is started, and others know where`() throws {
    var (bench, attempt) = try applied(Self.migrate)
    #expect(attempt.action == .task("a1", Self.second, number: 1))
    let before = bench.sent.prefix { !isTask($0) }
    #expect(before.last == .replicate && !before.contains(where: isStart) && before.contains(where: isStage))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && runs(bench) == 1)
    #expect(bench.record.release(Self.second)?.task?.stage == .done)
    // Neither going back nor coming again runs one.
    try bench.command(.rollback(to: nil))
    bench.run()
    try bench.apply(2, task: Self.migrate)
    bench.run()
    #expect(bench.record.stable?.release == Self.second && runs(bench) == 1)
  }

  @Test func `a failed one turns the rollout round before anything was replaced, and is tried again with the release`() throws {
    var (bench, attempt) = try applied(Self.migrate)
    bench.end(attempt, .failed(Failure(.task, "a1: shop migrate exited with status 1")))
    bench.run()
    #expect(bench.record.ended?.result == .failed && bench.record.ended?.reason.contains("exited with status 1") == true)
    #expect(!bench.sent.contains(where: isStart) && bench.record.badReleases.isEmpty)
    try bench.apply(2, task: Self.migrate)
    bench.run { $0.open.contains { isTask($0.action) } }
    #expect(try bench.attempt(isTask).action == .task("a1", Self.second, number: 2))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `without an instance to come it has no host, and the rollout fails in words`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2, task: Self.migrate) { $0.replicas = 0 }
    bench.run()
    #expect(bench.record.ended?.result == .failed && runs(bench) == 0)
    #expect(bench.record.ended?.reason.contains("has no host to run on") == true)
    #expect(bench.serving == [1, 2, 3])
  }

  @Test func `a controller that comes after asks for the same run, on the same host`() throws {
    var (bench, attempt) = try applied(Self.migrate)
    bench.take(epoch: 2)
    bench.run { $0.open.contains { isTask($0.action) } }
    #expect(try bench.attempt(isTask).action == attempt.action)
    bench.end(attempt, .succeeded(.nothing))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `one that was cut off waits for the operator, who runs it again`() throws {
    var (bench, attempt) = try applied(Self.migrate)
    bench.end(attempt, .failed(Failure(.interrupted, "a1: shop migrate was cut off")))
    #expect(bench.record.rollout?.gate == .task(Self.second, "a1", "a1: shop migrate was cut off"))
    #expect(bench.open.isEmpty)
    try bench.command(.retry)
    bench.run { $0.open.contains { isTask($0.action) } }
    #expect(try bench.attempt(isTask).action == .task("a1", Self.second, number: 2))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `or takes it as done`() throws {
    var (bench, attempt) = try applied(Self.migrate)
    bench.end(attempt, .failed(Failure(.interrupted, "a1: shop migrate was cut off")))
    try bench.command(.promote(full: false))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && runs(bench) == 1)
  }

  @Test func `where it may, it is run again by itself, three times in all`() throws {
    var task = Self.migrate
    task.onInterrupted = .rerun
    var (bench, _) = try applied(task)
    for number in 1...3 {
      bench.run { $0.open.contains { isTask($0.action) } }
      let attempt = try bench.attempt(isTask)
      #expect(attempt.action == .task("a1", Self.second, number: number))
      bench.end(attempt, .failed(Failure(.interrupted, "a1: cut off")))
    }
    #expect(bench.record.rollout?.gate == .task(Self.second, "a1", "a1: cut off"))
  }

  @Test func `a host that is lost meanwhile leaves it in doubt: it is run nowhere else`() throws {
    var (bench, attempt) = try applied(Self.migrate) { $0.failureBudget = .count(2) }
    bench.end(attempt, .unreachable("no route"))
    bench.run(steps: 1) { $0.open.contains { isTask($0.action) } }
    if let again = bench.open.first(where: { isTask($0.action) }) { bench.end(again, .unreachable("no route")) }
    guard case .task(Self.second, "a1", let why)? = bench.record.rollout?.gate else {
      Issue.record("no gate but \(String(describing: bench.record.rollout?.gate))")
      return
    }
    #expect(why.contains("no route"))
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.ended != nil && bench.record.stable?.release == ReleaseNumber(1))
    #expect(runs(bench) == 2, "it was run elsewhere")
  }

  @Test func `a long one is no lack of progress`() throws {
    var task = Self.migrate
    task.timeout = .minutes(60)
    var (bench, attempt) = try applied(task)
    for _ in 0..<59 { bench.pass(.minutes(1)) }
    #expect(bench.record.rollout?.direction.isForward == true)
    bench.end(attempt, .succeeded(.nothing))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test(arguments: [false, true]) func `one that cannot be undone is not begun where faults leave no way to the end`(irreversible: Bool)
    throws
  {
    var task = Self.migrate
    task.irreversible = irreversible
    var bench = try Bench.released(Bench.policy { $0.failureBudget = .count(2) }, hostsPerRack: 2, slots: 1)
    // There is a place for the instance that is lost, and none for those that follow.
    bench.cordon(["b1", "b2"])
    for host: HostName in ["c1", "c2"] { bench.tell(.hostUnreachable(host, "no route")) }
    try bench.apply(2, task: task)
    bench.run()
    #expect(runs(bench) == (irreversible ? 0 : 1))
    #expect(bench.record.noWayBack == nil)
  }

  @Test func `after one that cannot be undone there is no way back, and a newer release is the way on`() throws {
    var task = Self.migrate
    task.irreversible = true
    var (bench, attempt) = try applied(task)
    #expect(throws: Refusal.self) { try bench.command(.abort) }
    bench.end(attempt, .succeeded(.nothing))
    bench.run { $0.open.contains { isCheck($0.action) } }
    bench.end(try bench.attempt(isCheck), .failed(Failure(.readiness, "never ready", remedy: "look at its log")))
    guard case .failed(let failure)? = bench.record.rollout?.gate else {
      Issue.record("no gate but \(String(describing: bench.record.rollout?.gate))")
      return
    }
    #expect(failure.message.contains("never ready") && failure.message.contains("cannot be undone"))
    #expect(failure.remedy.hasPrefix("look at its log; or ") && failure.remedy.hasSuffix("sluice apply"))
    // An abort is not offered, for it would be refused.
    #expect(bench.record.nextStep == "sluice rollout retry shop, or mend it with a newer release: sluice apply")
    #expect(bench.serving.count == 3)
    try bench.apply(3)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.stable?.release == ReleaseNumber(3))
    for verb in [Command.Verb.rollback(to: ReleaseNumber(1))] { #expect(throws: Refusal.self) { try bench.command(verb) } }
    #expect(throws: Refusal.self) { try bench.apply(1) }
    try bench.apply(1, force: true)
    bench.run()
    #expect(bench.record.stable?.release == ReleaseNumber(1))
  }

  @Test func `whoever goes on from a copy that was made before it began does not go back: it may have run`() throws {
    var task = Self.migrate
    task.irreversible = true
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2, task: task)
    bench.run { $0.open.contains { $0.action == .replicate } }
    var copy = bench
    #expect(bench.record.noWayBack == nil, "who has not sent it knows that it has not run")
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.ended?.result == .failed)
    copy.take(epoch: 2)
    #expect(throws: Refusal.self) { try copy.command(.abort) }
    copy.run()
    #expect(copy.record.ended?.result == .succeeded && runs(copy) == 1)
  }
}
