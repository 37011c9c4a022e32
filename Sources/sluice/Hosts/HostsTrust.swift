import ArgumentParser
import SluiceHosts
import SluiceModel
import SluiceSSH

/// `sluice hosts trust [HOST…]`
struct HostsTrust: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trust", abstract: "Show the hosts' SSH keys, ask, and write them to known_hosts.")

  @Argument(help: "Hosts; without any, all of the fleet.")
  var names: [String] = []
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let unknown = names.filter { workspace.fleet.host(HostName($0)) == nil }
    guard unknown.isEmpty else {
      console.complain(
        "\(unknown.joined(separator: ", ")): no such host in fleet \(workspace.fleet.name)", remedy: "sluice hosts list shows them")
      throw ExitStatus.usage
    }
    let chosen = workspace.fleet.hosts.filter { names.isEmpty || names.contains($0.name.rawValue) }
    let failed = try await HostReader.with(workspace) { _, group in
      let trust = HostTrust(group: group)
      var failed = false
      for host in chosen {
        do { try await offer(host, trust, console) } catch let code as ExitCode { throw code } catch let error as ValidationError {
          throw error
        } catch {
          failed = true
          console.complain("\(host.name): \(error)")
        }
      }
      return failed
    }
    if failed { throw ExitStatus.failed }
  }

  private func offer(_ host: Host, _ trust: HostTrust, _ console: Console) async throws {
    let offer = try await trust.scan(host)
    if offer.isTrusted { return console.result("\(host.name): known and unchanged") }
    console.result("\(host.name) (\(offer.endpoint.address):\(offer.endpoint.port))\(offer.isChanged ? ": its key has CHANGED" : "")")
    for key in offer.keys { console.result("  \(key.fingerprint)  \(key.type)") }
    // A changed key is never taken along with others: each is asked for by its name.
    if offer.isChanged, change.yes, !names.contains(host.name.rawValue) {
      return console.complain(
        "\(host.name): a changed key is only taken when the host is named", remedy: "sluice hosts trust \(host.name) --yes")
    }
    try change.confirm("Trust \(host.name)?", console, declined: "\(host.name): not trusted")
    try await trust.accept(offer)
    console.result("\(host.name): trusted")
  }
}
