import Foundation
import SluiceModel
import SluiceTraffic
import Testing

@testable import SluiceRollout

/// What the analysis remembers: that no event counts twice, and that it stays small.
@Suite struct AnalysisStateTests {
  static let g1 = GatewayID(gateway: "edge", host: "g1")
  static let g2 = GatewayID(gateway: "edge", host: "g2")

  /// So many requests, of which some failed, each its own exposure.
  private func traffic(_ requests: Int, failed: Int = 0, microseconds: Int = 1_000) -> ReleaseTraffic {
    var counts = [Int](repeating: 0, count: LatencyHistogram.bucketCount)
    counts[LatencyHistogram.bucket(microseconds: microseconds)] = requests
    return ReleaseTraffic(
      requests: requests, failures: failed, exposures: requests, failedExposures: failed, latency: LatencyHistogram(counts: counts))
  }

  /// A reading of a gateway: `canary` requests of the canary, ten times as many of stable.
  private func read(
    _ state: inout AnalysisState, _ gateway: GatewayID = g1, boot: String = "a", generation: UInt64 = 1, canary: Int, failed: Int = 0
  ) {
    state.take(
      gateway: gateway, boot: boot, generation: Revision(epoch: 1, version: generation), canary: traffic(canary, failed: failed),
      stable: traffic(10 * canary))
  }

  private func fresh() -> AnalysisState { AnalysisState(for: Analysis(versusStable: Analysis.ErrorComparison())) }

  @Test func `a reading adds what is new since the last one`() {
    var state = fresh()
    read(&state, canary: 100, failed: 2)
    read(&state, canary: 150, failed: 3)
    #expect(state.whole == SplitTraffic(canary: traffic(150, failed: 3), stable: traffic(1500)))
    #expect(state.step == state.whole)
  }

  @Test func `the same reading again changes nothing`() {
    var state = fresh()
    read(&state, canary: 100, failed: 2)
    let before = state
    read(&state, canary: 100, failed: 2)
    #expect(state == before)
  }

  @Test func `readings at any pace come to the same totals`() {
    var often = fresh()
    for count in stride(from: 20, through: 400, by: 20) { read(&often, canary: count, failed: count / 40) }
    var once = fresh()
    read(&once, canary: 400, failed: 10)
    #expect(often.whole == once.whole)
  }

  @Test func `a new boot begins at zero, and the old one is forgotten`() {
    var state = fresh()
    read(&state, canary: 100, failed: 2)
    read(&state, boot: "b", canary: 30, failed: 1)
    #expect(state.whole.canary == traffic(130, failed: 3))
    #expect(state.cursors.cursors.map(\.boot) == ["b"])
  }

  @Test func `a new generation begins at zero, and the one before is still read on`() {
    var state = fresh()
    read(&state, generation: 1, canary: 100)
    read(&state, generation: 2, canary: 40)
    read(&state, generation: 1, canary: 110)
    #expect(state.whole.canary.requests == 150)
  }

  @Test func `only the newest two generations are kept, and what is older counts no more`() {
    var state = fresh()
    for generation in 1...9 { read(&state, generation: UInt64(generation), canary: 10) }
    #expect(state.cursors.cursors.map(\.generation.version) == [8, 9])
    read(&state, generation: 3, canary: 10)
    read(&state, generation: 7, canary: 500)
    #expect(state.whole.canary.requests == 90)
    #expect(state.cursors.cursors.map(\.generation.version) == [8, 9])
  }

  @Test func `counters that went backwards under the same boot count as a new start`() {
    var state = fresh()
    read(&state, canary: 100, failed: 2)
    read(&state, canary: 30, failed: 1)
    #expect(state.whole.canary == traffic(130, failed: 3))
    read(&state, canary: 45, failed: 1)
    #expect(state.whole.canary == traffic(145, failed: 3))
  }

  @Test func `one counter that went backwards is enough, a latency bucket's too`() {
    var state = fresh()
    let generation = Revision(epoch: 1, version: 1)
    state.take(
      gateway: Self.g1, boot: "a", generation: generation, canary: traffic(50, microseconds: 1_000), stable: traffic(500))
    state.take(
      gateway: Self.g1, boot: "a", generation: generation, canary: traffic(60, microseconds: 9_000), stable: traffic(600))
    #expect(state.whole.canary.requests == 110)
    #expect(state.whole.stable.requests == 1100)
    #expect(state.whole.canary.latency.counts.allSatisfy { $0 >= 0 })
  }

  @Test func `two gateways have cursors of their own`() {
    var state = fresh()
    read(&state, Self.g1, boot: "a", canary: 100)
    read(&state, Self.g2, boot: "z", canary: 70)
    read(&state, Self.g1, boot: "a", canary: 110)
    read(&state, Self.g2, boot: "y", canary: 5)
    #expect(state.whole.canary.requests == 185)
    #expect(state.cursors.cursors.map(\.gateway) == [Self.g1, Self.g2])
  }

  @Test func `a step counts its own requests and keeps the evidence`() {
    var state = fresh()
    read(&state, canary: 100, failed: 3)
    let evidence = state.errors.logValue
    state.beginStep()
    #expect(state.step == SplitTraffic())
    #expect(state.whole.canary.requests == 100)
    // Half of the reserve is staked anew, and has won nothing yet.
    #expect(abs(state.errors.logValue - evidence) < 1e-12)
    read(&state, canary: 120, failed: 3)
    #expect(state.step.canary == traffic(20))
  }

  @Test func `a step may drop the evidence, and still counts nothing twice`() {
    var state = fresh()
    read(&state, canary: 100, failed: 3)
    state.beginStep(evidence: .dropped)
    #expect(state.errors == ErrorEvidence(tolerating: 1.5))
    #expect(state.whole == SplitTraffic())
    read(&state, canary: 120, failed: 3)
    #expect(state.whole.canary == traffic(20))
  }

  @Test func `another tolerated ratio drops the evidence, another confidence does not`() {
    var state = fresh()
    read(&state, canary: 100, failed: 3)
    let before = state
    state.follow(Analysis(minRequests: 5, versusStable: Analysis.ErrorComparison(errorRatio: 1.5, confidence: BasisPoints(9_500))))
    #expect(state == before)
    state.follow(Analysis(versusStable: Analysis.ErrorComparison(errorRatio: 2)))
    #expect(state.errors == ErrorEvidence(tolerating: 2))
    #expect(state.whole == before.whole)
  }

  @Test func `checks are counted each for itself, and anew in each step`() {
    var state = fresh()
    state.checked("smoke", passed: true)
    state.checked("lag", passed: false)
    state.checked("smoke", passed: true)
    #expect(state.checks.map(\.name) == ["smoke", "lag"])
    #expect(state.checks.map(\.passed) == [2, 0])
    #expect(state.checks.map(\.failed) == [0, 1])
    state.beginStep()
    #expect(state.checks.isEmpty)
  }

  @Test func `it survives the record, and the same readings give the same bits`() throws {
    func filled() -> AnalysisState {
      var state = fresh()
      for count in 1...200 { read(&state, count % 2 == 0 ? Self.g1 : Self.g2, canary: 7 * count, failed: count / 9) }
      state.beginStep()
      state.checked("smoke", passed: true)
      return state
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let once = try encoder.encode(filled())
    #expect(try once == encoder.encode(filled()))
    #expect(try JSONDecoder().decode(AnalysisState.self, from: once) == filled())
  }

  @Test func `its size grows with the digits of its counts only, and is a few kilobytes a gateway`() throws {
    func size(_ rounds: Int) throws -> Int {
      var state = fresh()
      for round in 1...rounds {
        // All buckets of four seconds' worth of latencies are in use, on both sides and in both generations that are kept.
        let latency = LatencyHistogram(counts: Array(repeating: 1_000_000 + round, count: 128))
        let side = ReleaseTraffic(
          requests: 128_000_000, failures: round, exposures: 128_000_000, failedExposures: round, latency: latency)
        let generation = Revision(epoch: 1, version: UInt64(round))
        for gateway in [Self.g1, Self.g2] {
          state.take(gateway: gateway, boot: "boot-of-32-characters-0123456789ab", generation: generation, canary: side, stable: side)
        }
      }
      return try JSONEncoder().encode(state).count
    }
    let few = try size(3)
    #expect(few < 2 * 8_000)
    #expect(try size(60) < few + 2_000)
  }
}
