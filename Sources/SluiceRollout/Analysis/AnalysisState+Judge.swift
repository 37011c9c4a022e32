package import SluiceModel
import SluiceTraffic

/// **The rules of the canary's analysis**, each an own file; all are looked at after every reading, and none looks at a number as if it
/// were looked at only once. α is 1 − `versusStable.confidence` (1 % without one), and holds for each rule by itself; where a rule goes by the
/// step, for each step.
///
/// | rule | fails the canary | lets it pass |
/// |---|---|---|
/// | `minRequests` | never | the step has so many |
/// | `versusStable` | E ≥ 1/α over the whole rollout: its odds of an error are over the tolerated ratio | see `ErrorRule` |
/// | `maxErrorRate` | E ≥ 1/α over the step: its share of failed requests is over the bound | the share counted is not over it |
/// | `p99` | E ≥ 1/α over the step: more than 1 % of its requests are slower than the bound | not more than 1 % counted were |
/// | a check | it failed more often than `failureLimit` in the step | it passed `count` times in the step |
///
/// A request is what the gateways count as an exposure: with a `userWindow`, what one user asks for within it counts once and has failed
/// when any of it failed. Latency is counted by request.
///
/// A verdict that waits never passes; how long to wait is the rollout's business.
extension AnalysisState {
  /// What the rules say now.
  package func judge(_ analysis: Analysis) -> Judgement {
    var findings = [exposure(analysis)]
    if let rule = errorRule(analysis) { findings.append(rule.finding(whole: whole, step: step)) }
    return Judgement(findings + otherFindings(analysis))
  }

  /// The verdict of `judge`: it is asked for far more often than anybody reads the words.
  package func verdict(_ analysis: Analysis) -> Verdict {
    let isExposed = step.canary.failed.count >= analysis.minRequests
    let verdicts = [isExposed ? .pass : .inconclusive] + otherFindings(analysis).map(\.verdict)
    return Verdict(of: verdicts + (errorRule(analysis).map { [$0.verdict(step: step)] } ?? []))
  }

  private func errorRule(_ analysis: Analysis) -> ErrorRule? {
    guard let comparison = analysis.versusStable else { return nil }
    return ErrorRule(evidence: errors, alpha: Significance(comparison.confidence), minRequests: analysis.minRequests)
  }

  private func otherFindings(_ analysis: Analysis) -> [Finding] {
    let alpha = Significance(analysis.versusStable?.confidence)
    var findings: [Finding] = []
    if let bound = analysis.maxErrorRate {
      findings.append(ThresholdRule(bound: bound, alpha: alpha).finding(step.canary.failed))
    }
    if let bound = analysis.p99?.max { findings.append(LatencyRule(alpha: alpha).finding(max: bound, canary: step.canary)) }
    if let ratio = analysis.p99?.versusStable {
      let difference = analysis.p99?.leastDifference ?? .zero
      findings.append(
        LatencyRule(alpha: alpha).finding(ratio: ratio, difference: difference, canary: step.canary, stable: step.stable))
    }
    return findings + analysis.checks.map(finding)
  }

  private func exposure(_ analysis: Analysis) -> Finding {
    let counted = step.canary.failed
    let reached = counted.count >= analysis.minRequests
    var text = "canary: \(reached ? "" : "needs \(Figures.count(analysis.minRequests)) requests, ")has \(Figures.count(counted.count))"
    if step.canary.requests > counted.count {
      text += " (\(Figures.count(step.canary.requests)) in all: what a user asks within \(analysis.userWindow) counts once)"
    }
    return Finding(.minRequests, reached ? .pass : .inconclusive, canary: counted, text: text)
  }

  private func finding(_ check: AnalysisCheck) -> Finding {
    let tally = checks.first { $0.name == check.name } ?? CheckTally(check.name)
    let verdict = tally.verdict(check)
    let text =
      verdict == .fail
      ? "\(check.name): failed \(tally.failed) times, may fail \(check.failureLimit)\(tally.last.isEmpty ? "" : ": \(tally.last)")"
      : "\(check.name): passed \(tally.passed) of \(check.count) times, failed \(tally.failed)"
    return Finding(.check(check.name), verdict, canary: Tally(tally.passed, of: tally.passed + tally.failed), text: text)
  }
}

/// α, the probability of failing a canary that a rule should not fail.
struct Significance {
  /// In (0, ½]: certainty would need endless evidence, and a confidence below a half would fail canaries at a coin's toss.
  let alpha: Double

  init(_ confidence: BasisPoints?) {
    let basisPoints = 10_000 - (confidence ?? Analysis.ErrorComparison().confidence).value
    alpha = Double(min(max(basisPoints, 1), 5_000)) / 10_000
  }

  /// ln 1/α.
  var logLimit: Double { -Elementary.log(alpha) }

  /// `E = 4.1 < 100 (α = 1 %)`.
  func compare(_ logEvidence: Double) -> String {
    let sign = logEvidence >= logLimit ? "≥" : "<"
    return "E = \(Figures.power(ofLog: logEvidence)) \(sign) \(Figures.power(ofLog: logLimit)) (α = \(Figures.percent(alpha)))"
  }
}
