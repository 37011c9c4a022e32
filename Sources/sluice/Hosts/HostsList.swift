import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice hosts list`
struct HostsList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "The fleet's hosts, their slots and what is on them.")

  struct Row: Codable {
    var host: String
    var rack: String
    var address: String
    var serviceAddress: String
    var slots: Int
    var used: Int
    var drained: Bool
    var instances: [String]
  }

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let stored = try workspace.reader()?.load(workspace.fleet.name)
    let rows = workspace.fleet.hosts.map { host in
      let instances = (stored?.records ?? []).flatMap { record in
        record.instances.filter { $0.host == host.name }.map { "\(record.service)/\($0.number)\($0.release)" }
      }
      return Row(
        host: host.name.rawValue, rack: host.rack.rawValue, address: "\(host.address)\(host.ssh.port.map { ":\($0)" } ?? "")",
        serviceAddress: host.serviceAddress, slots: host.slots, used: instances.count,
        drained: stored?.cordons.contains(host.name) ?? false,
        instances: instances)
    }
    if output.output == .json { return try output.printJSON(rows) }
    for row in rows {
      console.result(
        "\(StatusText.pad(row.rack, 10)) \(StatusText.pad(row.host, 10)) \(StatusText.pad(row.address, 24)) \(row.used)/\(row.slots) slots"
          + "\(row.drained ? "  drained" : "")\(row.instances.isEmpty ? "" : "  " + row.instances.joined(separator: " "))")
    }
  }
}
