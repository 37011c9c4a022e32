import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice rollout promote SERVICE [--full]`
struct RolloutPromote: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "promote", abstract: "End the step that the rollout is in and go on; never asks.",
    discussion:
      "Answers a step that waits for approval, ends the hold of one that lasts, and the time for which a blue-green keeps the old pool.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var steering: SteeringOptions

  @Flag(help: "Skip the steps that are left too: all users move as the new instances come.")
  var full = false

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: steering.change, words: "rollout promote \(service)\(full ? " --full" : "")",
      goesBack: false, reachesRunning: true)
    try await action.run(.promote(full: full))
  }
}
