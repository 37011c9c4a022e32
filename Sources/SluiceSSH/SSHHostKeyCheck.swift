/// Whether a host is the right one: its key against known_hosts, under the endpoint's policy.
struct SSHHostKeyCheck {
  let endpoint: SSHEndpoint
  let options: SSHOptions
  let known: KnownHosts

  func check(_ key: SSHHostKey) async throws {
    switch known.verdict(on: key, host: endpoint.knownHostsName) {
    case .trusted: return
    case .revoked(let entry):
      throw SSHError(
        .hostKey, .hostKeyRevoked, host: endpoint.name,
        cause: "the key it shows, \(key), is marked @revoked in \(entry.file) line \(entry.line)",
        remedy:
          "Do not connect: somebody holds a key that was given up. Give the host a new one (ssh-keygen -A after removing the old files).",
        hostKey: key)
    case .changed(let entries):
      let held = entries.map { "\($0.key) in \($0.file) line \($0.line)" }.joined(separator: ", ")
      throw SSHError(
        .hostKey, .hostKeyChanged, host: endpoint.name, cause: "it shows another key than the one known: \(key), known is \(held)",
        remedy:
          "Either the host was set up anew or somebody stands between. If you know that it was set up anew: sluice hosts trust \(endpoint.name)",
        hostKey: key)
    case .unknown:
      guard endpoint.hostKeys == .acceptNew, let file = endpoint.knownHostsFiles.first else {
        throw SSHError(
          .hostKey, .hostKeyUnknown, host: endpoint.name,
          cause:
            "its key \(key) is not known: none of \(endpoint.knownHostsFiles.joined(separator: ", ")) holds \(endpoint.knownHostsName)",
          remedy:
            "Compare the fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then: sluice hosts trust \(endpoint.name)",
          hostKey: key)
      }
      try await KnownHostsFile.add([key], name: endpoint.knownHostsName, to: file, hashed: options.hashKnownHosts)
    }
  }
}
