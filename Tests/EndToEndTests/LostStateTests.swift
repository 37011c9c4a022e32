import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct LostState {
    @Test("a rollout whose controller died with its state goes on from the replicated record, from another machine too")
    func lost() async throws {
      let rig = try await Rig.up("e2e-lost", racks: 3, hosts: 1)
      let (site, shop) = try await Self.site(rig)
      let load = try Self.load(rig, site)
      let hosts = ["a1", "b1", "c1"]

      // Another laptop, with nothing but the manifests.
      try site.service("v2", shop)
      try await Self.kill(site, at: "14:sent")
      try FileManager.default.removeItem(atPath: "\(site.directory)/state")
      let refused = try await site.start(["rollout", "resume", "shop", "-f", "manifests"], state: "attic", laptop: "attic").wait()
      #expect(refused.status == 75 && refused.error.contains("--take-over"), "\(refused.all)")
      let resumed = try await site.start(["rollout", "resume", "shop", "-f", "manifests", "--take-over"], state: "attic", laptop: "attic")
        .wait()
      #expect(resumed.status == 0, "\(resumed.all)")
      var problems = try await site.disorder(release: 2, replicas: 3, on: hosts, state: "attic")
      #expect(problems.isEmpty, "\(problems)")

      // The same laptop, whose disk was lost: it adopts first.
      try site.service("v1", shop)
      try await Self.kill(site, at: "17:done")
      try FileManager.default.removeItem(atPath: "\(site.directory)/state")
      let adopted = try await site.sluice("adopt", "-f", "manifests", "--yes")
      #expect(adopted.status == 0 && adopted.out.contains("apply to @1"), "\(adopted.all)")
      let goesOn = try await site.sluice("rollout", "resume", "shop")
      #expect(goesOn.status == 0, "\(goesOn.all)")
      problems = try await site.disorder(release: 1, replicas: 3, on: hosts)
      #expect(problems.isEmpty, "\(problems)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    @Test("a database from an old copy is not trusted: what the fleet has is newer and counts")
    func oldCopy() async throws {
      let rig = try await Rig.up("e2e-old", racks: 3, hosts: 1)
      let (site, shop) = try await Self.site(rig)
      try FileManager.default.copyItem(atPath: "\(site.directory)/state", toPath: "\(site.directory)/copy")
      try site.service("v2", shop)
      let second = try await site.apply()
      try #require(second.status == 0, "\(second.all)")
      try FileManager.default.removeItem(atPath: "\(site.directory)/state")
      try FileManager.default.moveItem(atPath: "\(site.directory)/copy", toPath: "\(site.directory)/state")
      #expect(try await site.status().first?.release == 1)
      let old = try await site.sluice("status")
      #expect(old.out.contains("has acted since") && old.out.contains("sluice adopt -f"), "\(old.all)")
      let recorded = try await site.sluice("status", "--recorded")
      #expect(recorded.out.hasPrefix("as recorded at 2") && recorded.out.contains("nothing was asked"), "\(recorded.all)")
      let again = try await site.apply()
      #expect(again.status == 0 && again.error.contains("nothing to do"), "\(again.all)")
      let problems = try await site.disorder(release: 2, replicas: 3, on: ["a1", "b1", "c1"])
      #expect(problems.isEmpty, "\(problems)")
    }

    private static func site(_ rig: Rig) async throws -> (Site, Site.Shop) {
      let site = try Site(rig: rig)
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 3
      shop.minHealthyTime = "100ms"
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      return (site, shop)
    }

    private static func load(_ rig: Rig, _ site: Site) throws -> Load {
      try Load(["\(rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 6, rate: 200, slowMilliseconds: 1000)
    }

    private static func kill(_ site: Site, at boundary: String) async throws {
      let apply = try site.start("apply", "-f", "manifests", "--yes", environment: ["SLUICE_TEST_KILL_AT": boundary])
      let output = try await apply.wait()
      try #require(output.status == 128 + SIGKILL, "\(output.all)")
    }
  }
}
