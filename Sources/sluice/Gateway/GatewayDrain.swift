import ArgumentParser
import SluiceGatewayControl
import SluiceModel

/// `sluice gateway drain GATEWAY`
struct GatewayDrain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Let a gateway's health address answer 503, so that what stands in front takes it out.")

  @Argument(help: "A gateway or its host.")
  var gateway: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    try await GatewayDraining(gateway: gateway, common: common, change: change).run(true)
  }
}
