import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Logs {
    @Test("a follower follows the service, not yesterday's instances; what they write reaches the terminal without its control characters")
    func follows() async throws {
      let rig = try await Rig.up("e2e-logs", racks: 2, hosts: 1)
      let site = try Site(rig: rig)
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 2
      try site.release("v1")
      let start = "\(site.directory)/releases/v1/bin/start"
      try "#!/bin/sh\nprintf '\\033]0;owned\\007\\033[2Jbegun\\342\\200\\256\\n'\nexec bin/sluice-sample \"$@\"\n".write(
        toFile: start, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: start)
      try site.service("v1", shop)
      let manifest = try String(contentsOfFile: "\(site.directory)/manifests/shop.yaml", encoding: .utf8)
      try site.write("manifests/shop.yaml", manifest.replacing("bin/sluice-sample", with: "bin/start"))
      let applied = try await site.apply()
      try #require(applied.status == 0, "\(applied.all)")

      let follower = try site.start("logs", "shop", "-f")
      func has(_ number: Int) -> Bool { follower.out.contains(try! Regex("shop/\(number) [ab]1: .*started listen=")) }
      try await Program.until("the first two are followed: \(follower.error)") { has(1) && has(2) }
      let restarted = try await site.sluice("restart", "shop", "--yes")
      try #require(restarted.status == 0, "\(restarted.all)")
      try await Program.until("the next two are followed from their first line: \(follower.out)\(follower.error)") { has(3) && has(4) }
      try await Program.until("the first two drop off: \(follower.error)") {
        follower.error.contains("shop/1 on") && follower.error.contains("shop/2 on") && follower.error.contains("has ended")
      }
      #expect(follower.isRunning)
      follower.send(SIGINT)
      let lines = follower.out.split(separator: "\n")
      #expect(lines.contains { $0.hasPrefix("shop/3 ") && $0.hasSuffix(": begun\\u{202e}") }, "\(follower.out)")
      #expect(
        (follower.out + follower.error).unicodeScalars.allSatisfy {
          $0 == "\n" || ($0.value >= 0x20 && $0.value != 0x7F && $0.value != 0x202E)
        })
      let raw = try await site.sluice("logs", "shop", "--raw")
      #expect(raw.status == 0 && raw.out.contains("\u{1B}[2Jbegun\u{202E}"), "\(raw.all)")
    }
  }
}
