import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice remove SERVICE`
struct Remove: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "End a service for good: drain and stop every instance, take its route and files away. Its history is kept.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let action = ServiceAction(service: ServiceName(service), common: common, change: change, words: "remove \(service)")
    try await action.run(
      .remove(successor: nil), question: "End \(service) for good: stop every instance, and take its route and files away?")
  }
}
