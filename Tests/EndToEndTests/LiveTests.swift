import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Live {
    /// The command on a pseudo-terminal of 80 columns, and all that it wrote there.
    private func onTerminal(_ site: Site, _ words: String, environment: [String: String] = [:]) async throws -> Program.Output {
      let command = "stty cols 80 rows 24; exec \(Place.program("sluice")) \(words) --state \(site.directory)/state"
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

    /// Without the sequences that colour and move.
    private static func plain(_ text: String) -> String { text.replacing(/\u{1B}\[[0-9;]*[A-Za-z]/, with: "") }
  }
}
