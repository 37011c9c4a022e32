import Testing

/// Every suite with hosts is one of these, so that they run one after another.
@Suite(.serialized) struct EndToEnd {}

extension EndToEnd {
  @Suite(.serialized) struct Rolling {
    @Test(
      "behind two gateways a release goes to its end, back by hand in the middle, and back once it has succeeded: nothing is lost",
      arguments: ["rolling: { maxUnavailable: 0, maxSurge: 1 }", "rolling: { maxUnavailable: 2, maxSurge: 0 }", "recreate: { queue: 20s }"])
    func rollsUnderLoad(strategy: String) async throws {
      let site = try Site(rig: try await Rig.up("e2e-roll", gateways: 2))
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway(hosts: ["g1", "g2"])
      var shop = Site.Shop()
      shop.strategy = strategy
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      try site.service("v2", shop)
      let wanted = Place.isFull ? 100_000 : 2_000
      let load = try Load(
        try ["g1", "g2"].map { "\(try site.rig.address(of: $0)):80" }, in: site.directory, clients: 200, longClients: 40,
        rate: Place.isFull ? 1_500 : 800, slowMilliseconds: 1500, limit: "900s")
      repeat {
        for come in [1, 4] {
          let output = try await Self.abort(site, once: come)
          #expect(output.status == 4, "\(output.all)")
          #expect(try await Self.releases(site) == [1])
        }
        let forward = try await site.apply("--force")
        try #require(forward.status == 0, "\(forward.all)")
        #expect(try await Self.releases(site) == [2])
        let back = try await site.sluice("rollback", "shop", "--yes")
        try #require(back.status == 0, "\(back.all)")
        #expect(try await Self.releases(site) == [1])
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

    /// Applies, and aborts once so many instances of the new release have come.
    private static func abort(_ site: Site, once come: Int) async throws -> Program.Output {
      let apply = try site.start("apply", "-f", "manifests", "--yes", "--force")
      try await Program.until("\(come) new instances") {
        try await site.status().first?.instances.count { $0.release == 2 } ?? 0 >= come
      }
      let aborted = try await site.sluice("rollout", "abort", "shop")
      #expect(aborted.status == 0, "\(aborted.all)")
      return try await apply.wait()
    }

    private static func releases(_ site: Site) async throws -> Set<Int> {
      Set(try await site.status().first?.instances.map(\.release) ?? [])
    }
  }
}
