import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Recreate {
    @Test("a single replica is recreated behind a queue: nothing is lost, and old and new never run together")
    func singleReplica() async throws {
      let rig = try await Rig.up("e2e-recr", racks: 1, hosts: 1, flags: ["--slots", "1"])
      let site = try Site(rig: rig)
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 1
      shop.strategy = "recreate: { queue: 20s }"
      for version in ["v1", "v2"] { try site.release(version) }
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let load = try Load(
        ["\(rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 5, rate: 150, slowMilliseconds: 1500)
      for version in ["v2", "v1"] {
        try site.service(version, shop)
        let output = try await site.apply()
        #expect(output.status == 0, "\(output.all)")
      }
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect(summary.requests > 300)
      for version in ["v1", "v2"] { #expect((summary.releases[version]?.answered ?? 0) > 0) }
      // By the instances' own words: each had ended before the next began.
      let lives = try await InstanceLives.read(rig, on: ["a1"])
      #expect(lives.count == 3, "\(lives)")
      #expect(lives.mostAtOnce == 1, "\(lives)")
      #expect(try await site.strays(on: ["a1"]) == [])
    }
  }
}
