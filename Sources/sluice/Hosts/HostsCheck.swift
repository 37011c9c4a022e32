import ArgumentParser
import SluiceHosts
import SluiceModel

/// `sluice hosts check`
struct HostsCheck: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Reach every host and say what it lacks: exit 1 when one cannot be released to.")

  struct Row: Codable {
    struct Trouble: Codable {
      var severity: String
      var message: String
      var remedy: String
    }

    var host: String
    var rack: String
    var reachable: Bool
    var latencyMilliseconds: Double?
    var user: String?
    var initSystem: String?
    var runtime: String?
    var architecture: String?
    var system: String?
    var kernel: String?
    var cpus: Int?
    var memoryBytes: Int64?
    var diskFreeBytes: Int64?
    var clockDifferenceMilliseconds: Int64?
    var forwarding: Bool?
    var missingTools: [String]
    var portsTaken: [Int]
    var problems: [Trouble]
  }

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let reports = try await HostReader.with(workspace) { hosts, _ in
      await HostInspector(hands: hosts).inspect(workspace.fleet.hosts, ports: ports(workspace))
    }
    if output.output == .json { try output.printJSON(reports.map(row)) } else { for report in reports { show(report, console) } }
    if reports.contains(where: { !$0.isUsable }) { throw ExitStatus.failed }
  }

  /// All ports that the services of the manifests may be given.
  private func ports(_ workspace: Workspace) -> PortRange {
    let ranges = workspace.services.map(\.policy.ports)
    guard let from = ranges.map(\.from).min(), let to = ranges.map(\.to).max() else { return PortRange(from: 1, to: 65_535) }
    return PortRange(from: from, to: to)
  }

  private func show(_ report: HostReport, _ console: Console) {
    let latency = report.latency.map { "\(milliseconds($0)) ms" } ?? "-"
    let disk = report.diskFree.map { "\($0 / 1_048_576) MiB free" } ?? "-"
    let memory = report.memory.map { "\($0 / 1_048_576) MiB" } ?? "-"
    let state = report.isReachable ? (report.isUsable ? "ok" : "unusable") : "unreachable"
    console.result(
      "\(StatusText.pad(report.rack.rawValue, 10)) \(StatusText.pad(report.host.rawValue, 8)) \(StatusText.pad(state, 11)) "
        + "\(StatusText.pad(latency, 9)) \(StatusText.pad(report.initSystem ?? "-", 9)) \(StatusText.pad(report.architecture ?? "-", 8)) "
        + "\(StatusText.pad(report.cpus.map { "\($0) cpu" } ?? "-", 6)) \(StatusText.pad(memory, 10)) \(disk)")
    for problem in report.problems {
      console.result("    \(problem.isWarning ? "warning" : "error"): \(problem.message)")
      if !problem.remedy.isEmpty { console.result("      next: \(problem.remedy)") }
    }
  }

  private func milliseconds(_ duration: Duration) -> Double {
    let parts = duration.components
    return (Double(parts.seconds) * 10_000 + Double(parts.attoseconds) / 1e14).rounded() / 10
  }

  private func row(_ report: HostReport) -> Row {
    Row(
      host: report.host.rawValue, rack: report.rack.rawValue, reachable: report.isReachable,
      latencyMilliseconds: report.latency.map(milliseconds), user: report.user, initSystem: report.initSystem,
      runtime: report.runtime?.rawValue, architecture: report.architecture, system: report.system, kernel: report.kernel, cpus: report.cpus,
      memoryBytes: report.memory, diskFreeBytes: report.diskFree, clockDifferenceMilliseconds: report.clockDifference,
      forwarding: report.forwarding, missingTools: report.missingTools, portsTaken: report.portsTaken,
      problems: report.problems.map { Row.Trouble(severity: $0.isWarning ? "warning" : "error", message: $0.message, remedy: $0.remedy) })
  }
}
