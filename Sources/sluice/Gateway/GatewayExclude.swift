import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout

/// `sluice gateway exclude GATEWAY`
struct GatewayExclude: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exclude", abstract: "Say that no user reaches a gateway: rollouts go on without it.")

  @Argument(help: "A gateway or its host.")
  var gateway: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    try await GatewayExclusion(gateway: gateway, common: common, change: change).run(true)
  }
}
