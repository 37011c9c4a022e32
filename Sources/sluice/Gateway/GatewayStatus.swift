import ArgumentParser
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceHosts
import SluiceModel
import SluiceRollout
import SluiceTraffic

/// `sluice gateway status [GATEWAY]`
struct GatewayStatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "status", abstract: "What each gateway runs and measures.")

  @Argument(help: "A gateway or its host; without it, all.")
  var gateway: String?
  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  struct Row: Codable {
    var gateway: String
    var status: GatewayStatus?
    var error: String?
  }

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let chosen = try GatewayChooser(workspace: workspace).choose(gateway, console)
    let rows = try await HostReader.with(workspace) { hosts, _ in
      let driver = GatewayAccess.driver(workspace: workspace, hosts: hosts)
      var rows: [Row] = []
      for id in chosen {
        do { rows.append(Row(gateway: id.description, status: try await driver.status(id))) } catch {
          rows.append(Row(gateway: id.description, error: "\(error)"))
        }
      }
      await driver.close()
      return rows
    }
    if output.output == .json { try output.printJSON(rows) } else { for row in rows { show(row, console) } }
    if rows.contains(where: { $0.error != nil }) { throw ExitStatus.failed }
  }

  private func show(_ row: Row, _ console: Console) {
    guard let status = row.status else { return console.result("\(row.gateway): does not answer: \(row.error ?? "")") }
    console.result(
      "\(row.gateway): version \(status.version), pid \(status.pid), \(status.connections) connections, \(TimeText.utc(status.clock))"
        + "\(status.draining ? ", drained for what stands in front" : "")")
    if let degraded = status.degraded { console.result("  DEGRADED: \(degraded)") }
    for service in status.services {
      console.result(
        "  \(service.service): table \(service.revision?.description ?? "none"), switch \(service.switch.state.rawValue), "
          + "\(service.total.admitted) admitted, \(service.total.inFlight) in flight, \(service.total.longLived) long-lived")
      for target in service.targets {
        console.result(
          "    \(StatusText.pad("\(target.instance)", 12)) \(StatusText.pad("\(target.release)", 4)) \(StatusText.pad("\(target.address):\(target.port)", 22)) "
            + "\(StatusText.pad(target.state.rawValue, 9)) \(StatusText.pad(target.health.rawValue, 10)) \(target.inFlight) in flight")
      }
    }
  }
}
