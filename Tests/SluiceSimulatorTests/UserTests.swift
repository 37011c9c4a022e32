import SluiceModel
import SluiceSimulator
import Testing

/// Canaries that are judged by what the simulated users meet.
@Suite struct UserTests {
  /// A calm canary by users under an analysis.
  private static func scenario(_ seed: UInt64, flaw: Scenario.Flaw?) -> Scenario {
    var scenario = Scenario(seed: seed, harshness: .calm)
    scenario.fleet = Scenario.fleet(racks: 2, perRack: 2, slots: 4)
    scenario.policy.replicas = 4
    scenario.policy.ports = PortRange(from: 20_000, to: 20_999)
    scenario.policy.hooks = [:]
    scenario.policy.onFailure = .rollback
    scenario.policy.route?.user = UserKey(source: .cookie("uid"), absent: .issue, issued: .init(name: "uid"))
    scenario.policy.strategy = .canary(
      Canary(
        steps: [CanaryStep(users: BasisPoints(1_000), hold: .seconds(10)), CanaryStep(users: BasisPoints(5_000), hold: .seconds(10))],
        analysis: Analysis(minRequests: 50, maxErrorRate: BasisPoints(500), versusStable: .init(), p99: .init(max: Milliseconds(300)))))
    scenario.releases = [1, 2]
    if let flaw { scenario.flaws = [2: flaw] }
    return scenario
  }

  @Test func `a release that fails its users, or keeps them waiting, is taken back by its analysis`() {
    for seed: UInt64 in 1...40 {
      for flaw: Scenario.Flaw in [.errors(5_000), .slow] {
        var simulation = Simulation(seed: seed, scenario: Self.scenario(seed, flaw: flaw))
        let report = simulation.run()
        #expect(report.violations.isEmpty, "seed \(seed): \(report.violations)")
        #expect(report.ends == ["succeeded", "rolledBack"], "seed \(seed), \(flaw)")
      }
    }
  }

  @Test func `a healthy release passes its analysis`() {
    // α is 1 % for each rule: of 80 hardly any may be taken back.
    let ends = (1...UInt64(80)).map { seed in
      var simulation = Simulation(seed: seed, scenario: Self.scenario(seed, flaw: nil))
      let report = simulation.run()
      #expect(report.violations.isEmpty, "seed \(seed): \(report.violations)")
      return report.ends
    }
    #expect(ends.count { $0 == ["succeeded", "succeeded"] } >= 76)
  }
}
