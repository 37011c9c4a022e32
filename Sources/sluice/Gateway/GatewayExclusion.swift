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
    let names = chosen.map(\.description).joined(separator: ", ")
    let records = try workspace.reader()?.load(workspace.fleet.name).records ?? []
    let warning = excludes ? warning(chosen, records) : nil
    if let warning, change.yes { console.say(console.styled("\(names): \(warning)", .yellow)) }
    let question = "\(warning.map { "\(names): \($0).\n" } ?? "")Does no user reach \(names) any more?"
    try change.confirm(excludes ? question : "Include \(gateway) again?", console)
    for id in chosen where !records.contains(where: { $0.gateway(id) != nil }) { console.say("gateway \(id): no service is behind it") }
    for id in chosen {
      for record in records where record.gateway(id) != nil {
        var quiet = change
        quiet.yes = true
        let action = ServiceAction(
          service: record.service, common: common, change: quiet, words: "gateway \(excludes ? "exclude" : "include") \(gateway)",
          reachesRunning: true, idle: excludes ? "gateway \(id) is excluded: rollouts of \(record.service) go on without it" : "")
        try await action.run(.exclude(id, excludes))
      }
    }
    if !excludes { try tell(chosen, workspace, console) }
  }

  /// What it means where no other gateway of a service is left.
  private func warning(_ chosen: [GatewayID], _ records: [ServiceRecord]) -> String? {
    let left = records.filter { record in
      record.gateways.contains { chosen.contains($0.id) } && record.gateways.allSatisfy { $0.excluded || chosen.contains($0.id) }
    }
    if left.isEmpty { return nil }
    let services = left.map(\.service.rawValue).joined(separator: ", ")
    return "no other gateway of \(services) counts: rollouts then wait for none, and stop instances that users may still be sent to"
  }

  /// Whether those that count again have their tables: the waiting code where one does not answer.
  private func tell(_ chosen: [GatewayID], _ workspace: Workspace, _ console: Console) throws {
    var waits = false
    for record in try workspace.reader()?.load(workspace.fleet.name).records ?? [] {
      for gateway in record.gateways where chosen.contains(gateway.id) {
        if case .unreachable(let why) = gateway.reach {
          waits = true
          console.complain(
            "gateway \(gateway.id) counts again for \(record.service) and does not answer (\(why)): it gets the tables when it does",
            remedy: "bring it back, then sluice gateway include \(gateway.id.host) again; rollouts of \(record.service) wait for it")
        } else if let refusal = gateway.refusal, gateway.revision != record.table.revision {
          waits = true
          console.complain(
            "gateway \(gateway.id) has an old table of \(record.service) and does not take the new one: \(refusal.failure.message)",
            remedy: "keep users off it until that is put right and sluice gateway include \(gateway.id.host) says that it counts")
        } else {
          console.say("gateway \(gateway.id) counts again for \(record.service)")
        }
      }
    }
    if waits { throw ExitStatus.waiting }
  }
}
