import ArgumentParser
import SluiceTraffic

/// `sluice switch queue SERVICE`
struct SwitchQueue: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "queue", abstract: "Hold new requests, bounded in number and time.")

  @Argument var service: String
  @OptionGroup var options: SwitchOptions

  func run() async throws { try await SwitchAction(service: service, options: options).run(.queue) }
}
