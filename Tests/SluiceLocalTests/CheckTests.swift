import Foundation
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceLocal

@Suite struct CheckTests {
  private func ask(_ kind: AnalysisCheck.Kind, timeout: Milliseconds = .seconds(10)) async -> AttemptResult {
    let record = ServiceRecord(policy: ServicePolicy(name: "shop", fleet: "test", replicas: 1))
    return await CheckRunner().ask(AnalysisCheck(name: "smoke", kind: kind, timeout: timeout), step: 0, record: record)
  }

  private func message(_ result: AttemptResult) -> String { if case .failed(let failure) = result { failure.message } else { "" } }

  @Test func `a command passes when it exits with 0, in its folder and with what it is about in its environment`() async {
    let script =
      #"test "$PWD $SLUICE_CHECK $SLUICE_SERVICE $SLUICE_FLEET $SLUICE_STEP" = "/usr smoke shop test 1" || { echo "not $PWD"; exit 3; }"#
    #expect(await ask(.command(["sh", "-c", script], directory: "/usr")) == .succeeded(.nothing))
    #expect(message(await ask(.command(["sh", "-c", script], directory: "/tmp"))).hasSuffix("exited with status 3: not /tmp"))
    #expect(message(await ask(.command(["sleep", "30"], directory: "/"), timeout: .init(200))).contains("did not end within 200ms"))
  }

  @Test func `what cannot be started here is in doubt, and is told before a release begins`() async throws {
    guard case .inDoubt(let why) = await ask(.command(["/no/such/check"], directory: "/")) else {
      Issue.record("a check that never ran was counted")
      return
    }
    #expect(why.contains("cannot be started"))
    let kinds: [(AnalysisCheck.Kind, String)] = [
      (.command(["./check"], directory: "/no/such"), "/no/such/./check, cannot be found on this machine"),
      (.command(["/usr"], directory: "/"), "is a directory"), (.command(["no-such-program"], directory: "/"), "is not in PATH"),
      (.command(["/etc/passwd"], directory: "/"), "is not executable"),
    ]
    for (kind, words) in kinds {
      let problem = try #require(CheckRunner.obstacle(AnalysisCheck(name: "smoke", kind: kind)))
      #expect(problem.message.contains(words), "\(problem)")
    }
    #expect(CheckRunner.obstacle(AnalysisCheck(name: "smoke", kind: .command(["sh"], directory: "/"))) == nil)
  }

  @Test func `an address passes by its status, and by the value in its answer where one is asked for`() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-check-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try #"{"data":[{"value":0.25,"state":"ok"}]}"#.write(to: folder.appendingPathComponent("a.json"), atomically: true, encoding: .utf8)
    let server = Process()
    server.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
    server.arguments = [
      "-c",
      """
      import http.server, functools
      handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=\(String(reflecting: folder.path)))
      server = http.server.HTTPServer(("127.0.0.1", 0), handler)
      print(server.server_port, flush=True)
      server.serve_forever()
      """,
    ]
    let output = Pipe()
    (server.standardOutput, server.standardError) = (output, FileHandle.nullDevice)
    try server.run()
    // SIGTERM may be blocked in the thread that starts it, and so in it.
    defer { kill(server.processIdentifier, SIGKILL) }
    let port = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    let url = "http://127.0.0.1:\(port)/a.json"
    #expect(await ask(.http(url: url, json: nil, equals: nil)) == .succeeded(.nothing))
    #expect(await ask(.http(url: url, json: "$.data[0].state", equals: "ok")) == .succeeded(.nothing))
    #expect(await ask(.http(url: url, json: "$.data[0].value", equals: "0.25")) == .succeeded(.nothing))
    #expect(message(await ask(.http(url: url, json: "$.data[0].state", equals: "bad"))) == "$.data[0].state is ok, not bad")
    #expect(message(await ask(.http(url: url, json: "$.data[1].state", equals: "ok"))).contains("has no $.data[1].state"))
    #expect(message(await ask(.http(url: "http://127.0.0.1:\(port)/none", json: nil, equals: nil))).contains("404"))
  }

  @Test(arguments: ["", "data", "$.", "$..a", "$[x]", "$[-1]", "$[+1]", "$[]", "$.a[", "$x", "$.*", "$.a b"])
  func `what is no path is told`(text: String) {
    #expect(JSONPath(text) == nil)
  }
}
