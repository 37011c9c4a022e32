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
    let judgement = record.judgement ?? record.ended?.judgement
    if output.output == .json {
      return try output.printJSON(
        Report(
          service: service, canary: CanaryReport(record), waits: record.rollout?.gate?.description,
          next: record.rollout?.gate?.remedy(service: name), lastResult: record.ended?.result.rawValue, lastReason: record.ended?.reason,
          findings: judgement.map(CanaryReport.findings) ?? []))
    }
    for line in Self.lines(record, judgement) { console.result(line) }
  }

  private static func lines(_ record: ServiceRecord, _ judgement: Judgement?) -> [String] {
    var lines = [StatusText.headline(record)]
    if let rollout = record.rollout {
      if case .back(let why, _) = rollout.direction { lines.append("  going back: \(why)") }
      lines += CanaryView(record)?.lines.map { "  \($0)" } ?? []
      if let gate = rollout.gate { lines += ["  waits: \(gate.description)", "  next: \(gate.remedy(service: record.service))"] }
    } else if let end = record.ended {
      lines.append("  last: \(end.cause) by \(end.by) \(end.result.words)\(end.reason.isEmpty ? "" : ": \(end.reason)")")
    }
    for finding in judgement?.findings ?? [] {
      lines.append("  \(StatusText.pad("\(finding.rule)", 18)) \(StatusText.pad(finding.verdict.rawValue, 12)) \(finding.text)")
    }
    if judgement == nil { lines.append("  no analysis has judged anything") }
    return lines
  }
}
