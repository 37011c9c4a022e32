import Foundation
import Testing

extension EndToEnd {
  /// One service's rollout beside the others, and several operators' machines.
  @Suite(.serialized) struct Beside {
    private static let hosts = ["a1", "b1", "c1"]

    private static func shop(_ strategy: String = "rolling: { maxUnavailable: 0, maxSurge: 1 }") -> Site.Shop {
      var shop = Site.Shop()
      shop.replicas = 3
      shop.strategy = strategy
      shop.minHealthyTime = "200ms"
      shop.routeMore = ", user: { cookie: uid, absent: issue }"
      return shop
    }

    private static let database: Site.Shop = {
      var db = shop()
      db.name = "db"
      db.replicas = 2
      db.host = "db.example.com"
      return db
    }()

    private static func load(_ site: Site, host: String, limit: String = "300s") throws -> Load {
      try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, host: host, clients: 20, longClients: 5, rate: 150, slowMilliseconds: 800,
        limit: limit, more: ["--users", "1000"])
    }

    @Test("while a canary of one service waits, every other service is changed at once, here and from another machine")
    func otherServices() async throws {
      let site = try Site(rig: try await Rig.up("e2e-beside", racks: 3, hosts: 1))
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      for version in ["v1", "v2"] {
        try site.service("v1", Self.shop())
        try site.service(version, Self.database)
        let first = try await site.apply()
        try #require(first.status == 0, "\(first.all)")
      }
      let loads = try [Self.load(site, host: "shop.example.com"), Self.load(site, host: "db.example.com")]

      try site.service("v2", Self.shop("canary: { steps: [{ users: 20%, hold: 10m }] }"))
      let canary = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("the canary holds, and db has come to rest", .seconds(60)) {
        try #require(canary.isRunning, "\(canary.error)")
        let status = try await site.status()
        return status.first { $0.service == "shop" }?.rollout?.waits != nil && status.first { $0.service == "db" }?.rollout == nil
      }

      /// Carried out to its end, and soon.
      func done(_ words: String..., status: Int32 = 0) async throws {
        let begun = ContinuousClock.now
        let output = try await site.start(words + ["--yes"], state: "state").wait(.seconds(60))
        #expect(output.status == status, "\(words): \(output.all)")
        #expect(!output.error.contains("handed to"), "\(words): \(output.error)")
        #expect(ContinuousClock.now - begun < .seconds(30), "\(words)")
        #expect(canary.isRunning, "\(words): \(canary.error)")
      }
      try await done("rollback", "db")
      #expect(try await site.disorder(release: 1, replicas: 2, on: [], service: "db").isEmpty)
      try await done("restart", "db")
      try await done("scale", "db", "3")
      try await done("freeze", "db")
      try await done("unfreeze", "db")
      try await done("switch", "queue", "db")
      try await done("switch", "open", "db")
      try site.service("v2", Self.database)
      // The manifests hold both: the one that is held is told, and the other is done.
      let both = try await site.apply()
      #expect(both.status == 75 && both.error.contains("shop: ") && both.error.contains("pid \(canary.pid)"), "\(both.all)")
      #expect(both.error.contains("apply of db@2 succeeded"), "\(both.all)")

      let elsewhere = try await site.start(["rollback", "db", "-f", "manifests", "--yes"], state: "other", laptop: "attic").wait(
        .seconds(60))
      #expect(elsewhere.status == 0, "\(elsewhere.all)")
      #expect(try await site.disorder(release: 1, replicas: 3, on: [], service: "db", state: "other").isEmpty)

      // What is said to the one that waits reaches it.
      let late = try await site.sluice("rollout", "retry", "shop")
      #expect(late.status == 1 && late.error.contains("has not failed"), "\(late.all)")
      let abort = try await site.sluice("rollout", "abort", "shop")
      #expect(abort.status == 0, "\(abort.all)")
      let aborted = try await canary.wait(.seconds(60))
      #expect(aborted.status == 4, "\(aborted.all)")
      for load in loads {
        let summary = try await load.finish()
        #expect(summary.lost == 0 && summary.requests > 500, "\(summary.losses)")
      }
    }

    @Test("a host with a full disk is named, and rollback, restart, drain and stop go on without it")
    func fullDisk() async throws {
      let rig = try await Rig.up("e2e-full", racks: 3, hosts: 1)
      let site = try Site(rig: rig)
      let mounted = try await rig.run(
        on: "a1", "sh", "-c", "mkdir -p /var/lib/sluice && mount -t tmpfs -o size=64m tmpfs /var/lib/sluice")
      try #require(mounted.status == 0, "\(mounted.all)")
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      for version in ["v1", "v2"] {
        try site.service(version, Self.shop())
        let output = try await site.apply()
        try #require(output.status == 0, "\(output.all)")
      }
      _ = try await rig.run(on: "a1", "sh", "-c", "head -c 100000000 /dev/zero > /var/lib/sluice/filler")
      // What is on the full host may go on serving: users are not to notice.
      let load = try Self.load(site, host: "shop.example.com")
      for words in [["rollback", "shop"], ["restart", "shop"], ["drain", "a1"]] {
        let output = try await site.start(words + ["--yes"], state: "state").wait(.seconds(90))
        #expect([0, 5].contains(output.status), "\(words): \(output.all)")
        #expect(output.error.contains("a1: ") && output.error.contains("went on without it"), "\(words): \(output.all)")
      }
      let status = try await site.sluice("status", "shop")
      #expect(!status.out.contains("another controller has acted"), "\(status.all)")
      let shop = try #require(try await site.status().first)
      #expect(shop.instances.filter { $0.host != "a1" && $0.release == 1 && $0.serving }.count >= 2, "\(shop)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      let stop = try await site.sluice("stop", "shop", "--yes")
      #expect([0, 5].contains(stop.status), "\(stop.all)")
    }

    /// `SLUICE_TEST_SEED` runs one again.
    @Test("two operators' machines, with commands drawn at random from both in turn, come to one truth, and nothing is lost")
    func twoMachines() async throws {
      let environment = ProcessInfo.processInfo.environment
      var draw = Draw(seed: environment["SLUICE_TEST_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...999_999))
      let count = environment["SLUICE_TEST_COMMANDS"].flatMap { Int($0) } ?? (Place.isFull ? 100 : 12)
      let seed = draw.seed
      let site = try Site(rig: try await Rig.up("e2e-two", racks: 3, hosts: 1))
      try await site.secondOperator(hosts: Self.hosts + ["g1"])
      for version in ["v1", "v2", "v3"] { try site.release(version) }
      try site.gateway()
      try site.shareManifests()
      try site.service("v1", Self.shop())
      try site.service("v1", Self.database)
      try site.shareManifests()
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      let loads = try [Self.load(site, host: "shop.example.com", limit: "900s"), Self.load(site, host: "db.example.com", limit: "900s")]

      var story: [String] = []
      // What a machine drains it undrains: the cordon is its own.
      var drained: (host: String, second: Bool)?
      for number in 0..<count {
        let services = ["shop", "db"]
        let service = services[draw.below(2)]
        var second = draw.below(2) == 1
        var words: [String]
        switch draw.below(10) {
        case 0...2:
          try site.service("v\(1 + draw.below(3))", service == "shop" ? Self.shop() : Self.database)
          try site.shareManifests()
          words = ["apply"]
        case 3: words = ["rollback", service]
        case 4: words = ["restart", service]
        case 5: words = ["scale", service, "\(2 + draw.below(2))"]
        case 6: words = [draw.below(2) == 0 ? "freeze" : "unfreeze", service]
        case 7: words = ["adopt"]
        case 8: words = ["switch", draw.below(2) == 0 ? "queue" : "open", service]
        default:
          second = drained?.second ?? second
          words = drained.map { ["undrain", $0.host] } ?? ["drain", Self.hosts[draw.below(3)]]
          drained = words[0] == "drain" ? (words[1], second) : nil
        }
        let output = try await site.operate(words, second: second)
        story.append("\(number) \(second ? "attic" : "here"): \(words.joined(separator: " ")): \(output.status)")
        // Held by nobody, and nothing breaks; what makes no sense is refused.
        #expect([0, 1, 3].contains(output.status), "seed \(seed): \(story.joined(separator: "\n"))\n\(output.all)")
        if words[0] == "switch" { _ = try await site.operate(["switch", "open", service], second: !second) }
      }
      for words in [["unfreeze", "shop"], ["unfreeze", "db"], ["undrain", drained?.host ?? "a1"], ["apply"]] {
        let output = try await site.operate(words, second: words[0] == "undrain" ? drained?.second ?? false : draw.below(2) == 1)
        // What was never frozen cannot be unfrozen, and an undrain names the rollout that was left half-way.
        #expect(
          output.status == 0 || words[0] == "unfreeze" && output.all.contains("is not frozen")
            || words[0] == "undrain" && output.status == 3 && output.all.contains("is unfinished"),
          "seed \(seed): \(words): \(story.joined(separator: "\n"))\n\(output.all)")
        #expect(!output.all.contains("is in no record"), "seed \(seed): \(words) went on from an old record\n\(output.all)")
      }
      for second in [true, false] {
        let adopted = try await site.operate(["adopt"], second: second)
        #expect(adopted.status == 0, "seed \(seed): \(adopted.all)")
      }
      let truths = try await [site.status(), site.status(state: "other")]
      #expect(truths[0].map(\.instances) == truths[1].map(\.instances), "seed \(seed): \(story.joined(separator: "\n"))")
      #expect(truths[0].allSatisfy { $0.rollout == nil && $0.serving == $0.replicas && $0.instances.count == $0.replicas }, "\(truths[0])")
      for load in loads {
        let summary = try await load.finish()
        #expect(summary.lost == 0, "seed \(seed): \(story.joined(separator: "\n"))\n\(summary.losses)")
      }
      print("two machines: seed \(seed), \(count) commands")
    }
  }
}

/// SplitMix64: the same draws for the same seed.
private struct Draw {
  let seed: UInt64
  private var state: UInt64

  init(seed: UInt64) {
    self.seed = seed
    state = seed
  }

  mutating func below(_ bound: UInt64) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return Int((mixed ^ (mixed >> 31)) % bound)
  }
}
