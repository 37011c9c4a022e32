import ArgumentParser
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
    let entries = try workspace.reader()?.history(service: service.map { ServiceName($0) }) ?? []
    if output.output == .json { return try output.printJSON(entries) }
    if entries.isEmpty { console.result("nothing has run yet") }
    for entry in entries {
      let end = entry.end
      console.result(
        "\(TimeText.utc(end.startedAt))  #\(end.number)  \(StatusText.pad(entry.service.rawValue, 12)) \(StatusText.pad(Self.words(end), 40)) "
          + "by \(end.by)\(end.reason.isEmpty ? "" : ": \(end.reason)")")
    }
  }

  /// `apply of @3 succeeded`, or where it ended elsewhere than it was to: `apply of @3 rolled back, back on @2`.
  static func words(_ end: RolloutEnd) -> String {
    let isBack = end.result == .rolledBack || end.result == .failed
    let wanted = end.wanted ?? (isBack ? nil : end.release)
    let result = "\(end.cause)\(wanted.map { " of \($0)" } ?? "") \(end.result.words)"
    return isBack ? "\(result)\(end.release.map { ", back on \($0)" } ?? "")" : result
  }
}
