import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice rollout abort SERVICE`
struct RolloutAbort: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "abort", abstract: "Go back to where the rollout came from, now.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: change, words: "rollout abort \(service)", goesBack: true, reachesRunning: true
    )
    try await action.run(.abort)
  }
}
