import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite(
  "Readiness, asked through the host's connection", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"),
  .timeLimit(.minutes(3)), .serialized)
struct ReadinessTests {
  @Test("A slow start is waited for; tcp and exec checks find it ready", arguments: [0, 1, 2])
  func ready(kind: Int) async throws {
    try await Bench.run { bench in
      _ = try await bench.running(files: [
        "bin/check": "#!/bin/sh\nexec python3 -c \"import socket; socket.create_connection(('$ADDRESS', $PORT), 1)\"\n"
      ]) {
        $0.run.env = ["FAULT": "slow"]
        if kind == 1 { $0.readiness.probe = .tcp }
        if kind == 2 { $0.readiness.probe = .exec(command: ["bin/check"]) }
      }
      #expect(bench.hands.statistics.total(.probe) <= 3)
    }
  }

  @Test("One that never gets well: the check's last answer and the log are told", arguments: [false, true])
  func neverReady(byExec: Bool) async throws {
    try await Bench.run { bench in
      var bench = bench
      bench.policy.startTimeout = .seconds(1)
      let (instance, release) = try await bench.staged(files: ["bin/check": "#!/bin/sh\necho not yet; exit 7\n"]) {
        $0.run.env = ["FAULT": "unhealthy"]
        if byExec { $0.readiness.probe = .exec(command: ["bin/check"]) }
      }
      #expect(await bench.perform(.start(instance, release)).generation != nil)
      let failure = try #require(await bench.perform(.checkReady(instance, release)).failure)
      #expect(failure.kind == .readiness)
      #expect(failure.message.contains(byExec ? "exit status 7: not yet" : "status 500, expected 200: broken"), "\(failure)")
      #expect(failure.output.contains("listening"), "\(failure)")
    }
  }

  @Test("One that ends while it is waited for is told soon, with its status and its log")
  func died() async throws {
    try await Bench.run { bench in
      var bench = bench
      bench.policy.startTimeout = .seconds(60)
      // It lives for longer than a start takes on a loaded machine.
      let (second, late) = try await bench.staged(2, files: ["bin/late": "#!/bin/sh\nsleep 5; echo no database; exit 0\n"]) {
        $0.run.command = ["bin/late"]
      }
      #expect(await bench.perform(.start(second, late)).generation != nil)
      let began = ContinuousClock.now
      let failure = try #require(await bench.perform(.checkReady(second, late)).failure)
      #expect(ContinuousClock.now - began < .seconds(40))
      #expect(failure.kind == .start && failure.message.contains("exit status 0") && failure.output.contains("no database"), "\(failure)")
    }
  }

  @Test("A server that forbids forwarding is named, with what to do")
  func forbidden() async throws {
    try await Bench.run(["AllowTcpForwarding no"]) { bench in
      // Before anything is started: it is found out when the files are brought.
      let refused = await #expect(throws: Unexpected.self) { _ = try await bench.staged() }
      let words = refused?.what ?? ""
      #expect(words.contains("forbids forwarding") && words.contains("AllowTcpForwarding"), "\(words)")
      let report = await HostInspector(hands: bench.hands).inspect(bench.host)
      #expect(report.forwarding == false && report.problems.contains { $0.isWarning && $0.message.contains("forwarding") })
    }
  }

  @Test("A cancelled check ends at once")
  func cancelled() async throws {
    try await Bench.run { bench in
      var changed = bench
      changed.policy.startTimeout = .seconds(60)
      let bench = changed
      let (instance, release) = try await bench.staged { $0.run.env = ["FAULT": "unhealthy"] }
      #expect(await bench.perform(.start(instance, release)).generation != nil)
      let check = Task { await bench.perform(.checkReady(instance, release)) }
      try await eventually("it asks") { bench.hands.statistics.total(.start) == 1 }
      let began = ContinuousClock.now
      check.cancel()
      let failure = await check.value.failure
      #expect(failure?.kind == .cancelled)
      #expect(ContinuousClock.now - began < .seconds(20))
    }
  }
}

@Suite("HTTP answers of readiness checks")
struct HTTPAnswerTests {
  private func answer(_ text: String) -> HTTPAnswer {
    var answer = HTTPAnswer()
    for byte in text.utf8 { answer.append([byte]) }
    return answer
  }

  @Test("The status is read from the first line only")
  func status() {
    #expect(answer("HTTP/1.1 200 OK\r\n\r\n").status == 200)
    #expect(answer("HTTP/1.0 503 No\r\nA: b\r\n\r\nwhy\nnot").status == 503)
    #expect(answer("HTTP/1.0 503 No\r\nA: b\r\n\r\nwhy\nnot").excerpt == "why not")
    #expect(answer("HTTP/1.1 204\r\n\r\n").status == 204)
    for bad in ["", "HTTP/1.1 200", "SSH-2.0-x\r\n", "HTTP/1.1 2000 x\r\n", "HTTP/2 200\r\n", "HTTP/1.1 abc x\r\n", "HTTP/1.1  200\r\n"] {
      #expect(answer(bad).status == nil)
    }
  }

  @Test("Interim answers are passed over, also when they come with the final one or never end")
  func interims() {
    let continued = "HTTP/1.1 100 Continue\r\n\r\n"
    #expect(answer(continued + "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").status == 200)
    var whole = HTTPAnswer()
    whole.append((continued + continued + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").utf8)
    #expect(whole.status == 200 && whole.isEnough)
    #expect(answer(continued).status == nil && !answer(continued).isEnough)
    #expect(answer(continued).fault == "the connection was closed after an interim answer")
    let endless = answer(String(repeating: continued, count: 100))
    #expect(endless.status == nil && endless.isEnough && endless.fault == "more than 16 interim answers")
    var long = HTTPAnswer()
    long.append(
      (String(repeating: "HTTP/1.1 103 Early Hints\r\nLink: \(String(repeating: "l", count: 2_000))\r\n\r\n", count: 5)
        + "HTTP/1.1 204 No\r\n\r\n").utf8)
    #expect(long.status == 204 && long.isEnough)
  }

  @Test("An empty answer is whole: nobody waits for a body that does not come")
  func empty() {
    for head in ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 503 No\r\ncontent-length:0\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n"] {
      #expect(answer(head).isEnough && answer(head).status != nil, "\(head)")
    }
    #expect(!answer("HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\n").isEnough)
    // The status counts when the head is whole, not before.
    #expect(answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n").status == nil)
  }

  @Test("A broken answer is told in true words, without control characters")
  func broken() {
    #expect(answer("").fault == "the connection was closed without an answer")
    #expect(answer("HTTP/1.1 200 OK\r\nConte").fault == "the connection was closed in the middle of the answer's head")
    #expect(answer("HTT").fault == "the connection was closed in the middle of the answer's head")
    #expect(answer("SSH-2.0-\u{1b}[31mx\r\n").fault == "the answer is not HTTP: SSH-2.0-?[31mx")
  }

  @Test("No more is kept than anyone reads")
  func bounded() {
    let long = answer("HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: 20_000))
    #expect(long.isEnough && long.status == 200)
    #expect(!answer("HTTP/1.1 200 OK\r\nA: b\r\n\r\n").isEnough)
  }
}
