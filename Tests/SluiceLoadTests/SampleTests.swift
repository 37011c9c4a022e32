import Foundation
import NIOCore
import SluiceLoad
import Testing

/// The sample and the generator against each other: two counts of the same requests.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct SampleTests {
  private func plan(_ port: Int) -> LoadPlan {
    var plan = LoadPlan(targets: [LoadPlan.Target(host: "127.0.0.1", port: port)])
    plan.clients = 20
    plan.requests = 600
    plan.users = 100
    plan.slow = .milliseconds(20)
    plan.streamEvery = .milliseconds(2)
    plan.uploadEvery = .milliseconds(2)
    plan.framesEvery = .milliseconds(2)
    plan.timeout = .seconds(10)
    return plan
  }

  @Test func `every request of every kind is answered, by both counts`() async throws {
    let sample = try SampleProcess(["--version-label", "v1"], environment: ["INSTANCE": "3"])
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("record-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: file) }
    var plan = plan(sample.port)
    plan.record = file.path
    let summary = try await LoadRun(plan).run()
    sample.terminate()
    #expect(sample.end() == 0)
    #expect(summary.fates["answered"] == 600, "\(summary.losses)")
    #expect(summary.kinds.count == RequestKind.allCases.count)
    #expect(summary.releases["v1"]?.instances == ["3": 600])
    #expect(try sample.count("accepted") == 600)
    #expect(try sample.count("answered") == 600)
    #expect(try sample.count("websockets") == summary.kinds["ws"]?.answered)
    let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 600)
    var clients: [String: Set<Int>] = [:]
    for line in lines {
      let record = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      clients[try #require(record["user"] as? String), default: []].insert(try #require(record["client"] as? Int))
    }
    #expect(clients.count == 100)
    #expect(clients.values.allSatisfy { $0.count == 1 }, "a user always comes from the same client")
  }

  @Test func `told to stop, it answers what it accepted`() async throws {
    let sample = try SampleProcess(["--version-label", "v1"])
    var plan = plan(sample.port)
    plan.clients = 10
    plan.requests = 10
    plan.slow = .milliseconds(700)
    plan.mix = try #require(Mix("slow=1"))
    async let running = LoadRun(plan).run()
    // Each look is a request that is accepted too.
    for looks in 1...500 {
      let counters = try await sample.ask("GET", "/counters").text
      if counters.contains("accepted=\(10 + looks) ") { break }
      try await Task.sleep(for: .milliseconds(1))
    }
    sample.terminate()
    let summary = try await running
    #expect(sample.end() == 0)
    #expect(summary.fates["answered"] == 10, "\(summary.losses)")
    #expect(try sample.count("unanswered") == 0)
  }

  @Test func `faults do what they say`() async throws {
    let refusing = try SampleProcess(["--fault", "exit=3"])
    #expect(refusing.end() == 3)
    #expect(refusing.log.contains("told to end with status 3"))
    let crashing = try SampleProcess(environment: ["SAMPLE_FAULT": "crash-after=10ms"])
    #expect(crashing.end() == SIGABRT)
    let wrong = try SampleProcess(["--fault", "crash"])
    #expect(wrong.end() == 64)
    let failing = try SampleProcess(["--version-label", "v3", "--fault", "error-share=25%"])
    var plan = plan(failing.port)
    plan.requests = 400
    plan.mix = try #require(Mix("get=3,post=1"))
    let summary = try await LoadRun(plan).run()
    failing.terminate()
    #expect(failing.end() == 0)
    #expect(summary.lost == 0)
    #expect(summary.releases["v3"]?.errors == 100)
  }

  @Test func `health fails as told, from a file of the release or by request`() async throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("fault-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: file) }
    try "# a bad release\nfail-health\n".write(to: file, atomically: true, encoding: .utf8)
    let sample = try SampleProcess(["--fault-file", file.path])
    #expect(try await sample.ask("GET", "/healthz").status == 503)
    #expect(try await sample.ask("POST", "/admin/health?ok=true").status == 200)
    #expect(try await sample.ask("GET", "/healthz").status == 200)
    #expect(try await sample.ask("GET", "/admin/health?ok=true").status == 405)
    #expect(try await sample.ask("GET", "/nothing").status == 404)
    sample.terminate()
    #expect(sample.end() == 0)
  }

  @Test func `one that ignores SIGTERM says so and lives on`() async throws {
    let sample = try SampleProcess(["--fault", "ignore-term"])
    sample.terminate()
    #expect(try await sample.ask("GET", "/").status == 200)
    sample.read(until: "signal 15 ignored")
    kill(sample.process.processIdentifier, SIGKILL)
    #expect(sample.end() == SIGKILL)
    #expect(sample.log.contains("signal 15 ignored"))
  }
}
