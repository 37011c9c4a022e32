import ArgumentParser
import SluiceEngine
import SluiceHosts
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice logs SERVICE|INSTANCE [-f]`. `-f` means follow here, as in `tail`; manifests are named by `--file`.
struct Logs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "The output of a service's instances.")

  @Argument(help: "A service, or one instance: shop/3.")
  var target: String
  @Flag(
    name: [.customShort("f"), .long],
    help: "Go on with what comes, until interrupted: new instances are followed from their first line, and ended ones drop off.")
  var follow = false
  @Option(name: .customShort("n"), help: "How many of the last lines of each instance to begin with.")
  var lines = 100
  @Flag(help: "Lines as they were written, control characters and all; else they are made plain.")
  var raw = false
  @OptionGroup var source: FollowerOptions

  func validate() throws {
    if !(0...1_000_000).contains(lines) { throw ValidationError("-n is 0 to 1000000 lines") }
  }

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(source.common, console)
    let one = InstanceID(target)
    let service = one?.service ?? ServiceName(target)
    let names = try KnownNames(workspace)
    try names.require(target: target, console)
    let record = try workspace.reader()?.load(workspace.fleet.name).records.first { $0.service == service }
    let instances = (record?.instances ?? []).filter { one == nil || $0.number == one?.number }
    if instances.isEmpty, one != nil { throw names.noInstance(target, of: service, console) }
    guard follow || !instances.isEmpty else {
      console.complain("\(target) has no instance in fleet \(workspace.fleet.name)", remedy: "sluice status \(target) shows what stands")
      throw ExitStatus.failed
    }
    let writer = LogWriter(console: console, raw: raw)
    try await HostReader.with(workspace) { hosts, _ in
      if follow {
        let follower = LogFollower(
          service: service, only: one?.number, lines: lines, workspace: workspace, hosts: hosts, console: console, writer: writer)
        return try await follower.run()
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for instance in instances {
          guard let host = workspace.fleet.host(instance.host) else { continue }
          group.addTask {
            do {
              for try await line in hosts.logs(service, instance: instance.number, on: host, lines: lines) { writer.write(line, host.name) }
            } catch let error as HostFailure {
              console.complain("\(host.name): \(error.failure.message)", output: error.failure.output, remedy: error.failure.remedy)
            }
          }
        }
        try await group.waitForAll()
      }
    }
  }
}

/// Prints lines of logs, each behind who wrote it and where.
struct LogWriter: Sendable {
  let console: Console
  let raw: Bool

  func write(_ line: LogLine, _ host: HostName) {
    let head = "\(line.instance) \(host): "
    if raw { console.resultAsItIs(Array(head.utf8) + line.bytes + [0x0A]) } else { console.result(head + line.text) }
  }
}
