import ArgumentParser
import SluiceModel
import SluiceEngine
import SluiceRollout
import SluiceStore

/// `sluice events [-f]`. `-f` means follow here, as in `tail`; manifests are named by `--file`.
struct Events: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Every recorded event, oldest first.")

  @Argument(help: "One service; without it, all.")
  var service: String?

  @Flag(name: [.customShort("f"), .long], help: "Go on with what comes, until interrupted.")
  var follow = false

  @Option(name: .customShort("n"), help: "How many of the last ones to begin with.")
  var count = 200

  @OptionGroup var source: FollowerOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(source.common, console)
    if let service { try KnownNames(workspace).require(service: service, console) }
    guard let store = try workspace.reader() else { return console.result("nothing has run yet") }
    let name = service.map { ServiceName($0) }
    var events = try store.lastEvents(service: name, limit: count)
    var last: Int64 = 0
    while true {
      for event in events {
        last = max(last, event.id)
        if output.output == .json { try output.printJSON(event) } else { console.result(text(event.stored)) }
      }
      guard follow else { return }
      try await Task.sleep(for: .milliseconds(300))
      events = try store.events(service: name, after: last, limit: 1_000)
    }
  }

  private func text(_ stored: StoredEvent) -> String {
    "\(TimeText.utc(stored.at))  \(stored.service)  \(StatusText.pad(stored.event.level.rawValue, 8)) \(stored.event.text)"
  }
}
