import ArgumentParser
import SluiceGatewayControl
import SluiceModel

/// `sluice gateway undrain GATEWAY`
struct GatewayUndrain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "undrain", abstract: "Let a gateway's health address answer 200 again.")

  @Argument(help: "A gateway or its host.")
  var gateway: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    try await GatewayDraining(gateway: gateway, common: common, change: change).run(false)
  }
}
