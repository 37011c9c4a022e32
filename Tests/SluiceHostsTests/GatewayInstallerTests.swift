import Foundation
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite("Installing gateways", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)), .serialized)
struct GatewayInstallerTests {
  /// What the installer needs of a gateway: `run --config FILE`, an admin socket, an end on SIGTERM.
  static func stub(_ version: Int) -> String {
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

  static func binary(_ version: Int, in directory: String, architecture: String? = nil) async throws -> GatewayBinary {
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
      let own = GatewayInstaller.ownSocket(of: "edge", on: bench.host)
      let installer = GatewayInstaller(hands: bench.hands, binary: try await Self.binary(1, in: bench.directory))
      let configuration = "{\"adminSocket\":\"\(own)\"}\n"
      let first = try await installer.ensure("edge", on: bench.host, configuration: configuration, restarts: true)
      #expect(first == GatewayInstaller.Installation(socket: socket, isChanged: true, runtime: .process))
      let running = try await Self.ask(socket)
      #expect(running.dropFirst() == ["1", "enable=no"])
      let execs = bench.hands.statistics.total(.gateway)
      let again = try await installer.ensure("edge", on: bench.host, configuration: configuration, restarts: true)
      #expect(!again.isChanged && bench.hands.statistics.total(.gateway) == execs + 1)
      #expect(try await Self.ask(socket) == running)
      let other = "{\"adminSocket\":\"\(own)\",\"a\":\"it's\"}"
      let alone = try await installer.ensure("edge", on: bench.host, configuration: other, restarts: false)
      #expect(!alone.isChanged && alone.differs == ["configuration"])
      #expect(try await Self.ask(socket) == running)
      let changed = try await installer.ensure(
        "edge", on: bench.host, configuration: "{\"adminSocket\":\"\(own)\",\"a\":\"it's\"}", restarts: true)
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
  @Test(
    "A gateway on a host with systemd is a unit in a sandbox; one of Sluice 0.1 is taken over with its state, and one that does not start gives way"
  )
  func gatewayUnit() async throws {
    try await Rig.run { bench in
      let socket = GatewayInstaller.socket(of: "edge", on: bench.host)
      let own = GatewayInstaller.ownSocket(of: "edge", on: bench.host)
      let unit = HostTag.unit(of: "edge" as GatewayName, "test", root: bench.host.root)
      let directory = GatewayInstaller.directory(of: "edge", on: bench.host)
      let binary = try await GatewayInstallerTests.binary(1, in: bench.directory)
      let installer = GatewayInstaller(hands: bench.hands, binary: binary)
      func processes() async throws -> [Substring] { try await Rig.exec("pgrep -f '[r]un --config'; :").split(separator: "\n") }

      // As Sluice 0.1 left it: as root, its unit named after the gateway alone, its socket beside its configuration.
      try await Rig.exec(
        """
        mkdir -p \(directory)/bin \(directory)/state && cd \(directory) && echo old >state/table
        cat >bin/0 <<'END'
        \(GatewayInstallerTests.stub(0))
        END
        chmod 755 bin/0; echo 0 >version; echo systemd >runtime; printf '{"adminSocket":"\(socket)"}' >config.json; : >settings
        printf '[Service]\\nExecStart=\(directory)/bin/0 run --config \(directory)/config.json\\nWorkingDirectory=\(directory)\\n' >/etc/systemd/system/sluice-gateway-edge.service
        systemctl daemon-reload && systemctl start sluice-gateway-edge.service
        until [ -S admin.sock ]; do sleep 0.05; done
        """)
      let former = try await processes()
      let configuration = "{\"adminSocket\":\"\(own)\"}"
      let left = try await installer.ensure("edge", on: bench.host, configuration: configuration, restarts: false)
      #expect(!left.isChanged && left.differs == ["version", "configuration", "unit"])
      #expect(try await processes() == former && former.count == 1)

      let first = try await installer.ensure("edge", on: bench.host, configuration: configuration, restarts: true)
      #expect(first.runtime == .systemd && first.isChanged)
      #expect(try await !installer.ensure("edge", on: bench.host, configuration: configuration, restarts: true).isChanged)
      let state = try await Rig.exec("cd /etc/systemd/system; ls | grep sluice; systemctl is-active \(unit); systemctl is-enabled \(unit)")
      #expect(state == "\(unit)\nactive\nenabled\n")
      let account = HostTag.account(of: "edge", "test", root: bench.host.root)
      let owners = try await Rig.exec(
        "stat -c '%U %a' \(directory)/state \(directory)/state/table \(own); cat \(directory)/state/table; [ -S \(socket) ] && echo there")
      #expect(owners == "\(account) 700\n\(account) 644\n\(account) 700\nold\nthere\n", "\(owners)")
      let status = try await Rig.exec(
        "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/$(systemctl show -p MainPID --value \(unit))/status | tr -d '\\t'")
      #expect(status == "CapEff:0000000000000400\nCapBnd:0000000000000400\nNoNewPrivs:1\n", "\(status)")
      let exposure = try await Rig.exec(
        "systemd-analyze security --no-pager \(unit) | sed -n 's/.*exposure level for .*: \\([0-9.]*\\) .*/\\1/p'")
      #expect(try #require(Double(exposure.trimmingCharacters(in: .newlines)), "\(exposure)") <= 2.5)

      let bad = await #expect(throws: HostFailure.self) {
        try await installer.ensure("edge", on: bench.host, configuration: "{\"adminSocket\":\"\(own)\",\"fail\":true}", restarts: true)
      }
      #expect(bad?.failure.message.contains("the one before was started again") == true, "\(String(describing: bad))")
      #expect(bad?.failure.output.contains("bad listen address") == true, "\(String(describing: bad))")
      try await eventually("it is back") {
        try await Rig.exec("systemctl is-active \(unit); [ -S \(socket) ] && echo there; :") == "active\nthere\n"
      }
      #expect(try await !installer.ensure("edge", on: bench.host, configuration: configuration, restarts: true).isChanged)

      // Another fleet's gateway of the same name is another gateway; a first one that does not start leaves no unit.
      var host = bench.host
      host.root = "/var/lib/sluice-staging"
      let staging = Bench(host, directory: bench.directory, fleet: "staging")
      let other = GatewayInstaller(hands: staging.hands, binary: binary)
      let running = try await processes()
      await #expect(throws: HostFailure.self) {
        try await other.ensure("edge", on: host, configuration: "{\"fail\":true}", restarts: false)
      }
      #expect(try await Rig.exec("ls /etc/systemd/system | grep sluice") == "\(unit)\n")
      let theirs = GatewayInstaller.ownSocket(of: "edge", on: host)
      #expect(try await other.ensure("edge", on: host, configuration: "{\"adminSocket\":\"\(theirs)\"}", restarts: false).isChanged)
      try await other.remove("edge", from: host)
      #expect(try await processes() == running && running.count == 1)
      await staging.hands.close()
      try await installer.remove("edge", from: bench.host)
      #expect(
        try await Rig.exec("systemctl list-units --all | grep -c sluice; ls /var/lib/sluice/gateway; grep -c sluice-gateway /etc/passwd; :")
          == "0\n0\n")
    }
  }
}
