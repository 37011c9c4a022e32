import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice rollout retry SERVICE`
struct RolloutRetry: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "retry", abstract: "Try again what has failed.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: change, words: "rollout retry \(service)", goesBack: false,
      reachesRunning: true)
    try await action.run(.retry)
  }
}
