import ArgumentParser

/// Benchmarks of Sluice's own parts; each subcommand has a folder of its own.
@main
struct SluiceBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice-bench", abstract: "Measure parts of Sluice.", subcommands: [JudgeBench.self, PlanBench.self])
}
