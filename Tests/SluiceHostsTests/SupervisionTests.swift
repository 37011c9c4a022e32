import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite(
  "What keeps an instance running, over a real sshd", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"),
  .timeLimit(.minutes(3)),
  .serialized)
struct SupervisionTests {
  private func fact(_ bench: Bench) async throws -> InstanceFact { try #require(try await bench.facts().instances.first) }

  /// Pauses take no time on that host.
  private func hurry(_ bench: Bench) throws {
    let path = "\(bench.at.directory)/bin/sleep"
    try "#!/bin/sh\nexec /bin/sleep 0.02\n".write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  }

  @Test("It is never given up while it fails; its host tells since when it is down and with what; and it comes up as soon as it can")
  func neverGivenUp() async throws {
    try await Bench.run { bench in
      try hurry(bench)
      let down = "\(bench.at.directory)/down"
      let began = Int64(Date().timeIntervalSince1970) * 1000
      let (instance, _) = try await bench.running { $0.run.env = ["FAULT": "down", "DOWN": down] }
      #expect(try await fact(bench).ended == nil)
      try Data().write(to: URL(fileURLWithPath: down))
      _ = try? await bench.get(instance, "/crash")
      var seen: EndedFact?
      try await eventually("it was started again more than ten times") {
        let now = try await fact(bench)
        #expect(now.running)
        if let ended = now.ended, ended.exitStatus == 1 { seen = ended }
        return (seen?.restarts ?? 0) > 12
      }
      #expect(seen?.cause == .exited && seen?.signal == nil)
      let since = try #require(seen?.since?.milliseconds)
      #expect(since >= began && since <= began + 180_000)
      try FileManager.default.removeItem(atPath: down)
      try await eventually("it answers again") { (try? await bench.get(instance)) != nil }
      #expect(try await fact(bench) == InstanceFact(number: 1, port: instance.port, running: true))
    }
  }

  @Test("One that ends well is started again too")
  func endsWell() async throws {
    try await Bench.run { bench in
      let (instance, _) = try await bench.running()
      _ = try? await bench.get(instance, "/quit")
      let log = "\(bench.root)/shop/instances/1/log"
      try await eventually("its end was seen") {
        try String(contentsOfFile: log, encoding: .utf8).contains("ended with status 0, restart 1")
      }
      try await eventually("it answers again") { (try? await bench.get(instance)) != nil }
      #expect(try await bench.hands.look(at: 1, "shop", on: bench.host).restarts == 1)
    }
  }

  @Test("A program that leaves the foreground is refused, at once or a second later, with what to do", arguments: ["0", "1"])
  func daemon(after seconds: String) async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.staged { $0.run.env = ["FAULT": "daemon-\(seconds)"] }
      var result = await bench.perform(.start(instance, release))
      if result.failure == nil { result = await bench.perform(.checkReady(instance, release)) }
      let failure = try #require(result.failure, "\(result)")
      #expect(failure.kind == .start && failure.remedy.contains("foreground"), "\(failure)")
      #expect(await bench.perform(.stop(instance, release)).generation != nil)
      let left = try await tool(
        "/bin/sh", ["-c", "grep -lzxF 'SLUICE_INSTANCE=\(bench.root)/shop/instances/1' /proc/[0-9]*/environ 2>/dev/null || :"])
      #expect(left.isEmpty)
    }
  }

  @Test("A script that starts the service and waits for it is in the foreground")
  func wrapper() async throws {
    try await Bench.run { bench in
      let (instance, _) = try await bench.running { $0.run.command = ["/bin/sh", "-c", "bin/serve ${ADDRESS} ${PORT} & wait"] }
      #expect(try await fact(bench) == InstanceFact(number: 1, port: instance.port, running: true))
    }
  }

  @Test("One that goes to the background later is told as not kept running, and is started again once what it left is gone")
  func laterDaemon() async throws {
    try await Bench.run { bench in
      let (instance, _) = try await bench.running { $0.run.env = ["FAULT": "daemon-5"] }
      try await eventually("it is told") { try await fact(bench).ended?.cause == .background }
      #expect(try await fact(bench).running == false)
      let serving = try await bench.get(instance)
      #expect(!serving.isEmpty)
      try await tool(
        "/bin/sh",
        [
          "-c",
          "for each in $(grep -lzxF 'SLUICE_INSTANCE=\(bench.root)/shop/instances/1' /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do kill -9 $each; done",
        ])
      try await eventually("it runs again") { try await fact(bench).running }
      try await eventually("it answers again") { (try? await bench.get(instance)) != nil }
    }
  }

  @Test("What supervisors of Sluice 0.1 have given up, or let end, is told as ended", arguments: ["0", "3", "137"])
  func former(status: String) async throws {
    try await Bench.run { bench in
      _ = try await bench.running()
      let folder = "\(bench.root)/shop/instances/1"
      let pid = try #require(pid_t(String(contentsOfFile: "\(folder)/pid", encoding: .utf8).split(separator: " ")[0]))
      kill(pid, SIGKILL)
      try "\(status)\n".write(toFile: "\(folder)/exit", atomically: true, encoding: .utf8)
      try await eventually("the supervisor is gone") { try await !fact(bench).running }
      #expect(try await fact(bench).ended?.cause == (status == "0" ? .exited : .unsupervised))
      try "sluice: given up after 10 failures in a row\n".write(toFile: "\(folder)/log", atomically: true, encoding: .utf8)
      let ended = try #require(try await fact(bench).ended)
      switch status {
      case "0": #expect(ended.cause == .exited && ended.exitStatus == 0)
      case "3": #expect(ended.cause == .givenUp && ended.exitStatus == 3 && ended.signal == nil && ended.since != nil)
      default: #expect(ended.cause == .givenUp && ended.exitStatus == nil && ended.signal == 9)
      }
    }
  }

  @Test("A log is kept short with little room, and gives way where there is none", arguments: [false, true])
  func rotation(isFull: Bool) async throws {
    let directory = "/tmp/sluice-hosts-log-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(atPath: "\(directory)/bin", withIntermediateDirectories: true)
    let text = String(repeating: String(repeating: "x", count: 99) + "\n", count: 120_000) + "the last words\n"
    try text.write(toFile: "\(directory)/log", atomically: true, encoding: .utf8)
    try InstanceFiles.supervise.write(toFile: "\(directory)/supervise", atomically: true, encoding: .utf8)
    if isFull {
      // What the disk has no room for.
      let stub = "#!/bin/sh\ncase $2 in 5242880) echo part; exit 1 ;; esac\nexec /usr/bin/tail \"$@\"\n"
      try stub.write(toFile: "\(directory)/bin/tail", atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(directory)/bin/tail")
    }
    let script = """
      PATH=\(directory)/bin:$PATH; cd \(directory)
      sleep 60 & alive=$!
      sh supervise rotate . "$alive" & rotator=$!
      until [ -s log.1 ]; do sleep 0.02; done
      kill -9 "$alive" "$rotator"; wait 2>/dev/null; :
      """
    try await tool("/bin/sh", ["-c", script])
    func size(_ name: String) throws -> Int { try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")).count }
    #expect(try size("log") == 0)
    #expect(try size("log.1") <= (isFull ? 65_536 : 5_242_880))
    #expect(try String(contentsOfFile: "\(directory)/log.1", encoding: .utf8).hasSuffix("the last words\n"))
    #expect(!FileManager.default.fileExists(atPath: "\(directory)/log.new"))
  }
}
