import Foundation
import SluiceModel
import Testing

@testable import SluiceLocal

@Suite struct SecretTests {
  let directory: TemporaryDirectory
  let reader: SecretReader

  init() throws {
    directory = try TemporaryDirectory()
    reader = SecretReader(environment: ["DB": "from env", "NONE": ""], baseDirectory: directory.path, timeLimit: .seconds(20))
  }

  @Test func `values come from the environment, files and commands`() async throws {
    try directory.file("token", "from file\n\n")
    let script = try directory.script("bin/secret", "echo noise >&2; printf 'from %s\\n' \"$1\"; pwd")
    #expect(script.hasSuffix("bin/secret"))
    let values = try await reader.read([
      "A": .env("DB"), "B": .file("token"), "C": .command(["bin/secret", "a b"]), "D": .command(["printf", "x"]),
      "E": .command(["sh", "-c", "pwd"], directory: "/usr"),
    ])
    #expect(values.values == ["A": "from env", "B": "from file", "C": "from a b\n\(directory.path)", "D": "x", "E": "/usr"])
  }

  @Test func `every secret that cannot be read is named with its source, and no value or output is`() async throws {
    try directory.file("binary", "a\u{0}b")
    let secret = "hunter2-value"
    _ = try directory.script("leak", "echo \(secret); echo \(secret) >&2; exit 3")
    _ = try directory.script("hang", "echo \(secret); exec sleep 600")
    _ = try directory.script("huge", "head -c 70000 /dev/zero | tr '\\0' x")
    let error = try await #require(throws: LocalError.self) {
      try await SecretReader(environment: ["NONE": ""], baseDirectory: directory.path, timeLimit: .seconds(4)).read([
        "A": .env("MISSING"), "B": .env("NONE"), "C": .file("missing"), "D": .file("binary"), "E": .command(["./leak"]),
        "F": .command(["no-such-program-here"]), "G": .command(["./hang"]), "H": .command([]), "I": .command(["./huge"]),
      ])
    }
    for words in [
      "secret A: the environment variable MISSING is not set", "secret B: the environment variable NONE is empty",
      "secret C: the file \(directory.path)/missing cannot be read (No such file", "secret D: the file binary is not text",
      "secret E: the command ./leak exited with status 3", "secret F: the command no-such-program-here cannot be started",
      "secret G: the command ./hang did not end within", "secret H: its command is empty", "secret I: the output of ./huge holds more than",
    ] { #expect(error.message.contains(words), "\(words) in \(error)") }
    #expect(!"\(error) \(String(reflecting: error))".contains(secret))
  }

  @Test(.timeLimit(.minutes(1))) func `a pipe or a directory in a file's place is refused at once`() async throws {
    try shell("/usr/bin/mkfifo", "pipe", in: directory.path)
    let error = try await #require(throws: LocalError.self) { try await reader.read(["A": .file("pipe"), "B": .file(".")]) }
    #expect(error.message.contains("/pipe is a pipe, not a file") && error.message.contains("is a directory, not a file"), "\(error)")
    #expect(error.remedy.contains("fromCommand"))
  }

  @Test func `printing secrets shows their names alone`() {
    let values = SecretValues(["B": "hunter2", "A": "hunter3"])
    var dumped = ""
    dump(values, to: &dumped)
    #expect("\(values)" == "secrets(A, B)")
    #expect(!"\(values) \(String(reflecting: values)) \(dumped) \([values]) \(Optional(values) as Any)".contains("hunter"))
  }

  @Test func `the version tells values apart, needs the salt, and does not depend on order`() {
    let salt = [UInt8](repeating: 7, count: 32)
    let version = SecretValues(["A": "1", "B": "2"]).version(salt: salt)
    #expect(version == "162255003291ad7b")
    #expect(SecretValues(["B": "2", "A": "1"]).version(salt: salt) == version)
    let others =
      [
        SecretValues(["A": "1"]), SecretValues(["A": "2", "B": "1"]), SecretValues(["A": "1B", "": "2"]),
        SecretValues(["A1": "", "B": "2"]),
        SecretValues(["A": "12", "B": ""]),
      ].map { $0.version(salt: salt) } + [SecretValues(["A": "1", "B": "2"]).version(salt: [1])]
    #expect(Set(others + [version]).count == others.count + 1)
    #expect(SecretValues([:]).version(salt: salt) == "")
  }
}

@Suite struct ReleaseDigestTests {
  private func spec(_ env: [String: String]) -> ReleaseSpec {
    ReleaseSpec(
      artifact: Digest(String(repeating: "a", count: 64)), run: RunSpec(command: ["bin/shop", "--path=/x"], env: env, secrets: ["DB"]),
      readiness: ReadinessCheck(probe: .http(path: "/healthz", status: 200)))
  }

  @Test func `the digest of a release stays the same from build to build`() throws {
    let env = ["A": "1", "B": "2", "C": "3", "D": "4"]
    #expect(try ReleaseDigest.of(spec(env)).rawValue == "f1c8694dbc0dec2ae6ccc1abe19b8b53794ffb182662b1ab69e052ce0e692330")
    #expect(
      try (0..<20).allSatisfy { _ in
        try ReleaseDigest.of(spec(env)) == ReleaseDigest.of(spec(Dictionary(uniqueKeysWithValues: env.shuffled())))
      })
  }

  @Test func `every part of a release counts`() throws {
    let first = spec([:])
    var others: [ReleaseSpec] = [spec(["A": "1"])]
    for change in [
      { $0.artifact = "b" }, { $0.run.command[1] = "--path=/y" }, { $0.run.limits.memoryBytes = 1 }, { $0.run.user = "u" },
      { $0.readiness.rise = 3 }, { $0.readiness.probe = .tcp }, { $0.stop.killAfter = .seconds(11) },
      { $0.config = [ConfigFile(path: "p", digest: "d")] }, { $0.run.runtime = .process },
    ] as [(inout ReleaseSpec) -> Void] {
      var spec = first
      change(&spec)
      others.append(spec)
    }
    #expect(try Set((others + [first]).map { try ReleaseDigest.of($0) }).count == others.count + 1)
  }
}
