import SluiceModel
import SluiceSimulator
import Testing

/// The rules of DESIGN section 4, each broken on purpose: a check that cannot fail is none.
@Suite struct SabotageTests {
  @Test(arguments: Sabotage.allCases)
  func `a rule that is broken on purpose is found, and it is that rule`(_ sabotage: Sabotage) {
    let found = (1...UInt64(2_000)).first { seed in
      var simulation = Simulation(seed: seed, scenario: Scenario(seed: seed), sabotage: sabotage)
      return simulation.run().violations.contains { $0.rule == sabotage.rule }
    }
    #expect(found != nil, "\(sabotage) goes unnoticed")
  }

  @Test func `every rule is broken by one of them`() {
    #expect(Set(Sabotage.allCases.map(\.rule)) == Set((1...11).map(String.init) + ["after", "freeze", "task", "windows"]))
  }

  @Test func `a failing seed shrinks to a story that breaks the same rule with less`() throws {
    let sabotage = Sabotage.stopsBeforeAcknowledgement
    let seed = try #require(
      (1...UInt64(2_000)).first { seed in
        let scenario = Scenario(seed: seed)
        guard !scenario.faults.isEmpty, scenario.fleet.hosts.count > 4, scenario.policy.replicas > 2 else { return false }
        var simulation = Simulation(seed: seed, scenario: scenario, sabotage: sabotage)
        return !simulation.run().violations.isEmpty
      })
    var shrinker = try #require(Shrinker(seed: seed, scenario: Scenario(seed: seed), sabotage: sabotage))
    let small = shrinker.shrink()
    var simulation = Simulation(seed: seed, scenario: small, keepsTrace: true, sabotage: sabotage)
    let report = simulation.run()
    #expect(report.violations.first?.rule == "3")
    #expect(small.faults.isEmpty && small.crashes.isEmpty && small.commands.isEmpty)
    #expect(small.policy.replicas <= 2 && small.fleet.hosts.count <= 4)
    #expect(report.trace.count < 90, "\(report.trace)")
  }

  @Test func `a story in which no rule is broken does not shrink`() {
    #expect(Shrinker(seed: 1, scenario: Scenario(seed: 1, harshness: .calm)) == nil)
  }
}
