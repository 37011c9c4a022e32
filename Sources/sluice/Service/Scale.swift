import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice scale SERVICE N`
struct Scale: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run another number of instances, until a manifest says otherwise and you agree.")

  @Argument var service: String
  @Argument var replicas: Int
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func validate() throws {
    if !(0...10_000).contains(replicas) { throw ValidationError("replicas are 0 to 10000") }
  }

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: change, words: "scale \(service) \(replicas)", reachesRunning: true)
    let question =
      replicas == 0
      ? "Run no instance of \(service)? Whoever asks for it gets 503 until it is scaled up again."
      : "Run \(replicas) instance\(replicas == 1 ? "" : "s") of \(service)?"
    try await action.run(.scale(replicas), question: question)
  }
}
