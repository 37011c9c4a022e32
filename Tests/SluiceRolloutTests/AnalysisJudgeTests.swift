import SluiceModel
import SluiceTraffic
import Testing

@testable import SluiceRollout
@testable import sluice_bench

/// The rules: what passes, what fails, what waits, and in which words.
@Suite struct AnalysisJudgeTests {
  static let comparing = Analysis(minRequests: 200, versusStable: Analysis.ErrorComparison(), userWindow: .zero)

  /// A side of which `slow` requests took 2 s, and the others 10 ms.
  private func side(_ requests: Int, failed: Int = 0, slow: Int = 0, exposures: Int? = nil, spilled: Int = 0) -> ReleaseTraffic {
    var counts = [Int](repeating: 0, count: LatencyHistogram.bucketCount)
    counts[LatencyHistogram.bucket(microseconds: 10_000)] = requests - slow
    counts[LatencyHistogram.bucket(microseconds: 2_000_000)] = slow
    return ReleaseTraffic(
      requests: requests, failures: failed, exposures: exposures ?? requests, failedExposures: failed, spilled: spilled,
      latency: LatencyHistogram(counts: counts))
  }

  private func state(_ analysis: Analysis, canary: ReleaseTraffic, stable: ReleaseTraffic) -> AnalysisState {
    var state = AnalysisState(for: analysis)
    state.take(
      gateway: GatewayID(gateway: "edge", host: "g1"), boot: "a", generation: Revision(epoch: 1, version: 1), canary: canary,
      stable: stable)
    return state
  }

  private func judge(_ analysis: Analysis, canary: ReleaseTraffic, stable: ReleaseTraffic) -> Judgement {
    let state = state(analysis, canary: canary, stable: stable)
    let judgement = state.judge(analysis)
    #expect(state.verdict(analysis) == judgement.verdict, "the verdict without words is another one")
    return judgement
  }

  // MARK: The verdict as a whole

  @Test func `one failed rule fails, all must pass to pass, all else waits`() {
    func verdict(_ verdicts: [Verdict]) -> Verdict {
      Judgement(verdicts.map { Finding(.minRequests, $0, canary: Tally(0, of: 0), text: "") }).verdict
    }
    #expect(verdict([.pass, .pass]) == .pass)
    #expect(verdict([.pass, .inconclusive]) == .inconclusive)
    #expect(verdict([.inconclusive, .fail, .pass]) == .fail)
  }

  @Test func `what is not asked has no finding`() {
    let bare = Analysis(minRequests: 10)
    #expect(judge(bare, canary: side(10), stable: side(0)).findings.map(\.rule) == [.minRequests])
    #expect(judge(bare, canary: side(10), stable: side(0)).verdict == .pass)
  }

  // MARK: minRequests

  @Test func `before minRequests nothing passes, and the finding says how many are missing`() throws {
    let judgement = judge(Self.comparing, canary: side(57), stable: side(5_700))
    #expect(judgement.verdict == .inconclusive)
    let comparison = "canary: 0 of 57 failed (0 %), stable: 0 of 5 700 (0 %): E = 1 < 100 (α = 1 %), tolerated ratio 1.5"
    #expect(
      judgement.findings.map(\.text) == ["canary: needs 200 requests, has 57", comparison + "; needs 200 requests, has 57"])
  }

  @Test func `requests of one user within the window count once, and the finding says so`() {
    var analysis = Self.comparing
    analysis.userWindow = .seconds(1)
    let judgement = judge(analysis, canary: side(5_000, exposures: 150), stable: side(9_000))
    #expect(judgement.findings[0].verdict == .inconclusive)
    #expect(judgement.findings[0].text == "canary: needs 200 requests, has 150 (5 000 in all: what a user asks within 1s counts once)")
  }

  // MARK: versusStable

  @Test func `a canary that fails far more often than stable fails, and the finding shows the numbers`() throws {
    let judgement = judge(Self.comparing, canary: side(1_034, failed: 12), stable: side(98_120, failed: 31))
    #expect(judgement.verdict == .fail)
    let finding = try #require(judgement.findings.first { $0.rule == .versusStable })
    #expect(finding.verdict == .fail)
    #expect(finding.canary == Tally(12, of: 1_034))
    #expect(finding.stable == Tally(31, of: 98_120))
    #expect(
      finding.text
        == "canary: 12 of 1 034 failed (1.16 %), stable: 31 of 98 120 (0.0316 %): E = 5.6e9 ≥ 100 (α = 1 %), tolerated ratio 1.5")
  }

  @Test func `requests that found no healthy instance of the canary are named`() throws {
    let judgement = judge(Self.comparing, canary: side(400, failed: 300, spilled: 290), stable: side(4_000))
    #expect(judgement.verdict == .fail)
    let start = "canary: 300 of 400 failed (75 %), 290 requests found no healthy instance of it, stable: 0 of 4 000 (0 %): E = "
    #expect(judgement.findings[1].text.hasPrefix(start))
  }

  @Test func `a flawless canary passes with minRequests, and not one request sooner`() {
    #expect(judge(Self.comparing, canary: side(199), stable: side(1_800)).verdict == .inconclusive)
    let judgement = judge(Self.comparing, canary: side(200), stable: side(1_800))
    #expect(judgement.verdict == .pass)
    #expect(
      judgement.findings[1].text
        == "canary: 0 of 200 failed (0 %), stable: 0 of 1 800 (0 %): E = 1 < 100 (α = 1 %), tolerated ratio 1.5")
  }

  @Test func `a canary with failures passes when more requests have shown that they are few`() throws {
    let early = judge(Self.comparing, canary: side(200, failed: 2), stable: side(1_800, failed: 18))
    #expect(early.verdict == .inconclusive)
    #expect(
      early.findings[1].text
        == "canary: 2 of 200 failed (1 %), stable: 18 of 1 800 (1 %): E = 0.23 < 100 (α = 1 %), tolerated ratio 1.5; "
        + "its rate may be as high as 5.62 %, needs more requests to show that it is at most 3.78 %")
    #expect(judge(Self.comparing, canary: side(800, failed: 8), stable: side(7_200, failed: 72)).verdict == .pass)
  }

  @Test func `a canary under suspicion does not pass`() throws {
    // Four failures in 1 500 are within the margin, but stable has hardly any.
    let judgement = judge(Self.comparing, canary: side(1_500, failed: 4), stable: side(13_500, failed: 3))
    #expect(judgement.verdict == .inconclusive)
    let finding = judgement.findings[1]
    #expect(try #require(finding.logEvidence) > 2.4)
    #expect(finding.text.hasSuffix("under suspicion while E ≥ 10"))
  }

  @Test func `whoever asks for more requests asks for a finer proof`() {
    var fine = Self.comparing
    fine.minRequests = 2_000
    // The same share of failures: enough for a margin of 200 requests, too many for one of 2 000.
    #expect(judge(Self.comparing, canary: side(2_000, failed: 20), stable: side(2_000, failed: 20)).verdict == .pass)
    #expect(judge(fine, canary: side(2_000, failed: 20), stable: side(2_000, failed: 20)).verdict == .inconclusive)
  }

  @Test func `evidence of an earlier step still fails the canary, and its requests pass no later one`() {
    var state = state(Self.comparing, canary: side(1_000, failed: 4), stable: side(9_000, failed: 5))
    state.beginStep()
    #expect(state.judge(Self.comparing).verdict == .inconclusive)
    state.take(
      gateway: GatewayID(gateway: "edge", host: "g1"), boot: "a", generation: Revision(epoch: 1, version: 1),
      canary: side(1_300, failed: 12), stable: side(12_000, failed: 6))
    #expect(state.judge(Self.comparing).verdict == .fail)
  }

  @Test(arguments: [(0, 200), (0.001, 300), (0.01, 500)])
  func `a healthy canary gets its pass in reasonable time`(_ rate: Double, _ bound: Int) throws {
    var random = SplitMix64(seed: 21)
    let trial = PassTrial(share: 0.1, stableRate: rate, canaryRate: rate, analysis: Self.comparing, runs: 60, random: &random)
    #expect(trial.aborts <= 1)
    #expect(try #require(Waits(trial.passes).quantile(0.5)) <= bound)
  }

  @Test func `a canary that fails five times as often does not get it`() {
    var random = SplitMix64(seed: 22)
    let trial = PassTrial(share: 0.1, stableRate: 0.01, canaryRate: 0.05, analysis: Self.comparing, runs: 60, random: &random)
    #expect(trial.aborts >= 58)
  }

  // MARK: maxErrorRate

  @Test func `a bound on the error rate fails with confidence, not at the first failure`() throws {
    let analysis = Analysis(minRequests: 200, maxErrorRate: BasisPoints(100), userWindow: .zero)
    // 10 % of ten requests, and 1.5 % of two hundred: over the bound, and no evidence.
    #expect(judge(analysis, canary: side(10, failed: 1), stable: side(0)).verdict == .inconclusive)
    let waiting = judge(analysis, canary: side(200, failed: 3), stable: side(0))
    #expect(waiting.verdict == .inconclusive)
    #expect(
      waiting.findings[1].text
        == "canary: 3 of 200 failed (1.5 %), at most 1 %: E = 0.46 < 100 (α = 1 %); needs more requests to tell")
    #expect(judge(analysis, canary: side(200, failed: 2), stable: side(0)).verdict == .pass)
    let failed = judge(analysis, canary: side(200, failed: 14), stable: side(0))
    #expect(failed.verdict == .fail)
    #expect(failed.findings[1].text == "canary: 14 of 200 failed (7 %), at most 1 %: E = 1.1e6 ≥ 100 (α = 1 %)")
  }

  // MARK: p99

  @Test func `a bound on the latency fails when more than one in a hundred is surely slower`() {
    let analysis = Analysis(minRequests: 200, p99: Analysis.LatencyLimit(max: Milliseconds(400)), userWindow: .zero)
    #expect(judge(analysis, canary: side(200, slow: 2), stable: side(0)).verdict == .pass)
    #expect(judge(analysis, canary: side(200, slow: 3), stable: side(0)).verdict == .inconclusive)
    let failed = judge(analysis, canary: side(200, slow: 14), stable: side(0))
    #expect(failed.verdict == .fail)
    #expect(failed.findings[1].text == "canary: 14 of 200 (7 %) took longer than 400ms, at most 1 % may: E = 1.1e6 ≥ 100 (α = 1 %)")
  }

  @Test func `against stable's latency, stable must have shown its own first`() {
    let analysis = Analysis(minRequests: 200, p99: Analysis.LatencyLimit(versusStable: 1.3), userWindow: .zero)
    let early = judge(analysis, canary: side(300, slow: 200), stable: side(300))
    #expect(early.verdict == .inconclusive)
    #expect(early.findings[1].text == "stable: its p99 is not known yet: needs at least 653 requests, has 300")
    let late = judge(analysis, canary: side(300, slow: 30), stable: side(3_000))
    #expect(late.verdict == .fail)
    #expect(late.findings[1].text.contains("took longer than 13.3ms (1.3 × stable's p99), at most 1 % may"))
    #expect(judge(analysis, canary: side(300, slow: 3), stable: side(3_000)).verdict == .pass)
    // Stable is as slow: its p99 lies at 2 s.
    #expect(judge(analysis, canary: side(300, slow: 30), stable: side(3_000, slow: 300)).verdict == .pass)
  }

  @Test func `against stable's latency, half of α is kept for the doubt about stable's own p99`() throws {
    let analysis = Analysis(minRequests: 200, p99: Analysis.LatencyLimit(versusStable: 1.3), userWindow: .zero)
    let finding = judge(analysis, canary: side(300, slow: 30), stable: side(3_000)).findings[1]
    let whole = ShareTest.logEvidence(above: 0.01, Tally(30, of: 300))
    #expect(abs(try #require(finding.logEvidence) - (whole - Elementary.log(2))) < 1e-12)
    // Stable's p99 as measured is 10 ms; 25 slow ones of 3 000 do not yet show that it is below 2 s. The canary neither fails nor passes.
    let doubtful = judge(analysis, canary: side(300, slow: 30), stable: side(3_000, slow: 25))
    #expect(doubtful.verdict == .inconclusive)
    #expect(doubtful.findings[1].text.hasSuffix("needs more requests to tell"))
  }

  @Test func `just enough requests of stable's make its p99 known`() {
    let analysis = Analysis(minRequests: 1, p99: Analysis.LatencyLimit(versusStable: 1.3), userWindow: .zero)
    let needed = ShareTest.flawless(below: 0.01, alpha: 0.005)
    #expect(judge(analysis, canary: side(1), stable: side(needed - 1)).verdict == .inconclusive)
    #expect(judge(analysis, canary: side(1), stable: side(needed)).verdict == .pass)
  }

  @Test func `a canary as slow as stable is seldom failed, though both percentiles are measured`() {
    var random = SplitMix64(seed: 5)
    let analysis = Analysis(minRequests: 200, p99: Analysis.LatencyLimit(versusStable: 1), userWindow: .zero)
    var failed = 0
    for _ in 0..<200 {
      var canary = [Int](repeating: 0, count: LatencyHistogram.bucketCount)
      var stable = canary
      var verdict = Verdict.inconclusive
      for _ in 0..<25 where verdict != .fail {
        for _ in 0..<40 { canary[LatencyHistogram.bucket(microseconds: Int(random.exponential(mean: 50_000)))] += 1 }
        for _ in 0..<80 { stable[LatencyHistogram.bucket(microseconds: Int(random.exponential(mean: 50_000)))] += 1 }
        let judgement = judge(
          analysis, canary: ReleaseTraffic(exposures: 1_000, latency: LatencyHistogram(counts: canary)),
          stable: ReleaseTraffic(latency: LatencyHistogram(counts: stable)))
        verdict = judgement.verdict
      }
      if verdict == .fail { failed += 1 }
    }
    #expect(failed <= 2)
  }

  // MARK: Checks and settings

  @Test func `a check passes by its count and fails by its limit`() {
    let check = AnalysisCheck(name: "smoke", kind: .command(["true"], directory: "/"), count: 2, failureLimit: 1)
    let analysis = Analysis(minRequests: 0, checks: [check])
    var state = AnalysisState(for: analysis)
    #expect(state.judge(analysis).findings.last?.text == "smoke: passed 0 of 2 times, failed 0")
    state.checked("smoke", passed: true)
    state.checked("smoke", passed: false)
    #expect(state.judge(analysis).verdict == .inconclusive)
    state.checked("smoke", passed: true)
    #expect(state.judge(analysis).verdict == .pass)
    state.checked("smoke", passed: false)
    #expect(state.judge(analysis).verdict == .fail)
    #expect(state.judge(analysis).findings.last?.text == "smoke: failed 2 times, may fail 1")
    #expect(state.judge(analysis).findings.last?.rule.description == "check smoke")
  }

  @Test func `a confidence of all or nothing is taken as the nearest that has a meaning`() {
    #expect(Significance(BasisPoints(10_000)).alpha == 0.0001)
    #expect(Significance(BasisPoints(0)).alpha == 0.5)
    #expect(Significance(nil).alpha == 0.01)
  }

  @Test func `numbers for people`() {
    #expect([0, 7, 1_034, 98_120, 1_000_000].map(Figures.count) == ["0", "7", "1 034", "98 120", "1 000 000"])
    #expect([0, 0.000031, 0.0003, 0.0116, 0.5, 1].map(Figures.percent) == ["0 %", "0.0031 %", "0.03 %", "1.16 %", "50 %", "100 %"])
    let powers = [-9.2, -3.1, -2, 0, 1.41, 3.61, 4.60517, 7, 11.77, 2000].map(Figures.power)
    #expect(powers == ["1e-4", "0.045", "0.14", "1", "4.1", "37", "100", "1097", "1.3e5", "3.9e868"])
  }
}
