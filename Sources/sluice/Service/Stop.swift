import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice stop SERVICE`
struct Stop: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Drain and stop every instance of a service; its release is kept.")

  @Argument var service: String
  @Flag(help: "Let other services have its route while it is stopped.")
  var giveUpRoute = false

  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let action = ServiceAction(service: ServiceName(service), common: common, change: change, words: "stop \(service)")
    try await action.run(.stop, question: "Stop every instance of \(service)\(giveUpRoute ? ", and let others have its route" : "")?")
    if giveUpRoute { try await action.run(.giveUpRoute) }
  }
}
