import Foundation
import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore

/// Makes of a service's manifest what `apply` hands to the brain: the packed artifact's digest, the release, the secrets' version.
struct ReleaseBuilder {
  struct Built {
    var policy: ServicePolicy
    var spec: ReleaseSpec
    var digest: Digest
    /// Version of the secrets' values; empty without secrets.
    var secrets: String
  }

  let directory: StateDirectory

  /// Throws `LocalError` for a missing artifact, an unreadable secret, or a hook or check that could never run: nothing was changed then.
  func build(_ manifest: ServiceManifest, record: ServiceRecord?) async throws -> Built {
    let packed = try await ArtifactPacker(cacheDirectory: directory.artifacts).pack(
      manifest.artifact, baseDirectory: manifest.baseDirectory)
    let spec = ReleaseSpec(
      artifact: packed.digest, run: manifest.run, readiness: manifest.readiness, stop: manifest.stop,
      task: manifest.task)
    var policy = Self.policy(of: manifest)
    if case .canary(let canary) = policy.strategy, let tester = canary.override {
      policy.strategy = .canary(try await Self.recognising(tester, in: canary, before: record?.policy))
    }
    for (point, path) in policy.hooks.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      if let problem = LocalProgram.problem(path, called: "the hook \(point.rawValue), \(path),") { throw problem }
    }
    if let problem = policy.strategy.checks.lazy.compactMap(CheckRunner.obstacle).first { throw problem }
    let secrets = try await Secrets(directory: directory).version(of: policy, record: record)
    return Built(policy: policy, spec: spec, digest: try ReleaseDigest.of(spec), secrets: secrets)
  }

  /// Gateways recognise the word that testers send by its digest.
  ///
  /// The salt stays as long as the word does: the same manifest is no change.
  private static func recognising(_ tester: TesterHeader, in canary: Canary, before: ServicePolicy?) async throws -> Canary {
    let name = "strategy.canary.override.secret"
    let word = try await SecretReader(baseDirectory: "/").read([name: tester.secret])
    var canary = canary
    if case .canary(let known)? = before?.strategy, let former = known.override, let salt = former.salt,
      former.digest == word.digest(of: name, salt: salt)
    {
      canary.override?.salt = salt
      canary.override?.digest = former.digest
      return canary
    }
    let salt = "\(UUID().uuidString.lowercased()):"
    canary.override?.salt = salt
    canary.override?.digest = word.digest(of: name, salt: salt)
    return canary
  }

  /// The manifest's policy as it is recorded, but for what only `apply` reads.
  static func policy(of manifest: ServiceManifest) -> ServicePolicy {
    var policy = manifest.policy
    policy.strategy = policy.strategy.anchored(Self.anchored(".", at: manifest.baseDirectory))
    if case .canary(var canary) = policy.strategy, let tester = canary.override {
      canary.override?.secret = tester.secret.anchored(at: manifest.baseDirectory)
      policy.strategy = .canary(canary)
    }
    policy.secrets = manifest.secretSources.mapValues { $0.anchored(at: manifest.baseDirectory) }
    policy.hooks = policy.hooks.mapValues { Self.anchored($0, at: manifest.baseDirectory) }
    return policy
  }

  /// Absolute, without `.` and `..`.
  static func anchored(_ path: String, at base: String) -> String {
    let folder = LocalPath.resolve(base, from: FileManager.default.currentDirectoryPath, home: nil)
    return URL(fileURLWithPath: LocalPath.resolve(path, from: folder, home: NSHomeDirectory())).standardizedFileURL.path
  }
}

extension ServicePolicy {
  /// Without what `apply` has read.
  var asDeclared: ServicePolicy {
    guard case .canary(var canary) = strategy else { return self }
    canary.override?.digest = nil
    canary.override?.salt = nil
    var policy = self
    policy.strategy = .canary(canary)
    return policy
  }
}

extension SecretSource {
  /// Relative files and programs start at the manifest's folder, wherever the next command is typed.
  func anchored(at base: String) -> SecretSource {
    switch self {
    case .env, .elsewhere: self
    case .file(let path): .file(ReleaseBuilder.anchored(path, at: base))
    case .command(let words, _):
      .command(words, directory: ReleaseBuilder.anchored(".", at: base))
    }
  }
}

/// Versions and values of a service's secrets. A version is `<salt>-<keyed hash>`: another machine can compare values by it, and nobody can read them from it.
struct Secrets: Sendable {
  let directory: StateDirectory

  /// The version the record has when the values are still the same, otherwise a new one.
  func version(of policy: ServicePolicy, record: ServiceRecord?) async throws -> String {
    if policy.secrets.isEmpty { return "" }
    let values = try await read(policy)
    let known = [record?.rollout?.goal.secrets, record?.stable?.secrets].compactMap { $0 }
    for version in known where Self.version(values, salt: Self.salt(of: version)) == version { return version }
    var generator = SystemRandomNumberGenerator()
    let salt = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
    return Self.version(values, salt: salt)
  }

  /// The values, read where the manifest says.
  func read(_ policy: ServicePolicy) async throws -> SecretValues {
    try await SecretReader(baseDirectory: "/").read(policy.secrets)
  }

  private static func version(_ values: SecretValues, salt: [UInt8]) -> String {
    salt.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined() + "-" + values.version(salt: salt)
  }

  private static func salt(of version: String) -> [UInt8] {
    let digits = Array(version.prefix { $0 != "-" })
    return stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
  }
}
