import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct RackLoss {
    private static let hosts = ["a1", "a2", "b1", "b2", "c1", "c2"]
    private static let left = ["a1", "a2", "b1", "b2"]

    @Test(
      "a rack is cut off in mid-rollout: none more goes by Sluice's hand, it ends whole and says why, and the spread is back with the rack",
      arguments: [(0, 4), (2, 5)] as [(Int, Int32)])
    func cutOff(budget: Int, status: Int32) async throws {
      let rig = try await Rig.up("e2e-rack", racks: 3, hosts: 2)
      let site = try Site(rig: rig)
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.strategy = "rolling: { maxUnavailable: 0, maxSurge: 2, order: rack, rackLossFloor: 50% }"
      shop.minHealthyTime = "2s"
      shop.more.append("failureBudget: \(budget)")
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let load = try Load(
        ["\(rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 6, rate: 200, slowMilliseconds: 1000)
      try site.service("v2", shop)
      let apply = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("wave 2", .seconds(60)) {
        try #require(apply.isRunning, "\(apply.error)")
        return apply.error.contains("wave 2: ")
      }
      let cut = Date().timeIntervalSince1970
      try await rig.act("cut", "c1", "c2")
      let output = try await apply.wait(.seconds(180))
      #expect(output.status == status, "\(output.all)")
      #expect(output.all.contains("rack-c is lost: none of its hosts c1, c2 can be reached"), "\(output.all)")
      let release = budget == 0 ? 1 : 2
      let after = try #require(try await site.status().first)
      #expect(after.instances.allSatisfy { $0.release == release || $0.host.hasPrefix("c") } && after.badReleases.isEmpty, "\(after)")
      #expect(after.serving >= 4, "\(after)")
      // The four of the racks that are left are all there is: Sluice takes none of them before another one has come.
      let lives = try await InstanceLives.read(rig, on: Self.left)
      #expect(lives.leastAtOnce(from: cut) >= 4, "\(lives)")

      try await rig.act("heal")
      try site.service("v2", shop)
      let again = try await site.apply()
      #expect(again.status == 0, "\(again.all)")
      let problems = try await site.disorder(release: 2, replicas: 6, on: Self.hosts)
      #expect(problems.isEmpty, "\(problems)")
      let racks = try #require(try await site.status().first).instances.map { $0.host.prefix(1) }
      #expect(["a", "b", "c"].allSatisfy { rack in racks.count { $0 == rack } == 2 }, "\(racks)")
      let nothing = try await site.apply()
      #expect(nothing.status == 0 && !nothing.error.contains("wave 1"), "\(nothing.all)")
      let summary = try await load.finish()
      // What was in flight in the rack that was lost, or was sent there before the gateway noticed, is lost with it.
      let others = summary.losses.filter { loss in
        guard let instance = loss.instance else { return false }
        return !["c1", "c2"].contains { instance.contains($0) }
      }
      #expect(others.isEmpty, "\(others)")
      print("a rack lost with a budget of \(budget): \(summary.requests) requests, \(summary.lost) lost with it")
    }
  }
}
