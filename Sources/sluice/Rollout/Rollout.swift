import ArgumentParser

/// `sluice rollout pause|resume|promote|abort|retry|why SERVICE`
struct RolloutCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rollout", abstract: "Steer the rollout of a service.",
    subcommands: [RolloutPause.self, RolloutResume.self, RolloutPromote.self, RolloutAbort.self, RolloutRetry.self, RolloutWhy.self])
}
