import ArgumentParser
import SluiceEngine
import SluiceHosts
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice logs SERVICE|INSTANCE [--follow]`
struct Logs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "The output of a service's instances.")

  @Argument(help: "A service, or one instance: shop/3.")
  var target: String
  @Flag(name: .long, help: "Go on with what comes, until interrupted.")
  var follow = false
  @Option(name: .customShort("n"), help: "How many of the last lines of each instance to begin with.")
  var lines = 100
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let one = InstanceID(target)
    let service = one?.service ?? ServiceName(target)
    let record = try workspace.reader()?.load(workspace.fleet.name).records.first { $0.service == service }
    let instances = (record?.instances ?? []).filter { one == nil || $0.number == one?.number }
    let names = try KnownNames(workspace)
    try names.require(target: target, console)
    guard !instances.isEmpty else {
      if one != nil { throw names.noInstance(target, of: service, console) }
      console.complain("\(target) has no instance in fleet \(workspace.fleet.name)", remedy: "sluice status \(target) shows what stands")
      throw ExitStatus.failed
    }
    try await HostReader.with(workspace) { hosts, _ in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for instance in instances {
          guard let host = workspace.fleet.host(instance.host) else { continue }
          group.addTask {
            do {
              for try await line in hosts.logs(service, instance: instance.number, on: host, lines: lines, follow: follow) {
                console.result("\(service)/\(instance.number) \(host.name): \(line.text)")
              }
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
