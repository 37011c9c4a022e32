import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Tasks {
    private static func shop(_ name: String, _ more: [String]) -> Site.Shop {
      var shop = Site.Shop()
      shop.name = name
      shop.host = "\(name).example.com"
      shop.replicas = 2
      shop.minHealthyTime = "100ms"
      shop.ports = name == "shop" ? "{ from: 20000, to: 20099 }" : "{ from: 21000, to: 21099 }"
      shop.more = more
      return shop
    }

    /// A release whose `bin/migrate` adds a line to `/var/tmp/migrations` on its host, after `seconds`.
    private static func release(_ site: Site, _ version: String, seconds: Int, status: Int = 0) throws {
      try site.release(version)
      let path = "\(site.directory)/releases/\(version)/bin/migrate"
      let script = "#!/bin/sh\nsleep \(seconds)\necho \"\(version) $SLUICE_ATTEMPT_ID\" >>/var/tmp/migrations\nexit \(status)\n"
      try script.write(toFile: path, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }

    private static let hosts = ["a1", "a2", "b1", "b2"]

    private static func migrations(_ site: Site) async throws -> [String] {
      var all: [String] = []
      for host in hosts {
        let text = try await site.rig.run(on: host, "sh", "-c", "cat /var/tmp/migrations 2>/dev/null || :").out
        all += text.split(separator: "\n").map { String($0.split(separator: " ")[0]) }
      }
      return all
    }

    @Test(
      "a migration runs once, also when its controller is killed in its midst, and what comes after it waits; one that fails lets nothing begin"
    )
    func migrates() async throws {
      let site = try Site(rig: try await Rig.up("e2e-task", racks: 2, hosts: 2))
      for version in ["v1", "v2", "v3"] {
        try Self.release(site, version, seconds: version == "v2" ? 8 : 0, status: version == "v3" ? 7 : 0)
      }
      try site.gateway()
      let db = Self.shop("db", ["task: { command: [bin/migrate] }"])
      let shop = Self.shop("shop", ["after: [db]"])
      for version in ["v1", "v2", "v3"] {
        try site.service(version, db)
        try site.service(version, shop)
        switch version {
        case "v1":
          let first = try await site.apply()
          try #require(first.status == 0, "\(first.all)")
          #expect(try await Self.migrations(site) == ["v1"])
        case "v2":
          let apply = try site.start("apply", "-f", "manifests", "--yes")
          try await Program.until("the task runs") { apply.error.contains("the task of release @2 begins") }
          apply.send(SIGKILL)
          _ = try await apply.wait()
          let standing = try await site.status()
          #expect(standing.allSatisfy { $0.instances.allSatisfy { $0.release == 1 } }, "\(standing)")
          let again = try await site.apply()
          #expect(again.status == 0, "\(again.all)")
          let text = again.error
          let ended = try #require(text.range(of: "db: apply succeeded"), "\(text)")
          let began = try #require(text.range(of: "shop: wave 1"), "\(text)")
          #expect(ended.lowerBound < began.lowerBound, "\(text)")
          #expect(try await Self.migrations(site).sorted() == ["v1", "v2"])
        default:
          let failed = try await site.apply()
          #expect(failed.status == 1, "\(failed.all)")
          #expect(
            failed.error.contains("bin/migrate exited with status 7") && failed.error.contains("shop comes after db"), "\(failed.error)")
          let standing = try await site.status()
          #expect(standing.allSatisfy { $0.instances.allSatisfy { $0.release == 2 } && $0.instances.count == 2 }, "\(standing)")
        }
      }
      // A freeze is in the record: no apply begins until it is lifted.
      try Self.release(site, "v4", seconds: 0)
      try site.service("v4", db)
      try site.service("v4", shop)
      let frozen = try await site.sluice("freeze", "--reason", "the sale", "--yes")
      #expect(frozen.status == 0, "\(frozen.all)")
      let kept = try await site.apply()
      #expect(kept.status == 3 && kept.all.contains("frozen by") && kept.all.contains("the sale"), "\(kept.all)")
      let lifted = try await site.sluice("unfreeze", "--yes")
      #expect(lifted.status == 0, "\(lifted.all)")
      let standing = try await site.status()
      #expect(standing.allSatisfy { $0.instances.allSatisfy { $0.release == 4 } && $0.rollout == nil }, "\(standing)")
    }
  }
}
