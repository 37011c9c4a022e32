import Foundation
import SluiceEngine
import SluiceManifest
import SluiceModel
import SluiceRollout
import Testing

/// `manifests/strategies`: each example is read without a remark, and what it would do to a second release is as its file in
/// `StrategyPlans` says. With SLUICE_UPDATE_GOLDEN set, the files are written anew, and the test fails so that nobody forgets to look at them.
@Suite struct StrategyTests {
  private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  private static let folder = tests.appendingPathComponent("../../manifests/strategies").standardizedFileURL

  static let examples = ["rolling", "blue-green", "canary", "recreate"]

  private static func read(_ files: [String]) -> ManifestResult {
    ManifestReader.read(paths: files.map { folder.appendingPathComponent("\($0).yaml").path })
  }

  @Test func `All examples together are read without a remark, and there is one for each strategy`() throws {
    let result = ManifestReader.read(paths: [Self.folder.path])
    #expect(result.diagnostics.map { $0.rendered(color: false) } == [])
    let strategies = try #require(result.manifests).services.map { service in
      switch service.policy.strategy {
      case .rolling: "rolling"
      case .blueGreen: "blue-green"
      case .canary: "canary"
      case .recreate: "recreate"
      }
    }
    #expect(strategies.sorted() == Self.examples.sorted())
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).sorted()
    #expect(files == (Self.examples + ["fleet"]).map { "\($0).yaml" }.sorted())
  }

  @Test(arguments: examples)
  func `An example is read without a remark, and its plan is as its golden file says`(_ name: String) throws {
    let result = Self.read(["fleet", name])
    #expect(result.diagnostics.map { $0.rendered(color: false) } == [])
    let printed = try Self.plan(try #require(result.manifests))
    let golden = Self.tests.appendingPathComponent("StrategyPlans/\(name).txt")
    let before = try? String(contentsOf: golden, encoding: .utf8)
    if ProcessInfo.processInfo.environment["SLUICE_UPDATE_GOLDEN"] != nil {
      try printed.write(to: golden, atomically: true, encoding: .utf8)
      #expect(before == printed, "\(name) was written anew")
    }
    #expect(printed == before)
  }

  @Test(arguments: examples)
  func `What an example offers in a comment works too`(_ name: String) throws {
    let sources = try ["fleet", name].map { file in
      let text = try String(contentsOf: Self.folder.appendingPathComponent("\(file).yaml"), encoding: .utf8)
      // A comment that is a key and its mapping: `# override: { … }`.
      let offered = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        line.replacing(/^( +)# ([a-zA-Z]+: \{.*\})$/) { "\($0.1)\($0.2)" }
      }
      return ManifestSource(name: file, text: offered.joined(separator: "\n"), baseDirectory: "/base")
    }
    let result = ManifestReader.read(sources: sources)
    #expect(result.diagnostics.map { $0.rendered(color: false) } == [])
    guard case .canary(let canary)? = result.manifests?.services.first?.policy.strategy else { return }
    #expect(canary.override != nil, "the example offers it")
  }

  // MARK: - What it would do

  /// The plan of a second release of the one service, when all of the first stand.
  private static func plan(_ manifests: Manifests) throws -> String {
    let fleet = try #require(manifests.fleets.first)
    let policy = try #require(manifests.services.first).policy
    var records = [ServiceRecord(policy: policy)]
    var text = ""
    for release in 1...2 {
      let engine = Engine(fleet: fleet, gateways: manifests.gateways, records: records, cordons: [])
      var rehearsal = Rehearsal(engine: engine, service: policy.name)
      let plan = try rehearsal.run(apply(release, policy))
      #expect(plan.end == .succeeded)
      records = rehearsal.records
      text = PlanText(plan).lines.joined(separator: "\n") + "\n"
    }
    return text
  }

  private static func apply(_ release: Int, _ policy: ServicePolicy) -> Command {
    let spec = ReleaseSpec(artifact: Digest("artifact-\(release)"), run: RunSpec(command: ["run"]), readiness: ReadinessCheck(probe: .tcp))
    return Command(
      id: "apply-\(release)", by: "anna", at: WallTime(milliseconds: 0),
      verb: .apply(policy: policy, digest: Digest("digest-\(release)"), spec: spec, secrets: "", force: false))
  }
}
