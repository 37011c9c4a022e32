import ArgumentParser
import SluiceTraffic

/// `sluice switch close SERVICE`
struct SwitchClose: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "close", abstract: "Refuse new requests with 503 and Retry-After.")

  @Argument var service: String
  @OptionGroup var options: SwitchOptions

  func run() async throws { try await SwitchAction(service: service, options: options).run(.closed) }
}
