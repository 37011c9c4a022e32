import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice freeze [SERVICE]`
struct FreezeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "freeze", abstract: "Let no release begin or go further; going back, scaling and draining go on.")

  @Argument(help: "All services of the fleet where it is left out.") var service: String?
  @Option(help: "Told to whoever is stopped by it.") var reason = ""
  @OptionGroup var common: CommonOptions
  @OptionGroup var steering: SteeringOptions

  func run() async throws { try await Freezing(service: service, common: common, steering: steering).run(.freeze(reason), "freeze") }
}

/// `sluice unfreeze [SERVICE]`
struct Unfreeze: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unfreeze", abstract: "Let releases begin again; a rollout that a freeze has stopped goes on.")

  @Argument(help: "All services of the fleet where it is left out.") var service: String?
  @OptionGroup var common: CommonOptions
  @OptionGroup var steering: SteeringOptions

  func run() async throws { try await Freezing(service: service, common: common, steering: steering).run(.unfreeze, "unfreeze") }
}

/// One service or all of them.
private struct Freezing {
  let service: String?
  let common: CommonOptions
  let steering: SteeringOptions

  /// One that cannot be reached keeps none of the others from it.
  func run(_ verb: Command.Verb, _ word: String) async throws {
    var failed: ExitCode?
    for name in try services(verb) {
      let action = ServiceAction(
        service: name, common: common, change: steering.change, words: "\(word) \(name)", reachesRunning: true,
        idle: "\(name): \(verb == .unfreeze ? "releases may begin again" : "frozen: no release begins until sluice unfreeze \(name)")")
      // A rollout that stands at its gate is what a freeze is for.
      do { try await action.run(verb) } catch let code as ExitCode {
        if code != ExitStatus.waiting || verb == .unfreeze { failed = failed ?? code }
      }
    }
    if let failed { throw failed }
  }

  /// Without a name: those whose state it changes.
  private func services(_ verb: Command.Verb) throws -> [ServiceName] {
    if let service { return [ServiceName(service)] }
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let records = try workspace.reader()?.load(workspace.fleet.name).records ?? []
    return records.filter { verb != .unfreeze || $0.freeze != nil }.map(\.service).sorted()
  }
}
