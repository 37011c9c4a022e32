import ArgumentParser
import SluiceHosts
import SluiceModel

/// `sluice gateway upgrade [GATEWAY]`
struct GatewayUpgrade: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "upgrade",
    abstract: "Give gateways this version and what the manifests say now; one that differs is restarted.",
    discussion: """
      A restart finishes the requests in flight and refuses new connections until the new process listens, a second or so. Where several
      gateways stand behind one address, take each out first: sluice gateway drain HOST, upgrade, undrain. They are upgraded one after another.
      """)

  @Argument(help: "A gateway or its host; without it, all.")
  var gateway: String?
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let chosen = try GatewayChooser(workspace: workspace).choose(gateway, console)
    let names = chosen.map(\.description).joined(separator: ", ")
    try change.confirm(
      "Upgrade \(names)? One that differs is restarted: requests in flight are finished, new connections are refused for a moment.", console
    )
    try await FleetSession.with(workspace, change, command: "gateway upgrade", services: [], console: console) { session in
      for id in chosen { try await session.installGateways(only: [id], restarts: true) }
    }
  }
}
