import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite(
  "Bringing a release and its secrets", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)),
  .serialized)
struct StagingTests {
  @Test("A release is brought once, unpacked read-only and described")
  func once() async throws {
    try await Bench.run { bench in
      let (_, release) = try await bench.staged(files: ["data/a b.txt": "x"])
      #expect(bench.hands.statistics.total(.upload) == 1)
      #expect(await bench.perform(.stage(release)).generation != nil)
      #expect(bench.hands.statistics.total(.upload) == 1)
      let directory = "\(bench.root)/shop/releases/\(release.digest)"
      #expect(try String(contentsOfFile: "\(directory)/files/data/a b.txt", encoding: .utf8) == "x")
      let modes = try await tool("/usr/bin/find", ["\(directory)/files", "-perm", "/222"])
      #expect(modes.isEmpty)
      let about = try #require(
        JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: "\(directory)/release.json"))) as? [String: Any])
      #expect(about["digest"] as? String == release.digest.rawValue && about["release"] as? Int == 1)
      let second = try await bench.release(2)
      #expect(second.spec.artifact != release.spec.artifact || second.digest != release.digest)
      #expect(await bench.perform(.stage(second)).generation != nil)
    }
  }

  @Test("An upload goes on where it was cut off; one that arrives damaged is thrown away")
  func resume() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      let release = try await bench.release(files: ["big": String((0..<200_000).map { _ in "abcdefghijklmnopqrstuvwxyz".randomElement()! })]
      )
      let packed = try Data(contentsOf: URL(filePath: "\(bench.at.directory)/artifacts/\(release.spec.artifact).tar.gz"))
      let part = "\(bench.root)/shop/artifacts/\(release.spec.artifact).part"
      try packed.prefix(60_000).write(to: URL(filePath: part))
      #expect(await bench.perform(.stage(release)).generation != nil)
      #expect(bench.hands.statistics.total(.upload) == 1)
      let other = try await bench.release(2, files: ["big": "other"])
      let damaged = "\(bench.root)/shop/artifacts/\(other.spec.artifact).part"
      try Data(repeating: 7, count: 100).write(to: URL(filePath: damaged))
      let failure = try #require(await bench.perform(.stage(other)).failure)
      #expect(failure.kind == .staging && failure.message.contains("SHA-256"), "\(failure)")
      #expect(await bench.perform(.stage(other)).generation != nil)
    }
  }

  @Test("An artifact that is missing here or is no archive is a failure of staging, and leaves nothing")
  func badArtifacts() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      var missing = try await bench.release().spec
      missing.artifact = Digest(String(repeating: "0", count: 64))
      let absent = try #require(
        await bench.perform(.stage(Release(number: .init(1), digest: Digest(String(repeating: "1", count: 64)), spec: missing))).failure)
      #expect(absent.kind == .staging && absent.message.contains("cannot be read here"))
      let junk = "\(bench.at.directory)/junk"
      try "this is not a gzip-compressed tar at all".write(toFile: junk, atomically: true, encoding: .utf8)
      missing.artifact = Digest(String(try await tool("/usr/bin/sha256sum", [junk]).prefix(64)))
      #expect(rename(junk, "\(bench.at.directory)/artifacts/\(missing.artifact).tar.gz") == 0)
      let bad = try #require(
        await bench.perform(.stage(Release(number: .init(2), digest: Digest(String(repeating: "2", count: 64)), spec: missing))).failure)
      #expect(bad.message.contains("does not unpack") || bad.message.contains("too full"), "\(bad)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bench.root)/shop/releases").filter { !$0.hasSuffix(".json") }.isEmpty)
    }
  }

  @Test("A start without the release on the host says so")
  func notStaged() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim() else { return #expect(Bool(false), "granted") }
      let release = try await bench.release()
      #expect(await bench.perform(.start(try await bench.instance(1, of: release), release)).failure?.kind == .staging)
    }
  }

  @Test("A secret is in its 0600 file and in the service's environment, and nowhere else")
  func secrets() async throws {
    try await Bench.run { bench in
      let value = "s3cret-\(UUID().uuidString)"
      bench.setSecrets(["TOKEN": value])
      let (instance, release) = try await bench.running(secrets: "v1") { $0.run.secrets = ["TOKEN"] }
      #expect(try await bench.get(instance).contains(value))
      let holders = try await tool("/bin/sh", ["-c", "grep -rl '\(value.prefix(20))' \(bench.at.directory)"])
      #expect(holders == "\(bench.root)/shop/secrets/v1\n")
      let mode = try FileManager.default.attributesOfItem(atPath: "\(bench.root)/shop/secrets/v1")[.posixPermissions] as? Int
      #expect(mode == 0o600)
      // Where the values are not to be had any more, a host that has them goes on; another version is a failure.
      bench.setSecrets(nil)
      #expect(await bench.perform(.start(try await bench.instance(2, of: release, secrets: "v1"), release)).generation != nil)
      let failure = try #require(await bench.perform(.start(try await bench.instance(3, of: release, secrets: "v2"), release)).failure)
      #expect(failure.kind == .staging && failure.message.contains("Missing"), "\(failure)")
      bench.setSecrets([:])
      let lacking = try #require(await bench.perform(.start(try await bench.instance(3, of: release, secrets: "v2"), release)).failure)
      #expect(lacking.message.contains("TOKEN"))
    }
  }
}
