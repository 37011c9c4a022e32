package import SluiceModel
package import SluiceTraffic

/// All that a canary's analysis remembers between two looks. It lives in the service record: a few kilobytes for each gateway, however
/// many requests there were.
///
/// For the brain: `take` what each gateway reports, `checked` what each check answered, `beginStep` when a step of the canary begins, and
/// `judge` as often as wanted.
package struct AnalysisState: Hashable, Codable, Sendable {
  package private(set) var cursors: TrafficCursors
  /// Over the whole rollout, or since the evidence was last dropped.
  package private(set) var errors: ErrorEvidence
  /// What was counted since the canary began.
  package private(set) var whole: SplitTraffic
  /// What was counted since the step began.
  package private(set) var step: SplitTraffic
  /// In the order in which they first answered, of this step.
  package private(set) var checks: [CheckTally]

  /// Nothing seen yet; `analysis` says which ratio of error odds is tolerated.
  package init(for analysis: Analysis) {
    cursors = TrafficCursors()
    errors = ErrorEvidence(tolerating: Self.tolerated(analysis))
    whole = SplitTraffic()
    step = SplitTraffic()
    checks = []
  }

  /// Takes what a gateway has counted for the two sides, cumulated since its boot and the split's generation, and adds what is new. Giving a
  /// reading again adds nothing.
  package mutating func take(
    gateway: GatewayID, boot: String, generation: Revision, canary: ReleaseTraffic, stable: ReleaseTraffic
  ) {
    let reading = SplitTraffic(canary: canary, stable: stable)
    let new = cursors.advance(gateway: gateway, boot: boot, generation: generation, to: reading)
    whole += new
    step += new
    errors.take(canary: new.canary.failed, stable: new.stable.failed)
  }

  /// Takes one answer of a check; `last` is what it said when it failed.
  package mutating func checked(_ name: String, passed: Bool, last: String = "") {
    changeCheck(name) { $0.take(passed, last) }
  }

  /// When a check is to be asked again, in active time; nil: it was not asked in this step.
  func nextAsk(_ name: String) -> Milliseconds? { checks.first { $0.name == name }?.next }

  mutating func asked(_ name: String, next: Milliseconds) { changeCheck(name) { $0.next = next } }

  private mutating func changeCheck(_ name: String, _ body: (inout CheckTally) -> Void) {
    if !checks.contains(where: { $0.name == name }) { checks.append(CheckTally(name)) }
    for place in checks.indices where checks[place].name == name { body(&checks[place]) }
  }

  /// What a new step does with the evidence that the canary errs more than tolerated.
  package enum Evidence: Sendable {
    /// It carries on; what the rollout has gathered still counts. The rule.
    case kept
    /// It begins anew: after a retry by the operator, say, who has mended what was wrong outside the release.
    case dropped
  }

  /// A step begins: its own requests must earn the pass, and its checks are asked anew.
  package mutating func beginStep(evidence: Evidence = .kept) {
    step = SplitTraffic()
    checks = []
    switch evidence {
    case .kept: errors.beginStep()
    case .dropped:
      errors = ErrorEvidence(tolerating: errors.tolerated)
      whole = SplitTraffic()
    }
  }

  /// The settings have changed while the canary runs: evidence against another tolerated ratio is of no use, and dropped.
  package mutating func follow(_ analysis: Analysis) {
    let tolerated = ErrorEvidence(tolerating: Self.tolerated(analysis))
    if tolerated.tolerated != errors.tolerated { errors = tolerated }
  }

  private static func tolerated(_ analysis: Analysis) -> Double { (analysis.versusStable ?? Analysis.ErrorComparison()).errorRatio }
}

extension ReleaseTraffic {
  /// Failed exposures of all.
  package var failed: Tally { Tally(failedExposures, of: exposures) }

  /// Requests that took longer than so many microseconds, of all.
  func slow(thanMicroseconds bound: Int) -> Tally { Tally(latency.slower(thanMicroseconds: bound), of: latency.total) }
}

/// How often one check has answered in this step.
package struct CheckTally: Hashable, Codable, Sendable {
  package let name: String
  package private(set) var passed = 0
  package private(set) var failed = 0
  /// What it said when it last failed.
  package private(set) var last = ""
  var next: Milliseconds?

  init(_ name: String) { self.name = name }

  mutating func take(_ passes: Bool, _ words: String) {
    if passes { passed += 1 } else { failed += 1 }
    if !passes { last = words }
  }

  /// A check fails when it has failed more often than it may, and passes when it has passed as often as it must.
  func verdict(_ check: AnalysisCheck) -> Verdict {
    if failed > check.failureLimit { return .fail }
    return passed >= check.count ? .pass : .inconclusive
  }
}
