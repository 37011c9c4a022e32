internal import Glibc
package import SluiceModel
package import SluiceSSH

/// From a host of the fleet to where SSH connects: the manifest over `~/.ssh/config` over OpenSSH's defaults.
package enum HostEndpoint {
  /// Throws `SSHError` of step resolve for a configuration that cannot be used.
  package static func resolve(_ host: Host) async throws -> SSHEndpoint {
    let settings = host.ssh
    var endpoint: SSHEndpoint
    if let config = try await SSHConfig.resolve(host: host.address, user: settings.user, port: settings.port) {
      endpoint = try await config.endpoint(name: host.name.rawValue)
    } else {
      endpoint = SSHEndpoint(
        name: host.name.rawValue, address: host.address, port: settings.port ?? 22, user: settings.user ?? loginUser)
    }
    if let identity = settings.identity {
      endpoint.identityFiles = [identity]
      endpoint.identitiesOnly = true
    }
    if let knownHosts = settings.knownHosts { endpoint.knownHostsFiles = [knownHosts] }
    if settings.hostKeys == .acceptNew { endpoint.hostKeys = .acceptNew } else { endpoint.hostKeys = .strict }
    if let jump = settings.jump { endpoint.jumps = try await SSHConfig.jump(jump, for: host.name.rawValue) }
    return endpoint
  }

  private static var loginUser: String {
    guard let entry = getpwuid(getuid()), let name = entry.pointee.pw_name else { return "root" }
    return String(cString: name)
  }
}
