import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Drain {
    struct HostRow: Codable {
      var host: String
      var drained: Bool
      var instances: [String]
    }

    private func hosts(_ site: Site) async throws -> [HostRow] {
      let output = try await site.sluice("hosts", "list", "--output", "json")
      return try JSONDecoder().decode([HostRow].self, from: Data(output.out.utf8))
    }

    /// What systemd on the host itself knows of the service, running or not.
    private func units(_ rig: Rig, _ host: String) async throws -> String {
      try await rig.run(on: host, "systemctl", "list-units", "--all", "--no-legend", "--plain", "sluice-shop-*").out
    }

    private func site(_ name: String, racks: Int = 3, slots: Int = 4, shop: Site.Shop = Site.Shop()) async throws -> Site {
      let site = try Site(rig: try await Rig.up(name, racks: racks, flags: ["--slots", "\(slots)"]))
      try site.release("v1")
      try site.gateway()
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      return site
    }

    @Test("one instance, a host and a rack are drained with their replacements first, and slow requests in flight are answered")
    func drainsUnderLoad() async throws {
      let site = try await site("e2e-drain")
      let load = try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 40, longClients: 20, rate: 300,
        mix: "get=60,post=10,slow=20,stream=5,ws=5", slowMilliseconds: 5000)
      #expect(try await !units(site.rig, "a1").isEmpty)
      let first = try #require(try await site.status().first?.instances.first?.instance)
      let one = try await site.sluice("drain", first, "--yes")
      #expect(one.status == 0, "\(one.all)")
      let others = try #require(try await site.status().first)
      #expect(others.serving == 6 && !others.instances.contains { $0.instance == first }, "\(others)")
      for (place, drained) in [("a1", ["a1"]), ("rack-b", ["b1", "b2"])] {
        let drain = try await site.sluice("drain", place, "--yes")
        #expect(drain.status == 0, "\(drain.all)")
        let shop = try #require(try await site.status().first)
        #expect(shop.serving == 6 && shop.instances.allSatisfy { !drained.contains($0.host) }, "\(shop)")
        for host in drained { #expect(try await units(site.rig, host).isEmpty) }
        #expect(try await hosts(site).filter(\.drained).map(\.host) == drained)
        let undrain = try await site.sluice("undrain", place, "--yes")
        #expect(undrain.status == 0, "\(undrain.all)")
        #expect(try await hosts(site).allSatisfy { !$0.drained })
      }
      // A host that is taken out of the manifests with something on it is refused, and nothing is touched.
      let lines = site.rig.fleet.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.contains("name: a2,") }
      try site.write("manifests/fleet.yaml", lines.joined(separator: "\n"))
      let refused = try await site.apply()
      #expect(refused.status == 1 && refused.error.contains("a2 is in no manifest of fleet rig any more"), "\(refused.all)")
      #expect(refused.error.contains("sluice drain a2"), "\(refused.error)")
      #expect(try await site.plan().status == 1)
      #expect(try await site.status().first?.serving == 6)

      // A slow request that was in flight at the last drain has been answered by now or is lost.
      try await Task.sleep(for: .seconds(1))
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect(summary.requests > 1000 && (summary.kinds?["slow"]?.answered ?? 0) > 20)
    }

    @Test("a drain that would break the floor is refused with nothing touched, or done as degraded when the floor is overridden")
    func refusesBelowTheFloor() async throws {
      let site = try await site("e2e-drainfl", slots: 1)
      let before = try await site.status()
      let refused = try await site.sluice("drain", "a1", "--yes")
      #expect(refused.status == 1, "\(refused.all)")
      #expect(refused.error.contains("slot") && refused.error.contains("--override-floor"), "\(refused.all)")
      #expect(try await hosts(site).allSatisfy { !$0.drained })
      #expect(try await site.status().first?.instances.map(\.instance) == before.first?.instances.map(\.instance))
      let load = try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 40, longClients: 10, rate: 300, mix: "get=80,slow=10,post=10")
      let overridden = try await site.sluice("drain", "a1", "--yes", "--override-floor")
      #expect(overridden.status == 5, "\(overridden.all)")
      let shop = try #require(try await site.status().first)
      #expect(shop.serving == 5 && shop.instances.count == 5 && shop.rollout == nil && shop.lastResult == "degraded", "\(shop)")
      #expect(try await units(site.rig, "a1").isEmpty)
      let events = try await site.sluice("events")
      #expect(events.out.contains("the floor overridden"), "\(events.all)")
      let undrain = try await site.sluice("undrain", "a1", "--yes")
      #expect(undrain.status == 0, "\(undrain.all)")
      let whole = try #require(try await site.status().first)
      #expect(whole.serving == 6 && whole.instances.contains { $0.host == "a1" })
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    @Test("a drain in the middle of a rollout is taken into its next waves, and into those of a resume")
    func inMidRollout() async throws {
      var shop = Site.Shop()
      shop.replicas = 4
      shop.strategy = "rolling: { maxUnavailable: 0, maxSurge: 1 }"
      let site = try await site("e2e-mid", racks: 2, shop: shop)
      let load = try Load(["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 5, rate: 200)
      try site.release("v2", fault: "start-delay=1s")
      try site.service("v2", shop)
      let apply = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("the rollout runs") { try await site.status().first?.rollout?.wave != nil }
      let handed = try await site.sluice("drain", "b1", "--yes")
      #expect(handed.status == 3 && handed.error.contains("handed to"), "\(handed.all)")
      let output = try await apply.wait(.seconds(120))
      #expect(output.status == 0, "\(output.all)")
      let after = try #require(try await site.status().first)
      #expect(after.serving == 4 && after.instances.allSatisfy { $0.release == 2 && $0.host != "b1" }, "\(after)")
      let undrained = try await site.sluice("undrain", "b1", "--yes")
      #expect(undrained.status == 0, "\(undrained.all)")

      try site.release("v3", fault: "start-delay=1s")
      try site.service("v3", shop)
      let second = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("the rollout runs") { try await site.status().first?.rollout?.wave != nil }
      second.send(SIGINT)
      let stopped = try await second.wait(.seconds(30))
      #expect(stopped.status == 130, "\(stopped.all)")
      let unfinished = try await site.sluice("drain", "a1", "--yes")
      #expect(unfinished.status == 3 && unfinished.error.contains("sluice rollout resume shop"), "\(unfinished.all)")
      let resumed = try await site.sluice("rollout", "resume", "shop", "--yes")
      #expect(resumed.status == 0, "\(resumed.all)")
      let last = try #require(try await site.status().first)
      #expect(last.serving == 4 && last.instances.allSatisfy { $0.release == 3 && $0.host != "a1" }, "\(last)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }
  }
}
