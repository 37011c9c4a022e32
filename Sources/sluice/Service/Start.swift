import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice start SERVICE`
struct Start: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Start a stopped service.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let action = ServiceAction(service: ServiceName(service), common: common, change: change, words: "start \(service)")
    try await action.run(.start, question: "Start \(service)?")
  }
}
