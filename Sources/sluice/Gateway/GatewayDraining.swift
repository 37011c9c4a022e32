import ArgumentParser
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceModel

/// What `gateway drain` and `gateway undrain` share.
struct GatewayDraining {
  let gateway: String
  let common: CommonOptions
  let change: ChangeOptions

  func run(_ drains: Bool) async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let chosen = try GatewayChooser(workspace: workspace).choose(gateway, console)
    for id in chosen where workspace.gateways.first(where: { $0.name == id.gateway })?.health == nil {
      console.complain(
        "gateway \(id) has no health address, so nothing that stands in front of it can be told",
        remedy: "give the Gateway \(id.gateway) one (health: ADDRESS:PORT) and apply it; or move its users elsewhere by hand")
      throw ExitStatus.failed
    }
    try change.confirm("\(drains ? "Drain" : "Undrain") gateway \(chosen.map(\.description).joined(separator: ", "))?", console)
    try await HostReader.with(workspace) { hosts, _ in
      let driver = GatewayAccess.driver(workspace: workspace, hosts: hosts)
      for id in chosen {
        do {
          try await driver.setDraining(drains, gateway: id)
          console.say("\(id): \(drains ? "its health address answers 503 now" : "its health address answers 200 again")")
        } catch {
          console.complain("gateway \(id): \(error)", remedy: "sluice gateway status \(id.host)")
          await driver.close()
          throw ExitStatus.failed
        }
      }
      await driver.close()
    }
  }
}
