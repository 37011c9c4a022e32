import Foundation
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite("Installing gateways", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)), .serialized)
struct GatewayInstallerTests {
  /// What the installer needs of a gateway: `run --config FILE`, an admin socket, an end on SIGTERM.
  private static func stub(_ version: Int) -> String {
    """
    #!/usr/bin/python3
    # \(version)
    import json, os, socket, sys, time
    assert sys.argv[1:3] == ["run", "--config"], sys.argv
    config = json.load(open(sys.argv[3]))
    if config.get("fail"): print("bad listen address", flush=True); sys.exit(2)
    if os.path.exists(config["adminSocket"]): os.unlink(config["adminSocket"])
    admin = socket.socket(socket.AF_UNIX); admin.bind(config["adminSocket"]); admin.listen()
    while True:
        peer, _ = admin.accept(); peer.sendall(b"%d \(version) %s" % (os.getpid(), os.environ.get("SWIFT_BACKTRACE", "").encode())); peer.close()
    """
  }

  fileprivate static func binary(_ version: Int, in directory: String, architecture: String? = nil) async throws -> GatewayBinary {
    let path = "\(directory)/gateway-\(version)"
    try stub(version).write(toFile: path, atomically: true, encoding: .utf8)
    let size = try #require(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
    let machine = try await tool("/bin/uname", ["-m"]).trimmingCharacters(in: .newlines)
    return GatewayBinary(
      path: path, digest: SluiceModel.Digest(String(try await tool("/usr/bin/sha256sum", [path]).prefix(64))), size: Int64(size),
      architecture: architecture ?? machine)
  }

  private static func ask(_ socket: String) async throws -> [Substring] {
    try await tool(
      "/usr/bin/python3",
      ["-c", "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(99).decode(), end='')", socket]
    )
    .split(separator: " ")
  }

  @Test(
    "It is uploaded and started once, restarted for another configuration or version, and removed",
    arguments: LoopbackHost.RemoteShell.installed)
  func life(shell: LoopbackHost.RemoteShell) async throws {
    try await Bench.run(shell: shell) { bench in
      let socket = GatewayInstaller.socket(of: "edge", on: bench.host)
      let installer = GatewayInstaller(hands: bench.hands, binary: try await Self.binary(1, in: bench.directory))
      let configuration = "{\"adminSocket\":\"\(socket)\"}\n"
      let first = try await installer.ensure("edge", on: bench.host, configuration: configuration, restarts: true)
      #expect(first == GatewayInstaller.Installation(socket: socket, isChanged: true, runtime: .process))
      let running = try await Self.ask(socket)
      #expect(running.dropFirst() == ["1", "enable=no"])
      let execs = bench.hands.statistics.total(.gateway)
      let again = try await installer.ensure("edge", on: bench.host, configuration: configuration, restarts: true)
      #expect(!again.isChanged && bench.hands.statistics.total(.gateway) == execs + 1)
      #expect(try await Self.ask(socket) == running)
      let other = "{\"adminSocket\":\"\(socket)\",\"a\":\"it's\"}"
      let alone = try await installer.ensure("edge", on: bench.host, configuration: other, restarts: false)
      #expect(!alone.isChanged && alone.differs == ["configuration"])
      #expect(try await Self.ask(socket) == running)
      let changed = try await installer.ensure(
        "edge", on: bench.host, configuration: "{\"adminSocket\":\"\(socket)\",\"a\":\"it's\"}", restarts: true)
      let restarted = try await Self.ask(socket)
      #expect(changed.isChanged && restarted[0] != running[0] && restarted[1] == "1")
      let newer = GatewayInstaller(hands: bench.hands, binary: try await Self.binary(2, in: bench.directory))
      let left = try await newer.ensure("edge", on: bench.host, configuration: configuration, restarts: false)
      #expect(left.differs == ["version", "configuration"] && !left.isChanged)
      #expect(try await Self.ask(socket) == restarted)
      #expect(try await newer.ensure("edge", on: bench.host, configuration: configuration, restarts: true).isChanged)
      #expect(try await Self.ask(socket)[1] == "2")
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bench.root)/gateway/edge/bin").count == 1)
      let pid = try #require(pid_t(try await Self.ask(socket)[0]))
      kill(pid, SIGKILL)
      try await eventually("it was started again") { (try? await Self.ask(socket))?.first.map { $0 != "\(pid)" } ?? false }
      try await newer.remove("edge", from: bench.host)
      #expect(!FileManager.default.fileExists(atPath: "\(bench.root)/gateway/edge"))
      try await newer.remove("edge", from: bench.host)
    }
  }

  @Test("One that does not start, and one for another machine, are told")
  func trouble() async throws {
    try await Bench.run { bench in
      let installer = GatewayInstaller(hands: bench.hands, binary: try await Self.binary(1, in: bench.directory))
      let bad = await #expect(throws: HostFailure.self) {
        try await installer.ensure("edge", on: bench.host, configuration: "{\"fail\":true}", restarts: false)
      }
      #expect(bad?.failure.kind == .gateway && bad?.failure.output.contains("bad listen address") == true, "\(String(describing: bad))")
      let foreign = GatewayInstaller(hands: bench.hands, binary: try await Self.binary(3, in: bench.directory, architecture: "riscv64"))
      let wrong = await #expect(throws: HostFailure.self) {
        try await foreign.ensure("other", on: bench.host, configuration: "{}", restarts: false)
      }
      #expect(wrong?.failure.message.contains("riscv64") == true)
      let missing = await #expect(throws: HostFailure.self) { try await GatewayBinary.read("/nowhere") }
      #expect(missing?.failure.remedy.contains("swift build") == true)
      let own = try await GatewayBinary.read("/bin/sh")
      #expect(
        own.architecture == (try await tool("/bin/uname", ["-m"]).trimmingCharacters(in: .newlines)) && own.digest.rawValue.count == 64)
    }
  }
}

extension RigTests {
  @Test("A gateway on a host with systemd is a unit")
  func gatewayUnit() async throws {
    try await Rig.run { bench in
      let socket = GatewayInstaller.socket(of: "edge", on: bench.host)
      let installer = GatewayInstaller(hands: bench.hands, binary: try await GatewayInstallerTests.binary(1, in: bench.directory))
      let first = try await installer.ensure("edge", on: bench.host, configuration: "{\"adminSocket\":\"\(socket)\"}", restarts: true)
      #expect(first.runtime == .systemd && first.isChanged)
      #expect(
        try await !installer.ensure("edge", on: bench.host, configuration: "{\"adminSocket\":\"\(socket)\"}", restarts: true).isChanged)
      #expect(
        try await installer.ensure("edge", on: bench.host, configuration: "{\"adminSocket\":\"\(socket)\",\"a\":1}", restarts: true)
          .isChanged)
      let state = try await Rig.exec("systemctl is-active sluice-gateway-edge.service; systemctl is-enabled sluice-gateway-edge.service")
      #expect(state == "active\nenabled\n")
      try await installer.remove("edge", from: bench.host)
      #expect(try await Rig.exec("systemctl list-units --all | grep -c sluice; ls /var/lib/sluice/gateway; :") == "0\n")
    }
  }
}
