import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice rollback SERVICE [--to N]`
struct Rollback: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Go back to the release before; in mid-rollout the same as `rollout abort`.")

  @Argument var service: String
  @Option(help: "The number of the release, as `sluice history` lists it.")
  var to: Int?
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: change, words: "rollback \(service)", goesBack: true, reachesRunning: true)
    try await action.run(
      .rollback(to: to.map { ReleaseNumber($0) }),
      question: "Roll \(service) back to \(to.map { "release \($0)" } ?? "the release before")?")
  }
}
