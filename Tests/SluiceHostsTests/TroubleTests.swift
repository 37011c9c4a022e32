import Foundation
import NIOCore
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceSSH
import Testing

@testable import SluiceHosts

@Suite(
  "Trouble on the way to a host", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)), .serialized)
struct TroubleTests {
  @Test("A connection that went while nobody looked is made again")
  func reconnect() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      bench.at.cutConnections()
      guard case .succeeded(.facts) = await bench.perform(.observe) else { return #expect(Bool(false), "after the cut") }
    }
  }

  @Test("A connection lost in the middle of a command leaves it in doubt, and a look shows what became of it")
  func lostInTheMiddle() async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.running {
        $0.run.env = ["FAULT": "ignore-term"]; $0.stop.killAfter = .seconds(30)
      }
      async let stop = bench.perform(.stop(instance, release))
      try await eventually("the signal was sent") { FileManager.default.fileExists(atPath: "\(bench.root)/shop/instances/1/stopping") }
      bench.at.cutConnections()
      let stopped = await stop
      guard case .inDoubt(let why) = stopped else { throw Unexpected(what: "\(stopped)") }
      #expect(why.contains("doubt"))
      #expect(try await bench.facts().instances.count == 1)
    }
  }

  @Test("A host that is not there is unreachable, and says where")
  func unreachable() async throws {
    let port = try LoopbackHost.freePort()
    try await Bench.run(change: { $0.ssh.port = port }) { bench in
      guard case .unreachable(let why) = await bench.perform(.observe) else { return #expect(Bool(false), "not unreachable") }
      #expect(why.contains("a1") && why.contains("connect"))
      guard case .unreachable = await bench.claim() else { return #expect(Bool(false), "not unreachable") }
    }
  }

  @Test("An unknown key, a changed key and a refused login are failures with a remedy, and trust mends the first two")
  func keys() async throws {
    try await Bench.run { bench in
      let file = "\(bench.at.directory)/known_hosts"
      let good = try String(contentsOfFile: file, encoding: .utf8)
      try await tool("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", "\(bench.at.directory)/stranger"])
      let wrong = try String(contentsOfFile: "\(bench.at.directory)/stranger.pub", encoding: .utf8)
      for (content, word) in [("", "not known"), ("[127.0.0.1]:\(bench.at.port) \(wrong)", "another key")] {
        try content.write(toFile: file, atomically: true, encoding: .utf8)
        guard case .failed(let failure) = await bench.claim() else { return #expect(Bool(false), "no failure") }
        #expect(failure.kind == .host && failure.message.contains(word) && failure.remedy.contains("sluice hosts trust a1"), "\(failure)")
        guard case .unreachable(let why) = await bench.perform(.observe) else { return #expect(Bool(false), "not unreachable") }
        #expect(why.contains(word) && why.contains("sluice hosts trust a1"), "\(why)")
        let trust = HostTrust(group: bench.hands.group)
        let offer = try await trust.scan(bench.host)
        #expect(!offer.isTrusted && offer.isChanged == !content.isEmpty && offer.keys.map(\.type) == ["ssh-ed25519"])
        try await trust.accept(offer)
        #expect(try await trust.scan(bench.host).isTrusted)
        let written = try String(contentsOfFile: file, encoding: .utf8)
        #expect(written.split(whereSeparator: \.isWhitespace).prefix(3) == good.split(whereSeparator: \.isWhitespace).prefix(3))
      }
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted once trusted") }
    }
    try await Bench.run(change: { $0.ssh.identity = "/nowhere/id" }) { bench in
      guard case .failed(let failure) = await bench.claim() else { return #expect(Bool(false), "no failure") }
      #expect(failure.kind == .host && failure.message.contains("auth") && !failure.remedy.isEmpty)
    }
  }

  @Test("Any login shell will do: claims, uploads, logs and probes", arguments: ["/usr/bin/tcsh", "/usr/bin/fish", "/bin/bash"])
  func loginShells(shell: String) async throws {
    guard FileManager.default.isExecutableFile(atPath: shell) else { return }
    try await Bench.run(["ForceCommand \(shell) -c \"$SSH_ORIGINAL_COMMAND\""]) { bench in
      let (instance, release) = try await bench.running(files: ["big": String(repeating: "x! ", count: 100_000)])
      var lines: [String] = []
      for try await line in bench.hands.logs("shop", instance: 1, on: bench.host) { lines.append(line.text) }
      #expect(lines == ["listening"])
      #expect(try await bench.hands.instances(of: "shop", on: bench.host) == [1])
      let channel = try await bench.hands.stream("sh -c 'cat; exit 4'", on: bench.host)
      try await channel.closeInput()
      #expect(try await channel.read() == nil)
      #expect(try await channel.exit() == .status(4))
      guard case .succeeded = await bench.perform(.stop(instance, release)) else { return #expect(Bool(false), "not stopped") }
      #expect(try await bench.hands.instances(of: "shop", on: bench.host).isEmpty)
    }
  }

  @Test("Where sshd lets one or two sessions be open, commands wait for each other and never for what lasts", arguments: [1, 2])
  func fewSessions(limit: Int) async throws {
    try await Bench.run(["MaxSessions \(limit)"]) { bench in
      var streams: [SSHByteChannel] = []
      for _ in 0..<4 { streams.append(try await bench.hands.stream("cat", on: bench.host)) }
      let (instance, release) = try await bench.running()
      let claims = await withTaskGroup(of: Bool.self) { group in
        for _ in 0..<9 { group.addTask { if case .granted = await bench.claim() { true } else { false } } }
        return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
      }
      #expect(claims == 9)
      for (index, stream) in streams.enumerated() {
        try await stream.write(ByteBuffer(string: "\(index)"))
        #expect(try await stream.read()?.bytes == ByteBuffer(string: "\(index)"))
        await stream.close()
      }
      guard case .succeeded = await bench.perform(.stop(instance, release)) else { return #expect(Bool(false), "not stopped") }
      let report = await HostInspector(hands: bench.hands).inspect(bench.host)
      #expect(report.isUsable && report.problems.contains { $0.message.contains("MaxSessions") && $0.isWarning }, "\(report)")
    }
  }

  @Test("A login that hangs before the script is in doubt for work, and unreachable for a claim, within the limit and with a remedy")
  func hangingLogin() async throws {
    try await Bench.run(["ForceCommand exec sleep 60"], options: HostOptions(scriptStart: .milliseconds(500))) { bench in
      let began = ContinuousClock.now
      guard case .unreachable(let why) = await bench.claim() else { return #expect(Bool(false), "not unreachable") }
      #expect(why.contains("a1") && why.contains("did not begin") && why.contains("Log in by hand"), "\(why)")
      guard case .inDoubt = await bench.perform(.observe) else { return #expect(Bool(false), "not in doubt") }
      let report = await HostInspector(hands: bench.hands).inspect(bench.host)
      #expect(report.isReachable && !report.isUsable, "\(report)")
      #expect(ContinuousClock.now - began < .seconds(20))
    }
  }

  @Test(
    "What sudo says is understood",
    arguments: [
      ("sudo: sorry, you must have a tty to run sudo", "requiretty", "!requiretty"),
      ("sudo: a password is required", "without a password", "NOPASSWD"),
      ("sudo: The \"no new privileges\" flag is set, which prevents sudo from running as root.", "no new privileges", "NoNewPrivileges"),
    ])
  func sudoWords(said: String, word: String, remedy: String) async throws {
    try await Bench.run(change: { $0.ssh.become = .sudo }) { bench in
      try "#!/bin/sh\n[ \"$LC_ALL\" = C ] || exit 9\ncat >&2 <<'END'\n\(said)\nEND\nexit 1\n".write(
        toFile: "\(bench.at.directory)/bin/sudo", atomically: true, encoding: .utf8)
      chmod("\(bench.at.directory)/bin/sudo", 0o755)
      guard case .failed(let failure) = await bench.claim() else { return #expect(Bool(false), "no failure") }
      #expect(failure.message.contains(word) && failure.remedy.contains(remedy), "\(failure)")
    }
  }

  @Test("A clock that is off, limits that nothing enforces and numbers beyond all bounds are told as people say them")
  func hostsCheckWords() throws {
    let host = SluiceModel.Host(name: "a1", rack: "r", address: "192.0.2.1")
    func report(_ lines: [String], _ difference: Int64? = nil, limited: [LimitedRun] = []) throws -> HostReport {
      var report = HostReport(host: "a1", rack: "r")
      report.take(try HostAnswer(parsing: Array((["sluice/1", "writable 1"] + lines + ["end", ""]).joined(separator: "\n").utf8)))
      report.clockDifference = difference
      report.judge(host)
      report.judge(limited, on: host)
      return report
    }
    for (difference, words) in [
      (-600_004, "10 min behind"), (5_000, "5000 ms ahead of"), (-75_000, "75 s behind"), (94_608_000_000, "3 years ahead of"),
      (4 * 3_600_000, "4 h ahead of"),
    ] as [(Int64, String)] {
      #expect(try report([], difference).problems.map(\.message) == ["its clock is \(words) this machine's"])
    }
    let huge = try report(["free 9223372036854775807", "memory -1", "available x", "clock 9223372036854775807", "controllers cpu"])
    #expect(huge.diskFree == nil && huge.memory == nil && huge.memoryAvailable == nil && huge.controllers == ["cpu"])
    let limited = [
      LimitedRun(service: "shop", runtime: .auto, limits: Limits(memoryBytes: 1, cpuBasisPoints: 1)),
      LimitedRun(service: "free", runtime: .auto, limits: Limits()),
    ]
    let systemd = ["runtime systemd", "init systemd"]
    #expect(try report(systemd + ["controllers cpu memory"], limited: limited).problems.isEmpty)
    let without = try report(systemd + ["controllers cpu"], limited: limited).problems
    #expect(
      without.map(\.message) == ["the memory limit of shop would be ignored: its kernel has no cgroup controller for memory"], "\(without)")
    let process = try report(["runtime process", "init sh", "controllers cpu memory"], limited: limited).problems
    #expect(process.count == 1 && process[0].message.contains("cannot be enforced") && process[0].isWarning, "\(process)")
  }

  @Test("A sudo that is not there or does not let is a failure with a remedy", arguments: [false, true])
  func sudo(isThere: Bool) async throws {
    try await Bench.run(change: { $0.ssh.become = .sudo }) { bench in
      // A sudo of ours comes first in the host's PATH.
      let text =
        isThere
        ? "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n" : "#!/bin/sh\necho \"sh: 1: sudo: not found\" >&2\nexit 127\n"
      try text.write(toFile: "\(bench.at.directory)/bin/sudo", atomically: true, encoding: .utf8)
      chmod("\(bench.at.directory)/bin/sudo", 0o755)
      guard case .failed(let failure) = await bench.claim() else { return #expect(Bool(false), "no failure") }
      #expect(
        failure.kind == .host && failure.message.contains("sudo") && failure.remedy.contains(isThere ? "NOPASSWD" : "Install sudo"),
        "\(failure)")
    }
  }

  @Test("A root that cannot be made is a failure with a remedy")
  func unwritable() async throws {
    try await Bench.run(change: { $0.root = "/proc/sluice" }) { bench in
      guard case .failed(let failure) = await bench.claim() else { return #expect(Bool(false), "no failure") }
      #expect(failure.kind == .host && failure.message.contains("cannot be written") && failure.remedy.contains("become"), "\(failure)")
      let report = await HostInspector(hands: bench.hands).inspect(bench.host)
      #expect(report.isReachable && report.missingTools.isEmpty && report.architecture != nil && (report.cpus ?? 0) > 0)
      #expect(report.forwarding == true && (report.memory ?? 0) > 1 << 20 && report.portsTaken.contains(bench.at.port))
      #expect(abs(report.clockDifference ?? .max) < 2000)
    }
  }

  @Test("Logs come line by line, and go on while they are followed")
  func logs() async throws {
    try await Bench.run { bench in
      let (_, _) = try await bench.running()
      var lines: [String] = []
      for try await line in bench.hands.logs("shop", instance: 1, on: bench.host) { lines.append(line.text) }
      #expect(lines == ["listening"])
      for try await line in bench.hands.logs("shop", instance: 1, on: bench.host, follow: true) {
        if line.text == "more" { break }
        let log = try #require(FileHandle(forWritingAtPath: "\(bench.root)/shop/instances/1/log"))
        try log.seekToEnd()
        try log.write(contentsOf: Data("more\n".utf8))
      }
      await #expect(throws: HostFailure.self) { for try await _ in bench.hands.logs("shop", instance: 7, on: bench.host) {} }
    }
  }
}
