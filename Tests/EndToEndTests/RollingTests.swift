import Testing

/// Every suite with hosts is one of these, so that they run one after another.
@Suite(.serialized) struct EndToEnd {}

extension EndToEnd {
  @Suite(.serialized) struct Rolling {
    @Test(
      "a release is rolled forward and back under load without losing a request",
      arguments: ["rolling: { maxUnavailable: 0, maxSurge: 1 }", "rolling: { maxUnavailable: 2, maxSurge: 0 }"])
    func rollsUnderLoad(strategy: String) async throws {
      let rig = try await Rig.up("e2e-roll")
      let site = try Site(rig: rig)
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.strategy = strategy
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let wanted = Place.isFull ? 100_000 : 2_000
      let load = try Load(
        ["\(rig.address(of: "g1")):80"], in: site.directory, clients: 200, longClients: 40, rate: Place.isFull ? 1_500 : 800, limit: "900s")
      repeat {
        for version in ["v2", "v1"] {
          try site.service(version, shop)
          let output = try await site.apply()
          try #require(output.status == 0, "\(output.all)")
        }
      } while load.recorded < wanted
      let summary = try await load.finish()
      print("\(strategy): \(summary.requests) requests, \(summary.lost) lost, of kinds \(summary.kinds?.mapValues(\.requests) ?? [:])")
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect(summary.requests >= wanted)
      #expect((summary.releases["v2"]?.answered ?? 0) > 0 && (summary.releases["v1"]?.answered ?? 0) > 0)
      let status = try await site.status()
      #expect(status.first?.serving == 6)
      #expect(Set(status.first?.instances.map(\.host) ?? []).count == 6)
    }
  }
}
