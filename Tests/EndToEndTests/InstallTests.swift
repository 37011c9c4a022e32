import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Install {
    @Test("apply installs a gateway where none runs, and leaves one that runs alone, whatever differs, until it is upgraded")
    func installsAndUpgrades() async throws {
      let site = try Site(rig: try await Rig.up("e2e-inst", racks: 1))
      var shop = Site.Shop()
      shop.replicas = 2
      try site.release("v1")
      try site.gateway()
      try site.service("v1", shop)
      let first = try await site.apply()
      #expect(first.status == 0 && first.error.contains("gateway edge/g1: installed, systemd"), "\(first.all)")
      let pid = try await site.gateways("g1").first?.status?.pid

      let again = try await site.apply()
      #expect(again.status == 0 && !again.error.contains("gateway edge/g1"), "\(again.all)")
      #expect(try await site.gateways("g1").first?.status?.pid == pid)

      // Another port and another executable: said, not done.
      try site.gateway(port: 8080)
      let other = "\(site.directory)/sluice-gateway"
      var octets = try Data(contentsOf: URL(fileURLWithPath: Place.program("sluice-gateway")))
      octets.append(0)
      try octets.write(to: URL(fileURLWithPath: other))
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: other)
      let load = try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 5, rate: 200, mix: "get=80,post=10,slow=10",
        slowMilliseconds: 1000)
      try site.release("v2")
      try site.service("v2", shop)
      let changed = try await site.sluice("apply", "-f", "manifests", "--yes", environment: ["SLUICE_GATEWAY": other])
      #expect(changed.status == 0, "\(changed.all)")
      #expect(changed.error.contains("runs another version, configuration"), "\(changed.all)")
      #expect(changed.error.contains("sluice gateway upgrade g1 restarts it"), "\(changed.all)")
      #expect(try await site.gateways("g1").first?.status?.pid == pid)
      #expect(try await load.finish().lost == 0)

      let unasked = try await site.sluice("gateway", "upgrade", "g1")
      #expect(unasked.status == 64 && unasked.error.contains("--yes"), "\(unasked.all)")
      // A slow request in flight is finished before it ends.
      let slow = try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 5, longClients: 0, rate: 0, mix: "slow=1",
        slowMilliseconds: 3000,
        more: ["--requests", "5"])
      try await Program.until("they are in flight") { try await site.atGateway().total.inFlight == 5 }
      let before = try await site.atGateway()
      let upgraded = try await site.sluice("gateway", "upgrade", "g1", "--yes", environment: ["SLUICE_GATEWAY": other])
      #expect(upgraded.status == 0 && upgraded.error.contains("gateway edge/g1: upgraded"), "\(upgraded.all)")
      let finished = try await slow.finish(early: false)
      #expect(finished.lost == 0 && finished.fates["answered"] == 5, "\(finished.losses)")
      let status = try #require(try await site.gateways("g1").first?.status)
      #expect(status.pid != pid && status.degraded == nil)
      #expect(status.services.first?.revision == before.revision && status.services.first?.targets == before.targets)
      let moved = try Load(
        ["\(site.rig.address(of: "g1")):8080"], in: site.directory, clients: 5, longClients: 0, rate: 50, mix: "get=1",
        more: ["--requests", "50"])
      #expect(try await moved.finish(early: false).fates["answered"] == 50)
      let same = try await site.sluice("gateway", "upgrade", "--yes", environment: ["SLUICE_GATEWAY": other])
      #expect(same.status == 0 && same.error.contains("already"), "\(same.all)")
    }

    @Test("a manifest does not undo a scale unasked")
    func keepsAScale() async throws {
      let site = try Site(rig: try await Rig.up("e2e-scale", racks: 1))
      var shop = Site.Shop()
      shop.replicas = 2
      try site.release("v1")
      try site.gateway()
      try site.service("v1", shop)
      #expect(try await site.apply().status == 0)
      #expect(try await site.sluice("scale", "shop", "3", "--yes").status == 0)
      let kept = try await site.apply()
      #expect(kept.status == 0 && kept.error.contains("3 are kept (--replicas-from-manifest"), "\(kept.all)")
      #expect(try await site.status().first?.serving == 3)
      let taken = try await site.apply("--replicas-from-manifest")
      #expect(taken.status == 0, "\(taken.all)")
      #expect(try await site.status().first?.serving == 2)
      let silent = try await site.apply()
      #expect(silent.status == 0 && !silent.error.contains("sluice scale"), "\(silent.all)")
    }
  }
}
