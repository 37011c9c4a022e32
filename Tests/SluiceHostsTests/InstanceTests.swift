import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite(
  "An instance on a host, over a real sshd", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)),
  .serialized)
struct InstanceTests {
  @Test("It is claimed, staged, started, found ready and stopped", arguments: LoopbackHost.RemoteShell.installed)
  func wholeWay(shell: LoopbackHost.RemoteShell) async throws {
    try await Bench.run(shell: shell) { bench in
      let claimed = await bench.claim()
      guard case .granted(let before, nil) = claimed else { throw Unexpected(what: "\(claimed)") }
      #expect(before.instances.isEmpty && before.releases.isEmpty)
      let release = try await bench.release()
      let staged = await bench.perform(.stage(release))
      #expect(try #require(staged.generation, "\(staged)") > before.generation)
      let instance = try await bench.instance(1, of: release)
      let started = await bench.perform(.start(instance, release))
      #expect(try #require(started.generation, "\(started)") > (try #require(staged.generation)))
      #expect(await bench.perform(.checkReady(instance, release)) == .succeeded(.nothing))
      let facts = try await bench.facts()
      #expect(facts.instances == [InstanceFact(number: 1, port: instance.port, running: true)])
      #expect(facts.releases == [release.digest])
      #expect(facts.listening.contains(instance.port))
      let stopped = await bench.perform(.stop(instance, release))
      guard case .succeeded(.stopped(let generation, false)) = stopped else { throw Unexpected(what: "\(stopped)") }
      #expect(generation > facts.generation)
      let after = try await bench.facts()
      #expect(after.instances.isEmpty && !after.listening.contains(instance.port))
      let counts = bench.hands.statistics
      #expect(counts.perInstanceWork - counts.total(.observe) == 2)
      // The last look before it counts as ready; one more where it was slow.
      #expect(counts.total(.probe) <= 2)
    }
  }

  @Test("Its environment and arguments come through as they are written, whatever they hold", arguments: LoopbackHost.RemoteShell.installed)
  func surroundings(shell: LoopbackHost.RemoteShell) async throws {
    let odd = "a b\"c'd\\e$HOME`id`\n two;%h ${PORT} é"
    try await Bench.run(shell: shell) { bench in
      bench.setSecrets(["TOKEN": odd])
      let (instance, _) = try await bench.running(secrets: "v1") {
        $0.run.env = ["ODD": odd, "dir": "x"]
        $0.run.command = ["bin/serve", "${ADDRESS}", "${PORT}", odd, "${INSTANCE}@${RELEASE}", ""]
        $0.run.secrets = ["TOKEN"]
      }
      let body = try await bench.get(instance)
      let replaced = odd.replacing("${PORT}", with: "\(instance.port)")
      let python = try await tool("/usr/bin/python3", ["-c", "import sys; print(repr(sys.argv[1]), end='')", replaced])
      #expect(body.contains("'ODD': \(python)"))
      let secret = try await tool("/usr/bin/python3", ["-c", "import sys; print(repr(sys.argv[1]), end='')", odd])
      #expect(body.contains("'TOKEN': \(secret)"))
      for (name, value) in [("PORT", "\(instance.port)"), ("ADDRESS", "127.0.0.1"), ("INSTANCE", "1"), ("RELEASE", "1"), ("dir", "x")] {
        #expect(body.contains("'\(name)': '\(value)'"))
      }
      let lines = try await tool("/bin/sh", ["-c", "cat /proc/*/cmdline 2>/dev/null | tr '\\0' '|'"])
      #expect(lines.contains("|\(replaced)|1@1||"))
    }
  }

  @Test("Starting what runs answers success and starts nothing")
  func twice() async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.running()
      let pid = try String(contentsOfFile: "\(bench.root)/shop/instances/1/pid", encoding: .utf8)
      let again = await bench.perform(.start(instance, release))
      #expect(again.generation != nil)
      #expect(try String(contentsOfFile: "\(bench.root)/shop/instances/1/pid", encoding: .utf8) == pid)
    }
  }

  @Test("One that crashes is started again")
  func crash() async throws {
    try await Bench.run { bench in
      let (instance, _) = try await bench.running()
      _ = try? await bench.get(instance, "/crash")
      try await eventually("it has crashed") { FileManager.default.fileExists(atPath: "\(bench.root)/shop/instances/1/exit") }
      try await eventually("it answers again") { (try? await bench.get(instance)) != nil }
      #expect(try await bench.facts().instances.first?.running == true)
      let log = try String(contentsOfFile: "\(bench.root)/shop/instances/1/log", encoding: .utf8)
      #expect(log.contains("ended with status 9"))
    }
  }

  @Test("One whose supervisor was killed is not running, and a start replaces what is left of it")
  func lostSupervisor() async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.running()
      let pid = try #require(pid_t(String(contentsOfFile: "\(bench.root)/shop/instances/1/pid", encoding: .utf8).split(separator: " ")[0]))
      kill(pid, SIGKILL)
      try await eventually("it counts as not running") { try await bench.facts().instances.first?.running == false }
      let again = await bench.perform(.start(instance, release))
      #expect(again.generation != nil, "\(again)")
      #expect(await bench.perform(.checkReady(instance, release)) == .succeeded(.nothing))
    }
  }

  @Test("What ignores its signal is killed, with what it forked away", arguments: ["ignore-term", "fork"])
  func killed(fault: String) async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.running {
        $0.run.env = ["FAULT": fault]; $0.stop.killAfter = .init(500)
      }
      let stopped = await bench.perform(.stop(instance, nil))
      guard case .succeeded(.stopped(_, true)) = stopped else { throw Unexpected(what: "\(stopped)") }
      let left = try await tool(
        "/bin/sh", ["-c", "grep -lzxF 'SLUICE_INSTANCE=\(bench.root)/shop/instances/1' /proc/[0-9]*/environ 2>/dev/null || :"])
      #expect(left.isEmpty)
      #expect(await bench.perform(.stop(instance, release)).generation != nil)
    }
  }

  @Test("Every stop signal reaches it", arguments: ["TERM", "INT", "QUIT", "USR1"])
  func signals(signal: String) async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.running {
        $0.stop.signal = signal; $0.stop.killAfter = .seconds(25)
      }
      let stopped = await bench.perform(.stop(instance, release))
      guard case .succeeded(.stopped(_, false)) = stopped else { throw Unexpected(what: "\(stopped)") }
    }
  }

  @Test("preStop runs before the signal, in its surroundings, and is cut off in time")
  func preStop() async throws {
    try await Bench.run { bench in
      var bench = bench
      bench.policy.drain.timeout = .seconds(1)
      let mark = "\(bench.at.directory)/mark"
      let (instance, release) = try await bench.running(files: ["bin/bye": "#!/bin/sh\necho $PORT >\(mark)\nsleep 60\n"]) {
        $0.stop.preStop = ["bin/bye"]
      }
      let began = ContinuousClock.now
      #expect(await bench.perform(.stop(instance, release)).generation != nil)
      #expect(ContinuousClock.now - began < .seconds(30))
      #expect(try String(contentsOfFile: mark, encoding: .utf8) == "\(instance.port)\n")
    }
  }

  @Test("A command that is not there or is no program, and a user who is not, are told before anything is started")
  func unsuitable() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      let cases: [([String], String?, Failure.Kind, String)] = [
        (["bin/nothing"], nil, .start, "the artifact has no bin/nothing"),
        (["no-such-program"], nil, .start, "neither the artifact nor PATH has no-such-program"),
        (["/no/such/program"], nil, .start, "there is no /no/such/program on this host"),
        (["bin/"], nil, .start, "bin/ is not an executable file"),
        (["bin/serve"], "no-such-user", .host, "run.user no-such-user does not exist on this host"),
      ]
      for (index, (command, user, kind, message)) in cases.enumerated() {
        let release = try await bench.release(index + 1) {
          $0.run.command = command; $0.run.user = user
        }
        // The second time its files may be there already.
        for _ in 0..<2 {
          let failure = try #require(await bench.perform(.stage(release)).failure)
          #expect(failure.kind == kind && failure.message.contains(message), "\(failure)")
        }
      }
    }
  }

  @Test("A command that ends at once is told with its output, and leaves nothing")
  func endsAtOnce() async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.staged { $0.run.env["FAULT"] = "exit" }
      let failure = try #require(await bench.perform(.start(instance, release)).failure)
      #expect(failure.kind == .start && failure.message.contains("exit status 3"), "\(failure)")
      #expect(failure.output.contains("cannot go on"))
      #expect(try await bench.facts().instances.isEmpty)
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bench.root)/ports").isEmpty)
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bench.root)/shop/instances").isEmpty)
    }
  }

  @Test("A taken port names who has it; a full host says so")
  func places() async throws {
    try await Bench.run { bench in
      let (first, release) = try await bench.running()
      let stranger = try await bench.instance(2, of: release, port: bench.at.port)
      let taken = try #require(await bench.perform(.start(stranger, release)).failure)
      #expect(taken.kind == .portTaken && taken.message.contains("sshd"), "\(taken)")
      let same = try await bench.instance(3, of: release, port: first.port)
      let held = try #require(await bench.perform(.start(same, release)).failure)
      #expect(held.kind == .portTaken && held.message.contains("shop/1"), "\(held)")
      for number in [4, 5] {
        #expect(await bench.perform(.start(try await bench.instance(number, of: release), release)).generation != nil)
      }
      let full = try #require(await bench.perform(.start(try await bench.instance(6, of: release), release)).failure)
      #expect(full.kind == .slotsTaken && full.message.contains("all 3 slots"), "\(full)")
      #expect(try await bench.facts().held == nil, "its own are not others'")
      // What another service has there is told to whoever looks for this one; a claim of what is gone is not.
      try FileManager.default.createDirectory(atPath: "\(bench.root)/cart/instances/7", withIntermediateDirectories: true)
      for (port, holder) in [("30007", "cart 7"), ("30008", "cart 8")] {
        try "\(holder)\n".write(toFile: "\(bench.root)/ports/\(port)", atomically: true, encoding: .utf8)
      }
      #expect(try await bench.facts().held == [30_007])
    }
  }
}
