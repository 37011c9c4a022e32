import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice rollout why SERVICE`
struct RolloutWhy: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "why", abstract: "Why the rollout goes on, waits or went back: the numbers and the rules of its analysis.")

  @Argument var service: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  /// What is known of one service: stable names.
  struct Report: Codable {
    var service: String
    var canary: CanaryReport?
    var waits: String?
    var next: String?
    var lastResult: String?
    var lastReason: String?
    /// Of the last rollout, where none is under way.
    var findings: [CanaryReport.FindingReport]
  }

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let name = ServiceName(service)
    guard let record = try workspace.reader()?.load(workspace.fleet.name).records.first(where: { $0.service == name }) else {
      try KnownNames(workspace).require(target: service, console)
      console.complain("\(service) has never been released in fleet \(workspace.fleet.name)", remedy: "sluice apply -f PATH")
      throw ExitStatus.failed
    }
    // What the last rollout met says nothing of the one that is under way.
    let judgement = record.rollout == nil ? record.ended?.judgement : record.judgement
    if output.output == .json {
      return try output.printJSON(
        Report(
          service: service, canary: CanaryReport(record), waits: record.rollout?.gate?.description,
          next: record.nextStep, lastResult: record.ended?.result.rawValue, lastReason: record.ended?.reason,
          findings: record.rollout == nil ? judgement.map(CanaryReport.findings) ?? [] : []))
    }
    for line in Self.lines(record, judgement) { console.result(line) }
  }

  private static func lines(_ record: ServiceRecord, _ judgement: Judgement?) -> [String] {
    var lines = [StatusText.headline(record)] + StatusText.course(record)
    for finding in judgement?.findings ?? [] {
      lines.append("  \(StatusText.pad("\(finding.rule)", 18)) \(StatusText.pad(finding.verdict.rawValue, 12)) \(finding.text)")
    }
    // Where nothing judges, its silence says nothing.
    if judgement == nil, record.steps.contains(where: { $0.analysis != nil }) { lines.append("  no analysis has judged anything") }
    return lines
  }
}
