import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Held {
    @Test("a second apply is told who runs the first and since when, and another terminal pauses, resumes and aborts it")
    func otherTerminal() async throws {
      let rig = try await Rig.up("e2e-held", racks: 3, hosts: 1)
      let (site, shop) = try await Self.site(rig)
      let load = try Self.load(rig, site)
      try site.service("v2", shop)

      let apply = try site.start("apply", "-f", "manifests", "--yes")
      try await Self.wave(2, apply)
      let second = try await site.apply()
      #expect(second.status == 75, "\(second.all)")
      #expect(second.error.contains("sluice apply, pid \(apply.pid)"), "\(second.error)")
      #expect(second.error.contains(", since 2"), "\(second.error)")
      let driven = try await site.sluice("status", "shop")
      #expect(driven.out.contains("driven by: ") && driven.out.contains("sluice apply, pid \(apply.pid), since 2"), "\(driven.all)")

      // A pause holds after the wave: the apply ends there and says so; a resume from anywhere goes on.
      let pause = try await site.sluice("rollout", "pause", "shop")
      #expect(pause.status == 0, "\(pause.all)")
      let paused = try await apply.wait()
      #expect(paused.status == 3 && paused.error.contains("paused by"), "\(paused.all)")
      #expect(paused.error.contains("sluice rollout resume shop"), "\(paused.error)")
      let left = try await site.sluice("status", "shop")
      #expect(left.out.contains("driven by: nobody on this machine; next: sluice rollout resume shop"), "\(left.all)")
      #expect(left.out.hasPrefix("shop: apply to @2, paused by "), "\(left.all)")
      let resume = try site.start("rollout", "resume", "shop")
      try await Self.wave(3, resume)

      // What makes no sense to the running one is refused, and it goes on.
      let retry = try await site.sluice("rollout", "retry", "shop")
      #expect(retry.status == 1 && retry.error.contains("the rollout of shop has not failed"), "\(retry.all)")
      #expect(resume.isRunning, "\(resume.error)")
      let abort = try await site.sluice("rollout", "abort", "shop")
      #expect(abort.status == 0, "\(abort.all)")
      let aborted = try await resume.wait()
      #expect(aborted.status == 4, "\(aborted.all)")
      let problems = try await site.disorder(release: 1, replicas: 3, on: ["a1", "b1", "c1"])
      #expect(problems.isEmpty, "\(problems)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect((summary.releases["v2"]?.answered ?? 0) > 0)
    }

    @Test("another machine is refused while the first acts, takes over from a dead one when told to; a live one that lost its fence stops")
    func otherMachine() async throws {
      let rig = try await Rig.up("e2e-fence", racks: 3, hosts: 1)
      let (site, shop) = try await Self.site(rig)
      let load = try Self.load(rig, site)
      let again = ["apply", "-f", "manifests", "--yes"]

      try site.service("v2", shop)
      let first = try site.start("apply", "-f", "manifests", "--yes")
      try await Self.wave(2, first)
      let refused = try await site.start(again, state: "other", laptop: "attic").wait()
      #expect(refused.status == 75 && refused.error.contains("shop is held by"), "\(refused.all)")
      #expect(refused.error.contains("since 2"), "\(refused.error)")
      // The same machine with another state directory is another controller too.
      let sibling = try await site.start(again, state: "sibling").wait()
      #expect(sibling.status == 75 && sibling.error.contains("shop is held by"), "\(sibling.all)")
      let ended = try await first.wait()
      #expect(ended.status == 0, "\(ended.all)")

      // After a clean end anyone may go on, and finds what the other has done.
      let taken = try await site.start(again, state: "other", laptop: "attic").wait()
      #expect(taken.status == 0 && taken.error.contains("nothing to do"), "\(taken.all)")

      // A dead one is taken over when that is said.
      try site.service("v1", shop)
      let killed = try site.start("apply", "-f", "manifests", "--yes", environment: ["SLUICE_TEST_KILL_AT": "12:sent"])
      let killedOutput = try await killed.wait()
      #expect(killedOutput.status == 128 + SIGKILL)
      let unasked = try await site.start(["rollout", "resume", "shop"], state: "other", laptop: "attic").wait()
      #expect(unasked.status == 75 && unasked.error.contains("--take-over"), "\(unasked.all)")
      let goesOn = try await site.start(["rollout", "resume", "shop", "--take-over"], state: "other", laptop: "attic").wait()
      #expect(goesOn.status == 0, "\(goesOn.all)")
      var problems = try await site.disorder(release: 1, replicas: 3, on: ["a1", "b1", "c1"], state: "other")
      #expect(problems.isEmpty, "\(problems)")

      // A live one that is taken over has no further effect and says so.
      try site.service("v2", shop)
      let loser = try site.start("apply", "-f", "manifests", "--yes")
      try await Self.wave(2, loser)
      let winner = try await site.start(["rollout", "resume", "shop", "--take-over"], state: "other", laptop: "attic").wait()
      #expect(winner.status == 0, "\(winner.all)")
      let lost = try await loser.wait()
      #expect(lost.status == 75 && lost.error.contains("shop was taken over by"), "\(lost.all)")
      problems = try await site.disorder(release: 2, replicas: 3, on: ["a1", "b1", "c1"], state: "other")
      #expect(problems.isEmpty, "\(problems)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
    }

    private static func site(_ rig: Rig) async throws -> (Site, Site.Shop) {
      let site = try Site(rig: rig)
      for version in ["v1", "v2"] { try site.release(version) }
      try site.gateway()
      var shop = Site.Shop()
      shop.replicas = 3
      shop.minHealthyTime = "4s"
      try site.service("v1", shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      return (site, shop)
    }

    private static func load(_ rig: Rig, _ site: Site) throws -> Load {
      try Load(["\(rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 6, rate: 200, slowMilliseconds: 1000)
    }

    /// Waits until the program, which is not to end before, says that it is in that wave.
    private static func wave(_ number: Int, _ program: Program) async throws {
      try await Program.until("wave \(number)", .seconds(60)) {
        try #require(program.isRunning, "\(program.error)")
        return program.error.contains("wave \(number): ")
      }
    }
  }
}
