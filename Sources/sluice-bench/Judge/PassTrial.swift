import SluiceModel
import SluiceRollout
import SluiceTraffic

/// How long a canary waits for its verdict: Sluice's whole analysis, looked at after every 20 requests of the canary.
struct PassTrial {
  /// Requests of the canary until the pass; nil where there was none.
  private(set) var passes: [Int?] = []
  private(set) var aborts = 0

  /// Ends a run that has come to no verdict after so many requests of the canary.
  static let horizon = 20_000
  private static let interval = 20

  init(share: Double, stableRate: Double, canaryRate: Double, analysis: Analysis, runs: Int, random: inout SplitMix64) {
    let gateway = GatewayID(gateway: "edge", host: "g1")
    let beside = Int((Double(Self.interval) * (1 - share) / share).rounded())
    for _ in 0..<runs {
      var state = AnalysisState(for: analysis)
      var canary = ReleaseTraffic()
      var stable = ReleaseTraffic()
      var verdict = Verdict.inconclusive
      while verdict == .inconclusive, canary.requests < Self.horizon {
        canary += Self.traffic(Self.interval, canaryRate, &random)
        stable += Self.traffic(beside, stableRate, &random)
        state.take(gateway: gateway, boot: "boot", generation: Revision(epoch: 1, version: 1), canary: canary, stable: stable)
        verdict = state.judge(analysis).verdict
      }
      passes.append(verdict == .pass ? canary.requests : nil)
      if verdict == .fail { aborts += 1 }
    }
  }

  private static func traffic(_ requests: Int, _ rate: Double, _ random: inout SplitMix64) -> ReleaseTraffic {
    let failures = random.binomial(requests, rate)
    return ReleaseTraffic(requests: requests, failures: failures, exposures: requests, failedExposures: failures)
  }
}
