import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice rollout pause SERVICE`
struct RolloutPause: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "pause", abstract: "Stop after the current wave, until resumed; never asks.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var steering: SteeringOptions

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: steering.change, words: "rollout pause \(service)", goesBack: false,
      reachesRunning: true)
    try await action.run(.pause)
  }
}
