import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Plans {
    @Test(
      "what apply sends is what plan said: the same per wave, and for each object in the same order",
      arguments: ["rolling: { maxUnavailable: 0, maxSurge: 1 }", "rolling: { maxUnavailable: 2, maxSurge: 0 }"])
    func applyFollowsPlan(strategy: String) async throws {
      let rig = try await Rig.up("e2e-plan")
      let site = try Site(rig: rig)
      try site.gateway()
      var shop = Site.Shop()
      shop.strategy = strategy
      for version in ["v1", "v2"] { try site.release(version) }
      try site.service("v1", shop)
      try await comparePlanAndApply(site, waves: nil)
      // Random latencies: every start and answer of v2 takes its own time.
      try site.release("v2", fault: "start-delay=\(Int.random(in: 50...600))ms,delay=20ms")
      try site.service("v2", shop)
      let counts = try await comparePlanAndApply(site, waves: strategy.contains("maxSurge: 1") ? 6 : 3)
      // A replaced instance costs a start, a stop and its share of the copies of the record, two a wave. The two copies at the end are the
      // run's, as the fences are.
      #expect(counts.work - 2 <= 4 * 6, "\(counts)")

      // Nothing is left to do: both say so.
      let plan = try await site.plan()
      #expect(plan.status == 0)
      #expect(plan.plans.first?.waves.isEmpty == true)
      let began = ContinuousClock.now
      let again = try await site.apply("--verbose")
      let took = ContinuousClock.now - began
      #expect(again.status == 0 && again.error.contains("shop: nothing to do"), "\(again.all)")
      #expect(!again.error.contains("shop: #"), "nothing was attempted\n\(again.error)")
      #expect(took < .seconds(30), "seven hosts, start-up included, on a busy machine: \(took)")
      print("applying again took \(took)")
      // What cannot be done is 1.
      try FileManager.default.removeItem(atPath: "\(site.directory)/releases/v2")
      let impossible = try await site.sluice("plan", "-f", "manifests")
      #expect(impossible.status == 1, "\(impossible.all)")
      #expect(impossible.error.contains("releases/v2"), "\(impossible.all)")
    }

    struct Counts { var work = 0; var words = "" }

    @discardableResult
    private func comparePlanAndApply(_ site: Site, waves: Int?) async throws -> Counts {
      let (code, plans) = try await site.plan()
      #expect(code == 2)
      let plan = try #require(plans.first)
      #expect(plan.obstacle == nil)
      if let waves { #expect(plan.waves.count == waves, "\(plan)") }
      let output = try await site.apply("--verbose")
      try #require(output.status == 0, "\(output.all)")
      let sent = Self.attempts(output.error)
      try #require(sent.count == plan.waves.count + 1, "waves of the apply\n\(output.error)")
      var planned = [plan.before]
      planned += plan.waves.map(\.attempts)
      for (index, pair) in zip(planned, sent).enumerated() {
        #expect(Self.plain(pair.0).sorted() == Self.plain(pair.1).sorted(), "wave \(index)")
        #expect(Set(pair.0.filter(Self.isTable).map(Self.withoutRevision)) == Set(pair.1.filter(Self.isTable).map(Self.withoutRevision)))
      }
      let objects = Set(planned.flatMap { $0 }.map(Self.object))
      for object in objects.sorted() where !object.hasPrefix("gateway") {
        #expect(
          planned.flatMap { $0 }.filter { Self.object($0) == object } == sent.flatMap { $0 }.filter { Self.object($0) == object },
          "\(object)")
      }
      return try Self.counts(output.error)
    }

    /// Attempts by wave, as `apply --verbose` tells them; the first list is what came before the first wave.
    private static func attempts(_ text: String) -> [[String]] {
      var waves: [[String]] = [[]]
      for line in text.split(separator: "\n") {
        if line.wholeMatch(of: /shop: wave [0-9]+: .*/) != nil { waves.append([]) }
        guard let match = line.wholeMatch(of: /shop: #[0-9]+ ((?:look|bring|start|check|stop|give|remove|run|replicate) .*)/) else {
          continue
        }
        waves[waves.count - 1].append(String(match.1))
      }
      return waves
    }

    /// How many tables a gateway is given depends on how answers meet; which gateways are, does not.
    private static func isTable(_ attempt: String) -> Bool { attempt.hasPrefix("give gateway") }
    private static func plain(_ attempts: [String]) -> [String] { attempts.filter { !isTable($0) } }
    private static func withoutRevision(_ attempt: String) -> String {
      attempt.split(separator: " ").prefix(3).joined(separator: " ")
    }

    private static func object(_ attempt: String) -> String {
      let words = attempt.split(separator: " ")
      switch words[0] {
      case "start", "check", "stop": return String(words[1])
      case "bring": return attempt
      case "give": return "gateway \(words[2])"
      default: return String(words[0])
      }
    }

    /// From `SSH commands: …`: starts, stops, looks and copies of the record.
    private static func counts(_ text: String) throws -> Counts {
      let line = try #require(text.split(separator: "\n").last { $0.hasPrefix("SSH commands") }, "\(text)")
      var counts = Counts(words: String(line))
      for kind in ["observe", "start", "stop", "replicate"] {
        let match = try #require(line.firstMatch(of: try Regex("\\b\(kind) ([0-9]+)", as: (Substring, Substring).self)), "\(line)")
        counts.work += try #require(Int(match.1))
      }
      return counts
    }
  }
}
