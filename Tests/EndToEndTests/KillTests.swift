import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Kill {
    private static let sides = ["", ":sent", ":done"]

    /// One rollout, killed again and again at boundaries further and further on, each time on another side of it.
    @Test("a rollout whose controller is killed at boundary after boundary ends as if it had never been")
    func killedAtBoundaries() async throws {
      let rig = try await Rig.up("e2e-kill", racks: 3, hosts: 1)
      let site = try await Self.site(rig)
      let load = try Self.load(rig, site)
      try site.service("v2", Self.shop)
      var run = try site.start("apply", "-f", "manifests", "--yes", environment: ["SLUICE_TEST_KILL_AT": "2:sent"])
      var killed = 0
      var output = try await run.wait()
      // Every run gets three attempts further and no more: some twelve boundaries of one rollout.
      while output.status == 128 + SIGKILL, killed < 40 {
        killed += 1
        let boundary = "\(3 + killed % 2)\(Self.sides[killed % 3])"
        run = try site.start("rollout", "resume", "shop", environment: ["SLUICE_TEST_KILL_AT": boundary])
        output = try await run.wait()
      }
      #expect(output.status == 0, "after \(killed) kills: \(output.all)")
      #expect(killed >= 6)
      let problems = try await site.disorder(release: 2, replicas: 3, on: ["a1", "b1", "c1"])
      #expect(problems.isEmpty, "after \(killed) kills: \(problems)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect(summary.requests > 500)
    }

    @Test("killed at every boundary, on each side of it, and then resumed", .enabled(if: Place.isFull))
    func killedEverywhere() async throws {
      let rig = try await Rig.up("e2e-kill", racks: 3, hosts: 1)
      let site = try await Self.site(rig)
      let load = try Self.load(rig, site)
      var version = 1
      for side in Self.sides {
        // Until a whole rollout needs no attempt more.
        for number in 1..<200 {
          let next = version == 1 ? 2 : 1
          try site.service("v\(next)", Self.shop)
          let apply = try site.start("apply", "-f", "manifests", "--yes", environment: ["SLUICE_TEST_KILL_AT": "\(number)\(side)"])
          let output = try await apply.wait()
          let place = "killed at \(number)\(side)"
          if output.status != 0 {
            try #require(output.status == 128 + SIGKILL, "\(place): \(output.all)")
            try await Self.goOn(site, place)
          }
          version = next
          let problems = try await site.disorder(release: version, replicas: 3, on: ["a1", "b1", "c1"])
          #expect(problems.isEmpty, "\(place): \(problems)")
          if output.status == 0 { break }
        }
      }
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    @Test("killed at thirty random moments of rollouts over six hosts", .enabled(if: Place.isFull))
    func killedAtRandom() async throws {
      let rig = try await Rig.up("e2e-kill")
      let site = try await Self.site(rig, replicas: 6)
      let load = try Self.load(rig, site)
      var shop = Self.shop
      shop.replicas = 6
      var version = 1
      for count in 1...30 {
        version = version == 1 ? 2 : 1
        try site.service("v\(version)", shop)
        let apply = try site.start("apply", "-f", "manifests", "--yes")
        let moment = Int.random(in: 100...15_000)
        try await Task.sleep(for: .milliseconds(moment))
        apply.send(SIGKILL)
        let output = try await apply.wait()
        let place = "kill \(count) after \(moment) ms"
        if output.status != 0 { try await Self.goOn(site, place) }
        let problems = try await site.disorder(release: version, replicas: 6, on: ["a1", "a2", "b1", "b2", "c1", "c2"])
        #expect(problems.isEmpty, "\(place): \(problems)")
      }
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    private static var shop: Site.Shop {
      var shop = Site.Shop()
      shop.replicas = 3
      shop.minHealthyTime = "100ms"
      return shop
    }

    private static func site(_ rig: Rig, replicas: Int = 3) async throws -> Site {
      let site = try Site(rig: rig)
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = shop
      shop.replicas = replicas
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      return site
    }

    private static func load(_ rig: Rig, _ site: Site) throws -> Load {
      try Load(
        ["\(rig.address(of: "g1")):80"], in: site.directory, clients: 30, longClients: 8, rate: 300, slowMilliseconds: 1000, limit: "3600s")
    }

    /// Resumes, or, when it was killed before the wish was written down, applies again.
    private static func goOn(_ site: Site, _ place: String) async throws {
      var output = try await site.sluice("rollout", "resume", "shop")
      if output.status == 1, output.error.contains("no rollout of shop is under way") { output = try await site.apply() }
      try #require(output.status == 0, "\(place): \(output.all)")
    }
  }
}
