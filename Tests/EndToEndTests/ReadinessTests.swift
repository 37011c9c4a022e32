import Testing

extension EndToEnd {
  @Suite(.serialized) struct Readiness {
    @Test(
      "a release that moves its health path takes nothing down, nor does going back: nothing is lost",
      arguments: ["rolling: { maxUnavailable: 1, maxSurge: 0 }", "blueGreen: { keepOld: 1s }"])
    func movesTheHealthPath(strategy: String) async throws {
      let site = try Site(rig: try await Rig.up("e2e-ready", racks: 1, hosts: 2, gateways: 1))
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 2
      shop.strategy = strategy
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let load = try Load(["\(try site.rig.address(of: "g1")):80"], in: site.directory, rate: 300, slowMilliseconds: 500, limit: "300s")
      // The sample answers 404 wherever it is not told to say how it is.
      shop.arguments = ["--health", "/up"]
      shop.readiness = "http: { path: /up, status: 200, host: shop.example.com, headers: { X-Probe: \"yes\" } }"
      try site.service("v2", shop)
      let forward = try await site.apply()
      #expect(forward.status == 0, "\(forward.all)")
      #expect(try await site.status().first?.instances.allSatisfy { $0.release == 2 } == true)
      let back = try await site.sluice("rollback", "shop", "--yes")
      #expect(back.status == 0, "\(back.all)")
      #expect(try await site.status().first?.instances.allSatisfy { $0.release == 1 } == true)
      let summary = try await load.finish()
      print("\(strategy): \(summary.requests) requests, \(summary.lost) lost")
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect((summary.releases["v2"]?.answered ?? 0) > 0 && (summary.releases["v1"]?.answered ?? 0) > 0)
    }
  }
}
