import NIOCore
import NIOPosix
import SluiceHosts
import SluiceModel

/// Connections for commands that only look: no lock, no secrets, no artifacts.
struct HostReader {
  /// Opens, gives to `body`, closes whatever happens.
  static func with<Result>(
    _ workspace: Workspace, _ body: (FleetHosts, MultiThreadedEventLoopGroup) async throws -> Result
  ) async throws -> Result {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let hosts = FleetHosts(fleet: workspace.fleet, group: group, artifacts: { _ in "" }, secrets: { _, _ in [:] })
    do {
      let result = try await body(hosts, group)
      await hosts.close()
      try await group.shutdownGracefully()
      return result
    } catch {
      await hosts.close()
      try? await group.shutdownGracefully()
      throw error
    }
  }
}
