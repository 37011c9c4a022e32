import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// What `gateway exclude` and `gateway include` share: the same command to every service behind the gateway.
struct GatewayExclusion {
  let gateway: String
  let common: CommonOptions
  let change: ChangeOptions

  func run(_ excludes: Bool) async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let chosen = try GatewayChooser(workspace: workspace).choose(gateway, console)
    let question =
      excludes ? "Does no user reach \(chosen.map(\.description).joined(separator: ", ")) any more?" : "Include \(gateway) again?"
    try change.confirm(question, console)
    let records = try workspace.reader()?.load(workspace.fleet.name).records ?? []
    for id in chosen {
      for record in records where record.gateway(id) != nil {
        var quiet = change
        quiet.yes = true
        let action = ServiceAction(
          service: record.service, common: common, change: quiet, words: "gateway \(excludes ? "exclude" : "include") \(gateway)",
          reachesRunning: true)
        try await action.run(.exclude(id, excludes))
      }
    }
  }
}
