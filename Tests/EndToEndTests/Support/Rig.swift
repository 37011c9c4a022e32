import Foundation
import Glibc

/// Real hosts in namespaces of this machine, by `Tests/Rig/rig`; taken down with the object, and by the rig's own watcher when the tests die.
final class Rig {
  let name: String
  /// The Fleet manifest that the rig has printed.
  let fleet: String
  private static var script: String { "\(Place.top)/Tests/Rig/rig" }

  private init(name: String, fleet: String) {
    self.name = name
    self.fleet = fleet
  }

  /// `racks` × `hosts` service hosts `a1 a2 b1 …` and gateway hosts `g1 …`; every flag of `rig up` may be added.
  static func up(_ name: String, racks: Int = 3, hosts: Int = 2, gateways: Int = 1, flags: [String] = []) async throws -> Rig {
    let words = [
      script, "--name", name, "up", "--racks", "\(racks)", "--hosts", "\(hosts)", "--gateways", "\(gateways)", "--owner-pid", "\(getpid())",
    ]
    let output = try await Program.run(words + flags, limit: .seconds(120))
    guard output.status == 0 else { throw ProgramError("rig up: \(output.all)") }
    return Rig(name: name, fleet: output.out)
  }

  deinit {
    _ = try? Program([Self.script, "--name", name, "down"]).waitBlocking()
  }

  /// kill, boot, cut, heal …
  func act(_ verb: String, _ names: String...) async throws {
    let output = try await Program.run([Self.script, "--name", name, verb] + names, limit: .seconds(60))
    guard output.status == 0 else { throw ProgramError("rig \(verb): \(output.all)") }
  }

  /// A command on a host, as root.
  func run(on host: String, _ words: String...) async throws -> Program.Output {
    try await Program.run([Self.script, "--name", name, "exec", host, "--"] + words, limit: .seconds(60))
  }

  /// The address of a host, as the manifest says.
  func address(of host: String) throws -> String {
    for line in fleet.split(separator: "\n") where line.contains("name: \(host),") {
      if let part = line.components(separatedBy: "address: ").dropFirst().first {
        return String(part.prefix { $0 != "," && $0 != " " && $0 != "}" })
      }
    }
    throw ProgramError("the rig has no host \(host)")
  }
}

/// What a gateway's unit is called on hosts of a rig.
enum GatewayUnit {
  /// Of gateway `edge` of fleet `rig`: the digits are the first of SHA-256("rig\n/var/lib/sluice"), see `HostTag`.
  static let edge = "sluice-gateway-edge-rig-c4c144f2.service"
}

extension Program {
  /// For a deinitialiser, which cannot await.
  func waitBlocking() -> Bool {
    for _ in 0..<1500 where isRunning { usleep(20_000) }
    return !isRunning
  }
}
