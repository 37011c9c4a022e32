import Foundation
import Testing

extension EndToEnd {
  /// Who can write on a host decides nothing elsewhere (DESIGN section 2, "Who is believed").
  @Suite(.serialized) struct Trust {
    private let base = "/var/lib/sluice/shop"

    @Test("forged, replayed, cut and unsigned copies are named and not used: nothing runs on the operator's machine")
    func attacks() async throws {
      let rig = try await Rig.up("e2e-trust", racks: 3, hosts: 1)
      let site = try Site(rig: rig)
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 3
      shop.minHealthyTime = "100ms"
      shop.more = ["hooks: { preDeploy: ../hooks/before.sh }"]
      try FileManager.default.createDirectory(atPath: "\(site.directory)/hooks", withIntermediateDirectories: true)
      for (name, marker) in [("before", "ran"), ("evil", "EVIL")] {
        try site.write("hooks/\(name).sh", "#!/bin/sh\ntouch \(site.directory)/\(marker)\n")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(site.directory)/hooks/\(name).sh")
      }
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let hosts = try await holders(rig)
      try #require(!hosts.isEmpty)
      let host = hosts[0]
      _ = try await rig.run(on: host, "cp", "-a", "\(base)/record.json", "/tmp/old.json")
      _ = try await rig.run(on: host, "cp", "-a", "\(base)/record.json.sig", "/tmp/old.sig")
      try site.service("v2", shop)
      let second = try await site.apply()
      try #require(second.status == 0, "\(second.all)")
      #expect(FileManager.default.fileExists(atPath: "\(site.directory)/ran"))
      try await verify(rig, site, host)

      // What stands there says nothing of this machine.
      let record = try await rig.run(on: host, "cat", "\(base)/record.json")
      #expect(record.out.contains("\"service\":\"shop\"") && !record.out.contains("before.sh"), "\(record.out.prefix(300))")

      let evil = "\(site.directory)/hooks/evil.sh"
      let forge =
        "sed -e '1s/\"revision\":\"[0-9]*/\"revision\":\"99/' -e 's#\"hooks\":{[^}]*}#\"hooks\":{\"preDeploy\":\"\(evil)\",\"preWave\":\"\(evil)\",\"postWave\":\"\(evil)\"}#'"
      let newer = "sed -e '1s/\"revision\":\"[0-9]*/\"revision\":\"99/'"
      let bare = "sed -e '1s/.*/{\"revision\":\"99.1\"}/'"
      let attacks = [
        ("forged", "\(forge) record.json >x && mv x record.json", "does not fit"),
        ("unsigned", "rm -f record.json.sig", "its signature is missing"),
        ("as 0.1 left it", "\(bare) record.json >x && mv x record.json; rm -f record.json.sig", "is said to be 99.1"),
        ("replayed", "\(newer) /tmp/old.json >record.json; cp /tmp/old.sig record.json.sig", "does not fit"),
        ("cut", "\(newer) -i record.json; truncate -s 500 record.json", "does not fit"),
      ]
      for (name, script, word) in attacks {
        let done = try await rig.run(on: host, "sh", "-c", "cd \(base) && \(script)")
        #expect(done.status == 0, "\(name): \(done.all)")
        let adopt = try await site.start(["adopt", "-f", "manifests", "--yes"], state: "other-\(name.prefix(3))", laptop: "attic").wait()
        #expect(adopt.status == 0, "\(name): \(adopt.all)")
        #expect(adopt.error.contains("at \(host) ") && adopt.error.contains(word), "\(name): \(adopt.all)")
      }
      let done = try await rig.run(on: host, "sh", "-c", "cd \(base) && \(forge) record.json >x && mv x record.json")
      #expect(done.status == 0, "\(done.all)")
      for words in [["restart", "shop"], ["rollback", "shop"]] {
        let output = try await site.start(words + ["-f", "manifests", "--yes"], state: "other", laptop: "attic").wait()
        #expect(output.status == 0, "\(words): \(output.all)")
      }
      let problems = try await site.disorder(release: 1, replicas: 3, on: ["a1", "b1", "c1"], state: "other")
      #expect(problems.isEmpty, "\(problems)")
      #expect(!FileManager.default.fileExists(atPath: "\(site.directory)/EVIL"))
    }

    @Test("numbers that nobody reaches crash nothing, and a fence that nobody can go over is set anew")
    func numbers() async throws {
      let rig = try await Rig.up("e2e-bounds", racks: 3, hosts: 1)
      let site = try Site(rig: rig)
      try site.release("v1")
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 3
      shop.minHealthyTime = "100ms"
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")

      _ = try await rig.run(on: "a1", "mkdir", "-p", "\(base)/instances/9223372036854775807")
      _ = try await rig.run(on: "a1", "sh", "-c", "cp \(base)/instances/*/settings \(base)/instances/9223372036854775807/")
      let folder = try await site.sluice("restart", "shop", "--yes")
      #expect((0...5).contains(folder.status), "\(folder.all)")
      #expect(folder.error.contains("9223372036854775807"), "\(folder.all)")
      _ = try await rig.run(on: "a1", "rm", "-rf", "\(base)/instances/9223372036854775807")

      for epoch in ["18446744073709551615", "9223372036854775806"] {
        _ = try await rig.run(on: "a1", "sh", "-c", "echo 'mallory \(epoch) elsewhere 0 0' >\(base)/fence")
        let locked = try await site.sluice("restart", "shop", "--yes")
        #expect((0...5).contains(locked.status), "\(locked.all)")
        let reset = try await site.sluice("adopt", "-f", "manifests", "--reset-fence", "shop", "--yes")
        #expect(reset.status == 0 && reset.error.contains("a1: not a fence: mallory \(epoch)"), "\(reset.all)")
        let again = try await site.sluice("restart", "shop", "--yes")
        #expect(again.status == 0, "\(again.all)")
      }
    }

    /// The hosts that keep a copy.
    private func holders(_ rig: Rig) async throws -> [String] {
      var found: [String] = []
      for host in ["a1", "b1", "c1"] where try await rig.run(on: host, "test", "-f", "\(base)/record.json.sig").status == 0 {
        found.append(host)
      }
      return found
    }

    /// As README says: an operator checks a copy with OpenSSH alone.
    private func verify(_ rig: Rig, _ site: Site, _ host: String) async throws {
      let key = rig.fleet.split(separator: "\n").first { $0.contains("identity:") }?.split(separator: " ").last.map(String.init)
      let path = try #require(key)
      let line = try String(contentsOfFile: "\(path).pub", encoding: .utf8)
      try site.write("allowed", "operator \(line)")
      try site.write("record.json", try await rig.run(on: host, "cat", "\(base)/record.json").out)
      try site.write("record.json.sig", try await rig.run(on: host, "cat", "\(base)/record.json.sig").out)
      let command = "ssh-keygen -Y verify -n sluice-record -f allowed -I operator -s record.json.sig <record.json"
      let verified = try await Program.run(["sh", "-c", command], in: site.directory)
      #expect(verified.status == 0 && verified.out.contains("Good \"sluice-record\" signature"), "\(verified.all)")
    }
  }
}
