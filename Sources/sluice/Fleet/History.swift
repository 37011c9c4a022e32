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
    let entries = try workspace.reader()?.history(service: service.map { ServiceName($0) }) ?? []
    if output.output == .json { return try output.printJSON(entries) }
    if entries.isEmpty { console.result("nothing has run yet") }
    for entry in entries {
      let end = entry.end
      let release = end.release.map { "\(entry.service)\($0)" } ?? "\(entry.service)"
      console.result(
        "\(TimeText.utc(end.startedAt))  #\(end.number)  \(StatusText.pad(release, 12)) \(StatusText.pad(end.cause, 10)) "
          + "\(StatusText.pad(end.result.words, 14)) by \(end.by)\(end.reason.isEmpty ? "" : ": \(end.reason)")")
    }
  }
}
