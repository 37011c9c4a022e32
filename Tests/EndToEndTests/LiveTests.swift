import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Live {
    /// The command on a pseudo-terminal of 80 columns, and all that it wrote there; interrupted after so many seconds.
    private func onTerminal(
      _ site: Site, _ words: String, environment: [String: String] = [:], seconds: Int = 115
    ) async throws -> Program.Output {
      let program = "timeout --foreground --signal INT \(seconds) \(Place.program("sluice"))"
      let command = "stty cols 80 rows 24; exec \(program) \(words) --state \(site.directory)/state"
      return try await Program.run(
        ["script", "-qec", command, "/dev/null"], environment: ["TERM": "xterm", "NO_COLOR": ""].merging(environment) { $1 },
        in: site.directory, limit: .seconds(120))
    }

    @Test("on a terminal the rollout is drawn in place, within its columns, and leaves only lines behind; NO_COLOR has none of it")
    func drawsInPlace() async throws {
      let site = try Site(rig: try await Rig.up("e2e-live", racks: 2))
      var shop = Site.Shop()
      shop.replicas = 4
      try site.release("v1")
      try site.gateway()
      try site.service("v1", shop)
      #expect(try await site.apply().status == 0)
      try site.release("v2")
      try site.service("v2", shop)
      let began = ContinuousClock.now
      let drawn = try await onTerminal(site, "apply -f manifests --yes")
      let seconds = Double((ContinuousClock.now - began).components.seconds) + 1
      #expect(drawn.status == 0, "\(drawn.all)")
      // Each picture begins by wiping the one before away.
      let pictures = drawn.out.components(separatedBy: "\u{1B}[J")
      #expect(pictures.count > 4 && Double(pictures.count) <= seconds * 10, "\(pictures.count) in \(seconds) s")
      #expect(pictures.contains { $0.contains("rack-a") && $0.contains("rack-b") && $0.contains("draining") || $0.contains("warming") })
      for picture in pictures.dropFirst() {
        for line in Self.plain(picture).split(whereSeparator: \.isNewline) where line.hasPrefix("  ") {
          #expect(line.count < 80, "\(line)")
        }
      }
      let rest = Self.plain(try #require(pictures.last))
      #expect(!rest.contains("in flight") && !rest.contains("rack-a") && rest.contains("apply of shop@2 succeeded"), "\(rest)")
      try site.service("v1", shop)
      let bare = try await onTerminal(site, "apply -f manifests --yes", environment: ["NO_COLOR": "1"])
      #expect(bare.status == 0 && !bare.out.contains("\u{1B}") && bare.out.contains("wave 1 has ended"), "\(bare.all)")
    }

    @Test("status --watch shows which step a canary is in, its share, both error rates, what it waits for and what to type")
    func watchesCanary() async throws {
      let site = try Site(rig: try await Rig.up("e2e-watch", racks: 1))
      var shop = Site.Shop()
      shop.replicas = 2
      shop.routeMore = ", user: { cookie: uid, absent: issue }"
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      try site.service("v1", shop)
      #expect(try await site.apply().status == 0)
      shop.strategy =
        "canary: { steps: [{ users: 20%, hold: 12s }, { users: 50%, approve: true }], analysis: { minRequests: 50, maxErrorRate: 5% } }"
      try site.service("v2", shop)
      let load = try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 0, rate: 200, mix: "get=100",
        more: ["--users", "500"])
      let apply = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("the first step is held") {
        try await site.status().first?.rollout?.waits?.contains("step 1") ?? false
      }
      let watched = try await onTerminal(site, "status shop --watch", seconds: 6)
      let pictures = watched.out.components(separatedBy: "\u{1B}[J").map(Self.plain)
      let picture = try #require(pictures.last { $0.contains("left") }, "\(watched.all)")
      print(picture)
      for words in [
        "shop: apply to @2", "step 1 of 2: 20% of users on @2, the others on @1", "new @2: 0 % failed (0 of ",
        "stable @1: 0 % failed (0 of ", "waits: ", "next: ",
      ] {
        #expect(picture.contains(words), "no \(words) in \(picture)")
      }
      let times = pictures.compactMap { $0.firstMatch(of: /, (\d+)s left/)?.output.1 }.compactMap { Int($0) }
      #expect(Set(times).count > 3 && times == times.sorted(by: >), "time does not run: \(times)")
      let ended = try await apply.wait()
      #expect(ended.status == 3, "\(ended.all)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    /// Without the sequences that colour and move.
    private static func plain(_ text: String) -> String { text.replacing(/\u{1B}\[[0-9;]*[A-Za-z]/, with: "") }
  }
}
