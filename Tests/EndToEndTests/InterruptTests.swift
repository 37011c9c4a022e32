import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Interrupt {
    /// Each time in the middle of a drain that slow requests hold open.
    @Test("Ctrl-C once stops at a safe point, twice at once, and resume goes on from there without a lost request")
    func interrupted() async throws {
      let rig = try await Rig.up("e2e-int", racks: 3, hosts: 1)
      let site = try Site(rig: rig)
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 3
      shop.minHealthyTime = "100ms"
      shop.strategy = "rolling: { maxUnavailable: 1, maxSurge: 0 }"
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let load = try Load(
        ["\(rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 12, rate: 200, mix: "get=50,post=10,slow=40",
        slowMilliseconds: 2500)
      let signals: [(name: String, signals: [Int32])] = [("SIGINT", [SIGINT]), ("SIGINT twice", [SIGINT, SIGINT]), ("SIGTERM", [SIGTERM])]
      var release = 1
      for (name, signals) in signals {
        release = release == 1 ? 2 : 1
        try site.service("v\(release)", shop)
        let apply = try site.start("apply", "-f", "manifests", "--yes")
        try await Program.until("\(name): an instance drains", .seconds(60)) {
          try #require(apply.isRunning, "\(name): \(apply.error)")
          return try await site.status().first?.instances.contains { $0.phase == "draining" } ?? false
        }
        let began = ContinuousClock.now
        for signal in signals { apply.send(signal) }
        let output = try await apply.wait(.seconds(20))
        let took = ContinuousClock.now - began
        #expect(output.status == 130, "\(name): \(output.all)")
        #expect(took < (signals.count == 1 ? .seconds(5) : .seconds(3)), "\(name) took \(took)")
        #expect(output.error.contains("sluice rollout resume"), "\(name): \(output.error)")
        if signals.count == 1 {
          let status = try #require(try await site.status().first)
          #expect(!status.instances.contains { $0.phase == "draining" || $0.phase == "stopped" }, "\(name): \(status.instances)")
          #expect(status.rollout?.waits?.contains("interrupted") ?? false, "\(name): \(status)")
        }
        let resumed = try await site.sluice("rollout", "resume", "shop")
        #expect(resumed.status == 0, "\(name): \(resumed.all)")
        let problems = try await site.disorder(release: release, replicas: 3, on: ["a1", "b1", "c1"])
        #expect(problems.isEmpty, "\(name): \(problems)")
      }
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect((summary.kinds?["slow"]?.answered ?? 0) > 20)
    }
  }
}
