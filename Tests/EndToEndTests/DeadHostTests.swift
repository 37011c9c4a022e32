import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct DeadHost {
    @Test("a host dead before an apply: back without a budget, degraded within it; its stale instances go when it is seen again")
    func deadBefore() async throws {
      let rig = try await Rig.up("e2e-dead", racks: 3, hosts: 2)
      let (site, shop) = try await Self.site(rig)
      try await rig.act("kill", "b1")
      try site.service("v2", shop)
      let began = ContinuousClock.now
      let refused = try await site.apply()
      #expect(refused.status == 4, "\(refused.all)")
      #expect(refused.error.contains("host b1, which has shop/2, is unreachable"), "\(refused.error)")
      #expect(ContinuousClock.now - began < .seconds(30))
      let untouched = try #require(try await site.status().first)
      #expect(untouched.release == 1 && untouched.instances.allSatisfy { $0.release == 1 } && untouched.badReleases.isEmpty, "\(untouched)")
      // What the dead host had is replaced all the same, by the release that stays.
      #expect(untouched.serving == 6, "\(untouched)")
      // Nobody has to serve less for a host that is dead anyway.
      let drain = try await site.sluice("drain", "b1", "--yes")
      #expect(drain.status == 0 || drain.status == 5, "\(drain.all)")
      let undrain = try await site.sluice("undrain", "b1", "--yes")
      #expect(undrain.status == 0 || undrain.status == 5, "\(undrain.all)")

      var lenient = shop
      lenient.more.append("failureBudget: 1")
      try site.service("v2", lenient)
      let load = try Self.load(rig, site)
      let degraded = try await site.apply()
      #expect(degraded.status == 5, "\(degraded.all)")
      let status = try #require(try await site.status().first)
      #expect(status.release == 2 && status.instances.allSatisfy { $0.release == 2 || $0.host == "b1" }, "\(status)")
      #expect(status.serving >= 5, "\(status)")

      // Its unit has come back with it. The next command that sees it stops that, and brings the number of instances back.
      try await rig.act("boot", "b1")
      let undrained = try await site.sluice("undrain", "b1", "--yes")
      #expect(undrained.status == 0, "\(undrained.all)")
      let problems = try await site.disorder(release: 2, replicas: 6, on: Self.hosts)
      #expect(problems.isEmpty, "\(problems)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    @Test(
      "a host that dies in mid-rollout: rolled back without a budget, degraded within it",
      arguments: [(0, 4), (1, 5)] as [(Int, Int32)])
    func dyingDuring(budget: Int, status: Int32) async throws {
      let rig = try await Rig.up("e2e-dying", racks: 3, hosts: 2)
      var (site, shop) = try await Self.site(rig)
      shop.more.append("failureBudget: \(budget)")
      shop.minHealthyTime = "2s"
      try site.service("v2", shop)
      let load = try Self.load(rig, site)
      let apply = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("wave 2", .seconds(60)) {
        try #require(apply.isRunning, "\(apply.error)")
        return apply.error.contains("wave 2: ")
      }
      try await rig.act("kill", "c2")
      let output = try await apply.wait()
      #expect(output.status == status, "\(output.all)")
      #expect(output.error.contains("c2"), "\(output.error)")
      let after = try #require(try await site.status().first)
      let release = budget == 0 ? 1 : 2
      #expect(after.instances.allSatisfy { $0.release == release || $0.host == "c2" } && after.badReleases.isEmpty, "\(after)")
      try await rig.act("boot", "c2")
      let undrained = try await site.sluice("undrain", "c2", "--yes")
      #expect(undrained.status == 0, "\(undrained.all)")
      let problems = try await site.disorder(release: release, replicas: 6, on: Self.hosts)
      #expect(problems.isEmpty, "\(problems)")
      let summary = try await load.finish()
      // What was in flight on the host that died, or was sent there before the gateway noticed, died with it.
      let others = summary.losses.filter { $0.instance != nil && !($0.instance?.contains("c2") ?? false) }
      #expect(others.isEmpty, "\(others)")
    }

    @Test("a host that is cut off in mid-rollout counts as lost, and what runs on it is stopped when it is back")
    func cutOff() async throws {
      let rig = try await Rig.up("e2e-cut", racks: 3, hosts: 2)
      var (site, shop) = try await Self.site(rig)
      shop.more.append("failureBudget: 1")
      shop.minHealthyTime = "2s"
      try site.service("v2", shop)
      let apply = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("wave 2", .seconds(60)) {
        try #require(apply.isRunning, "\(apply.error)")
        return apply.error.contains("wave 2: ")
      }
      try await rig.act("cut", "c2")
      let output = try await apply.wait()
      #expect(output.status == 5, "\(output.all)")
      let alive = try await rig.run(on: "c2", "pgrep", "-c", "-x", "sluice-sample").out
      #expect(alive.hasPrefix("1"), "it still runs there: \(alive)")
      try await rig.act("heal")
      let undrained = try await site.sluice("undrain", "c2", "--yes")
      #expect(undrained.status == 0, "\(undrained.all)")
      let problems = try await site.disorder(release: 2, replicas: 6, on: Self.hosts)
      #expect(problems.isEmpty, "\(problems)")
    }

    private static let hosts = ["a1", "a2", "b1", "b2", "c1", "c2"]

    private static func site(_ rig: Rig) async throws -> (Site, Site.Shop) {
      let site = try Site(rig: rig)
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.minHealthyTime = "100ms"
      shop.strategy = "rolling: { maxUnavailable: 1, maxSurge: 1 }"
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      return (site, shop)
    }

    private static func load(_ rig: Rig, _ site: Site) throws -> Load {
      try Load(["\(rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 6, rate: 200, slowMilliseconds: 1000)
    }
  }
}
