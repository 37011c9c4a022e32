/// What to do with the key of a host that no known_hosts file names. A changed or revoked key is refused under both.
package enum SSHHostKeyPolicy: Sendable, Hashable {
  /// Only keys that known_hosts already holds.
  case strict
  /// A key seen for the first time is written to the first known_hosts file and trusted from then on.
  case acceptNew
}

/// Where a host's sshd is, who to be there, and how to know that it is the right one.
///
/// Paths are absolute or begin with `~/`. `SSHConfig.resolve` makes one from `~/.ssh/config`; the manifest's values go over it.
package struct SSHEndpoint: Sendable, Hashable {
  /// What the operator calls the host; it opens every error's text.
  package var name: String
  /// A name to look up or a numeric IPv4 or IPv6 address (no brackets).
  package var address: String
  package var port: Int
  package var user: String
  /// The name to look up in known_hosts instead of `address` and `port` (OpenSSH's HostKeyAlias).
  package var hostKeyAlias: String?
  /// OpenSSH private key files, tried in this order. A file that does not exist is skipped and named if nothing else gets in.
  package var identityFiles: [String]
  /// Offer no agent key but those that `identityFiles` name (OpenSSH's IdentitiesOnly).
  package var identitiesOnly: Bool
  /// The agent's unix socket; nil asks no agent.
  package var agentSocket: String?
  /// Read in this order; new keys go to the first.
  package var knownHostsFiles: [String]
  package var hostKeys: SSHHostKeyPolicy
  /// Hosts to go through, the first one first. Each one's session is a direct-tcpip channel of the one before.
  package var jumps: [SSHEndpoint]

  /// `agentSocket` defaults to `SSH_AUTH_SOCK`, `identityFiles` to the usual ed25519 and ECDSA names, `knownHostsFiles` to OpenSSH's own.
  package init(
    name: String? = nil, address: String, port: Int = 22, user: String, hostKeyAlias: String? = nil,
    identityFiles: [String] = SSHEndpoint.defaultIdentityFiles, identitiesOnly: Bool = false,
    agentSocket: String? = SSHEndpoint.environmentAgentSocket, knownHostsFiles: [String] = SSHEndpoint.defaultKnownHostsFiles,
    hostKeys: SSHHostKeyPolicy = .strict, jumps: [SSHEndpoint] = []
  ) {
    self.name = name ?? address
    self.address = address
    self.port = port
    self.user = user
    self.hostKeyAlias = hostKeyAlias
    self.identityFiles = identityFiles
    self.identitiesOnly = identitiesOnly
    self.agentSocket = agentSocket
    self.knownHostsFiles = knownHostsFiles
    self.hostKeys = hostKeys
    self.jumps = jumps
  }

  /// The name known_hosts files hold for this endpoint: `host`, or `[host]:port` where the port is not 22.
  package var knownHostsName: String {
    if let hostKeyAlias { return hostKeyAlias.lowercased() }
    let host = address.lowercased()
    return port == 22 ? host : "[\(host)]:\(port)"
  }

  package static let defaultIdentityFiles = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa"]
  package static let defaultKnownHostsFiles = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts"]

  /// `SSH_AUTH_SOCK`, where it is set and not empty.
  package static var environmentAgentSocket: String? { SystemEnvironment.value("SSH_AUTH_SOCK") }
}
