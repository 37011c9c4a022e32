import SluiceModel

/// A bound on the canary's share of failed requests, whatever the stable release does. Fails by an anytime-valid test (`ShareTest`), not by
/// the share counted, which says little of the first hundred requests: one failure in ten is no 10 %.
struct ThresholdRule {
  let bound: BasisPoints
  let alpha: Significance

  func finding(_ canary: Tally) -> Finding {
    let share = Double(bound.value) / 10_000
    let logEvidence = ShareTest.logEvidence(above: share, canary)
    let verdict: Verdict = logEvidence >= alpha.logLimit ? .fail : canary.share <= share ? .pass : .inconclusive
    let text = "canary: \(Figures.tally(canary, "failed")), at most \(Figures.percent(share)): \(alpha.compare(logEvidence))"
    return Finding(
      .maxErrorRate, verdict, canary: canary, logEvidence: logEvidence,
      text: verdict == .inconclusive ? text + "; needs more requests to tell" : text)
  }
}
