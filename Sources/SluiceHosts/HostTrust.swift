package import NIOCore
package import SluiceModel
package import SluiceSSH

/// Host keys for `sluice hosts trust`: shown to a person first, written once they say so.
package struct HostTrust: Sendable {
  /// What one host shows.
  package struct Offer: Sendable {
    package var host: HostName
    package var endpoint: SSHEndpoint
    /// One per type, ed25519 first.
    package var keys: [SSHHostKey]
    /// What known_hosts says about the first of them.
    package var verdict: KnownHosts.Verdict

    /// All keys are known already.
    package var isTrusted: Bool { if case .trusted = verdict { true } else { false } }
    /// Other keys are known for the host: somebody stands between, or it was set up anew.
    package var isChanged: Bool { if case .changed = verdict { true } else { false } }
  }

  private let group: any EventLoopGroup
  private let options: SSHOptions

  package init(group: any EventLoopGroup, options: SSHOptions = SSHOptions()) {
    self.group = group
    self.options = options
  }

  /// Asks a host for its keys. Throws `SSHError`.
  package func scan(_ host: Host) async throws -> Offer {
    let endpoint = try await HostEndpoint.resolve(host)
    let keys = try await SSHConnection.scanHostKeys(of: endpoint, options: options, group: group)
    let known = try await KnownHostsFile.load(endpoint.knownHostsFiles, host: endpoint.name)
    let verdicts = keys.map { known.verdict(on: $0, host: endpoint.knownHostsName) }
    func first(_ matches: (KnownHosts.Verdict) -> Bool) -> KnownHosts.Verdict? { verdicts.first(where: matches) }
    // The worst verdict counts, but that a key of one type is known vouches for the host, not for its other keys.
    let verdict =
      first { if case .revoked = $0 { true } else { false } } ?? first { if case .trusted = $0 { true } else { false } }
      ?? first { if case .changed = $0 { true } else { false } } ?? .unknown
    return Offer(host: host.name, endpoint: endpoint, keys: keys, verdict: verdict)
  }

  /// Writes the keys that a person has vouched for; those held for the host before are removed. Throws `SSHError`.
  package func accept(_ offer: Offer) async throws {
    try await SSHConnection.trust(offer.keys, of: offer.endpoint, replacing: offer.isChanged, hashed: options.hashKnownHosts)
  }
}
