import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout

/// `sluice adopt -f PATH…`
struct Adopt: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Read back what runs from the copies on hosts and gateways: on another machine, or when the state was lost.")

  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func validate() throws {
    if common.files.isEmpty { throw ValidationError("Say which manifests: -f PATH…") }
  }

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    try change.confirm("Take over the services of fleet \(workspace.fleet.name) on this machine?", console)
    try await FleetSession.with(workspace, change, command: "adopt", console: console) { session in
      try await session.adopt(workspace.services)
    }
  }
}
