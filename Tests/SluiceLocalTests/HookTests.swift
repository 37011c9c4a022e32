import Foundation
import SluiceEngine
import SluiceLocal
import SluiceModel
import SluiceRollout
import Testing

@Suite struct HookTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func record(back: Bool = false) -> ServiceRecord {
    var record = ServiceRecord(policy: ServicePolicy(name: "shop", fleet: "prod", replicas: 3))
    record.releases = [1, 2].map { number in
      Release(
        number: ReleaseNumber(number), digest: Digest("digest\(number)"),
        spec: ReleaseSpec(artifact: Digest("artifact\(number)"), run: RunSpec(command: ["x"]), readiness: ReadinessCheck(probe: .tcp)))
    }
    var rollout = Rollout(
      number: 9, cause: "apply", by: "ann", startedAt: WallTime(milliseconds: 0), goal: Goal(release: ReleaseNumber(2), replicas: 3),
      origin: Goal(release: ReleaseNumber(1), replicas: 3), now: .zero)
    if back { rollout.direction = .back(because: "it \"fell\"", byOperator: false) }
    record.rollout = rollout
    return record
  }

  private func run(
    _ command: String, _ point: HookPoint = .preWave, wave: Int? = 4, back: Bool = false, timeLimit: Duration = .seconds(30),
    grace: Duration = .seconds(5)
  ) async -> AttemptResult {
    await HookRunner(timeLimit: timeLimit, grace: grace).run(
      HookCall(point, wave: wave), command: command, record: record(back: back), attempt: 12)
  }

  private func failure(_ result: AttemptResult) throws -> Failure {
    guard case .failed(let failure) = result else { throw LocalError("not a failure: \(result)") }
    #expect(failure.kind == .hook)
    return failure
  }

  @Test func `a hook finds where it stands in its environment and on its input`() async throws {
    // The runner of the tests has variables of its own.
    let listing = "env | grep ^SLUICE_ | grep -v -e ^SLUICE_BIN -e ^SLUICE_TESTS | sort > env"
    let hook = try directory.script("in here/hook", "\(listing); cat > input; pwd > place")
    #expect(await run(hook) == .succeeded(.nothing))
    #expect(
      try directory.text("in here/env") == """
        SLUICE_ATTEMPT_ID=shop-12
        SLUICE_DIRECTION=forward
        SLUICE_FLEET=prod
        SLUICE_HOOK=preWave
        SLUICE_RELEASE=shop@2
        SLUICE_ROLLOUT=9
        SLUICE_SERVICE=shop
        SLUICE_WAVE=4

        """)
    #expect(try directory.text("in here/place") == directory.path + "/in here\n")
    #expect(
      try directory.text("in here/input") == """
        {"attempt":"shop-12","fleet":"prod","hook":"preWave","origin":{"artifact":"artifact1","digest":"digest1","number":1},\
        "release":{"artifact":"artifact2","digest":"digest2","number":2},"replicas":3,"rollout":{"by":"ann","cause":"apply",\
        "direction":"forward","failures":[],"number":9,"waves":0},"service":"shop","wave":4}

        """)
  }

  @Test func `on the way back it hears so`() async throws {
    let hook = try directory.script("hook", "echo \"$SLUICE_DIRECTION [$SLUICE_WAVE]\" > said; cat >> said")
    #expect(await run(hook, .rolledBack, wave: nil, back: true) == .succeeded(.nothing))
    #expect(try directory.text("said").hasPrefix("back []\n"))
    #expect(try directory.text("said").contains(#""because":"it \"fell\"","by":"ann","cause":"apply","direction":"back""#))
  }

  @Test func `a hook that reads nothing and one that writes much both end`() async throws {
    #expect(await run(try directory.script("deaf", "exec <&-; exit 0")) == .succeeded(.nothing))
    let loud = try failure(
      await run(try directory.script("loud", "i=0; while [ $i -lt 3000 ]; do echo \"line $i\"; i=$((i+1)); done; exit 7")))
    #expect(loud.message == "the preWave hook \(directory.path)/loud exited with status 7")
    #expect(loud.output.utf8.count == 8 << 10 && loud.output.hasSuffix("line 2999\n"))
  }

  @Test func `its output comes in order from both streams`() async throws {
    let failed = try failure(await run(try directory.script("hook", "echo one; echo two >&2; echo three; kill -KILL $$")))
    #expect(failed.output == "one\ntwo\nthree\n")
    #expect(failed.message.hasSuffix("was killed by signal 9"))
  }

  @Test func `what cannot be run says why`() async throws {
    #expect(try failure(await run(directory.path + "/none")).message.contains("cannot be found on this machine (No such file"))
    #expect(try failure(await run(directory.path)).message.contains("is a directory"))
    let plain = try failure(await run(try directory.file("plain", "#!/bin/sh\n")))
    #expect(plain.message.hasSuffix("is not executable") && plain.remedy == "chmod +x \(directory.path)/plain")
    #expect(try failure(await run(try directory.file("alien", "#!/no/such/shell\n", mode: 0o755))).message.contains("cannot be started"))
  }

  @Test func `past its time limit it is ended with its children, who may ignore the first signal`() async throws {
    let hook = try directory.script(
      "hook",
      "trap '' TERM; (trap '' TERM; echo $BASHPID > /dev/null; exec sleep 601) & echo $! > child; echo stuck; while :; do sleep 602; done")
    let failed = try failure(await run(hook, timeLimit: .seconds(3), grace: .milliseconds(200)))
    #expect(failed.message.hasSuffix("did not end within 3.0 seconds and was stopped"))
    #expect(failed.output == "stuck\n")
    let child = try #require(Int32(try directory.text("child").trimmingCharacters(in: .newlines)))
    try await gone(child)
  }

  @Test func `one that ends at the first signal is not waited for`() async throws {
    let hook = try directory.script("hook", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done")
    let begun = ContinuousClock.now
    let failed = try failure(await run(hook, timeLimit: .seconds(3), grace: .seconds(60)))
    #expect(failed.output.hasSuffix("bye\n"))
    #expect(ContinuousClock.now - begun < .seconds(30))
  }

  @Test func `one that ends at once while its child keeps the output open does not hang`() async throws {
    let hook = try directory.script("hook", "sleep 603 & echo $! > child; echo done")
    #expect(await run(hook) == .succeeded(.nothing))
    let child = try #require(Int32(try directory.text("child").trimmingCharacters(in: .newlines)))
    #expect(kill(child, SIGKILL) == 0, "a child that was left on purpose goes on")
  }

  @Test func `cancelled it is stopped, and whether it took effect is in doubt`() async throws {
    let hook = try directory.script("hook", "echo $$ > pid; exec sleep 604")
    let task = Task { await run(hook, timeLimit: .seconds(60)) }
    let pid = try await value { try? Int32(directory.text("pid").trimmingCharacters(in: .newlines)) }
    task.cancel()
    #expect(await task.value == .inDoubt("the preWave hook \(hook) was stopped before it ended"))
    try await gone(pid)
  }

  // MARK: The example hooks

  private var examples: String { URL(filePath: #filePath).appending(path: "../../../hooks").standardized.path }

  @Test func `the example pre-deploy holds releases back while a freeze file exists, and never a way back`() async throws {
    let hook = directory.path + "/pre-deploy"
    try shell("/usr/bin/install", "-m", "755", examples + "/pre-deploy", hook, in: directory.path)
    #expect(await run(hook, .preDeploy, wave: nil) == .succeeded(.nothing))
    try directory.file("release-freeze", "ann: payments outage\n")
    #expect(
      try failure(await run(hook, .preDeploy, wave: nil)).output
        == "shop@2 is not released: releases are frozen (release-freeze)\nann: payments outage\n")
    #expect(await run(hook, .preDeploy, wave: nil, back: true) == .succeeded(.nothing))
  }

  @Test(
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: "/usr/bin/curl") && FileManager.default.isExecutableFile(atPath: "/usr/bin/python3"),
      "needs curl and python3"))
  func `the example notify posts one line of JSON`() async throws {
    let server = try directory.script(
      "server",
      """
      exec /usr/bin/python3 -u -c '
      import http.server, json
      class H(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
          body = self.rfile.read(int(self.headers["Content-Length"]))
          open("got", "w").write(json.loads(body)["text"])
          self.send_response(200); self.end_headers()
        def log_message(self, *a): pass
      s = http.server.HTTPServer(("127.0.0.1", 0), H)
      open("port.tmp", "w").write(str(s.server_port)); import os; os.rename("port.tmp", "port")
      s.handle_request()
      '
      """)
    let process = Process()
    process.executableURL = URL(filePath: server)
    process.currentDirectoryURL = URL(filePath: directory.path)
    try process.run()
    defer { kill(process.processIdentifier, SIGKILL) }
    let port = try await value { try? Int(directory.text("port")) }
    let hook = try directory.script("hook", "NOTIFY_URL=http://127.0.0.1:\(port)/hook exec '\(examples)/notify'")
    #expect(await run(hook, .rolledBack, wave: nil) == .succeeded(.nothing))
    #expect(try directory.text("got") == "shop@2 in prod is back where it was, because its rollout failed (rollout 9)")
  }

  @Test func `the example notify without an address only says it`() async throws {
    let hook = try directory.script("hook", "NOTIFY_URL= '\(examples)/notify' || exit 9; exit 5")
    #expect(try failure(await run(hook, .postDeploy, wave: nil)).output == "shop@2 in prod is released (rollout 9)\n")
  }

  // MARK: Waiting

  private func value<Value>(_ look: () -> Value?) async throws -> Value {
    for _ in 0..<1_000 {
      if let value = look() { return value }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw LocalError("it did not happen within ten seconds")
  }

  /// A process is gone, or a zombie that waits for init.
  private func gone(_ process: Int32) async throws {
    let _: Bool = try await value {
      guard kill(process, 0) == 0 else { return true }
      return (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8))?.contains(") Z ") ?? true ? true : nil
    }
  }
}
