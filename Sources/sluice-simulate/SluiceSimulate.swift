import ArgumentParser
import Glibc
import SluiceSimulator

/// Runs the engine's own machine on simulated fleets: `sluice-simulate --seeds 2000`, one seed with its story, or every crash of every strategy.
@main
struct SluiceSimulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice-simulate", abstract: "Run the rollout engine on simulated fleets with seeded faults.")

  @Option(help: "How many seeds to run.")
  var seeds: UInt64 = 2000

  @Option(help: "The first seed, or with --trace the only one.")
  var seed: UInt64 = 1

  @Flag(help: "Print the story of one seed; of one that fails, the smallest that fails in the same way.")
  var trace = false

  @Flag(help: "With --trace: tell the story as it was drawn, however long.")
  var whole = false

  @Flag(help: "Kill the controller at each attempt and each commit of a story of every strategy, instead of running seeds.")
  var enumerate = false

  @Flag(help: "Draw the first world only: one gateway, honest hosts, manifests that stay, one operator's machine.")
  var narrow = false

  @Option(help: "Break a rule on purpose, to see it found: \(Sabotage.allCases.map(\.rawValue).joined(separator: ", ")).")
  var sabotage: Sabotage?

  func validate() throws {
    // No seed at all would be a check that cannot fail.
    if seeds == 0 { throw ValidationError("--seeds is at least 1") }
    if !trace, seed.addingReportingOverflow(seeds).overflow { throw ValidationError("--seed and --seeds go beyond \(UInt64.max)") }
    if trace, enumerate { throw ValidationError("--trace tells of a seed, --enumerate runs none") }
  }

  func run() throws {
    let violated = enumerate ? enumerateCrashes() : trace ? tellStory() : runSeeds()
    // Whoever reads the output must not take a lost one for a good one.
    guard fflush(nil) == 0 else { throw Unwritten(number: errno) }
    if violated { throw ExitCode(1) }
  }

  /// One seed as a story; whether it broke a rule.
  private func tellStory() -> Bool {
    let (seed, whole, narrow, sabotage) = (seed, whole, narrow, sabotage)
    var scenario = Scenario(seed: seed, harshness: narrow ? .faults : .world)
    if !whole, var shrinker = Shrinker(seed: seed, scenario: scenario, sabotage: sabotage) { scenario = shrinker.shrink() }
    var simulation = Simulation(seed: seed, scenario: scenario, keepsTrace: true, sabotage: sabotage)
    let report = simulation.run()
    for line in scenario.story + report.trace + report.standing { print(line) }
    print("seed \(seed): \(report.violations.count) violations, ends \(report.ends), hash \(String(report.hash, radix: 16))")
    return !report.violations.isEmpty
  }

  /// All seeds, what they have covered, the violations and a hash over everything that happened; whether any broke a rule.
  private func runSeeds() -> Bool {
    // Read once: in optimised code (Swift 6.3) the options' place on the stack was given to a simulation while the loop went on to read them.
    let (first, count, sabotage) = (seed, seeds, sabotage)
    let harshness: Scenario.Harshness = narrow ? .faults : .world
    var hash: UInt64 = 0
    var (ran, events, rollouts, failures) = (UInt64(0), 0, 0, 0)
    var coverage = Coverage()
    for number in first..<(first + count) {
      var simulation = Simulation(seed: number, scenario: Scenario(seed: number, harshness: harshness), sabotage: sabotage)
      let report = simulation.run()
      hash = (hash &* 31) &+ report.hash
      events += report.events
      rollouts += report.ends.count
      coverage += report.coverage
      ran += 1
      guard let violation = report.violations.first else { continue }
      failures += 1
      if failures <= 20 { print("seed \(report.seed): rule \(violation.rule) at \(violation.at) ms: \(violation.text)") }
      if let sabotage, violation.rule == sabotage.rule { break }
    }
    for line in coverage.text { print(line) }
    print(
      "\(ran) seeds, \(rollouts) rollouts, \(events) events, \(failures) with violations, hash \(String(hash, radix: 16))")
    return failures > 0
  }

  /// Every boundary of every strategy; whether any did not end rightly.
  private func enumerateCrashes() -> Bool {
    var failures = 0
    for story in CrashEnumeration.stories {
      let outcome = CrashEnumeration.run(story)
      failures += outcome.failures.count
      print("\(story.name): killed at \(outcome.boundaries) boundaries, \(outcome.failures.count) did not end rightly")
      for failure in outcome.failures.prefix(10) { print("  \(failure)") }
    }
    return failures > 0
  }
}

/// Standard output did not take what was found.
private struct Unwritten: Error, CustomStringConvertible {
  var number: Int32
  var description: String { "the result could not be written: \(String(cString: strerror(number)))" }
}

extension Sabotage: ExpressibleByArgument {}
