import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

extension Tag {
  /// Needs root and hosts made by `Tests/Rig/rig`.
  @Tag static var rig: Self
}

/// Hosts of a rig made for one test, with systemd or busybox, reached as `deploy` with sudo or as root.
struct Rig {
  private static let program = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Rig/rig")
    .path
  private static let name = "hosts\(getpid() % 10_000)"

  static let isPossible: Bool = {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = ["--name", name, "check"]
    process.standardError = FileHandle.nullDevice
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    guard (try? process.run()) != nil else { return false }
    ended.wait()
    return process.terminationStatus == 0
  }()

  static func run(user: String = "deploy", noSystemd: Bool = false, _ body: (Bench) async throws -> Void) async throws {
    let directory = "/tmp/sluice-hosts-rig-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let arguments = ["--racks", "1", "--hosts", "1", "--gateways", "0", "--user", user, "--owner-pid", "\(getpid())"]
    do {
      let manifest = try await command(["up"] + arguments + (noSystemd ? ["--no-systemd", "a1"] : []))
      let host = try #require(parse(manifest, user: user))
      var bench = Bench(host, directory: directory)
      bench.policy.ports = PortRange(from: 20_000, to: 30_000)
      bench.policy.startTimeout = .seconds(40)
      try await body(bench)
      await bench.hands.close()
    } catch {
      try await command(["down"])
      throw error
    }
    try await command(["down"])
    try FileManager.default.removeItem(atPath: directory)
  }

  @discardableResult
  static func command(_ arguments: [String]) async throws -> String { try await tool(program, ["--name", name] + arguments) }

  @discardableResult
  static func exec(_ script: String) async throws -> String { try await command(["exec", "a1", "--", "sh", "-c", script]) }

  private static func parse(_ manifest: String, user: String) -> SluiceModel.Host? {
    func value(_ key: String) -> String? {
      guard let range = manifest.range(of: "\(key): ") else { return nil }
      return String(manifest[range.upperBound...].prefix { !$0.isNewline && $0 != "," && $0 != " " })
    }
    guard let identity = value("identity"), let knownHosts = value("knownHosts"), let address = value("address") else { return nil }
    return SluiceModel.Host(
      name: "a1", rack: "rack-a", address: address, slots: 4,
      ssh: SSHSettings(user: user, identity: identity, knownHosts: knownHosts, become: user == "root" ? .none : .sudo),
      root: "/var/lib/sluice")
  }
}

@Suite(
  "On hosts with systemd and with busybox only", .tags(.rig),
  .enabled(if: Rig.isPossible, "needs root and a kernel that lets Tests/Rig/rig make hosts"),
  .timeLimit(.minutes(5)), .serialized)
struct RigTests {
  @Test("A unit keeps the instance: limits, user, odd values, secrets, crash, logs and stop")
  func unit() async throws {
    let odd = "a b\"c'd\\e$HOME`id`\n two;%h {} é"
    try await Rig.run { bench in
      bench.setSecrets(["TOKEN": "tok-\(odd)"])
      let (instance, release) = try await bench.running(secrets: "v1") {
        $0.run.runtime = .auto
        $0.run.env = ["ODD": odd]
        $0.run.command = ["bin/serve", "${ADDRESS}", "${PORT}", odd, ";"]
        $0.run.secrets = ["TOKEN"]
        $0.run.user = "deploy"
        $0.run.limits = Limits(memoryBytes: 256 << 20, cpuBasisPoints: 5_000)
      }
      let unit = HostTag.unit(of: 1, "shop", "test", root: bench.host.root)
      let body = try await bench.get(instance)
      for (name, value) in [("ODD", odd), ("TOKEN", "tok-\(odd)")] {
        let python = try await tool("/usr/bin/python3", ["-c", "import sys; print(repr(sys.argv[1]), end='')", value])
        #expect(body.contains("'\(name)': \(python)"))
      }
      let properties = try await Rig.exec("systemctl show -p MemoryMax -p CPUQuotaPerSecUSec -p User -p UnitFileState -p Type \(unit)")
      for line in ["MemoryMax=268435456", "CPUQuotaPerSecUSec=500ms", "User=deploy", "UnitFileState=enabled", "Type=exec"] {
        #expect(properties.contains(line), "\(properties)")
      }
      #expect(try await Rig.exec("stat -c '%U %a' /var/lib/sluice/shop/secrets/v1") == "deploy 600\n")
      let secretHolders = try await Rig.exec(
        "grep -rl '[t]ok-' /var/lib/sluice /etc/systemd 2>/dev/null; systemctl show \(unit) | grep -c '[t]ok-'; cat /proc/*/cmdline | tr '\\0' ' ' | grep -c '[t]ok-'; :"
      )
      #expect(secretHolders == "/var/lib/sluice/shop/secrets/v1\n0\n0\n")
      let words = try await Rig.exec("tr '\\0' '|' </proc/$(systemctl show -p MainPID --value \(unit))/cmdline")
      #expect(words.hasSuffix("|\(odd)|;|"), "\(words)")
      let first = try await Rig.exec("systemctl show -p MainPID --value \(unit)")
      _ = try? await bench.get(instance, "/crash")
      try await eventually("it was started again", within: .seconds(20)) {
        let now = try await Rig.exec("systemctl show -p MainPID --value \(unit)")
        guard now != first, now != "0\n" else { return false }
        return (try? await bench.get(instance)) != nil
      }
      var lines: [String] = []
      for try await line in bench.hands.logs("shop", instance: 1, on: bench.host) { lines.append(line.text) }
      #expect(lines.filter { $0 == "listening" }.count == 2, "\(lines)")
      let stopped = await bench.perform(.stop(instance, release))
      guard case .succeeded(.stopped(_, false)) = stopped else { throw Unexpected(what: "\(stopped)") }
      let left = try await Rig.exec(
        "ls /etc/systemd/system | grep sluice; ls /var/lib/sluice/ports /var/lib/sluice/shop/instances; systemctl list-units --all | grep sluice; :"
      )
      #expect(left.split(separator: "\n").filter { !$0.hasSuffix(":") }.isEmpty, "\(left)")
      #expect(await bench.perform(.stop(instance, nil)).generation != nil)
    }
  }

  @Test("What ignores its signal is killed; what cannot start is told with its log and leaves no unit")
  func ladder() async throws {
    try await Rig.run { bench in
      let (instance, release) = try await bench.running {
        $0.run.runtime = .systemd; $0.run.env = ["FAULT": "ignore-term"]; $0.stop.killAfter = .seconds(1)
      }
      let stopped = await bench.perform(.stop(instance, release))
      guard case .succeeded(.stopped(_, true)) = stopped else { throw Unexpected(what: "\(stopped)") }
      let (bad, badRelease) = try await bench.staged(2) {
        $0.run.runtime = .systemd; $0.run.env = ["FAULT": "exit"]
      }
      let ended = try #require(await bench.perform(.start(bad, badRelease)).failure)
      #expect(ended.kind == .start && ended.message.contains("exit status 3") && ended.output.contains("cannot go on"), "\(ended)")
      let (late, lateRelease) = try await bench.staged(4) {
        $0.run.runtime = .systemd; $0.run.env = ["FAULT": "late-exit"]
      }
      #expect(await bench.perform(.start(late, lateRelease)).generation != nil)
      let failure = try #require(await bench.perform(.checkReady(late, lateRelease)).failure)
      #expect(
        failure.kind == .start && failure.message.contains("crashed") && failure.output.contains("status=4")
          && failure.output.contains("no database"), "\(failure)")
      #expect(await bench.perform(.stop(late, lateRelease)).generation != nil)
      #expect(try await Rig.exec("ls /etc/systemd/system | grep -c sluice; :") == "0\n")
    }
  }

  @Test("After a reboot the unit runs again by itself, and the fence and the record stand")
  func reboot() async throws {
    try await Rig.run { bench in
      let (instance, release) = try await bench.running { $0.run.runtime = .auto }
      #expect(
        await bench.hands.replicate(
          bench.copy(2, "A"), service: "shop", fence: bench.fence, to: bench.host))
      try await Rig.command(["kill", "a1"])
      async let dead = bench.perform(.observe)
      switch await dead {
      case .unreachable, .inDoubt: break
      default: Issue.record("a dead host answered")
      }
      try await Rig.command(["boot", "a1"])
      try await eventually("it answers again") { (try? await bench.get(instance)) != nil }
      guard case .granted(let fact, let copy) = await bench.claim() else { return #expect(Bool(false), "granted") }
      #expect(fact.instances == [InstanceFact(number: 1, port: instance.port, running: true)] && copy?.revision.version == 2)
      #expect(await bench.perform(.start(instance, release)).generation != nil)
      #expect(await bench.perform(.stop(instance, release)).generation != nil)
    }
  }

  @Test("With busybox and no systemd: the whole way, a crash, and after a reboot it counts as not running until it is started again")
  func busybox() async throws {
    try await Rig.run(user: "root", noSystemd: true) { bench in
      let (instance, release) = try await bench.running(files: ["www/index.html": "hello"]) {
        $0.run.runtime = .auto
        $0.run.user = "deploy"
        $0.run.command = ["httpd", "-f", "-p", "${ADDRESS}:${PORT}", "-h", "www"]
        $0.readiness.probe = .http(path: "/index.html", status: 200)
      }
      let owner = try await Rig.exec("stat -c %U /proc/$(pidof httpd)")
      #expect(owner == "deploy\n")
      try await Rig.exec("kill -9 $(pidof httpd)")
      try await eventually("it answers again") { (try? await bench.get(instance, "/index.html")) == "hello\n" }
      try await Rig.command(["kill", "a1"])
      try await Rig.command(["boot", "a1"])
      guard case .granted(let fact, _) = await bench.claim() else { return #expect(Bool(false), "granted") }
      #expect(fact.instances.map(\.running) == [false])
      #expect(await bench.perform(.start(instance, release)).generation != nil)
      #expect(await bench.perform(.checkReady(instance, release)) == .succeeded(.nothing))
      let stopped = await bench.perform(.stop(instance, release))
      guard case .succeeded(.stopped(_, false)) = stopped else { throw Unexpected(what: "\(stopped)") }
    }
  }

  @Test("A full disk, a missing tool and a missing right are told before anything is done")
  func lacking() async throws {
    try await Rig.run { bench in
      try await Rig.exec("mkdir -p /srv/small && mount -t tmpfs -o size=6m small /srv/small")
      var small = bench.host
      small.root = "/srv/small"
      let smallBench = Bench(small, directory: bench.directory)
      guard case .granted = await smallBench.claim() else { return #expect(Bool(false), "granted") }
      let big = try await smallBench.release(files: ["big": String(repeating: "0123456789", count: 400_000)])
      let full = try #require(await smallBench.perform(.stage(big)).failure)
      #expect(full.kind == .host && full.message.contains("too full") && full.message.contains("MiB are missing"), "\(full)")
      #expect(
        try await Rig.exec("ls /srv/small/shop/releases /srv/small/shop/artifacts | grep -v : ; :").trimmingCharacters(
          in: .whitespacesAndNewlines
        ).isEmpty)
      await smallBench.hands.close()

      try await Rig.exec("mv /usr/bin/setsid /usr/bin/setsid.away")
      guard case .failed(let tool) = await bench.claim() else { return #expect(Bool(false), "no failure") }
      #expect(tool.message.contains("missing: setsid") && !tool.remedy.isEmpty, "\(tool)")
      #expect(await HostInspector(hands: bench.hands).inspect(bench.host).missingTools == ["setsid"])
      try await Rig.exec("mv /usr/bin/setsid.away /usr/bin/setsid")

      let report = await HostInspector(hands: bench.hands).inspect(bench.host)
      #expect(
        report.isUsable && report.isRoot && report.initSystem == "systemd" && report.runtime == .systemd && report.forwarding == true,
        "\(report)")

      try await Rig.exec("sed -i /deploy/d /etc/sudoers")
      guard case .failed(let sudo) = await bench.claim() else { return #expect(Bool(false), "no failure") }
      #expect(sudo.message.contains("sudo") && sudo.remedy.contains("NOPASSWD"), "\(sudo)")
    }
  }
}
