import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice rollout retry SERVICE`
struct RolloutRetry: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "retry", abstract: "Try again what has failed; never asks.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var steering: SteeringOptions

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: steering.change, words: "rollout retry \(service)", goesBack: false,
      reachesRunning: true)
    try await action.run(.retry)
  }
}
