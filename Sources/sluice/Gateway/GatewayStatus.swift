import ArgumentParser
import SluiceEngine
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceHosts
import SluiceModel
import SluiceRollout
import SluiceStore
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
    // Here somebody wants to know what is wrong with a gateway, so it is given the time that a failure takes to be told.
    let answers = try await GatewaySurvey.with(workspace) { await $0.ask(chosen, within: .seconds(30)) }
    let rows = chosen.map { id in
      switch answers[id] {
      case .status(let status)?: Row(gateway: id.description, status: status)
      case .silent(let why)?: Row(gateway: id.description, error: why)
      case nil: Row(gateway: id.description, error: "it was not asked")
      }
    }
    if output.output == .json { try output.printJSON(rows) } else { for row in rows { try show(row, workspace, console) } }
    if rows.contains(where: { $0.error != nil }) { throw ExitStatus.failed }
  }

  private func show(_ row: Row, _ workspace: Workspace, _ console: Console) throws {
    guard let status = row.status else { return console.result("\(row.gateway): does not answer: \(row.error ?? "")") }
    console.result(
      "\(row.gateway): version \(status.version), pid \(status.pid), \(status.connections) connections, \(TimeText.utc(status.clock))"
        + "\(status.draining ? ", drained for what stands in front" : "")\(try switches(status, workspace))")
    if let degraded = status.degraded { console.result("  DEGRADED: \(degraded)") }
    for warning in status.warnings ?? [] { console.result("  WARNING: \(warning)") }
    for service in status.services {
      console.result(
        "  \(service.service): table \(service.revision?.description ?? "none"), switch \(service.switch.state.rawValue), "
          + "\(service.total.admitted) admitted, \(service.total.inFlight) in flight, \(service.total.longLived) long-lived")
      for target in service.targets {
        console.result(
          "    \(StatusText.pad("\(target.instance)", 12)) \(StatusText.pad("\(target.release)", 4)) \(StatusText.pad("\(target.address):\(target.port)", 22)) "
            + "\(StatusText.pad(target.state.rawValue, 9)) \(StatusText.pad(target.health.rawValue, 10)) \(target.inFlight) in flight")
        if let faults = target.faultWords { console.result("      \(faults)") }
      }
    }
  }

  /// The switches that are not simply open, for the headline.
  private func switches(_ status: GatewayStatus, _ workspace: Workspace) throws -> String {
    try status.services.map { service in
      if service.switch.state == .open, service.switch.pending == nil { return "" }
      let known = try workspace.reader()
      let fence = try known?.load(workspace.fleet.name).records.first { $0.service == service.service }?.fence
      // Another controller's orders are not among the events here.
      let orders = try fence == service.fence ? known.map { try ServiceReader.orders(service.service, $0) } : nil
      let words = SwitchText.words(
        service.switch.state, since: orders?.since(service.switch.state), pending: service.switch.pending, service: service.service)
      return words.map { ", \(service.service): \($0)" } ?? ""
    }.joined()
  }
}

extension TargetStatus {
  /// What gateways had to answer in its place: `7 faults (bad_answer 5, no_answer 2), the last at …: its answer cannot be understood: …`; nil: nothing.
  var faultWords: String? {
    guard let faults, !faults.isEmpty else { return nil }
    let each = faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    let last = lastFault.map { ", the last\(lastFaultAt.map { " at \(TimeText.utc($0))" } ?? ""): \($0)" } ?? ""
    return "\(faults.values.reduce(0, +)) faults (\(each))\(last)"
  }
}
