import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice hosts list`
struct HostsList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "The fleet's hosts, their slots and what is on them.",
    discussion: "Hosts are asked whether they are drained, for 2 seconds at most; --recorded asks nobody.")

  struct Row: Codable {
    var host: String
    var rack: String
    var address: String
    var serviceAddress: String
    var slots: Int
    var used: Int
    var drained: Bool
    var drainedBy: String?
    var drainedAt: WallTime?
    var instances: [String]
  }

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  @Flag(help: "Show what the state of this machine says, and ask nobody.")
  var recorded = false

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let stored = try workspace.reader()?.load(workspace.fleet.name)
    var cordons = stored?.cordons ?? []
    for word in recorded ? [] : await CordonSurvey.ask(workspace) { cordons.hear(word) }
    let rows = workspace.fleet.hosts.map { host in
      let instances = (stored?.records ?? []).flatMap { record in
        record.instances.filter { $0.host == host.name }.map { "\(record.service)/\($0.number)\($0.release)" }
      }
      let drained = cordons.word(on: host.name).flatMap { $0.isDrained ? DrainedHost($0) : nil }
      return Row(
        host: host.name.rawValue, rack: host.rack.rawValue, address: "\(host.address)\(host.ssh.port.map { ":\($0)" } ?? "")",
        serviceAddress: host.serviceAddress, slots: host.slots, used: instances.count,
        drained: drained != nil, drainedBy: drained?.by, drainedAt: drained?.at, instances: instances)
    }
    if output.output == .json { return try output.printJSON(rows) }
    for row in rows {
      let word = cordons.word(on: HostName(row.host)).flatMap { $0.isDrained ? "  \(CordonText.words($0))" : nil } ?? ""
      console.result(
        "\(StatusText.pad(row.rack, 10)) \(StatusText.pad(row.host, 10)) \(StatusText.pad(row.address, 24)) \(row.used)/\(row.slots) slots"
          + "\(word)\(row.instances.isEmpty ? "" : "  " + row.instances.joined(separator: " "))")
    }
  }
}
