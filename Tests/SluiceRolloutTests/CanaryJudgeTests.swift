import SluiceModel
import SluiceTraffic
import Testing

@testable import SluiceRollout

/// A canary that is judged by what its users meet.
@Suite struct CanaryJudgeTests {
  private static let analysis = Analysis(
    minRequests: 200, maxErrorRate: BasisPoints(1_000), versusStable: Analysis.ErrorComparison(errorRatio: 1.5))
  private static let canary = ReleaseNumber(2)

  /// Two gateways, and a canary that holds its first of two steps.
  private func held(_ change: (inout CanaryStep) -> Void = { _ in }) throws -> Bench {
    var first = CanaryStep(users: BasisPoints(1_000), hold: .seconds(60), maxHold: .minutes(10))
    change(&first)
    let steps = [first, CanaryStep(users: BasisPoints(5_000), hold: .seconds(60))]
    let policy = CanaryTests.policy(steps) {
      guard case .canary(var canary) = $0.strategy else { return }
      canary.analysis = Self.analysis
      $0.strategy = .canary(canary)
    }
    var bench = try Bench.released(policy, slots: 6, gateways: 2)
    try bench.apply(2)
    bench.run { bench in
      if case .holding? = bench.record.rollout?.gate { true } else { false }
    }
    return bench
  }

  /// What a gateway has counted since the split began.
  private func report(_ bench: inout Bench, _ canary: Int, failed: Int, stable: Int = 4_000, gateway: Int = 0, boot: String = "a") throws {
    let generation = try #require(bench.record.table.content?.split?.generation)
    func traffic(_ requests: Int, _ failed: Int) -> ReleaseTraffic {
      ReleaseTraffic(
        requests: requests, failures: failed, exposures: requests, failedExposures: failed,
        latency: LatencyHistogram(counts: Array(repeating: 0, count: 40) + [requests]))
    }
    bench.tell(
      .traffic(
        TrafficFact(
          gateway: bench.record.gateways[gateway].id, boot: boot, generation: generation, canary: traffic(canary, failed),
          stable: traffic(stable, stable / 100))))
  }

  @Test func `errors of its users take it back at once, in the middle of a hold, and mark it bad`() throws {
    var bench = try held()
    try report(&bench, 60, failed: 20)
    #expect(bench.record.rollout?.direction.isForward == false)
    #expect(bench.record.rollout?.audience?.share == .nobody)
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack && bench.record.ended?.judgement?.verdict == .fail)
    #expect(bench.record.ended?.reason.contains("analysis") == true)
    #expect(bench.record.badReleases.map(\.number) == [Self.canary])
  }

  @Test func `errors that one gateway tells twice count once`() throws {
    var bench = try held()
    for _ in 0..<50 { try report(&bench, 30, failed: 2) }
    #expect(bench.record.rollout?.analysis?.whole.canary.failures == 2)
    #expect(bench.record.rollout?.direction.isForward == true)
  }

  @Test func `too little traffic is no verdict: it waits, then asks, and never passes by itself`() throws {
    var bench = try held()
    try report(&bench, 20, failed: 0)
    bench.pass(.seconds(61))
    guard case .analysis(step: 1, _, until: let end)? = bench.record.rollout?.gate else {
      Issue.record("no gate but \(String(describing: bench.record.rollout?.gate))")
      return
    }
    bench.pass(end - bench.record.activeTime - .seconds(1))
    #expect(bench.record.rollout?.gate == .analysis(step: 1, .users(BasisPoints(1_000)), until: end))
    bench.pass(.seconds(2))
    // From here on nobody may be there: gateways keep to what was decided.
    bench.run { $0.open.isEmpty }
    #expect(bench.record.table.content?.split?.fallBack == nil)
    guard case .approval(step: 1, _, let why)? = bench.record.rollout?.gate else {
      Issue.record("no gate but \(String(describing: bench.record.rollout?.gate))")
      return
    }
    #expect(why.contains("no verdict"))
    bench.pass(.minutes(600))
    #expect(bench.record.rollout?.step?.index == 0)
    try bench.command(.promote(full: false))
    bench.run { $0.record.rollout?.step?.index == 1 }
    #expect(bench.record.rollout?.step?.index == 1)
  }

  @Test func `enough good answers end the step when its time is over, not before; the next one must earn its own`() throws {
    var bench = try held()
    try report(&bench, 5_000, failed: 40)
    #expect(bench.record.rollout?.step?.index == 0)
    bench.pass(.seconds(61))
    bench.run { $0.record.rollout?.gate != nil && $0.record.rollout?.step?.index == 1 }
    #expect(bench.record.rollout?.step?.index == 1 && bench.record.rollout?.analysis?.step.canary.requests == 0)
    bench.pass(.seconds(61))
    guard case .analysis(step: 2, _, _)? = bench.record.rollout?.gate else {
      Issue.record("no gate but \(String(describing: bench.record.rollout?.gate))")
      return
    }
  }

  @Test func `after a gap in control no step passes until every gateway has told what it counted meanwhile`() throws {
    var bench = try held()
    for gateway in 0...1 { try report(&bench, 5_000, failed: 40, gateway: gateway) }
    bench.take(epoch: 2)
    bench.pass(.seconds(120))
    bench.run { if case .analysis? = $0.record.rollout?.gate { true } else { false } }
    #expect(bench.record.rollout?.step?.index == 0)
    try report(&bench, 5_100, failed: 41, gateway: 0)
    #expect(bench.record.rollout?.step?.index == 0)
    try report(&bench, 5_100, failed: 41, gateway: 1)
    #expect(bench.record.rollout?.step?.index == 1)
  }

  @Test func `nor does an operator's word pass it before the gap was judged`() throws {
    var bench = try held { $0.approve = true }
    try report(&bench, 300, failed: 1)
    bench.take(epoch: 2)
    try bench.command(.promote(full: false))
    bench.run { $0.open.isEmpty }
    #expect(bench.record.rollout?.step?.index == 0)
    let unheard = GatewayID(gateway: "edge", host: "g1")
    #expect(bench.record.rollout?.gate == .counts(step: 1, unheard), "it waits for counts, not for a verdict")
    #expect(bench.record.rollout?.gate?.endsByTime == false, "whoever waits for a gateway that is gone is told after a while")
    try report(&bench, 400, failed: 60, stable: 5_000)
    #expect(bench.record.rollout?.direction.isForward == false)
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
  }

  @Test func `what was counted under the share before says nothing of this one's time`() throws {
    var bench = try held()
    try report(&bench, 5_000, failed: 40)
    bench.pass(.seconds(61))
    bench.run { $0.record.rollout?.step?.index == 1 && $0.record.rollout?.step?.stage == .filling }
    try report(&bench, 5_400, failed: 43)
    bench.run { $0.record.rollout?.step?.since != nil }
    #expect(bench.record.rollout?.analysis?.step.canary.requests == 0 && bench.record.rollout?.analysis?.whole.canary.requests == 5_400)
  }

  @Test func `while stable cannot carry all, it is taken back as far as stable can`() throws {
    var bench = try held()
    bench.unhealthy = Set(bench.record.instances.filter { $0.release == ReleaseNumber(1) }.map(\.number).dropFirst())
    for state in bench.record.gateways { bench.tell(.gateway(bench.fact(state.id))) }
    try report(&bench, 60, failed: 20)
    #expect(bench.record.rollout?.direction.isForward == false)
    #expect(bench.record.carriesUsers(Self.canary), "one stable instance was left to carry all users")
    // Stable was not well: nobody knows whose fault the errors were.
    #expect(bench.record.release(Self.canary)?.status == .candidate)
    bench.unhealthy = []
    for state in bench.record.gateways { bench.tell(.gateway(bench.fact(state.id))) }
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
  }

  @Test func `who would rather be asked than go back is asked, and a retry drops the evidence`() throws {
    var bench = try held()
    bench.record.policy.onFailure = .pause
    try report(&bench, 60, failed: 20)
    guard case .failed? = bench.record.rollout?.gate else {
      Issue.record("no gate but \(String(describing: bench.record.rollout?.gate))")
      return
    }
    try bench.command(.retry)
    #expect(bench.record.rollout?.analysis?.whole == SplitTraffic())
    try report(&bench, 100, failed: 21)
    #expect(bench.record.rollout?.direction.isForward == true && bench.record.rollout?.stoppedBy == nil)
  }

  // MARK: Checks

  private static let smoke = AnalysisCheck(
    name: "smoke", kind: .command(["smoke"], directory: "/"), interval: .seconds(10), count: 3, failureLimit: 1)

  private func isCheck(_ action: Action) -> Bool { action == .check("smoke", step: 0) }

  @Test func `a check is asked again and again; the step ends when it passed often enough, and its time is over`() throws {
    var bench = try held { $0.analysis = Analysis(minRequests: 0, checks: [Self.smoke]) }
    for asked in 1...3 {
      #expect(bench.sent.count { isCheck($0) } == asked)
      bench.end(try bench.attempt(isCheck), .succeeded(.nothing))
      bench.pass(.seconds(10))
    }
    #expect(bench.record.rollout?.step?.index == 0, "60 s are not over")
    bench.end(try bench.attempt(isCheck), .inDoubt("cut off"))
    #expect(bench.record.rollout?.analysis?.checks.first?.failed == 0)
    bench.pass(.seconds(40))
    bench.run { $0.record.rollout?.step?.index == 1 }
    #expect(bench.record.rollout?.step?.index == 1)
    #expect(!bench.open.contains { isCheck($0.action) }, "a step that has ended asks nothing more")
  }

  @Test func `one that fails more often than it may takes the canary back`() throws {
    var bench = try held { $0.analysis = Analysis(minRequests: 0, checks: [Self.smoke]) }
    bench.end(try bench.attempt(isCheck), .failed(Failure(.check, "exited with status 1")))
    #expect(bench.record.rollout?.direction.isForward == true)
    bench.pass(.seconds(10))
    bench.end(try bench.attempt(isCheck), .failed(Failure(.check, "exited with status 2")))
    #expect(bench.record.rollout?.direction.isForward == false)
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack && bench.record.ended?.reason.contains("exited with status 2") == true)
  }

  @Test func `blue-green asks its checks on the preview, before any user is moved`() throws {
    let policy = Bench.policy(replicas: 2) {
      $0.strategy = .blueGreen(BlueGreen(preview: ["preview"], keepOld: .seconds(30), checks: [Self.smoke]))
    }
    var bench = try Bench.released(policy, slots: 6)
    try bench.apply(2)
    for _ in 1...3 {
      bench.run { $0.open.contains { isCheck($0.action) } }
      #expect(bench.record.rollout?.audience?.share == .nobody)
      bench.end(try bench.attempt(isCheck), .succeeded(.nothing))
    }
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.stable?.release == Self.canary)
  }

  @Test func `a share by hand waits for the operator's word alone, whatever few have met it`() throws {
    var bench = try held()
    try bench.command(.split(.zero))
    bench.run { if case .approval? = $0.record.rollout?.gate { true } else { false } }
    #expect(bench.record.rollout?.gate == .approval(step: 1, .users(.zero), ""))
  }
}
