import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Failures {
    @Test("a release that fails on the second wave is replaced by the one before on the whole fleet, by itself")
    func comesBack() async throws {
      let rig = try await Rig.up("e2e-fail")
      let site = try Site(rig: rig)
      try site.gateway()
      var shop = Site.Shop()
      shop.startTimeout = "4s"
      for version in ["v1", "v2"] {
        try site.release(version)
        try site.service(version, shop)
        let output = try await site.apply()
        try #require(output.status == 0, "\(output.all)")
      }
      // Well only where the first wave goes to.
      try site.release("v3", wellOn: [])
      try site.service("v3", shop)
      let first = try #require(try await site.plan().plans.first?.waves.first)
      try site.release("v3", wellOn: first.added.map(\.host))
      let load = try Load(["\(rig.address(of: "g1")):80"], in: site.directory, clients: 40, longClients: 10, rate: 400)
      let output = try await site.apply()
      #expect(output.status == 4, "\(output.all)")
      let status = try #require(try await site.status().first)
      #expect(status.release == 2 && status.serving == 6 && status.badReleases == [3], "\(status)")
      #expect(Set(status.instances.map(\.release)) == [2])
      #expect(Set(status.instances.map(\.host)).count == 6)
      #expect(output.error.contains("wave 2"), "it got to the second wave")
      let bad = try #require(site.hostNamed(output.error), "the host is named\n\(output.error)")
      #expect(!first.added.map(\.host).contains(bad))
      #expect(output.error.contains("GET http://") && output.error.contains("/healthz"), "the check is named\n\(output.error)")
      #expect(output.error.contains("503"), "the check's last answer is told\n\(output.error)")
      #expect(output.error.contains("started listen=") && output.error.contains("version=v3"), "the log is told\n\(output.error)")
      #expect(output.error.contains("back on shop@2"), "\(output.error)")

      let again = try await site.apply()
      #expect(again.status == 1, "\(again.all)")
      #expect(again.error.contains("shop@3") && again.error.contains("bad") && again.error.contains("--force"), "\(again.all)")
      #expect(again.error.contains(bad), "why it is bad is told\n\(again.error)")
      #expect(try await site.plan().status == 1)

      // Forced, it is tried; by now it is well everywhere else than it was, so that it fails again.
      let forced = try await site.apply("--force")
      #expect(forced.status == 4, "\(forced.all)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect((summary.releases["v3"]?.answered ?? 0) > 0, "the first wave of v3 served")
      #expect(try await site.strays(on: ["a1", "a2", "b1", "b2", "c1", "c2"]) == [])
    }

    @Test("a host that dies in mid-rollout condemns no release")
    func deadHost() async throws {
      let rig = try await Rig.up("e2e-faildead")
      let site = try Site(rig: rig)
      try site.gateway()
      var shop = Site.Shop()
      shop.minHealthyTime = "1s"
      for version in ["v1", "v2"] { try site.release(version) }
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      try site.service("v2", shop)
      let last = try #require(try await site.plan().plans.first?.waves.last?.added.first?.host)
      let running = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("the second wave has begun") { running.error.contains("wave 2:") }
      try await rig.act("kill", last)
      let output = try await running.wait(.seconds(180))
      #expect(output.status == 4, "\(output.all)")
      #expect(output.error.contains(last), "\(output.all)")
      let status = try #require(try await site.status().first)
      #expect(status.badReleases == [], "\(status)")
      #expect(status.release == 1 && Set(status.instances.filter(\.serving).map(\.release)) == [1], "\(status)")
      // The same release goes through without --force once the host is back.
      try await rig.act("boot", last)
      let again = try await site.apply()
      #expect(again.status == 0, "\(again.all)")
      #expect(try await site.strays(on: ["a1", "a2", "b1", "b2", "c1", "c2"]) == [])
    }
  }
}

extension Site {
  /// The host that the last words name in `HOST: shop/N was not ready`.
  func hostNamed(_ text: String) -> String? {
    for line in text.split(separator: "\n") where line.hasPrefix("  why: ") && line.contains("was not ready within") {
      return line.components(separatedBy: ": ").first { $0.count == 2 && rig.fleet.contains("name: \($0),") }
    }
    return nil
  }
}
