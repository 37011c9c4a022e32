import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice rollout resume SERVICE`
struct RolloutResume: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Go on after a pause, an interruption or a crash; needs no manifest and never asks.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var steering: SteeringOptions

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: steering.change, words: "rollout resume \(service)", goesBack: false,
      reachesRunning: true)
    try await action.run(.resume)
  }
}
