import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Gateways {
    private static var shop: Site.Shop {
      var shop = Site.Shop()
      shop.replicas = 2
      return shop
    }

    private func site(_ name: String, gateways: [String]) async throws -> Site {
      let site = try Site(rig: try await Rig.up(name, racks: 1, gateways: gateways.count))
      try site.release("v1")
      try site.gateway(hosts: gateways)
      try site.service("v1", Self.shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      return site
    }

    private func load(_ site: Site) throws -> Load {
      try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 30, longClients: 10, rate: 200,
        mix: "get=80,post=10,slow=5,stream=5", slowMilliseconds: 1000)
    }

    /// A file of the gateway's state on its host.
    private static let state = "/var/lib/sluice/gateway/edge/state/shop.service.state"
    private static let unit = GatewayUnit.edge

    private func killed(_ site: Site) async throws -> GatewayRow.Gateway {
      let before = try #require(try await site.gateways("g1").first?.status)
      _ = try await site.rig.run(on: "g1", "systemctl", "kill", "--signal=KILL", Self.unit)
      var after: GatewayRow.Gateway?
      try await Program.until("systemd has started it again") {
        after = try? await site.gateways("g1").first?.status
        return after.map { $0.pid != before.pid } ?? false
      }
      return try #require(after)
    }

    @Test(
      "a gateway that was killed comes back with the same table, switch and health; a damaged state is told loudly, and the one before served"
    )
    func survivesKills() async throws {
      let site = try await site("e2e-gkill", gateways: ["g1"])
      for verb in ["queue", "close", "open"] {
        #expect(try await site.sluice("switch", verb, "shop", "--yes").status == 0)
        let before = try await site.atGateway()
        let again = try await killed(site)
        let after = try #require(again.services.first)
        #expect(again.degraded == nil)
        #expect(after.revision == before.revision && after.switch.state == before.switch.state)
        #expect(after.targets == before.targets, "\(before.targets) \(after.targets)")
      }
      for damage in ["truncate -s 100 \(Self.state)", "printf x | dd of=\(Self.state) bs=1 seek=200 conv=notrunc"] {
        // The file, and the one before it, are both of a table with both targets.
        for verb in ["close", "open"] { #expect(try await site.sluice("switch", verb, "shop", "--yes").status == 0) }
        let before = try await site.atGateway()
        _ = try await site.rig.run(on: "g1", "systemctl", "stop", Self.unit)
        let damaged = try await site.rig.run(on: "g1", "sh", "-c", damage)
        #expect(damaged.status == 0, "\(damaged.all)")
        _ = try await site.rig.run(on: "g1", "systemctl", "start", Self.unit)
        try await Program.until("it answers") { (try? await site.atGateway()) != nil }
        let status = try await site.sluice("gateway", "status")
        #expect(status.out.contains("DEGRADED") && status.out.contains("damaged"), "\(status.all)")
        let after = try await site.atGateway()
        #expect(after.revision == before.revision && after.targets == before.targets && after.switch.state == "closed")
        let journal = try await site.rig.run(on: "g1", "journalctl", "-u", Self.unit, "-o", "cat", "-n", "20")
        #expect(journal.out.contains("DEGRADED"), "\(journal.all)")
      }
      #expect(try await site.sluice("switch", "open", "shop", "--yes").status == 0)
      // The next change of the table makes it whole again.
      try site.release("v2")
      try site.service("v2", Self.shop)
      #expect(try await site.apply().status == 0)
      #expect(try await site.gateways("g1").first?.status?.degraded == nil)
      let load = try load(site)
      try await Task.sleep(for: .seconds(1))
      #expect(try await load.finish().lost == 0)
    }

    @Test("a gateway that is cut off is a named gate; excluding it lets the rollout end, and it is given the current table when it returns")
    func waitsForAGateway() async throws {
      let site = try await site("e2e-gcut", gateways: ["g1", "g2"])
      try site.release("v2", fault: "start-delay=2s")
      try site.service("v2", Self.shop)
      let load = try load(site)
      let apply = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("a wave runs") { try await site.status().first?.rollout?.wave != nil }
      try await site.rig.act("cut", "g2")
      try await Program.until("the gate is named", .seconds(40)) {
        try await site.status().first?.rollout?.waits?.contains("edge/g2") ?? false
      }
      let rollout = try #require(try await site.status().first?.rollout)
      #expect(rollout.next?.contains("sluice gateway exclude g2") ?? false)
      let told = try await site.sluice("status", "shop")
      #expect(told.status == 0 && told.out.contains("gateway edge/g2: does not answer: "), "\(told.all)")
      #expect(told.out.contains("gateway edge/g1: table "), "\(told.all)")
      try await Program.until("it is said by the apply") { apply.error.contains("sluice gateway exclude g2") }
      let excluded = try await site.sluice("gateway", "exclude", "g2", "--yes")
      #expect(excluded.status == 0, "\(excluded.all)")
      let ended = try await apply.wait(.seconds(90))
      #expect(ended.status == 0, "\(ended.all)")
      try await site.rig.act("heal")
      let stale = try await site.atGateway("g2")
      let included = try await site.sluice("gateway", "include", "g2", "--yes")
      #expect(included.status == 0, "\(included.all)")
      let (first, second) = (try await site.atGateway("g1"), try await site.atGateway("g2"))
      #expect(stale.revision != first.revision && second.revision == first.revision)
      #expect(Set(second.targets.map(\.port)) == Set(first.targets.map(\.port)))

      // Nobody answers: the apply gives up after its patience, and resume goes on.
      try site.release("v3", fault: "start-delay=2s")
      try site.service("v3", Self.shop)
      let patient = try site.start("apply", "-f", "manifests", "--yes", "--patience", "3")
      try await Program.until("a wave runs") { try await site.status().first?.rollout?.wave != nil }
      try await site.rig.act("cut", "g2")
      let waiting = try await patient.wait(.seconds(60))
      #expect(waiting.status == 3 && waiting.error.contains("edge/g2"), "\(waiting.all)")
      try await site.rig.act("heal")
      let resumed = try await site.sluice("rollout", "resume", "shop", "--yes")
      #expect(resumed.status == 0, "\(resumed.all)")
      let revisions = (try await site.atGateway("g1").revision, try await site.atGateway("g2").revision)
      #expect(revisions.0 == revisions.1)
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect((summary.releases["v3"]?.answered ?? 0) > 0)
    }
  }
}
