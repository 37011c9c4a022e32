internal import Crypto
internal import NIOCore
package import SluiceModel
internal import SluiceRollout
internal import SluiceSSH

/// The executable that gateway hosts are given: read once, installed on many.
package struct GatewayBinary: Hashable, Sendable {
  package let path: String
  package let digest: SluiceModel.Digest
  package let size: Int64
  /// As `uname -m` says it; nil for an architecture Sluice does not know.
  package let architecture: String?

  /// Reads the file. Throws `HostFailure` where it is missing or no executable.
  package static func read(_ path: String) async throws(HostFailure) -> GatewayBinary {
    do {
      return try await LocalFile.read(path) { file, size in
        var hash = SHA256()
        var head: [UInt8] = []
        try file.forEachPiece { piece in
          if head.isEmpty { head = Array(piece.prefix(20)) }
          hash.update(bufferPointer: piece)
        }
        // e_machine of the ELF header (System V ABI, chapter 4).
        let machines: [UInt16: String] = [0x3e: "x86_64", 0xb7: "aarch64"]
        guard head.count == 20, head.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { throw IOError(errnoCode: 8, reason: path) }
        let digest = hash.finalize().map { Token.hexadecimal($0).lowercased() }.joined()
        return GatewayBinary(
          path: path, digest: SluiceModel.Digest(digest), size: size, architecture: machines[UInt16(head[18]) | UInt16(head[19]) << 8])
      }
    } catch {
      throw HostFailure(
        failure: Failure(
          .gateway, "the gateway's executable cannot be used: \(error)", remedy: "Build it: swift build -c release --product sluice-gateway"
        ))
    }
  }
}

/// Keeps `sluice-gateway` running on gateway hosts: as a systemd unit where Sluice may make one, otherwise under Sluice's own supervisor.
package struct GatewayInstaller: Sendable {
  /// What stands on a host after `ensure`.
  package struct Installation: Hashable, Sendable {
    /// Where the admin API listens on the host.
    package var socket: String
    /// It was installed, given another configuration, or started.
    package var isChanged: Bool
    package var runtime: RuntimeKind
    /// In what the one that runs, and was left alone, is not what was asked for: `version`, `configuration`, `runtime`, `unit`.
    package var differs: [String] = []
  }

  private let hands: FleetHosts
  private let binary: GatewayBinary
  /// A gateway that is restarted may take its time to end what it has accepted.
  private static let limits = SSHLimits(timeout: .seconds(120), maxOutput: 1 << 20)

  package init(hands: FleetHosts, binary: GatewayBinary) {
    self.hands = hands
    self.binary = binary
  }

  /// Where a gateway lives on a host; `admin.sock` and `state` below it belong into its configuration.
  package static func directory(of gateway: GatewayName, on host: Host) -> String { "\(host.root)/gateway/\(gateway)" }
  /// Where the admin API is reached, whatever version made it.
  package static func socket(of gateway: GatewayName, on host: Host) -> String { directory(of: gateway, on: host) + "/admin.sock" }
  /// Where a gateway of this version makes its admin socket: in a directory of its own, since it may write to no other but `state`. The path above
  /// leads there.
  package static func ownSocket(of gateway: GatewayName, on host: Host) -> String { directory(of: gateway, on: host) + "/run/admin.sock" }

  /// Ensures that a gateway runs there: where none does, this executable with this configuration (JSON) is installed and started. One round trip when
  /// it runs already. One that runs and differs is restarted only where `restarts` says so: requests in flight are finished, new connections are
  /// refused meanwhile.
  ///
  /// Throws `HostFailure` for whatever stands in the way.
  package func ensure(
    _ gateway: GatewayName, on host: Host, configuration: String, restarts: Bool
  ) async throws(HostFailure) -> Installation {
    let directory = Self.directory(of: gateway, on: host)
    guard Self.ownSocket(of: gateway, on: host).utf8.count <= 107 else {
      throw HostFailure(
        failure: Failure(
          .gateway, "\(host.name): the path of the gateway's socket is longer than 107 bytes: \(Self.ownSocket(of: gateway, on: host))",
          remedy: "Choose a shorter root."))
    }
    var script = script(GatewayScripts.ensure, gateway, host)
    // The shell drops line ends at the end of what it reads, and so must both sides of a comparison.
    script.set("configuration", configuration.trimmingLineEnds)
    script.set("runtime", host.runtime(for: .auto).rawValue)
    script.set("settings", settings(directory))
    script.set("unitfile", GatewayUnit(gateway: gateway, directory: directory, digest: binary.digest, account: account(gateway, host)).text)
    script.set("launch", InstanceFiles.launch)
    script.set("supervise", InstanceFiles.supervise)
    script.set("restarts", restarts ? "1" : "")
    do {
      let link = hands.link(host)
      for _ in 0..<4 {
        let answer = try await link.run(script, .gateway, limits: Self.limits)
        if let socket = answer.value("socket"), let runtime = answer.value("runtime").flatMap(RuntimeKind.init) {
          let differs = answer.value("differs").map { $0.split(separator: " ").map(String.init) } ?? []
          return Installation(socket: socket, isChanged: answer.has("changed"), runtime: runtime, differs: differs)
        }
        guard let offset = answer.number("offset", as: Int64.self) else { throw HostTrouble.unreadable(host) }
        let architecture = answer.value("architecture") ?? "unknown"
        guard architecture == binary.architecture else {
          throw HostTrouble.failed(
            Failure(
              .gateway, "\(host.name) is \(architecture), and \(binary.path) is for \(binary.architecture ?? "another architecture")",
              remedy: "Build sluice-gateway for \(architecture)."))
        }
        var upload = self.script(GatewayScripts.upload, gateway, host)
        upload.set("size", binary.size)
        upload.set("offset", min(offset, binary.size))
        _ = try await link.upload(
          upload, file: binary.path, offset: min(offset, binary.size),
          limits: SSHLimits(timeout: nil, silence: .seconds(120), maxOutput: 1 << 20))
      }
      throw HostTrouble.failed(
        Failure(.gateway, "\(host.name): somebody else installs the same gateway", remedy: "Try again when the other has ended."))
    } catch {
      throw HostFailure(trouble: error)
    }
  }

  /// Stops a gateway and removes all that it had on the host. Nothing to do is success.
  package func remove(_ gateway: GatewayName, from host: Host) async throws(HostFailure) {
    do {
      _ = try await hands.link(host).run(script(GatewayScripts.remove, gateway, host), .gateway, limits: Self.limits)
    } catch {
      throw HostFailure(trouble: error)
    }
  }

  private func account(_ gateway: GatewayName, _ host: Host) -> String {
    HostTag.account(of: gateway, hands.fleet.name, root: host.root)
  }

  private func script(_ source: String, _ gateway: GatewayName, _ host: Host) -> HostScript {
    var script = HostScript(source)
    script.set(fleet: hands.fleet.name, on: host)
    script.set("account", account(gateway, host))
    script.set("base", Self.directory(of: gateway, on: host))
    script.set("name", gateway.rawValue)
    script.set("digest", binary.digest.rawValue)
    return script
  }

  /// For Sluice's own supervisor: as many descriptors as are allowed, and no tracer that keeps a crashed gateway from being restarted.
  private func settings(_ directory: String) -> String {
    let command = #"ulimit -n "$(ulimit -Hn)"; SWIFT_BACKTRACE=enable=no; export SWIFT_BACKTRACE; exec "$0" run --config "$1""#
    let words = Shell.words(["-c", command, "\(directory)/bin/\(binary.digest)", "\(directory)/config.json"])
    return [("i_user", ""), ("i_files", directory), ("i_secrets", ""), ("i_arguments", words)].map { "\($0)=\(Shell.quote($1))\n" }.joined()
  }
}

extension HostFailure {
  init(trouble error: any Error) {
    switch HostTrouble(error) {
    case .failed(let failure), .shut(let failure): self.init(failure: failure)
    case .unreachable(let why), .inDoubt(let why): self.init(failure: Failure(.host, why), isUnreachable: true)
    }
  }
}

extension String {
  /// Without the line ends at its end.
  var trimmingLineEnds: String {
    var text = self[...]
    while text.utf8.last == UInt8(ascii: "\n") { text = text.dropLast() }
    return String(text)
  }
}
