internal import Glibc
internal import NIOPosix

/// What `~/.ssh/config` says about a host, as OpenSSH itself resolves it (`ssh -G`).
package struct SSHConfig: Sendable, Hashable {
  package var hostname: String
  package var user: String
  package var port: Int
  /// In OpenSSH's order, `~` and the tokens %d %h %r %u expanded; files that do not exist included.
  package var identityFiles: [String]
  package var identitiesOnly: Bool
  /// Nil where `IdentityAgent none` is set or no agent is known.
  package var agentSocket: String?
  package var userKnownHostsFiles: [String]
  package var globalKnownHostsFiles: [String]
  package var strictHostKeyChecking: String
  package var hostKeyAlias: String?
  /// As written: `user@host:port`, comma-separated; nil for none.
  package var proxyJump: String?
  package var proxyCommand: String?

  /// What OpenSSH makes of a host. Its own `ssh -G` is asked where a configuration file says anything about the host (always with a `configFile`);
  /// where none does, these are its defaults. Nil where it had to be asked and is not installed. The user's and port's given values go over the
  /// config's, as on its command line.
  ///
  /// Throws `SSHError` `.badConfiguration` with what ssh said where it refuses the configuration.
  package static func resolve(
    host: String, user: String? = nil, port: Int? = nil, configFile: String? = nil, program: String = "ssh"
  ) async throws -> SSHConfig? {
    guard !host.hasPrefix("-"), !host.isEmpty, !host.contains("\0") else {
      throw SSHError(.resolve, .badConfiguration, host: host, cause: "\"\(host)\" is not a host name")
    }
    if configFile == nil, !(try await SSHConfigFiles.concern(host)) { return defaults(host: host, user: user, port: port) }
    var arguments = [program, "-G"]
    if let configFile { arguments += ["-F", configFile] }
    if let user { arguments += ["-l", user] }
    if let port { arguments += ["-p", String(port)] }
    arguments += ["--", host]
    let command = arguments
    let outcome = try await NIOThreadPool.singleton.runIfActive { ChildProcess.run(command, timeout: .seconds(20)) }
    switch outcome {
    case .missing: return nil
    case .failed(let cause):
      throw SSHError(.resolve, .badConfiguration, host: host, cause: "ssh -G: \(cause)", remedy: "Try: ssh -G \(host)")
    case .finished(let output): return parse(output, host: host)
    }
  }

  /// What `ssh -G` says where no file says anything else (ssh_config(5)).
  static func defaults(host: String, user: String?, port: Int?) -> SSHConfig {
    let home = SystemEnvironment.accountHome ?? SystemEnvironment.home
    let names = ["rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa"]
    return SSHConfig(
      hostname: host.lowercased(), user: user ?? SystemEnvironment.accountName ?? "root", port: port ?? 22,
      identityFiles: names.map { SystemEnvironment.expandingTilde("~/.ssh/id_\($0)") }, identitiesOnly: false,
      agentSocket: SSHEndpoint.environmentAgentSocket, userKnownHostsFiles: ["known_hosts", "known_hosts2"].map { "\(home)/.ssh/\($0)" },
      globalKnownHostsFiles: ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"], strictHostKeyChecking: "ask", hostKeyAlias: nil,
      proxyJump: nil, proxyCommand: nil)
  }

  /// Reads the output of `ssh -G`: one `key value` per line, keys in lower case.
  package static func parse(_ output: String, host: String) -> SSHConfig {
    var config = SSHConfig(
      hostname: host, user: "", port: 22, identityFiles: [], identitiesOnly: false, agentSocket: SSHEndpoint.environmentAgentSocket,
      userKnownHostsFiles: [], globalKnownHostsFiles: [], strictHostKeyChecking: "ask", hostKeyAlias: nil, proxyJump: nil, proxyCommand: nil
    )
    for line in output.split(whereSeparator: \.isNewline) {
      let parts = line.split(separator: " ", maxSplits: 1)
      guard parts.count == 2 else { continue }
      config.take(key: parts[0].lowercased(), value: String(parts[1]))
    }
    config.identityFiles = config.identityFiles.map(config.expanding)
    config.userKnownHostsFiles = config.userKnownHostsFiles.map(config.expanding)
    config.agentSocket = config.agentSocket.map(config.expanding)
    return config
  }

  private mutating func take(key: String, value: String) {
    switch key {
    case "hostname": hostname = value
    case "user": user = value
    case "port": port = Int(value) ?? port
    case "identityfile": identityFiles.append(value)
    case "identitiesonly": identitiesOnly = value == "yes"
    case "identityagent":
      agentSocket = value == "none" ? nil : value == "SSH_AUTH_SOCK" ? SSHEndpoint.environmentAgentSocket : Self.variable(value)
    case "userknownhostsfile": userKnownHostsFiles = value == "none" ? [] : Self.words(value)
    case "globalknownhostsfile": globalKnownHostsFiles = value == "none" ? [] : Self.words(value)
    case "stricthostkeychecking": strictHostKeyChecking = value
    case "hostkeyalias": hostKeyAlias = value
    case "proxyjump": proxyJump = value == "none" ? nil : value
    case "proxycommand": proxyCommand = value == "none" ? nil : value
    default: break
    }
  }

  /// `$NAME` stands for an environment variable in IdentityAgent.
  private static func variable(_ value: String) -> String? {
    value.hasPrefix("$") ? SystemEnvironment.value(String(value.dropFirst())) : value
  }

  private static func words(_ value: String) -> [String] { value.split(separator: " ").map(String.init) }

  private func expanding(_ path: String) -> String {
    var result = ""
    var rest = SystemEnvironment.expandingTilde(path)[...]
    while let percent = rest.firstIndex(of: "%"), rest.index(after: percent) < rest.endIndex {
      result += rest[..<percent]
      let token = rest[rest.index(after: percent)]
      switch token {
      case "d": result += SystemEnvironment.home
      case "h": result += hostname
      case "r": result += user
      case "u": result += SystemEnvironment.value("USER") ?? user
      case "%": result += "%"
      default: result += "%\(token)"
      }
      rest = rest[rest.index(percent, offsetBy: 2)...]
    }
    return result + rest
  }

  /// An endpoint with what the config says. Jumps are resolved one by one, through the config too.
  ///
  /// - Parameter name: what the operator calls the host.
  /// - Throws: `SSHError` `.badConfiguration` for a ProxyCommand, which is not supported, and for jumps that go in a circle.
  package func endpoint(name: String) async throws -> SSHEndpoint { try await endpoint(name: name, depth: 0) }

  private func endpoint(name: String, depth: Int) async throws -> SSHEndpoint {
    guard depth < 8 else {
      throw SSHError(
        .resolve, .badConfiguration, host: name, cause: "more than eight jump hosts, or jumps in a circle", remedy: "Look at ProxyJump.")
    }
    guard proxyCommand == nil || proxyJump != nil else {
      throw SSHError(
        .resolve, .badConfiguration, host: name, cause: "~/.ssh/config sets ProxyCommand for it, which Sluice does not run",
        remedy: "Use ProxyJump.")
    }
    var jumps: [SSHEndpoint] = []
    for hop in proxyJump?.split(separator: ",").map(String.init) ?? [] {
      jumps += try await Self.jump(hop, for: name, depth: depth + 1)
    }
    return SSHEndpoint(
      name: name, address: hostname, port: port, user: user, hostKeyAlias: hostKeyAlias, identityFiles: identityFiles,
      identitiesOnly: identitiesOnly, agentSocket: agentSocket, knownHostsFiles: userKnownHostsFiles + globalKnownHostsFiles,
      hostKeys: ["accept-new", "no", "off"].contains(strictHostKeyChecking) ? .acceptNew : .strict, jumps: jumps)
  }

  /// The endpoints of one `[user@]host[:port]` or `ssh://` hop: its own jumps, then itself.
  package static func jump(_ text: String, for name: String) async throws -> [SSHEndpoint] { try await jump(text, for: name, depth: 1) }

  private static func jump(_ text: String, for name: String, depth: Int) async throws -> [SSHEndpoint] {
    guard let hop = Hop(text) else {
      throw SSHError(.resolve, .badConfiguration, host: name, cause: "\"\(text)\" is not a jump host", remedy: "Write user@host:port.")
    }
    guard let config = try await resolve(host: hop.host, user: hop.user, port: hop.port) else {
      return [SSHEndpoint(address: hop.host, port: hop.port ?? 22, user: hop.user ?? SystemEnvironment.value("USER") ?? "root")]
    }
    var endpoint = try await config.endpoint(name: hop.host, depth: depth)
    let before = endpoint.jumps
    endpoint.jumps = []
    return before + [endpoint]
  }

  private struct Hop {
    var user: String?
    var host: String
    var port: Int?

    init?(_ text: String) {
      var rest = text[...]
      if rest.hasPrefix("ssh://") { rest = rest.dropFirst(6) }
      if let at = rest.lastIndex(of: "@") {
        user = String(rest[..<at])
        rest = rest[rest.index(after: at)...]
      }
      if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
        host = String(rest[rest.index(after: rest.startIndex)..<end])
        let after = rest[rest.index(after: end)...]
        if !after.isEmpty {
          guard after.first == ":", let number = Int(after.dropFirst()) else { return nil }
          port = number
        }
      } else if let colon = rest.lastIndex(of: ":"), rest.firstIndex(of: ":") == colon {
        host = String(rest[..<colon])
        guard let number = Int(rest[rest.index(after: colon)...]) else { return nil }
        port = number
      } else {
        host = String(rest)
      }
      guard !host.isEmpty, !host.contains("["), port.map({ (1...65535).contains($0) }) ?? true else { return nil }
    }
  }
}
