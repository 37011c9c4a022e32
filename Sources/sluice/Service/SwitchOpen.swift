import ArgumentParser
import SluiceTraffic

/// `sluice switch open SERVICE`
struct SwitchOpen: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "open", abstract: "Admit requests again.")

  @Argument var service: String
  @OptionGroup var options: SwitchOptions

  func run() async throws { try await SwitchAction(service: service, options: options).run(.open) }
}
