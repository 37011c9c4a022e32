import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Floor {
    struct Bounds: CustomTestStringConvertible {
      var strategy: String
      var floor: Int
      var cap: Int
      var testDescription: String { strategy }
    }

    @Test(
      "as many of six serve at any moment as the strategy says: by every change at the gateway, and by the instances' own words",
      arguments: [
        Bounds(strategy: "rolling: { maxUnavailable: 2, maxSurge: 0 }", floor: 4, cap: 6),
        Bounds(strategy: "rolling: { maxUnavailable: 0, maxSurge: 1 }", floor: 6, cap: 7),
      ])
    func floorIsKept(_ bounds: Bounds) async throws {
      let rig = try await Rig.up("e2e-floor")
      let site = try Site(rig: rig)
      try site.gateway()
      var shop = Site.Shop()
      shop.strategy = bounds.strategy
      for version in ["v1", "v2"] { try site.release(version) }
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let began = Date().timeIntervalSince1970
      let watch = try GatewayWatch(rig, on: "g1")
      let load = try Load(["\(rig.address(of: "g1")):80"], in: site.directory, clients: 40, longClients: 10, rate: 400)
      try site.service("v2", shop)
      let output = try await site.apply()
      #expect(output.status == 0, "\(output.all)")
      let summary = try await load.finish()
      let moments = try await watch.finish()
      #expect(summary.lost == 0, "\(summary.losses)")

      let serving = moments.map { targets in targets.count { $0["state"] as? String == "serving" && $0["health"] as? String == "healthy" } }
      #expect(moments.count > 12, "the watch told of the tables: \(moments.count)")
      #expect(serving.min() == bounds.floor, "\(serving)")
      #expect((serving.max() ?? 0) <= bounds.cap, "\(serving)")
      #expect(serving.last == 6, "\(serving)")
      let lives = try await InstanceLives.read(rig, on: ["a1", "a2", "b1", "b2", "c1", "c2"])
      #expect(lives.count == 12, "\(lives)")
      #expect(lives.leastAtOnce(from: began) >= bounds.floor, "\(lives)")
      #expect(lives.mostAtOnce <= bounds.cap, "\(lives)")
      // The load generator's own record: no target answered outside its life.
      let strangers = try Self.answersOutsideLives(record: load.record, lives)
      #expect(strangers == [])
    }

    /// Requests that an instance answered which by its own words did not listen then.
    private static func answersOutsideLives(record: String, _ lives: InstanceLives) throws -> [String] {
      var strangers: [String] = []
      for line in try String(contentsOfFile: record, encoding: .utf8).split(separator: "\n") {
        guard let request = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
          request["fate"] as? String == "answered",
          let instance = request["instance"] as? String, let at = (request["at"] as? NSNumber)?.doubleValue,
          let start = (request["start"] as? NSNumber)?.doubleValue, let end = (request["end"] as? NSNumber)?.doubleValue
        else { continue }
        let from = at / 1000
        let to = from + (end - start) / 1_000_000_000
        let fits = lives.all.contains { $0.instance == instance && $0.began <= to && ($0.ended ?? .infinity) + 0.005 >= to }
        if !fits { strangers.append(String(line)) }
      }
      return strangers
    }
  }
}
