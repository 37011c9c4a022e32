import ArgumentParser
import Glibc
import SluiceSimulator

/// Runs the engine's own machine on simulated fleets: `sluice-simulate --seeds 2000`, or one seed with its story.
@main
struct SluiceSimulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice-simulate", abstract: "Run the rollout engine on simulated fleets with seeded faults.")

  @Option(help: "How many seeds to run.")
  var seeds: UInt64 = 2000

  @Option(help: "The first seed, or with --trace the only one.")
  var seed: UInt64 = 1

  @Flag(help: "Print the story of one seed.")
  var trace = false

  @Flag(help: "Print how often each kind of action was sent while each kind of fault stood.")
  var coverage = false

  func validate() throws {
    // No seed at all would be a check that cannot fail.
    if seeds == 0 { throw ValidationError("--seeds is at least 1") }
    if !trace, seed.addingReportingOverflow(seeds).overflow { throw ValidationError("--seed and --seeds go beyond \(UInt64.max)") }
  }

  func run() throws {
    let violated = trace ? tellStory() : runSeeds()
    // Whoever reads the output must not take a lost one for a good one.
    if violated || fflush(nil) != 0 { throw ExitCode(1) }
  }

  /// One seed as a story; whether it broke a rule.
  private func tellStory() -> Bool {
    var simulation = Simulation(seed: seed, scenario: Scenario(seed: seed), keepsTrace: true)
    let report = simulation.run()
    for line in report.trace { print(line) }
    for line in report.standing { print(line) }
    print("seed \(seed): \(report.violations.count) violations, ends \(report.ends), hash \(String(report.hash, radix: 16))")
    return !report.violations.isEmpty
  }

  /// All seeds, the violations and a hash over everything that happened; whether any broke a rule.
  private func runSeeds() -> Bool {
    var hash: UInt64 = 0
    var events = 0
    var failed: [Simulation.Report] = []
    var counts: [String: Int] = [:]
    for number in seed..<(seed + seeds) {
      var simulation = Simulation(seed: number, scenario: Scenario(seed: number))
      let report = simulation.run()
      hash = (hash &* 31) &+ report.hash
      events += report.events
      counts.merge(report.coverage, uniquingKeysWith: +)
      if !report.violations.isEmpty { failed.append(report) }
    }
    if coverage { for (name, count) in counts.sorted(by: { $0.key < $1.key }) { print("\(name): \(count)") } }
    for report in failed.prefix(20) {
      let violation = report.violations[0]
      print("seed \(report.seed): rule \(violation.rule) at \(violation.at) ms: \(violation.text)")
    }
    print("\(seeds) seeds, \(events) events, \(failed.count) with violations, hash \(String(hash, radix: 16))")
    return !failed.isEmpty
  }
}
