import SluiceTraffic

/// The canary's errors against the stable release's.
///
/// **Fails** when the evidence E that its odds of an error are more than `errorRatio` times stable's reaches 1/α (`ErrorEvidence`). It is
/// gathered over the whole rollout.
///
/// **Passes** when all three hold; the first two are of this step alone:
/// 1. It has answered `minRequests`.
/// 2. Its error rate is, with confidence 1 − α, at most what is tolerated plus a margin. Both sides' rates are bounded at every look at once
///    (`ShareTest`, α/2 each): the canary's from above, stable's from below. The tolerated rate has `errorRatio` times the odds of
///    stable's lower bound; the margin is what `minRequests` requests without an error leave possible (3.2 % for 200, 0.65 % for 1 000 at 99 %).
/// 3. It is not under suspicion: E is below 1/√α, half of the way to an abort. A canary that is as tolerated comes there with probability √α
///    at most, and then waits.
///
/// So a canary without an error passes at `minRequests`, one with some needs more, and whoever wants a finer proof asks for more requests. To
/// prove the ratio itself would be finer than a rollout can wait for: telling 1 from 1.5 takes about a hundred errors of the canary's, a
/// million requests where one in ten thousand fails, and without any errors it never ends.
struct ErrorRule {
  let evidence: ErrorEvidence
  let alpha: Significance
  let minRequests: Int

  /// The verdict of `finding`, without its words.
  func verdict(step: SplitTraffic) -> Verdict {
    if evidence.logValue >= alpha.logLimit { return .fail }
    let canary = step.canary.failed
    if canary.count < minRequests || isSuspected { return .inconclusive }
    let isShown = ShareTest.shows(canary, atMost: allowed(stable: step.stable.failed), alpha: alpha.alpha / 2)
    return isShown ? .pass : .inconclusive
  }

  func finding(whole: SplitTraffic, step: SplitTraffic) -> Finding {
    let verdict = verdict(step: step)
    let shown = verdict == .fail ? whole : step
    let test = "\(alpha.compare(evidence.logValue)), tolerated ratio \(Figures.decimal(evidence.tolerated, places: 2))"
    return Finding(
      .versusStable, verdict, canary: shown.canary.failed, stable: shown.stable.failed, logEvidence: evidence.logValue,
      text: "\(counted(shown)): \(test)" + (verdict == .inconclusive ? "; \(obstacle(step))" : ""))
  }

  private var isSuspected: Bool { evidence.logValue >= alpha.logLimit / 2 }

  /// What keeps the canary from its pass.
  private func obstacle(_ step: SplitTraffic) -> String {
    let canary = step.canary.failed
    if canary.count < minRequests { return "needs \(Figures.count(minRequests)) requests, has \(Figures.count(canary.count))" }
    let possible = ShareTest.upperBound(canary, alpha: alpha.alpha / 2)
    let allowed = allowed(stable: step.stable.failed)
    if possible <= allowed, isSuspected { return "under suspicion while E ≥ \(Figures.power(ofLog: alpha.logLimit / 2))" }
    return "its rate may be as high as \(Figures.percent(possible)), "
      + "needs more requests to show that it is at most \(Figures.percent(allowed))"
  }

  /// The error rate that a pass must exclude: tolerated beside so much of the stable release, and the margin.
  func allowed(stable: Tally) -> Double {
    let base = ShareTest.lowerBound(stable, alpha: alpha.alpha / 2)
    let tolerated = base * evidence.tolerated / (1 + base * (evidence.tolerated - 1))
    return tolerated + ShareTest.upperBound(Tally(0, of: minRequests), alpha: alpha.alpha / 2)
  }

  private func counted(_ traffic: SplitTraffic) -> String {
    let spilled = traffic.canary.spilled
    let why = spilled > 0 ? ", \(Figures.count(spilled)) requests found no healthy instance of it" : ""
    return "canary: \(Figures.tally(traffic.canary.failed, "failed"))\(why), stable: \(Figures.tally(traffic.stable.failed))"
  }
}
