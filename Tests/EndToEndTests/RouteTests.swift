import Foundation
import Testing

extension EndToEnd {
  /// Whose a route is: it is handed on to a service's new name, follows it to another gateway, and ends with it.
  @Suite(.serialized) struct Routes {
    @Test("a service gets another name, moves to another gateway, and is removed: nothing is lost, and a route has one owner throughout")
    func handsOn() async throws {
      let site = try Site(rig: try await Rig.up("e2e-route", racks: 2, hosts: 1, gateways: 2))
      try site.release("v1")
      try site.gateway("edge", hosts: ["g1"])
      try site.gateway("front", hosts: ["g2"])
      var shop = Site.Shop()
      shop.replicas = 2
      shop.drain = "{ timeout: 4s, longLived: 2s, signal: TERM, killAfter: 5s }"
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let edge = "\(try site.rig.address(of: "g1")):80"
      let front = "\(try site.rig.address(of: "g2")):80"

      // Another service may not have its route, and is told whose it is.
      var other = shop
      other.name = "other"
      try site.service("v1", other)
      try FileManager.default.moveItem(
        atPath: "\(site.directory)/manifests/shop.yaml", toPath: "\(site.directory)/shop.yaml")
      let plan = try await site.sluice("plan", "-f", "manifests")
      #expect(plan.status == 1 && plan.all.contains("belongs to service shop"), "\(plan.all)")
      let refused = try await site.apply()
      #expect(refused.status == 1 && refused.all.contains("belongs to service shop"), "\(refused.all)")
      try FileManager.default.removeItem(atPath: "\(site.directory)/manifests/other.yaml")

      // Another name.
      let load = try Load([edge], in: site.directory, clients: 30, longClients: 8, rate: 400, slowMilliseconds: 1500)
      var store = shop
      store.name = "store"
      store.formerly = "shop"
      try site.service("v1", store)
      let renamed = try await site.apply()
      #expect(renamed.status == 0, "\(renamed.all)")
      let standing = try await site.status().filter { $0.release != nil }
      #expect(standing.map(\.service) == ["store"] && standing.first?.serving == 2, "\(standing)")
      let history = try await site.sluice("history", "store")
      #expect(history.out.contains("shop ") && history.out.contains("store "), "\(history.all)")
      for host in ["a1", "b1"] {
        let left = try await site.rig.run(
          on: host, "sh", "-c", "ls /var/lib/sluice/shop/releases /var/lib/sluice/shop/instances 2>/dev/null; true")
        #expect(!left.out.contains("-") && left.out.filter(\.isNumber).isEmpty, "files of the old name are left on \(host): \(left.out)")
      }
      #expect(try await site.version(host: "shop.example.com", at: edge) == "v1")

      // Another gateway: users have time to follow.
      store.gateway = "front"
      try site.service("v1", store)
      let moving = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("the other gateway serves") {
        (try? await site.version(host: "shop.example.com", at: front)) == "v1"
      }
      #expect(try await site.version(host: "shop.example.com", at: edge) == "v1", "both serve meanwhile")
      let following = try Load([front], in: site.directory, clients: 30, longClients: 8, rate: 400, slowMilliseconds: 1500)
      let before = try await load.finish()
      #expect(before.lost == 0 && before.requests > 500, "\(before.losses)")
      let moved = try await moving.wait()
      #expect(moved.status == 0, "\(moved.all)")
      await #expect(throws: ProgramError.self) { try await site.version(host: "shop.example.com", at: edge) }
      let after = try await following.finish()
      #expect(after.lost == 0 && after.requests > 500, "\(after.losses)")
      print("a new name and another gateway: \(before.requests + after.requests) requests, \(before.lost + after.lost) lost")

      // And its end.
      let removed = try await site.sluice("remove", "store", "--yes")
      #expect(removed.status == 0, "\(removed.all)")
      #expect(try await site.status().allSatisfy { $0.release == nil && $0.instances.isEmpty })
      await #expect(throws: ProgramError.self) { try await site.version(host: "shop.example.com", at: front) }
    }
  }
}
