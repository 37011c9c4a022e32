import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout

/// `sluice gateway include GATEWAY`
struct GatewayInclude: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "include", abstract: "Count a gateway again; it is given the current tables before anything else.")

  @Argument(help: "A gateway or its host.")
  var gateway: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    try await GatewayExclusion(gateway: gateway, common: common, change: change).run(false)
  }
}
