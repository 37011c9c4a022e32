import ArgumentParser
import SluiceHosts
import SluiceModel
import Synchronization

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
    /// `ok`, `unusable`, or why SSH does not get in.
    var state: String
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
    /// Commands at once on a connection, as far as it was tried (4).
    var sessions: Int?
    /// What its cgroups can limit.
    var limits: [String]?
    var missingTools: [String]
    var portsTaken: [Int]
    var problems: [Trouble]
  }

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let ports = ports(workspace)
    let limited = workspace.services.map { LimitedRun(service: $0.policy.name, runtime: $0.run.runtime, limits: $0.run.limits) }
    let reports = try await HostReader.with(workspace) { hosts, _ in
      await Self.inspect(workspace.fleet, ports, HostInspector(hands: hosts, limited: limited), console)
    }
    if output.output == .json { try output.printJSON(reports.map(row)) } else { show(reports, console) }
    if reports.contains(where: { !$0.isUsable }) { throw ExitStatus.failed }
  }

  /// All ports that the services of the manifests may be given.
  private func ports(_ workspace: Workspace) -> PortRange {
    let ranges = workspace.services.map(\.policy.ports)
    guard let from = ranges.map(\.from).min(), let to = ranges.map(\.to).max() else { return PortRange(from: 1, to: 65_535) }
    return PortRange(from: from, to: to)
  }

  /// Says from time to time which hosts have not answered yet.
  private static func inspect(_ fleet: Fleet, _ ports: PortRange, _ inspector: HostInspector, _ console: Console) async -> [HostReport] {
    let waiting = Waiting(fleet.hosts.map(\.name))
    return await withTaskGroup(of: [HostReport]?.self) { group in
      group.addTask {
        await inspector.inspect(fleet.hosts, ports: ports) { waiting.end($0) }
      }
      group.addTask {
        var seconds = 3
        while (try? await Task.sleep(for: .seconds(3))) != nil {
          let left = waiting.left
          if left.isEmpty { break }
          console.say("waiting for \(left.map(\.rawValue).joined(separator: ", ")), \(seconds) s by now")
          seconds += 3
        }
        return nil
      }
      var reports: [HostReport] = []
      while let part = await group.next() {
        guard let part else { continue }
        reports = part
        group.cancelAll()
      }
      return reports
    }
  }

  private static let titles = [
    "RACK", "HOST", "STATE", "LATENCY", "INIT", "TOOLS", "ARCH", "CPUS", "MEMORY", "DISK FREE", "CLOCK", "FORWARDING",
  ]

  private func cells(_ report: HostReport) -> [String] {
    func size(_ bytes: Int64?) -> String { bytes.map { "\($0 / 1_048_576) MiB" } ?? "-" }
    let clock = report.clockDifference.map { "\($0 > 0 ? "+" : $0 < 0 ? "-" : "")\(ClockWords.text(abs($0)))" } ?? "-"
    return [
      report.rack.rawValue, report.host.rawValue, report.refusal ?? (report.isUsable ? "ok" : "unusable"),
      report.latency.map { "\(milliseconds($0)) ms" } ?? "-", report.initSystem ?? "-",
      report.latency == nil ? "-" : report.missingTools.isEmpty ? "all" : "\(report.missingTools.count) missing",
      report.architecture ?? "-", report.cpus.map { "\($0)" } ?? "-", size(report.memory), size(report.diskFree), clock,
      report.forwarding.map { $0 ? "yes" : "no" } ?? "-",
    ]
  }

  private func show(_ reports: [HostReport], _ console: Console) {
    let rows = reports.map(cells)
    let widths = Self.titles.indices.map { column in ([Self.titles] + rows).map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      let text = zip(cells, widths).map { StatusText.pad($0, $1) }.joined(separator: "  ")
      return String(text.reversed().drop { $0 == " " }.reversed())
    }
    console.result(line(Self.titles))
    for (report, row) in zip(reports, rows) {
      console.result(line(row))
      for problem in report.problems {
        console.result("    \(problem.isWarning ? "warning" : "error"): \(problem.message)")
        if !problem.remedy.isEmpty { console.result("      next: \(problem.remedy)") }
      }
    }
  }

  private func milliseconds(_ duration: Duration) -> Double {
    let parts = duration.components
    return (Double(parts.seconds) * 10_000 + Double(parts.attoseconds) / 1e14).rounded() / 10
  }

  private func row(_ report: HostReport) -> Row {
    Row(
      host: report.host.rawValue, rack: report.rack.rawValue, reachable: report.isReachable,
      state: report.refusal ?? (report.isUsable ? "ok" : "unusable"),
      latencyMilliseconds: report.latency.map(milliseconds), user: report.user, initSystem: report.initSystem,
      runtime: report.runtime?.rawValue, architecture: report.architecture, system: report.system, kernel: report.kernel, cpus: report.cpus,
      memoryBytes: report.memory, diskFreeBytes: report.diskFree, clockDifferenceMilliseconds: report.clockDifference,
      forwarding: report.forwarding, sessions: report.sessions, limits: report.controllers?.filter { $0 != "none" },
      missingTools: report.missingTools, portsTaken: report.portsTaken,
      problems: report.problems.map { Row.Trouble(severity: $0.isWarning ? "warning" : "error", message: $0.message, remedy: $0.remedy) })
  }
}

/// The hosts that have not been done with yet.
private final class Waiting: Sendable {
  private let hosts: Mutex<[HostName]>

  init(_ hosts: [HostName]) { self.hosts = Mutex(hosts) }

  var left: [HostName] { hosts.withLock { $0 } }

  func end(_ host: HostName) { hosts.withLock { hosts in hosts.removeAll { $0 == host } } }
}
