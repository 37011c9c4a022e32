import ArgumentParser
import Glibc
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice status [SERVICE] [--watch]`
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "What stands, what runs, what it waits for and what to type.")

  @Argument(help: "One service; without it, all.")
  var service: String?

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  @Flag(help: "Show it again whenever it changes, until interrupted.")
  var watch = false

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    var last: [ServiceRecord]?
    var area = LiveArea()
    let redraws = watch && output.output == .text && console.drawsResults
    repeat {
      let all = try workspace.reader()?.load(workspace.fleet.name).records ?? []
      let records = all.filter { service == nil || $0.service.rawValue == service }
      if let service, records.isEmpty {
        try KnownNames(workspace).require(service: service, console)
        console.complain("\(service) has never been released in fleet \(workspace.fleet.name)", remedy: "sluice apply -f PATH")
        throw ExitStatus.failed
      }
      if redraws {
        let lines = records.flatMap(StatusText.lines).map { LiveArea.Line($0) }
        if records != last { console.putResult(area.text(above: [], lines: lines, size: .of(STDOUT_FILENO))) }
      } else if records != last {
        try show(records, console)
      }
      last = records
      if watch { try await Task.sleep(for: .milliseconds(500)) }
    } while watch
  }

  private func show(_ records: [ServiceRecord], _ console: Console) throws {
    if output.output == .json { return try output.printJSON(records.map(StatusReport.init)) }
    if records.isEmpty { console.result("nothing has been released yet") }
    for record in records { StatusText.lines(record).forEach(console.result) }
  }
}

/// `sluice status --output json`, one object a service: stable names, documented in the README.
struct StatusReport: Codable {
  struct InstanceReport: Codable {
    var instance: String
    var release: Int
    var host: String
    var address: String
    var port: Int
    var phase: String
    var serving: Bool
    var inFlight: Int
  }

  struct RolloutReport: Codable {
    var number: Int
    var cause: String
    var by: String
    var release: Int?
    var direction: String
    var stage: String
    var wave: Int?
    var waits: String?
    var next: String?
  }

  var service: String
  var release: Int?
  var replicas: Int
  var serving: Int
  var floor: Int
  var rollout: RolloutReport?
  var lastResult: String?
  var lastReason: String?
  var instances: [InstanceReport]
  var badReleases: [Int]

  init(_ record: ServiceRecord) {
    service = record.service.rawValue
    release = record.stable?.release?.number
    replicas = record.goal.map { $0.release == nil ? 0 : $0.replicas } ?? 0
    serving = record.instances.count(where: \.isServing)
    floor = Bounds(strategy: record.policy.strategy, replicas: replicas).floor
    rollout = record.rollout.map { rollout in
      RolloutReport(
        number: rollout.number, cause: rollout.cause, by: rollout.by, release: rollout.goal.release?.number,
        direction: rollout.direction.isForward ? "forward" : "back", stage: rollout.stage.rawValue, wave: rollout.wave?.number,
        waits: rollout.gate?.description, next: rollout.gate?.remedy(service: record.service))
    }
    lastResult = record.ended?.result.rawValue
    lastReason = record.ended.flatMap { $0.reason.isEmpty ? nil : $0.reason }
    instances = record.instances.map { instance in
      InstanceReport(
        instance: "\(record.service)/\(instance.number)", release: instance.release.number, host: instance.host.rawValue,
        address: instance.address, port: instance.port, phase: StatusText.word(instance), serving: instance.isServing,
        inFlight: record.gateways.reduce(0) { $0 + ($1.target(instance.number)?.inFlight ?? 0) })
    }
    badReleases = record.releases.compactMap { if case .bad = $0.status { $0.number.number } else { nil } }
  }
}
