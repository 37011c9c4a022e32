package import NIOCore

/// Host keys before they are trusted: what `sluice hosts trust` shows and writes.
extension SSHConnection {
  /// The keys a host shows, one per type it has (ed25519 first), without authenticating. It proves to hold each; that it is the right host
  /// is for a person to say. Throws the `SSHError` of the first connect where none succeeds.
  package static func scanHostKeys(
    of endpoint: SSHEndpoint, options: SSHOptions = SSHOptions(), group: any EventLoopGroup
  ) async throws -> [SSHHostKey] {
    let connector = SSHConnector(options: options, group: group, carrier: nil)
    var keys: [SSHHostKey] = []
    var first: SSHError?
    for type in SSHConnector.hostKeyTypes where type != "ssh-rsa" {
      do {
        keys.append(try await connector.hostKey(of: endpoint, type: type))
      } catch let error as SSHError {
        first = first ?? error
        // A server without a key of this type agrees on nothing; every other failure would only repeat itself.
        guard error.code == .noCommonAlgorithm else { break }
      }
    }
    if keys.isEmpty, let first { throw first }
    return keys
  }

  /// Writes keys that a person has vouched for to the endpoint's first known_hosts file. With `replacing`, keys held there for the host go first.
  /// Throws `SSHError` `.knownHostsUnreadable` where the file cannot be written, `.badConfiguration` where there is none.
  package static func trust(
    _ keys: [SSHHostKey], of endpoint: SSHEndpoint, replacing: Bool = false, hashed: Bool = false
  ) async throws {
    guard let file = endpoint.knownHostsFiles.first else {
      throw SSHError(
        .hostKey, .badConfiguration, host: endpoint.name, cause: "no known_hosts file is configured", remedy: "Set knownHosts.")
    }
    if replacing { try await KnownHostsFile.remove(name: endpoint.knownHostsName, from: file) }
    try await KnownHostsFile.add(keys, name: endpoint.knownHostsName, to: file, hashed: hashed)
  }
}
