import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Switch {
    private func site(_ name: String) async throws -> Site {
      let site = try Site(rig: try await Rig.up(name, racks: 1))
      try site.release("v1")
      try site.gateway()
      try site.service("v1", Self.shop)
      let first = try await site.apply()
      try #require(first.status == 0, "\(first.all)")
      return site
    }

    private static var shop: Site.Shop {
      var shop = Site.Shop()
      shop.replicas = 2
      return shop
    }

    /// Fifty slow requests, all sent at once.
    private func slow(_ site: Site, milliseconds: Int) throws -> Load {
      try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 50, longClients: 0, rate: 0, mix: "slow=1",
        slowMilliseconds: milliseconds, more: ["--requests", "50"])
    }

    private func quick(_ site: Site, requests: Int? = nil) throws -> Load {
      try Load(
        ["\(site.rig.address(of: "g1")):80"], in: site.directory, clients: 20, longClients: 0, rate: 200, mix: "get=80,post=20",
        more: requests.map { ["--requests", "\($0)"] } ?? [])
    }

    @Test("closing answers what is in flight and refuses the rest, by numbers that add up; queueing and releasing lose nothing")
    func closesAndQueues() async throws {
      let site = try await site("e2e-switch")
      let slow = try slow(site, milliseconds: 3000)
      try await Program.until("50 requests are in flight") { try await site.atGateway().total.inFlight == 50 }
      let closing = try site.start("switch", "close", "shop", "--wait", "--yes", "--output", "json")
      try await Program.until("it is closed") { try await site.atGateway().switch.state == "closed" }
      let later = try await quick(site, requests: 200).finish(early: false)
      let closed = try await closing.wait(.seconds(30))
      #expect(closed.status == 0, "\(closed.all)")
      let report = try #require(try JSONDecoder().decode([SwitchRow].self, from: Data(closed.out.utf8)).first).switch.since
      #expect(report.admitted == 50 && report.completed == 50 && report.cutOff + report.gone + report.failed + report.inFlight == 0)
      let answered = try await slow.finish(early: false)
      #expect(answered.requests == 50 && answered.fates["answered"] == 50, "\(answered.fates)")
      #expect(later.requests == 200 && later.fates["rejected"] == 200 && later.statuses?["503"] == 200, "\(later.fates)")
      #expect(try await site.atGateway().switch.since.refused == 200)
      for words in [["status"], ["status", "--recorded"], ["gateway", "status"]] {
        let told = try await site.start(words, state: "state").wait(.seconds(60))
        #expect(told.out.contains("SWITCH CLOSED since 2") && told.out.contains("sluice switch open shop"), "\(told.all)")
      }
      let events = try await site.sluice("events", "shop")
      #expect(events.out.contains("switch closed by") && events.out.contains("on edge/g1"), "\(events.all)")

      // Applying a manifest never reopens a closed switch; typed while an apply runs, the switch obeys.
      try site.release("v2", fault: "start-delay=2s")
      try site.service("v2", Self.shop)
      let apply = try site.start("apply", "-f", "manifests", "--yes")
      try await Program.until("the rollout runs") { try await site.status().first?.rollout?.wave != nil }
      #expect(try await site.atGateway().switch.state == "closed")
      for (verb, state) in [("open", "open"), ("close", "closed")] {
        let moved = try await site.sluice("switch", verb, "shop", "--yes")
        #expect(moved.status == 0, "\(moved.all)")
        #expect(try await site.atGateway().switch.state == state)
      }
      let applied = try await apply.wait()
      #expect(applied.status == 0, "\(applied.all)")
      #expect(applied.error.split(separator: "\n").last?.contains("warning: shop: SWITCH CLOSED") ?? false, "\(applied.all)")
      #expect(try await site.atGateway().switch.state == "closed")
      #expect(try await site.sluice("switch", "open", "shop", "--yes").status == 0)

      let load = try quick(site)
      try await Task.sleep(for: .seconds(1))
      #expect(try await site.sluice("switch", "queue", "shop", "--yes").status == 0)
      try await Task.sleep(for: .seconds(5))
      #expect(try await site.atGateway().switch.since.waiting > 0)
      #expect(try await site.sluice("switch", "open", "shop", "--yes").status == 0)
      try await Task.sleep(for: .seconds(1))
      let summary = try await load.finish()
      #expect(summary.lost == 0 && summary.fates["answered"] == summary.requests, "\(summary.fates) \(summary.losses)")
      #expect(summary.maxGapMilliseconds > 4000)
    }

    @Test("a switch at a time moves then, once, whatever happens to the gateway before; it can be taken back, and bad times are refused")
    func movesAtATime() async throws {
      let site = try await site("e2e-at")
      // In time, with requests in flight over it.
      let load = try quick(site)
      let slow = try slow(site, milliseconds: 5000)
      try await Program.until("the slow ones are in flight") { try await site.atGateway().total.inFlight >= 50 }
      let time = Date().addingTimeInterval(2.5)
      let closed = try await site.sluice("switch", "close", "shop", "--at", Self.text(time), "--wait", "--yes", "--output", "json")
      #expect(closed.status == 0, "\(closed.all)")
      let fired = try #require(try JSONDecoder().decode([SwitchRow].self, from: Data(closed.out.utf8)).first).switch
      #expect(fired.state == "closed" && fired.since.admitted >= 50 && fired.since.admitted == fired.since.completed, "\(fired)")
      let answered = try await slow.finish(early: false)
      #expect(answered.fates["answered"] == 50, "\(answered.fates)")
      let summary = try await load.finish()
      #expect(summary.lost == 0, "\(summary.losses)")
      #expect(try await site.atGateway().switch.since.refused == summary.fates["rejected"])
      let at = Int64(time.timeIntervalSince1970 * 1000)
      for request in try load.requests() {
        if request.at < at - 500 { #expect(request.fate == "answered") }
        if request.at > at + 1000 { #expect(request.fate == "rejected") }
      }
      // Once: opened by hand it stays open.
      #expect(try await site.sluice("switch", "open", "shop", "--yes").status == 0)
      try await Task.sleep(for: .seconds(1))
      #expect(try await site.atGateway().switch.state == "open")

      // Taken back.
      let cancelled = Date().addingTimeInterval(2)
      #expect(try await site.sluice("switch", "close", "shop", "--at", Self.text(cancelled), "--yes").status == 0)
      #expect(try await site.sluice("switch", "close", "shop", "--cancel", "--yes").status == 0)
      try await Self.sleep(until: cancelled.addingTimeInterval(0.7))
      #expect(try await site.atGateway().switch.state == "open")

      // Killed before its time.
      let killed = Date().addingTimeInterval(4)
      #expect(try await site.sluice("switch", "queue", "shop", "--at", Self.text(killed), "--yes").status == 0)
      _ = try await site.rig.run(on: "g1", "pkill", "-KILL", "-x", "sluice-gateway", "-f")
      _ = try await site.rig.run(on: "g1", "systemctl", "kill", "--signal=KILL", GatewayUnit.edge)
      try await Program.until("it has switched after its restart") { (try? await site.atGateway().switch.state) == "queue" }
      #expect(Date() >= killed.addingTimeInterval(-0.1))
      #expect(try await site.sluice("switch", "open", "shop", "--yes").status == 0)

      // Down at its time.
      let missed = Date().addingTimeInterval(3)
      #expect(try await site.sluice("switch", "close", "shop", "--at", Self.text(missed), "--yes").status == 0)
      _ = try await site.rig.run(on: "g1", "systemctl", "stop", GatewayUnit.edge)
      try await Self.sleep(until: missed.addingTimeInterval(0.2))
      _ = try await site.rig.run(on: "g1", "systemctl", "start", GatewayUnit.edge)
      try await Program.until("it answers") { (try? await site.atGateway()) != nil }
      let late = try await site.atGateway().switch
      #expect(late.state == "closed" && late.pending == nil)
      #expect(try await site.sluice("switch", "open", "shop", "--yes").status == 0)

      // Refused.
      let past = try await site.sluice("switch", "close", "shop", "--at", Self.text(Date().addingTimeInterval(-5)), "--yes")
      #expect(past.status == 1 && past.error.contains("past"), "\(past.all)")
      let skewed = try await site.sluice(
        "switch", "close", "shop", "--at", Self.text(Date().addingTimeInterval(60)), "--yes",
        environment: ["LD_PRELOAD": try await Self.shiftedClock(in: site.directory)])
      #expect(skewed.status == 1 && skewed.error.contains("more than 500"), "\(skewed.all)")
      #expect(try await site.atGateway().switch.pending == nil)
      #expect(try await site.atGateway().switch.state == "open")
    }

    private static func text(_ date: Date) -> String {
      let formatter = ISO8601DateFormatter()
      formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
      return formatter.string(from: date)
    }

    private static func sleep(until date: Date) async throws {
      try await Task.sleep(for: .milliseconds(Int64(max(0, date.timeIntervalSinceNow * 1000))))
    }

    /// A library that shows whoever loads it a clock two seconds ahead: all namespaces of a machine share its clock.
    private static func shiftedClock(in directory: String) async throws -> String {
      let source = "\(directory)/clock.c"
      try """
      #define _GNU_SOURCE
      #include <time.h>
      #include <unistd.h>
      #include <sys/syscall.h>
      int clock_gettime(clockid_t clock, struct timespec *now) {
        int result = (int)syscall(SYS_clock_gettime, clock, now);
        if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += 2;
        return result;
      }
      """.write(toFile: source, atomically: true, encoding: .utf8)
      let library = "\(directory)/clock.so"
      let built = try await Program.run(["clang", "-shared", "-fPIC", "-o", library, source])
      guard built.status == 0 else { throw ProgramError("clang: \(built.all)") }
      return library
    }
  }
}

/// The part of `sluice switch --output json` that tests read.
struct SwitchRow: Codable {
  var gateway: String
  var `switch`: GatewayService.Switch
}

/// The part of `sluice gateway status --output json` that tests read.
struct GatewayRow: Codable {
  struct Gateway: Codable {
    var boot: String
    var version: String
    var pid: Int
    var draining: Bool
    var degraded: String?
    var services: [GatewayService]
  }
  var gateway: String
  var status: Gateway?
  var error: String?
}

/// One service at a gateway.
struct GatewayService: Codable {
  struct Counts: Codable {
    var admitted: Int
    var completed: Int
    var failed: Int
    var cutOff: Int
    var gone: Int
    var inFlight: Int
    var refused: Int
    var waiting: Int
  }
  struct Pending: Codable {
    var state: String
    var at: Int64
  }
  struct Switch: Codable {
    var state: String
    var pending: Pending?
    var since: Counts
  }
  struct Target: Codable, Hashable {
    struct Instance: Codable, Hashable {
      var number: Int
    }
    var instance: Instance
    var release: Int
    var address: String
    var port: Int
    var state: String
    var health: String
  }
  struct Age: Codable, Hashable, Comparable {
    var epoch: UInt64
    var version: UInt64

    static func < (left: Age, right: Age) -> Bool { (left.epoch, left.version) < (right.epoch, right.version) }
  }
  var service: String
  var revision: Age?
  var `switch`: Switch
  var total: Counts
  var targets: [Target]
}

extension Site {
  /// What the gateways say of themselves; those that do not answer as well.
  func gateways(_ name: String? = nil) async throws -> [GatewayRow] {
    let output =
      if let name {
        try await sluice("gateway", "status", name, "--output", "json")
      } else {
        try await sluice("gateway", "status", "--output", "json")
      }
    guard let rows = try? JSONDecoder().decode([GatewayRow].self, from: Data(output.out.utf8)) else {
      throw ProgramError("gateway status: \(output.all)")
    }
    return rows
  }

  /// What one gateway says of the shop.
  func atGateway(_ name: String = "g1") async throws -> GatewayService {
    let row = try await gateways(name).first
    guard let service = row?.status?.services.first(where: { $0.service == "shop" }) else {
      throw ProgramError("gateway \(name) has no shop: \(row?.error ?? "")")
    }
    return service
  }
}
