import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct BlueGreen {
    private static func shop(_ blueGreen: String) -> Site.Shop {
      var shop = Site.Shop()
      shop.replicas = 4
      shop.strategy = "blueGreen: { \(blueGreen) }"
      return shop
    }

    @Test("behind two gateways all users move at once, and back within a second while the old pool is kept; nothing is lost")
    func flips() async throws {
      let site = try Site(rig: try await Rig.up("e2e-green", racks: 2, hosts: 2, gateways: 2))
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway(hosts: ["g1", "g2"])
      try site.service("v1", Self.shop("keepOld: 0s"))
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let targets = try ["g1", "g2"].map { "\(try site.rig.address(of: $0)):80" }
      let load = try Load(
        targets, in: site.directory, rate: Place.isFull ? 1_500 : 500, slowMilliseconds: 1500, limit: "900s")

      // Before anybody is moved, the preview's host reaches the new pool.
      try site.service("v2", Self.shop("preview: { hosts: [preview.example.com] }, approve: true, keepOld: 120s"))
      let waiting = try await site.apply()
      try #require(waiting.status == 3, "\(waiting.all)")
      #expect(try await site.version(host: "preview.example.com", at: targets[0]) == "v2")
      #expect(try await site.version(host: "shop.example.com", at: targets[0]) == "v1")

      var rounds: [(promoted: Int64, asked: Int64, ended: Int64)] = []
      repeat {
        let began = Self.now
        let promoted = try site.start("rollout", "promote", "shop")
        try await Program.until("the old pool is kept") {
          try await site.status().first?.rollout?.waits?.contains("the old one is kept") ?? false
        }
        #expect(try await site.version(host: "shop.example.com", at: targets[1]) == "v2")
        let asked = Self.now
        let back = try await site.sluice("rollback", "shop", "--yes")
        #expect(back.status == 0 || back.status == 4, "\(back.all)")
        let ended = try await promoted.wait()
        #expect(ended.status == 0 || ended.status == 4, "\(ended.all)")
        rounds.append((began, asked, Self.now))
        #expect(try await site.status().first?.instances.allSatisfy { $0.release == 1 } == true)

        try site.service("v2", Self.shop("keepOld: 1s"))
        for (version, release) in [("v2", 2), ("v1", 1)] {
          try site.service(version, Self.shop("keepOld: 1s"))
          let output = try await site.apply("--force")
          #expect(output.status == 0, "\(output.all)")
          #expect(try await site.status().first?.instances.allSatisfy { $0.release == release } == true)
        }
        try site.service("v2", Self.shop("approve: true, keepOld: 120s"))
        let again = try await site.apply("--force")
        try #require(again.status == 3, "\(again.all)")
      } while load.recorded < (Place.isFull ? 100_000 : 1_000)
      let summary = try await load.finish()
      print("blue-green behind two gateways: \(summary.requests) requests, \(summary.lost) lost")
      #expect(summary.lost == 0, "\(summary.losses)")
      let ofNew = try load.requests().filter { $0.release == "v2" }.map(\.at)
      for round in rounds {
        let last = try #require(ofNew.filter { $0 > round.promoted && $0 < round.ended }.max(), "no request met the new release")
        print("the last request of the new release began \(last - round.asked) ms after the rollback was typed")
        #expect(last < round.asked + 1_000, "users were not back within a second")
      }
    }

    /// Milliseconds since 1970.
    private static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
  }
}
