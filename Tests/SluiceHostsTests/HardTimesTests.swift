import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite(
  "Hosts as they are, over a real sshd", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)),
  .serialized)
struct HardTimesTests {
  /// A bench whose root is a file system of its own; needs root.
  private func mounted(_ options: String, _ body: (Bench) async throws -> Void) async throws {
    try await Bench.run { bench in
      try FileManager.default.createDirectory(atPath: bench.root, withIntermediateDirectories: true)
      try await tool("/bin/mount", ["-t", "tmpfs", "-o", options, "tmpfs", bench.root])
      do { try await body(bench) } catch {
        _ = try? await tool("/bin/umount", ["-l", bench.root])
        throw error
      }
      try await tool("/bin/umount", ["-l", bench.root])
    }
  }

  @Test(
    "A disk without room or inodes fails a claim at once, by its name and with what to do; the fence stands, and what runs can be seen and stopped",
    .enabled(if: getuid() == 0, "needs root, to mount a small disk"), arguments: ["the disk is full", "no inodes are left"])
  func full(words: String) async throws {
    try await mounted("size=12m,nr_inodes=200") { bench in
      let (instance, release) = try await bench.running()
      let before = try String(contentsOfFile: "\(bench.root)/shop/fence", encoding: .utf8)
      let fill = words.contains("inodes") ? "for i in $(seq 300); do : >f$i || break; done" : "head -c 100000000 /dev/zero >f"
      _ = try? await tool("/bin/bash", ["-c", "cd \(bench.root) && { \(fill); } 2>/dev/null; :"])
      let began = ContinuousClock.now
      let next = Fence(owner: "me@here:boot:2", epoch: 2)
      guard case .failed(let failure) = await bench.claim(next) else { return #expect(Bool(false), "no failure") }
      #expect(ContinuousClock.now - began < .seconds(10))
      #expect(failure.kind == .host && failure.message.contains(words) && failure.remedy.contains("df -"), "\(failure)")
      #expect(try String(contentsOfFile: "\(bench.root)/shop/fence", encoding: .utf8) == before)
      guard case .succeeded(.facts(let fact)) = await bench.perform(.observe, fence: next) else { return #expect(Bool(false), "no facts") }
      #expect(fact.instances == [InstanceFact(number: 1, port: instance.port, running: true)])
      let stopped = await bench.perform(.stop(instance, release), fence: next)
      #expect(stopped.generation != nil, "\(stopped)")
      #expect((try? await bench.get(instance)) == nil)
      let left = try FileManager.default.contentsOfDirectory(atPath: "\(bench.root)/shop").filter { $0.hasSuffix(".new") }
      #expect(left.isEmpty)
    }
  }

  @Test("A read-only root fails a claim at once and by its name, and can be observed", .enabled(if: getuid() == 0, "needs root, to mount"))
  func readOnly() async throws {
    try await mounted("size=12m") { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      try await tool("/bin/mount", ["-o", "remount,ro", bench.root])
      let began = ContinuousClock.now
      let next = Fence(owner: "me@here:boot:2", epoch: 2)
      guard case .failed(let failure) = await bench.claim(next) else { return #expect(Bool(false), "no failure") }
      #expect(ContinuousClock.now - began < .seconds(10))
      #expect(failure.message.contains("read-only") && failure.remedy.contains("remount,rw \(bench.root)"), "\(failure)")
      guard case .succeeded(.facts) = await bench.perform(.observe, fence: next) else { return #expect(Bool(false), "no facts") }
      let report = await HostInspector(hands: bench.hands).inspect(bench.host)
      #expect(!report.isUsable && report.problems.contains { $0.message.contains("read-only") }, "\(report.problems)")
    }
  }

  @Test(
    "Where nothing may be executed, `hosts check` says so, programs of an artifact and gateways are refused before they are brought, and programs of the host run",
    .enabled(if: getuid() == 0, "needs root, to mount"))
  func noexec() async throws {
    try await mounted("size=60m,noexec") { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      let report = await HostInspector(hands: bench.hands).inspect(bench.host)
      #expect(report.isUsable && report.noExecution == bench.root && report.problems.contains { $0.message.contains("noexec") })
      let release = try await bench.release()
      let refused = try #require(await bench.perform(.stage(release)).failure)
      #expect(refused.kind == .host && refused.message.contains("noexec") && refused.message.contains("bin/serve"), "\(refused)")
      let probed = try await bench.release(2) {
        $0.run.command = ["/usr/bin/python3", "bin/serve", "${ADDRESS}", "${PORT}"]
        $0.readiness.probe = .exec(command: ["bin/check"])
      }
      #expect(try #require(await bench.perform(.stage(probed)).failure).message.contains("bin/check"))
      let binary = try await GatewayInstallerTests.binary(1, in: bench.directory)
      let gateway = await #expect(throws: HostFailure.self) {
        try await GatewayInstaller(hands: bench.hands, binary: binary).ensure("edge", on: bench.host, configuration: "{}", restarts: false)
      }
      #expect(gateway?.failure.message.contains("noexec") == true, "\(String(describing: gateway))")
      #expect(bench.hands.statistics.total(.upload) == 0)
      _ = try await bench.running(3) { $0.run.command = ["/usr/bin/python3", "bin/serve", "${ADDRESS}", "${PORT}"] }
    }
  }

  @Test("Who may not act on a service cannot read its record, hold its locks or list what is there; what Sluice 0.1 left open is closed")
  func modes() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      #expect(await bench.hands.replicate(bench.copy(1, "{}"), service: "shop", fence: bench.fence, to: bench.host))
      let files = ["lock", "generation", "shop/lock", "shop/fence", "shop/record.json"]
      let folders = [
        "ports": 0o700, "shop": 0o711, "shop/instances": 0o711, "shop/releases": 0o711, "shop/artifacts": 0o700, "shop/secrets": 0o711,
      ]
      func mode(_ name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: "\(bench.root)/\(name)")[.posixPermissions] as? Int
      }
      func check() throws {
        for name in files { #expect(try mode(name) == 0o600, "\(name)") }
        for (name, wanted) in folders.sorted(by: { $0.key < $1.key }) { #expect(try mode(name) == wanted, "\(name)") }
      }
      try check()
      for name in files { try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: "\(bench.root)/\(name)") }
      for name in folders.keys { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(bench.root)/\(name)") }
      guard case .granted = await bench.claim(Fence(owner: bench.fence.owner, epoch: 2)) else { return #expect(Bool(false), "granted") }
      try check()
    }
  }

  @Test("Names that a shell keeps for itself are variables like others for a program", arguments: LoopbackHost.RemoteShell.installed)
  func ownNames(shell: LoopbackHost.RemoteShell) async throws {
    let names = ["UID": "1000", "PPID": "7", "EUID": "a b", "RANDOM": "4", "OPTIND": "x", "IFS": "':'", "SECONDS": "$HOME", "PLAIN": "1"]
    try await Bench.run(shell: shell) { bench in
      let (instance, _) = try await bench.running { $0.run.env = names }
      let body = try await bench.get(instance)
      for (name, value) in names {
        let python = try await tool("/usr/bin/python3", ["-c", "import sys; print(repr(sys.argv[1]), end='')", value])
        #expect(body.contains("'\(name)': \(python)"), "\(name)")
      }
      let secret = try await bench.release(2) { $0.run.secrets = ["UID"] }
      bench.setSecrets(["UID": "1"])
      let refused = try #require(
        await bench.perform(.start(try await bench.instance(2, of: secret, secrets: "v1"), secret)).failure)
      #expect(refused.message.contains("UID"), "\(refused)")
    }
  }

  @Test("Two fleets with one root: what the other has is refused by name, and not touched")
  func oneRoot() async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.running()
      var other = Bench(bench.host, directory: bench.directory, fleet: "staging")
      other.fence = Fence(owner: "she@there:boot:1", epoch: 9)
      guard case .failed(let claim) = await other.claim(takeOver: true) else { return #expect(Bool(false), "no failure") }
      #expect(claim.message.contains("belongs to fleet test") && claim.remedy.contains("another root"), "\(claim)")
      let stop = try #require(await other.perform(.stop(instance, release)).failure)
      #expect(stop.message.contains("belongs to fleet test"), "\(stop)")
      await other.hands.close()
      #expect(try await bench.facts().instances.first?.running == true)
      #expect(!(try await bench.get(instance)).isEmpty)
    }
  }

  @Test("Of the runs of a release's task the last is kept")
  func attempts() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      let release = try await bench.release {
        $0.task = ReleaseTask(command: ["/bin/sh", "-c", ":"])
      }
      #expect(await bench.perform(.stage(release)).generation != nil)
      for number in 1...11 {
        #expect(await bench.perform(.task(release, number: number, secrets: "")) == .succeeded(.nothing))
      }
      await bench.hands.release("shop", fence: bench.fence, keep: [release.digest], on: bench.host)
      let left = try FileManager.default.contentsOfDirectory(atPath: "\(bench.root)/shop/attempts")
      #expect(left == ["\(release.digest.rawValue.prefix(16))-11"])
    }
  }
}
