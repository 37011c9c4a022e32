import SluiceModel
import SluiceRollout

/// Kills the controller at each boundary of one story: with each attempt that it sends, and in each commit that it writes. However it dies, the
/// story ends as if it had not.
package struct CrashEnumeration: Sendable {
  /// A strategy, and whether the release it brings is any good.
  package struct Story: Sendable {
    package let name: String
    package let scenario: Scenario
    /// How it ends.
    let end: RolloutEnd.Result
  }

  package struct Outcome: Sendable {
    /// How often it was killed.
    package var boundaries = 0
    /// Where it did not end rightly, and how.
    package var failures: [String] = []
  }

  /// Every strategy, forward and going back.
  package static let stories: [Story] =
    strategies.flatMap { name, strategy in
      [false, true].map { isBad in
        Story(
          name: isBad ? "\(name), going back" : name, scenario: scenario(strategy, isBad: isBad),
          end: isBad ? .rolledBack : .succeeded)
      }
    } + tasks + pairs

  /// With a task before the first wave.
  private static let tasks: [Story] = [false, true].map { isBad in
    var scenario = scenario(strategies[0].1, isBad: isBad)
    scenario.plan.tasks[2] = Scenario.PlannedTask(ReleaseTask(command: ["shop", "migrate"]), takes: 3_000)
    return Story(name: isBad ? "task, going back" : "task", scenario: scenario, end: isBad ? .rolledBack : .succeeded)
  }

  /// Two services, one after the other: the second one fails with the first.
  private static let pairs: [Story] = [false, true].map { isBad in
    var scenario = scenario(strategies[0].1, isBad: isBad)
    var second = scenario.plan
    second.badReleases = [:]
    second.policy.name = "cart"
    second.policy.route?.hosts = ["cart"]
    second.policy.replicas = 2
    second.policy.after = ["shop"]
    scenario.second = second
    return Story(name: isBad ? "after, failing with the first" : "after", scenario: scenario, end: isBad ? .failed : .succeeded)
  }

  private static let strategies: [(String, Strategy)] = [
    ("rolling", .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(1), rackOrder: true))),
    ("recreate", .recreate(Recreate())),
    ("blueGreen", .blueGreen(BlueGreen(preview: ["preview"], keepOld: .seconds(10)))),
    (
      "canary",
      .canary(
        Canary(
          steps: [CanaryStep(users: BasisPoints(1_000), hold: .seconds(5)), CanaryStep(users: BasisPoints(5_000), hold: .seconds(5))],
          analysis: Analysis(minRequests: 30, maxErrorRate: BasisPoints(500)), maxSurge: .count(1)))
    ),
  ]

  private static func scenario(_ strategy: Strategy, isBad: Bool) -> Scenario {
    var scenario = Scenario(seed: 1, harshness: .calm)
    scenario.fleet = Scenario.fleet(racks: 2, perRack: 2, slots: 3)
    scenario.gateway = Scenario.gateway(processes: 2)
    scenario.releases = [1, 2]
    var policy = ServicePolicy(name: "shop", fleet: "sim", replicas: 4, route: Route(gateway: "edge"), strategy: strategy)
    policy.minHealthyTime = .seconds(1)
    policy.startTimeout = .seconds(10)
    policy.hooks = [.preDeploy: "hook", .postWave: "hook", .rolledBack: "hook"]
    if case .canary = strategy {
      policy.route?.user = UserKey(source: .cookie("uid"), absent: .issue, issued: .init(name: "uid"))
      if isBad { scenario.flaws = [2: .errors(7_000)] }
    } else if isBad {
      // The second of its instances: others serve by then.
      scenario.badReleases = [2: 2]
    }
    scenario.policy = policy
    return scenario
  }

  /// Kills at each boundary of the undisturbed story.
  package static func run(_ story: Story) -> Outcome {
    var outcome = Outcome()
    var undisturbed = Simulation(seed: 1, scenario: story.scenario)
    let wanted = undisturbed.run()
    func compare(_ scenario: Scenario, _ boundary: String) {
      outcome.boundaries += 1
      var simulation = Simulation(seed: 1, scenario: scenario)
      let report = simulation.run()
      if let violation = report.violations.first {
        outcome.failures.append("\(boundary): rule \(violation.rule): \(violation.text)")
      } else if report.records.map(\.stable) != wanted.records.map(\.stable) || report.ends.last != wanted.ends.last {
        outcome.failures.append("\(boundary): ends \(report.ends), undisturbed \(wanted.ends)")
      } else if report.records.map(\.instances.count) != wanted.records.map(\.instances.count) {
        outcome.failures.append("\(boundary): \(report.records.map(\.instances.count)) instances are left")
      }
    }
    if let violation = wanted.violations.first { outcome.failures.append("undisturbed: rule \(violation.rule): \(violation.text)") }
    if wanted.ends.last != story.end.rawValue { outcome.failures.append("undisturbed: ends \(wanted.ends)") }
    for attempt in 1...max(1, wanted.sent.count) {
      var scenario = story.scenario
      scenario.crashes = [attempt]
      compare(scenario, "killed with attempt \(attempt)")
    }
    for commit in 1...max(1, wanted.commits) {
      var scenario = story.scenario
      scenario.lostCommits = [commit]
      compare(scenario, "killed in commit \(commit)")
    }
    return outcome
  }
}
