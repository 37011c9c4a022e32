import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Canary {
    private static func shop(_ canary: String) -> Site.Shop {
      var shop = Site.Shop()
      shop.replicas = 4
      shop.strategy = "canary: { \(canary) }"
      shop.routeMore = ", user: { cookie: uid, absent: issue }"
      return shop
    }

    private static func site(_ name: String, _ canary: String, gateways: [String] = ["g1"], files: [String: String] = [:]) async throws
      -> Site
    {
      let site = try Site(rig: try await Rig.up(name, racks: 2, hosts: 2, gateways: gateways.count))
      for version in ["v1", "v2"] { try site.release(version) }
      for (path, text) in files { try site.write(path, text) }
      try site.gateway(hosts: gateways)
      try site.service("v1", shop(canary))
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      try site.service("v2", shop(canary))
      return site
    }

    private static func load(_ site: Site, gateways: [String] = ["g1"], rate: Int = 500) throws -> Load {
      try Load(
        try gateways.map { "\(try site.rig.address(of: $0)):80" }, in: site.directory, clients: 60, longClients: 20, rate: rate,
        slowMilliseconds: 1500, limit: "900s", more: ["--users", "10000"])
    }

    /// Which release each user met, request after request, in the order in which the requests began.
    private static func paths(_ requests: [Load.Request]) -> [Int: [String]] {
      var paths: [Int: [String]] = [:]
      for request in requests.sorted(by: { $0.at < $1.at }) {
        guard let user = request.user.flatMap({ Int($0.dropFirst()) }), let release = request.release else { continue }
        if paths[user]?.last != release { paths[user, default: []].append(release) }
      }
      return paths
    }

    @Test("a canary grows from 1 % to all of 10 000 users: each step has its share, nobody goes back, and nothing is lost")
    func grows() async throws {
      let shares = [1, 10, 50, 100]
      let steps = shares.map { "{ users: \($0)%, approve: true }" }.joined(separator: ", ")
      let site = try await Self.site(
        "e2e-canary", "steps: [\(steps)], override: { header: x-release, secret: { fromFile: ../word } }", files: ["word": "let me in"])
      let load = try Self.load(site)
      var output = try await site.apply()
      let gateway = "\(try site.rig.address(of: "g1")):80"
      for (word, inCanary) in [("let me in", 3...3), ("let me through", 0...1)] {
        var met: [String] = []
        for _ in 0..<3 {
          met.append(try await site.version(host: "shop.example.com", at: gateway, headers: ["x-release: canary \(word)"]))
        }
        #expect(inCanary.contains(met.count { $0 == "v2" }), "testers with '\(word)' met \(met)")
      }
      for share in shares {
        try #require(output.status == 3, "\(output.all)")
        let count = Load.reach
        // Every user asks at this step, each of them more than once.
        let measured = try Load(
          ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 100, longClients: 0, rate: 4_000, mix: "get=100",
          more: ["--users", "10000", "--requests", "\(count)"])
        let summary = try await measured.finish(early: false)
        #expect(summary.lost == 0, "\(summary.losses)")
        let paths = try Self.paths(measured.requests())
        let inCanary = paths.values.count { $0 == ["v2"] }
        let sigma = (Double(paths.count) * Double(share) / 100 * Double(100 - share) / 100).squareRoot()
        print("\(share) %: \(inCanary) of \(paths.count) users, 3 sigma is \(3 * sigma)")
        #expect(abs(Double(inCanary) - Double(paths.count) * Double(share) / 100) <= 3 * sigma)
        #expect(paths.values.allSatisfy { $0.count == 1 }, "a user met two releases within one step")
        output = try await site.sluice("rollout", "promote", "shop")
      }
      #expect(output.status == 0, "\(output.all)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      let paths = try Self.paths(load.requests())
      #expect(paths.values.allSatisfy { $0 == ["v1"] || $0 == ["v2"] || $0 == ["v1", "v2"] }, "a user went back")
      #expect(paths.values.contains(["v1", "v2"]))
      #expect(try await site.status().first?.instances.allSatisfy { $0.release == 2 } == true)
    }

    @Test("behind two gateways it goes to its end, and back from each of its steps, and nothing is lost")
    func goesBack() async throws {
      let site = try await Self.site(
        "e2e-canary", "steps: [{ users: 10%, approve: true }, { users: 50%, approve: true }]", gateways: ["g1", "g2"])
      let load = try Self.load(site, gateways: ["g1", "g2"], rate: Place.isFull ? 1_500 : 500)
      repeat {
        for step in 1...2 {
          var output = try await site.apply("--force")
          for _ in 1..<step { output = try await site.sluice("rollout", "promote", "shop") }
          try #require(output.status == 3, "\(output.all)")
          let aborted = try await site.sluice("rollout", "abort", "shop")
          #expect(aborted.status == 0 || aborted.status == 4, "\(aborted.all)")
          let status = try await site.status().first
          #expect(status?.lastResult == "rolledBack" && status?.instances.allSatisfy { $0.release == 1 } == true)
        }
        for (version, release) in [("v2", 2), ("v1", 1)] {
          try site.service(version, Self.shop("steps: [{ users: 10%, hold: 1s }, { users: 50%, hold: 1s }]"))
          let output = try await site.apply("--force")
          #expect(output.status == 0, "\(output.all)")
          #expect(try await site.status().first?.instances.allSatisfy { $0.release == release } == true)
        }
        try site.service("v2", Self.shop("steps: [{ users: 10%, approve: true }, { users: 50%, approve: true }]"))
      } while load.recorded < (Place.isFull ? 100_000 : 1_000)
      let summary = try await load.finish()
      print("canary behind two gateways: \(summary.requests) requests, \(summary.lost) lost")
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    @Test("a release whose users meet errors is taken back by its analysis, and marked bad")
    func analysed() async throws {
      let canary = "steps: [{ users: 20%, hold: 60s }], analysis: { minRequests: 100, versusStable: { errorRatio: 1.5, confidence: 99% } }"
      let site = try await Self.site("e2e-canary", canary, gateways: ["g1", "g2"])
      try site.release("v2", fault: "error-share=20%")
      let load = try Self.load(site, gateways: ["g1", "g2"])
      let output = try await site.apply()
      #expect(output.status == 4 && output.all.contains("versusStable"), "\(output.all)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      let status = try await site.status().first
      #expect(status?.lastResult == "rolledBack" && status?.badReleases == [2])
      #expect(status?.instances.allSatisfy { $0.release == 1 } == true)
      let errors = summary.releases["v2"]?.errors ?? 0
      print("taken back after \(errors) errors of \(summary.releases["v2"]?.answered ?? 0) answers")
      #expect(errors > 0 && errors < 200)
    }

    @Test("a controller that is gone in a canary: the gateways send all users to stable by themselves, and the record goes on after")
    func controllerLost() async throws {
      let site = try await Self.site(
        "e2e-canary", "steps: [{ users: 10%, hold: 10s }], controllerLost: { after: 5s, then: stable }", gateways: ["g1", "g2"])
      let load = try Self.load(site, gateways: ["g1", "g2"])
      let run = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("the canary has its users") {
        try await site.status().first?.rollout?.waits?.contains("10% of users") ?? false
      }
      run.send(SIGKILL)
      _ = try await run.wait()
      let killed = Int64(Date().timeIntervalSince1970 * 1000)
      try await Task.sleep(for: .seconds(Place.isFull ? 600 : 12))
      let gone = Int64(Date().timeIntervalSince1970 * 1000)
      let resumed = try await site.sluice("rollout", "resume", "shop")
      #expect(resumed.status == 0 && resumed.all.contains("no controller was heard"), "\(resumed.all)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      let requests = try load.requests()
      #expect(requests.contains { $0.release == "v2" && $0.at > killed && $0.at < killed + 3_000 }, "they fell back at once")
      #expect(!requests.contains { $0.release == "v2" && $0.at > killed + 8_000 && $0.at < gone }, "they did not fall back")
      #expect(try await site.status().first?.instances.allSatisfy { $0.release == 2 } == true)
    }
  }
}
