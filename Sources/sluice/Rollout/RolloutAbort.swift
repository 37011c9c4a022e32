import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice rollout abort SERVICE`
struct RolloutAbort: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "abort", abstract: "Go back to where the rollout came from, now; never asks.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var steering: SteeringOptions

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: steering.change, words: "rollout abort \(service)", goesBack: true,
      reachesRunning: true)
    try await action.run(.abort)
  }
}
