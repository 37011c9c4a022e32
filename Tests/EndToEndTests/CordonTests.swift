import Foundation
import Testing

extension EndToEnd {
  /// What one operator drains or freezes, from two operators' machines with state directories and keys of their own.
  @Suite(.serialized) struct Cordon {
    private struct HostRow: Codable {
      var host: String
      var drained: Bool
      var drainedBy: String?
    }

    private func drained(_ site: Site, second: Bool) async throws -> [HostRow] {
      let output = try await site.start(
        ["hosts", "list", "-f", second ? "attic-manifests" : "manifests", "--output", "json"], state: second ? "other" : "state",
        laptop: second ? "attic" : nil
      ).wait(.seconds(30))
      return try JSONDecoder().decode([HostRow].self, from: Data(output.out.utf8)).filter(\.drained)
    }

    @Test("a host that one operator drains is drained for everybody, until anybody undrains it; so is a service that is frozen")
    func everybody() async throws {
      let site = try Site(rig: try await Rig.up("e2e-cordon", racks: 3, hosts: 1))
      try await site.secondOperator(hosts: ["a1", "b1", "c1", "g1"])
      var shop = Site.Shop()
      shop.replicas = 3
      shop.minHealthyTime = "200ms"
      for version in ["v1", "v2", "v3"] { try site.release(version) }
      try site.gateway()

      func done(_ words: String..., second: Bool, status: Int32 = 0) async throws -> Program.Output {
        let output = try await site.operate(words, second: second)
        #expect(output.status == status, "\(words) \(second ? "in the attic" : "here"): \(output.all)")
        return output
      }
      func apply(_ version: String, second: Bool, status: Int32 = 0) async throws -> Program.Output {
        try site.service(version, shop)
        try site.shareManifests()
        return try await done("apply", second: second, status: status)
      }
      func hosts() async throws -> [String] {
        _ = try await done("adopt", second: false)
        return try await site.status().flatMap(\.instances).map(\.host).sorted()
      }
      _ = try await apply("v1", second: false)
      _ = try await done("drain", "a1", second: false)
      #expect(try await hosts().contains("a1") == false)

      // The other machine has never acted here.
      let row = try #require(try await drained(site, second: true).first)
      #expect(row.host == "a1" && row.drainedBy?.contains("@") == true && row.drainedBy?.contains("attic") == false, "\(row)")
      let elsewhere = try await apply("v2", second: true)
      #expect(elsewhere.error.contains("a1 is drained by \(row.drainedBy ?? "?")"), "\(elsewhere.all)")
      #expect(elsewhere.error.contains("sluice undrain a1"), "\(elsewhere.all)")
      #expect(try await hosts().contains("a1") == false)

      _ = try await done("undrain", "a1", second: true)
      #expect(try await drained(site, second: false).isEmpty)
      let again = try await apply("v3", second: false)
      #expect(!again.error.contains("is drained"), "\(again.all)")
      #expect(try await hosts() == ["a1", "b1", "c1"])

      _ = try await done("freeze", "shop", second: false)
      try site.service("v2", shop)
      try site.shareManifests()
      let frozen = try await done("apply", "--patience", "1", second: true, status: 3)
      #expect(frozen.error.contains("frozen by"), "\(frozen.all)")
      _ = try await done("rollout", "abort", "shop", second: true)
      _ = try await done("unfreeze", "shop", second: true)

      // What is said of a dead host is known to nobody else, until whoever has said it meets it again.
      try await site.rig.act("kill", "c1")
      let drain = try await site.operate(["drain", "c1"], second: false)
      #expect([0, 5].contains(drain.status) && drain.error.contains("c1 could not be told"), "\(drain.all)")
      try await site.rig.act("boot", "c1")
      #expect(try await drained(site, second: true).isEmpty)
      _ = try await done("restart", "shop", second: false)
      #expect(try await drained(site, second: true).map(\.host) == ["c1"])
      #expect(try await hosts().contains("c1") == false)
    }
  }
}
