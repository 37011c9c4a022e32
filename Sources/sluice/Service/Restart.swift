import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice restart SERVICE|INSTANCE`
struct Restart: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Replace every instance, or one, by a new one of the same release, in waves.")

  @Argument(help: "A service, or one instance: shop/3.")
  var target: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let instance = InstanceID(target)
    let service = instance?.service ?? ServiceName(target)
    let action = ServiceAction(service: service, common: common, change: change, words: "restart \(target)")
    try await action.run(.restart(instance: instance?.number), question: "Restart \(target)?")
  }
}
