import Foundation
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
        #expect(await bench.perform(.observe).failure?.kind == .host)
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
