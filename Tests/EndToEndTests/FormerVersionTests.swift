import Foundation
import Testing

extension EndToEnd {
  /// State directories, hosts and gateways of Sluice 0.1 are taken over as they are.
  @Suite(.serialized) struct Former {
    private static func site(_ name: String) async throws -> (Site, Site.Shop) {
      let site = try Site(rig: try await Rig.up(name, racks: 3, hosts: 1))
      for version in ["v1", "v2", "v3"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 3
      shop.minHealthyTime = "200ms"
      shop.routeMore = ", user: { cookie: uid, absent: issue }"
      try site.service("v3", shop)
      try await FormerVersion(site).stand()
      return (site, shop)
    }

    private static func load(_ site: Site, more: [String] = []) throws -> Load {
      try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 6, rate: 200, slowMilliseconds: 1000,
        more: ["--users", "500"])
    }

    /// The sluice units of a host, by their files.
    private static func units(_ site: Site, _ host: String) async throws -> String {
      try await site.rig.run(on: host, "sh", "-c", "cd /etc/systemd/system && ls | grep '^sluice-' | tr '\\n' ' '").out
    }

    @Test(
      "state, hosts and gateway of 0.1 are taken over under load: nothing is lost, and each old unit goes when what it runs is replaced")
    func takenOver() async throws {
      let (site, _) = try await Self.site("e2e-former")
      try FormerVersion(site).database()
      #expect(try await Self.units(site, "a1") == "sluice-shop-4.service ")
      let load = try Self.load(site)

      let before = try #require(try await site.status().first)
      #expect(
        before.release == 2 && before.serving == 3 && before.instances.map(\.instance) == ["shop/4", "shop/5", "shop/6"], "\(before)")
      #expect(try await site.plan().status == 2)
      let table = try await site.atGateway().revision

      let applied = try await site.apply()
      #expect(applied.status == 0 && applied.error.contains("runs another version, configuration and unit"), "\(applied.all)")
      #expect(applied.error.contains("sluice gateway upgrade g1"), "\(applied.all)")
      var problems = try await site.disorder(release: 3, replicas: 3, on: FormerVersion.hosts)
      #expect(problems.isEmpty, "\(problems)")
      #expect(try await Self.units(site, "a1").hasPrefix("sluice-shop-7-rig-"))
      #expect(try await site.atGateway().revision != table)
      let back = try await site.sluice("rollback", "shop", "--yes")
      #expect(back.status == 0, "\(back.all)")
      problems = try await site.disorder(release: 2, replicas: 3, on: FormerVersion.hosts)
      #expect(problems.isEmpty, "\(problems)")
      let history = try await site.sluice("history", "shop")
      #expect(history.out.contains("apply of @1") && history.out.contains("by ann@laptop"), "\(history.all)")
      let summary = try await load.finish()
      #expect(summary.lost == 0 && summary.requests > 500, "\(summary.losses)")
      #expect((summary.releases["v3"]?.answered ?? 0) > 0)

      // Files that were everybody's to read are not any more.
      let modes = try await site.rig.run(on: "a1", "stat", "-c", "%a", "/var/lib/sluice/shop", "/var/lib/sluice/shop/record.json")
      #expect(modes.out == "711\n600\n", "\(modes.all)")
      try await Self.upgrade(site)
    }

    /// A gateway that ran as root is its own user's afterwards; what is in flight is answered first, and its table stays.
    private static func upgrade(_ site: Site) async throws {
      #expect(try await units(site, "g1") == "\(FormerVersion.gatewayUnit) ")
      let slow = try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 5, longClients: 0, rate: 0, mix: "slow=1",
        slowMilliseconds: 2500,
        more: ["--requests", "5"])
      try await Program.until("they are in flight") { try await site.atGateway().total.inFlight == 5 }
      let before = try await site.atGateway()
      let upgraded = try await site.sluice("gateway", "upgrade", "g1", "--yes")
      #expect(upgraded.status == 0 && upgraded.error.contains("gateway edge/g1: upgraded"), "\(upgraded.all)")
      let answered = try await slow.finish(early: false)
      #expect(answered.lost == 0 && answered.fates["answered"] == 5, "\(answered.losses)")
      let after = try await site.atGateway()
      #expect(after.revision == before.revision && after.targets == before.targets)
      #expect(try await units(site, "g1") == "\(GatewayUnit.edge) ")
      let user = try await site.rig.run(on: "g1", "sh", "-c", "ps -o user:40= -p $(systemctl show -P MainPID \(GatewayUnit.edge))")
      #expect(user.out.hasPrefix("sluice-gateway-"), "\(user.all)")
      let load = try load(site)
      let restarted = try await site.sluice("restart", "shop", "--yes")
      #expect(restarted.status == 0, "\(restarted.all)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    @Test("on another machine the copies of 0.1, which nobody signed, count once and only when that is said; from then on they are signed")
    func elsewhere() async throws {
      let (site, shop) = try await Self.site("e2e-former2")
      let load = try Self.load(site)
      func attic(_ words: String...) async throws -> Program.Output {
        try await site.start(words + ["-f", "manifests", "--yes"], state: "attic", laptop: "attic").wait()
      }
      for words in [["adopt"], ["apply"]] {
        let refused = try await attic(words[0])
        #expect(refused.status != 0 && refused.error.contains("it bears no signature (Sluice 0.1 made none)"), "\(refused.all)")
        #expect(refused.error.contains("next: sluice adopt -f PATH --accept-unsigned"), "\(refused.all)")
        #expect(!refused.error.contains("was taken over by"), "\(refused.all)")
      }
      let adopted = try await attic("adopt", "--accept-unsigned")
      #expect(adopted.status == 0 && adopted.out.contains("shop@2, 3 of 3 serving"), "\(adopted.all)")
      let applied = try await attic("apply")
      #expect(applied.status == 0, "\(applied.all)")
      let signed = try await site.rig.run(on: "a1", "test", "-s", "/var/lib/sluice/shop/record.json.sig")
      #expect(signed.status == 0, "\(signed.all)")

      // The machine that 0.1 ran on finds out, and goes on from there.
      try FormerVersion(site).database()
      let old = try await site.sluice("status")
      #expect(old.out.contains("has acted since") && old.out.contains("sluice adopt -f"), "\(old.all)")
      try site.service("v2", shop)
      let back = try await site.sluice("rollback", "shop", "--yes")
      #expect(back.status == 0, "\(back.all)")
      let problems = try await site.disorder(release: 2, replicas: 3, on: FormerVersion.hosts)
      #expect(problems.isEmpty, "\(problems)")
      let summary = try await load.finish()
      #expect(summary.lost == 0 && summary.requests > 500, "\(summary.losses)")
    }
  }
}
