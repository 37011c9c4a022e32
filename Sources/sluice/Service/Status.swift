import ArgumentParser
import Glibc
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore
import Synchronization

/// `sluice status [SERVICE] [--watch] [--recorded]`
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What stands, what runs, what it waits for and what to type.",
    discussion:
      "The services' gateways are asked how they stand now, and the hosts of what they call unhealthy, for 2 seconds each at most; --recorded asks nobody."
  )

  @Argument(help: "One service; without it, all.")
  var service: String?

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  @Flag(help: "Show it again whenever it changes, until interrupted.")
  var watch = false

  @Flag(help: "Show what the state of this machine says, and ask nobody.")
  var recorded = false

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let reader = ServiceReader(workspace: workspace, service: service.map { ServiceName($0) }, files: common.files)
    let records = try reader.records()
    if let service, records.isEmpty {
      try KnownNames(workspace).require(target: service, console)
      console.complain("\(service) has never been released in fleet \(workspace.fleet.name)", remedy: "sluice apply -f PATH")
      throw ExitStatus.failed
    }
    if recorded || (!watch && ServiceReader.gateways(records).isEmpty) {
      return try await show(reader, console) { recorded ? nil : [:] }
    }
    try await GatewaySurvey.with(workspace) { survey in
      if !watch {
        let answers = await survey.ask(ServiceReader.gateways(records))
        let facts = await InstanceSurvey(workspace: workspace).look(try reader.services(answers))
        return try await show(reader, console, facts) { answers }
      }
      let latest = LatestAnswers(await survey.ask(ServiceReader.gateways(records)))
      let asking = Task { await latest.keep(reader, survey) }
      defer { asking.cancel() }
      try await show(reader, console) { latest.answers }
    }
  }

  /// Once, or with `--watch` whenever something has changed.
  private func show(
    _ reader: ServiceReader, _ console: Console, _ facts: [ServiceName: [HostFact]] = [:], _ answers: () -> [GatewayID: GatewayAnswer]?
  ) async throws {
    var last: [String]?
    var area = LiveArea()
    let redraws = watch && output.output == .text && console.drawsResults
    repeat {
      var services = try reader.services(answers())
      for index in services.indices { services[index].take(facts[services[index].service] ?? []) }
      let text = try lines(services, reader.workspace)
      if redraws {
        if text != last { console.putResult(area.text(above: [], lines: text.map { LiveArea.Line($0) }, size: .of(STDOUT_FILENO))) }
      } else if text != last {
        text.forEach(console.result)
      }
      last = text
      if watch { try await Task.sleep(for: .milliseconds(500)) }
    } while watch
  }

  private func lines(_ services: [ServiceNow], _ workspace: Workspace) throws -> [String] {
    let cordons = try workspace.reader()?.load(workspace.fleet.name).cordons ?? []
    if output.output == .json { return [try output.json(services.map { StatusReport($0, cordons: cordons) })] }
    if services.isEmpty { return ["nothing has been released yet"] }
    return text(services) + CordonText.lines(cordons, workspace.fleet)
  }

  private func text(_ services: [ServiceNow]) -> [String] {
    guard recorded else { return services.flatMap(StatusText.lines) }
    if services.count == 1 { return ["\(StatusText.recorded(services[0])), nothing was asked"] + StatusText.lines(services[0]) }
    // Each has its own time; the first line tells the newest.
    let newest = services.max { ($0.recordedAt?.milliseconds ?? 0) < ($1.recordedAt?.milliseconds ?? 0) }
    let first = "\(newest.map(StatusText.recorded) ?? "as recorded"), nothing was asked"
    return [first] + services.flatMap { ["", "\(StatusText.recorded($0)):"] + StatusText.lines($0) }
  }
}

/// What the gateways said last, asked again every 2 seconds beside the showing: a gateway that is away holds nothing up.
private final class LatestAnswers: Sendable {
  private let state: Mutex<[GatewayID: GatewayAnswer]>

  init(_ answers: [GatewayID: GatewayAnswer]) { state = Mutex(answers) }

  var answers: [GatewayID: GatewayAnswer] { state.withLock { $0 } }

  /// Until the task is cancelled.
  func keep(_ reader: ServiceReader, _ survey: GatewaySurvey) async {
    while true {
      do { try await Task.sleep(for: .seconds(2)) } catch { return }
      // A state that cannot be read is told by the showing, which reads it too.
      guard let records = try? reader.records() else { continue }
      let answers = await survey.ask(ServiceReader.gateways(records))
      state.withLock { $0 = answers }
    }
  }
}
