import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice history [SERVICE]`
struct History: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "What ran, when, why, by whom, and how it ended.")

  @Argument(help: "One service; without it, all.")
  var service: String?

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    if let service { try KnownNames(workspace).require(service: service, console) }
    let entries = try history(workspace)
    if output.output == .json { return try output.printJSON(entries) }
    if entries.isEmpty { console.result("nothing has run yet") }
    for entry in entries {
      let end = entry.end
      console.result(
        "\(TimeText.utc(end.startedAt))  #\(end.number)  \(StatusText.pad(entry.service.rawValue, 12)) \(StatusText.pad(Self.words(end), 40)) "
          + "by \(end.by)\(end.reason.isEmpty ? "" : ": \(end.reason)")")
    }
  }

  /// The newest first. That of a service goes on from what it was called before.
  private func history(_ workspace: Workspace) throws -> [HistoryEntry] {
    guard let store = try workspace.reader() else { return [] }
    guard let service else { return try store.history() }
    let names = KnownNames.former(of: ServiceName(service), try store.load(workspace.fleet.name).records)
    let entries = try names.flatMap { try store.history(service: $0) }
    return entries.enumerated().sorted { ($1.element.end.endedAt, $0.offset) < ($0.element.end.endedAt, $1.offset) }.map(\.element)
  }

  /// `apply of @3 succeeded`, or where it ended elsewhere than it was to: `apply of @3 rolled back, back on @2`.
  static func words(_ end: RolloutEnd) -> String {
    let isBack = end.result == .rolledBack || end.result == .failed
    let wanted = end.wanted ?? (isBack ? nil : end.release)
    let result = "\(end.cause)\(wanted.map { " of \($0)" } ?? "") \(end.result.words)"
    return isBack ? "\(result)\(end.release.map { ", back on \($0)" } ?? "")" : result
  }
}
