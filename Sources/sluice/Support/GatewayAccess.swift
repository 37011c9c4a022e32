import Foundation
import NIOPosix
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceHosts
import SluiceModel
import SluiceRollout

/// How this program reaches gateways: over the SSH connection of their host, through the bridge of the installed executable.
enum GatewayAccess {
  static func driver(workspace: Workspace, hosts: FleetHosts) -> SluiceGatewayDriver {
    let fleet = workspace.fleet
    return SluiceGatewayDriver(
      dialer: BridgeDialer(
        start: { name, command in
          guard let host = fleet.host(name) else { throw GatewayUnreachable("host \(name) is in no manifest") }
          return try await hosts.stream(command, on: host)
        },
        command: { id in
          guard let host = fleet.host(id.host) else { return "false" }
          return bridge(to: id.gateway, on: host)
        }))
  }

  /// The bridge's command line on the host. Roots and names hold no character that a shell takes for anything else (the manifest sees to that).
  private static func bridge(to gateway: GatewayName, on host: SluiceModel.Host) -> String {
    let directory = GatewayInstaller.directory(of: gateway, on: host)
    let version = "\(directory)/version"
    let isThere = "[ -e \(version) ] || exit \(BridgeDialer.notInstalled)"
    let command =
      "\(isThere); exec \"\(directory)/bin/$(cat \(version))\" bridge --socket \(GatewayInstaller.socket(of: gateway, on: host))"
    return "\(host.ssh.become == .sudo ? "sudo -n " : "")sh -c '\(command)'"
  }

  /// The executable that gateway hosts get: `$SLUICE_GATEWAY`, or `sluice-gateway` beside this program.
  static var executable: String {
    if let path = ProcessInfo.processInfo.environment["SLUICE_GATEWAY"], !path.isEmpty { return path }
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return (own as NSString).deletingLastPathComponent + "/sluice-gateway"
  }

  /// Puts the gateway on these hosts of gateways (nil: all), all at once. What runs is left alone, and what differs about it is said; with `restarts`
  /// it is replaced.
  static func install(
    workspace: Workspace, hosts: FleetHosts, console: Console, only chosen: [GatewayID]? = nil, restarts: Bool = false
  ) async throws {
    if workspace.gateways.isEmpty { return }
    let installer = GatewayInstaller(hands: hosts, binary: try await GatewayBinary.read(executable))
    let failures = await withTaskGroup(of: (GatewayID, HostFailure?).self) { group in
      for gateway in workspace.gateways {
        for host in gateway.hosts.compactMap({ workspace.fleet.host($0) }) {
          if let chosen, !chosen.contains(GatewayID(gateway: gateway.name, host: host.name)) { continue }
          group.addTask { await ensure(gateway, on: host, installer, console, restarts: restarts) }
        }
      }
      return await group.reduce(into: [(GatewayID, HostFailure)]()) { list, result in
        if let failure = result.1 { list.append((result.0, failure)) }
      }
    }
    // One gateway that cannot be reached is a gate of the rollouts that need it; what is wrong with a reachable one is wrong now.
    for (id, failure) in failures.sorted(by: { $0.0 < $1.0 }) {
      console.complain("gateway \(id): \(failure.failure.message)", output: failure.failure.output, remedy: failure.failure.remedy)
    }
    if failures.contains(where: { restarts || !$0.1.isUnreachable }) { throw ExitStatus.failed }
  }

  private static func ensure(
    _ gateway: Gateway, on host: SluiceModel.Host, _ installer: GatewayInstaller, _ console: Console, restarts: Bool
  ) async -> (GatewayID, HostFailure?) {
    let id = GatewayID(gateway: gateway.name, host: host.name)
    let places = gateway.listen.map(\.description).joined(separator: ", ")
    do throws(HostFailure) {
      let found = try await installer.ensure(gateway.name, on: host, configuration: configuration(gateway, host), restarts: restarts)
      if found.isChanged {
        console.say("gateway \(id): \(restarts ? "upgraded" : "installed"), \(found.runtime.rawValue), listening on \(places)")
      } else if restarts {
        console.say("gateway \(id): runs this version with this configuration already")
      }
      if !found.differs.isEmpty {
        console.say(
          console.styled(
            "gateway \(id) runs another \(difference(found.differs)): sluice gateway upgrade \(id.host) restarts it "
              + "(requests in flight are finished, new connections are refused meanwhile)", .yellow))
      }
      return (id, nil)
    } catch {
      return (id, error)
    }
  }

  private static func difference(_ parts: [String]) -> String {
    parts.count < 2 ? parts.joined() : parts.dropLast().joined(separator: ", ") + " and " + parts[parts.count - 1]
  }

  /// The gateway's configuration on one host, as stable JSON: the same manifest gives the same bytes.
  static func configuration(_ gateway: Gateway, _ host: SluiceModel.Host) -> String {
    let directory = GatewayInstaller.directory(of: gateway.name, on: host)
    let configuration = GatewayConfiguration(
      listen: gateway.listen.map { GatewayConfiguration.Address(address: $0.address, port: $0.port) },
      adminSocket: GatewayInstaller.ownSocket(of: gateway.name, on: host), stateDirectory: directory + "/state",
      trustedProxies: gateway.trustedProxies,
      health: gateway.health.map { GatewayConfiguration.Address(address: $0.address, port: $0.port) })
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(configuration)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }
}
