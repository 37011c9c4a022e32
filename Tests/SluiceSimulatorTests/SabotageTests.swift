import SluiceModel
import SluiceSimulator
import Testing

/// The rules of DESIGN section 4, each broken on purpose: a check that cannot fail is none.
@Suite struct SabotageTests {
  @Test(arguments: Sabotage.allCases)
  func `a rule that is broken on purpose is found, and it is that rule`(_ sabotage: Sabotage) {
    let found = (1...UInt64(2_000)).first { seed in
      let scenario = Scenario(seed: seed)
      var simulation = Simulation(seed: seed, scenario: scenario, sabotage: sabotage)
      return simulation.run().violations.contains { $0.rule == sabotage.rule }
    }
    #expect(found != nil, "\(sabotage) goes unnoticed")
  }

  @Test func `every rule is broken by one of them`() {
    #expect(
      Set(Sabotage.allCases.map(\.rule))
        == Set((1...11).map(String.init) + ["after", "copy", "freeze", "move", "probe", "route", "task", "trust", "windows"]))
  }

  @Test func `failing seeds shrink to stories that break the same rule with less`() throws {
    let sabotage = Sabotage.stopsBeforeAcknowledgement
    let seeds = (1...UInt64(200)).lazy.filter { seed in
      let scenario = Scenario(seed: seed, harshness: .faults)
      let hosts = scenario.fleet.hosts.count { $0.slots > 0 }
      guard !scenario.faults.isEmpty, hosts > 2, scenario.policy.replicas > 2 else { return false }
      var simulation = Simulation(seed: seed, scenario: scenario, sabotage: sabotage)
      return !simulation.run().violations.isEmpty
    }
    var small: [Scenario] = []
    for seed in seeds.prefix(5) {
      var shrinker = try #require(Shrinker(seed: seed, scenario: Scenario(seed: seed, harshness: .faults), sabotage: sabotage))
      let scenario = shrinker.shrink()
      var simulation = Simulation(seed: seed, scenario: scenario, keepsTrace: true, sabotage: sabotage)
      let report = simulation.run()
      #expect(report.violations.first?.rule == "3")
      #expect(scenario.faults.isEmpty && scenario.crashes.isEmpty && scenario.commands.isEmpty && scenario.second == nil)
      #expect(report.trace.count < 90, "\(report.trace)")
      small.append(scenario)
    }
    #expect(small.count == 5)
    #expect(small.count { $0.policy.replicas <= 2 && $0.fleet.hosts.count(where: { $0.slots > 0 }) <= 2 } >= 2)
  }

  @Test(arguments: [Sabotage.afterIgnored, .taskNotAwaited, .windowsIgnored, .freezeForgotten, .checkAssumed])
  func `what a story needs to break its rule is left of it, and what others have is dropped`(_ sabotage: Sabotage) throws {
    let seed = try #require(
      (1...UInt64(2_000)).first { seed in
        var simulation = Simulation(seed: seed, scenario: Scenario(seed: seed, harshness: .faults), sabotage: sabotage)
        return simulation.run().violations.first?.rule == sabotage.rule
      })
    var shrinker = try #require(Shrinker(seed: seed, scenario: Scenario(seed: seed, harshness: .faults), sabotage: sabotage))
    let small = shrinker.shrink()
    #expect((small.second != nil) == (sabotage == .afterIgnored))
    // A task may be left for the time that it takes, until the windows close.
    if sabotage != .windowsIgnored { #expect(small.plan.tasks.isEmpty == (sabotage != .taskNotAwaited)) }
    #expect((small.policy.windows != nil) == (sabotage == .windowsIgnored))
    #expect(small.commands.contains { $0.verb == "freeze" } == (sabotage == .freezeForgotten))
    #expect((small.flaws.isEmpty && small.faults.isEmpty) == (sabotage != .checkAssumed))
  }

  @Test func `a story in which no rule is broken does not shrink`() {
    #expect(Shrinker(seed: 1, scenario: Scenario(seed: 1, harshness: .calm)) == nil)
  }
}
