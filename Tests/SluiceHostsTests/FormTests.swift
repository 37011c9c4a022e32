import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite("Texts that go to hosts and come back")
struct FormTests {
  static let odd = [
    "", " ", "plain", "a b", "it's", "''", "\"", "$HOME", "`id`", "\\", "\\\\n", "a\nb", "\n", "tab\t", "%s%%", "*", "~", "-n",
    "é\u{1F600}", "\r\n", "!x", "#",
  ]

  @Test("Quoted words reach a shell as they are", arguments: LoopbackHost.RemoteShell.installed)
  func quoting(shell: LoopbackHost.RemoteShell) async throws {
    let prefix = shell == .busybox ? ["sh"] : []
    let output = try await tool(
      shell.path, prefix + ["-c", "eval \"set -- $1\"; for word; do printf '%s|' \"$word\"; done", "x", Shell.words(Self.odd)])
    #expect(output == Self.odd.map { $0 + "|" }.joined())
  }

  @Test("Environment lines are read by shells as they were meant", arguments: LoopbackHost.RemoteShell.installed)
  func environment(shell: LoopbackHost.RemoteShell) async throws {
    let prefix = shell == .busybox ? ["sh"] : []
    for value in Self.odd {
      let output = try await tool(shell.path, prefix + ["-c", "eval \"$1\"; printf '%s|' \"$X\"", "x", Shell.environmentLine("X", value)])
      #expect(output == value + "|")
    }
  }

  @Test("Tokens hold no white space and come back")
  func tokens() {
    for value in Self.odd + ["me@here:boot:1", "%41"] {
      let token = Token.encode(value)
      #expect(!token.isEmpty && token.utf8.allSatisfy { $0 > 32 && $0 < 127 })
      #expect(Token.decode(token) == value)
    }
    for bad in ["", "a b", "%4", "%zz", "é", "%FF"] { #expect(Token.decode(bad) == nil) }
  }

  @Test("An answer is read between its first and last line, record and all")
  func answers() throws {
    let text =
      "Welcome!\nsluice/1\ngeneration 7\nholder me 3 here 9 0\ninstance 2 8080 1\nlistening 22\nrecord 4\na\nb\n\nlog x y\nlog\nend\ntrailing"
    let answer = try HostAnswer(parsing: Array(text.utf8))
    #expect(answer.number("generation", as: UInt64.self) == 7 && answer.record == Array("a\nb\n".utf8) && answer.text("log") == "x y\n")
    #expect(
      answer.holder()
        == FenceHolder(fence: Fence(owner: "me", epoch: 3), machine: "here", since: WallTime(milliseconds: 9), released: false))
    #expect(
      answer.facts(of: "a")
        == HostFact(host: "a", generation: 7, instances: [InstanceFact(number: 2, port: 8080, running: true)], listening: [22]))
    let problems: [(String, HostAnswer.Problem)] = [
      ("", .missing), ("no\n", .missing), ("sluice/1", .missing), ("sluice/1\n", .cut), ("sluice/1\na b\nend", .cut),
      ("sluice/1\nA b\nend\n", .malformed("A b")),
      ("sluice/1\nrecord 99\nx\nend\n", .cut), ("sluice/1\nrecord -1\nend\n", .malformed("record -1")),
      ("sluice/1\nrecord 1\nxy\nend\n", .malformed("the record is longer than it says")),
    ]
    for (text, problem) in problems {
      #expect(throws: problem) { try HostAnswer(parsing: Array(text.utf8)) }
    }
  }

  @Test("A host's word on being drained is read, and what cannot be one is none")
  func cordons() throws {
    func read(_ line: String) throws -> Cordon? {
      try HostAnswer(parsing: Array("sluice/1\ngeneration 7\n\(line)\nend\n".utf8)).facts(of: "a").flatMap(\.cordon)
    }
    let word = Cordon(host: "a", number: 12, isDrained: true, by: "anna@the attic", at: WallTime(milliseconds: 9))
    #expect(try read("cordon 12 1 9 \(Token.encode(word.by))") == word)
    #expect(try read("cordon 49999999999999 0 0 %")?.isDrained == false)
    for bad in [
      "cordon", "cordon 12", "cordon 12 1 9", "cordon 0 1 9 x", "cordon -1 1 9 x", "cordon 50000000000000 1 9 x", "cordon 12 2 9 x",
      "cordon 12 1 -9 x", "cordon 12 1 9 x y", "cordon 12 1 9 %zz", "cordon 12 1 999999999999999999 x",
    ] {
      #expect(try read(bad) == nil, "\(bad)")
    }
    #expect(try read("cordon 1 1 0 \(String(repeating: "n", count: 5_000))")?.by.utf8.count == 200)
  }

  @Test("Random bytes never bring the reader down, and a cut answer is never taken for a whole one")
  func fuzz() throws {
    let good = Array("sluice/1\ngeneration 7\ninstance 2 8080 1\nrecord 3\nabc\nrelease \(String(repeating: "a", count: 64))\nend\n".utf8)
    var generator = SystemRandomNumberGenerator()
    for count in 0..<good.count { #expect(throws: HostAnswer.Problem.self) { try HostAnswer(parsing: Array(good.prefix(count))) } }
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
      }
      guard let answer = try? HostAnswer(parsing: bytes) else { continue }
      _ = (answer.facts(of: "a"), answer.holder(), answer.record.map { SignedCopy(file: $0, signature: nil) }, answer.failure(on: "a"))
    }
  }

  @Test("Arguments of units mean nothing to systemd")
  func units() {
    #expect(SystemdText.argument("a b\"\\$x%h;\n") == "\"a b\\\"\\\\$$x%%h\\x3b\\x0A\"")
    #expect(SystemdText.path("/a%b c") == "/a%%b c")
  }

  @Test("Addresses are written as the kernel lists them; what is no address matches all")
  func addresses() {
    #expect(ProcAddress.pattern("127.0.0.1") == "0100007F")
    #expect(ProcAddress.pattern("::1") == "00000000000000000000000001000000")
    #expect(ProcAddress.pattern("host.example") == "*")
  }

  @Test("Only whole names are replaced in arguments, once")
  func substitution() {
    let release = Release(
      number: ReleaseNumber(14), digest: "d",
      spec: ReleaseSpec(artifact: "a", run: RunSpec(command: ["x"]), readiness: ReadinessCheck(probe: .tcp)))
    let instance = Instance(number: 3, release: ReleaseNumber(14), host: "a1", address: "::1", port: 80, secrets: "")
    let text = InstanceText(
      service: "shop", instance: instance, release: release, host: SluiceModel.Host(name: "a1", rack: "r", address: "x"))
    #expect(text.substitute("${ADDRESS}:${PORT} ${INSTANCE}${RELEASE} $PORT ${PORT ${NO} $${PORT}") == "::1:80 314 $PORT ${PORT ${NO} $80")
  }
}
