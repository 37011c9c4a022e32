import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite(
  "A release's task on a host, over a real sshd", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)),
  .serialized)
struct TaskTests {
  /// A release with a task that adds a line to `mark`, in the bench's directory, whenever it runs.
  private func release(_ bench: Bench, _ script: String, timeout: Milliseconds = .minutes(1)) async throws -> Release {
    let text = "#!/bin/sh\necho \"$RELEASE $SLUICE_ATTEMPT_ID $TOKEN $1\" >>\(bench.at.directory)/mark\n\(script)\n"
    let (_, release) = try await bench.staged(files: ["bin/migrate": text]) {
      $0.task = ReleaseTask(command: ["bin/migrate", "to ${RELEASE}"], timeout: timeout)
      $0.run.secrets = ["TOKEN"]
    }
    return release
  }

  private func marks(_ bench: Bench) -> [String] {
    let text = (try? String(contentsOfFile: "\(bench.at.directory)/mark", encoding: .utf8)) ?? ""
    return text.split(separator: "\n").map(String.init)
  }

  private func attempts(_ bench: Bench) -> String { "\(bench.root)/shop/attempts" }

  @Test(
    "It runs once, in the surroundings of its release, and tells how it ended as often as it is asked",
    arguments: LoopbackHost.RemoteShell.installed)
  func once(shell: LoopbackHost.RemoteShell) async throws {
    try await Bench.run(shell: shell) { bench in
      bench.setSecrets(["TOKEN": "word"])
      let release = try await release(bench, "exit 0")
      for _ in 0..<3 { #expect(await bench.perform(.task(release, number: 1, secrets: "v1")) == .succeeded(.nothing)) }
      #expect(marks(bench) == ["1 shop-\(release.digest.rawValue.prefix(16))-1 word to 1"])
      #expect(await bench.perform(.task(release, number: 2, secrets: "v1")) == .succeeded(.nothing))
      #expect(marks(bench).count == 2)
      // Of a release that is kept the last run is, and nothing of others.
      await bench.hands.release("shop", fence: bench.fence, keep: [release.digest], on: bench.host)
      #expect(try FileManager.default.contentsOfDirectory(atPath: attempts(bench)).count == 1)
      await bench.hands.release("shop", fence: bench.fence, keep: [], on: bench.host)
      #expect(try FileManager.default.contentsOfDirectory(atPath: attempts(bench)).isEmpty)
    }
  }

  @Test("A failure is told with its last words")
  func fails() async throws {
    try await Bench.run { bench in
      bench.setSecrets(["TOKEN": "word"])
      let release = try await release(bench, "echo 'no such table'; exit 7")
      let failure = try #require(await bench.perform(.task(release, number: 1, secrets: "v1")).failure)
      #expect(failure.kind == .task && failure.message.contains("status 7") && failure.output.contains("no such table"), "\(failure)")
    }
  }

  @Test("One that takes too long is ended with all it started, and said to be late")
  func late() async throws {
    try await Bench.run { bench in
      bench.setSecrets(["TOKEN": "word"])
      let release = try await release(bench, "sleep 61 & sleep 61", timeout: .seconds(1))
      let failure = try #require(await bench.perform(.task(release, number: 1, secrets: "v1")).failure)
      #expect(failure.kind == .task && failure.message.contains("task.timeout"), "\(failure)")
      let left = try await tool(
        "/bin/sh",
        ["-c", "grep -lzxF 'SLUICE_ATTEMPT_ID=shop-\(release.digest.rawValue.prefix(16))-1' /proc/[0-9]*/environ 2>/dev/null || :"])
      #expect(left.isEmpty)
    }
  }

  @Test("It goes on when the controller is gone, and whoever asks next hears of its end")
  func outlives() async throws {
    try await Bench.run { bench in
      bench.setSecrets(["TOKEN": "word"])
      let release = try await release(bench, "while [ ! -e \(bench.at.directory)/go ]; do sleep 0.1; done")
      let asking = Task { await bench.perform(.task(release, number: 1, secrets: "v1")) }
      try await eventually("it runs") { marks(bench).count == 1 }
      asking.cancel()
      guard case .inDoubt = await asking.value else { throw Unexpected(what: "\(await asking.value)") }
      try Data().write(to: URL(fileURLWithPath: "\(bench.at.directory)/go"))
      #expect(await bench.perform(.task(release, number: 1, secrets: "v1")) == .succeeded(.nothing))
      #expect(marks(bench).count == 1)
    }
  }

  @Test("One that was killed along with what watches it is told as interrupted, and never run again by itself")
  func interrupted() async throws {
    try await Bench.run { bench in
      bench.setSecrets(["TOKEN": "word"])
      let release = try await release(bench, "sleep 61")
      let asking = Task { await bench.perform(.task(release, number: 1, secrets: "v1")) }
      try await eventually("it runs") { marks(bench).count == 1 }
      let folder = "\(attempts(bench))/\(release.digest.rawValue.prefix(16))-1"
      for (file, sign) in [("pid", 1), ("group", -1)] {
        let text = try String(contentsOfFile: "\(folder)/\(file)", encoding: .utf8)
        let pid = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        kill(pid * pid_t(sign), SIGKILL)
      }
      let failure = try #require(await asking.value.failure)
      #expect(failure.kind == .interrupted, "\(failure)")
      #expect(await bench.perform(.task(release, number: 1, secrets: "v1")).failure?.kind == .interrupted)
      #expect(marks(bench).count == 1)
    }
  }

  @Test("Two tasks of a service never run at once")
  func oneByOne() async throws {
    try await Bench.run { bench in
      bench.setSecrets(["TOKEN": "word"])
      let release = try await release(bench, "echo in >>\(bench.at.directory)/log; sleep 0.5; echo out >>\(bench.at.directory)/log")
      async let first = bench.perform(.task(release, number: 1, secrets: "v1"))
      async let second = bench.perform(.task(release, number: 2, secrets: "v1"))
      #expect(await [first, second] == [.succeeded(.nothing), .succeeded(.nothing)])
      #expect(try String(contentsOfFile: "\(bench.at.directory)/log", encoding: .utf8) == "in\nout\nin\nout\n")
    }
  }
}
