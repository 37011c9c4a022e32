import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  /// What each side's users meet when its targets fail.
  @Suite(.timeLimit(.minutes(3))) struct SpillTests {
    static let canaryUser = (0...).lazy.map { "user-\($0)" }.first { TestGateway.side($0, share: 5_000) == .canary }!
    static let stableUser = (0...).lazy.map { "user-\($0)" }.first { TestGateway.side($0, share: 5_000) == .stable }!

    @Test func `a canary without a healthy target is answered from stable, and that counts against it`() async throws {
      try await withGateway(upstreams: 3) { gateway, upstreams in
        try await gateway.serve(
          TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1], upstreams[2]], share: 5_000, window: .minutes(60)))
        let client = try await gateway.client()
        for _ in 0..<4 { #expect(try await client.ask(SpillTests.canaryUser).body != "u1") }
        // Both fail together: for a route without a split that would be panic.
        upstreams[1].setHealthy(false)
        upstreams[2].setHealthy(false)
        try await gateway.until("unhealthy") { $0.targets[1...].allSatisfy { $0.health == .unhealthy } && !$0.panicking }
        for _ in 0..<3 { #expect(try await client.ask(SpillTests.canaryUser).body == "u1") }
        for _ in 0..<5 { #expect(try await client.ask(SpillTests.stableUser).body == "u1") }
        await client.close()
        let report = try await gateway.traffic(1) { $0.canary.requests == 7 && $0.stable.requests == 5 }
        #expect(report.canary.failures == 3 && report.canary.spilled == 3)
        #expect(report.canary.exposures == 1 && report.canary.failedExposures == 1)
        #expect(report.stable.failures == 0 && report.stable.spilled == 0 && report.stable.exposures == 1)
        #expect(report.canary.latency.total == 7 && report.stable.latency.total == 5)
      }
    }

    @Test func `stable never spills to the canary`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        try await gateway.serve(TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 5_000))
        upstreams[0].setHealthy(false)
        try await gateway.until("unhealthy") { $0.targets[0].health == .unhealthy }
        let client = try await gateway.client()
        for _ in 0..<5 {
          #expect(try await client.ask(SpillTests.stableUser).status == 503)
          #expect(try await client.ask(SpillTests.canaryUser).body == "u2")
        }
        await client.close()
        let report = try await gateway.traffic(1) { $0.canary.requests == 5 }
        #expect(report.canary.failures == 0 && report.stable.requests == 0)
        #expect(try await gateway.status().total.unserved == 5)
      }
    }

    @Test func `the stable side panics by itself, whatever the canary does`() async throws {
      try await withGateway(upstreams: 3) { gateway, upstreams in
        try await gateway.serve(
          TestGateway.split(1, stable: [upstreams[0], upstreams[1]], canary: [upstreams[2]], share: 5_000))
        upstreams[0].setHealthy(false)
        upstreams[1].setHealthy(false)
        try await gateway.until("panic") { $0.panicking }
        let client = try await gateway.client()
        for _ in 0..<4 { #expect(try await client.ask(SpillTests.stableUser).body != "u3") }
        for _ in 0..<4 { #expect(try await client.ask(SpillTests.canaryUser).body == "u3") }
        await client.close()
      }
    }

    @Test func `a canary target that refuses connections costs its users nothing and the canary a failure each`() async throws {
      try await withGateway(upstreams: 2) { gateway, upstreams in
        var table = TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 5_000)
        table.probe.fall = 1_000
        try await gateway.serve(table)
        try await upstreams[1].stop()
        let client = try await gateway.client()
        for _ in 0..<6 { #expect(try await client.ask(SpillTests.canaryUser).body == "u1") }
        // A stable target that refuses them is another matter.
        try await upstreams[0].stop()
        #expect(try await client.ask(SpillTests.stableUser).status == 502)
        #expect(try await client.ask(SpillTests.canaryUser).status == 502)
        await client.close()
        let report = try await gateway.traffic(1) { $0.canary.requests == 7 && $0.stable.requests == 1 }
        #expect(report.canary.spilled == 7 && report.canary.failures == 7)
        #expect(report.stable.failures == 1)
      }
    }

    @Test func `when several canary targets refuse connections, the last try is the stable side's`() async throws {
      try await withGateway(upstreams: 5) { gateway, upstreams in
        var table = TestGateway.split(1, stable: [upstreams[0]], canary: Array(upstreams[1...]), share: 5_000)
        table.probe.fall = 1_000
        try await gateway.serve(table)
        for upstream in upstreams[1...] { try await upstream.stop() }
        let client = try await gateway.client()
        for _ in 0..<6 { #expect(try await client.ask(SpillTests.canaryUser).body == "u1") }
        await client.close()
        let report = try await gateway.traffic(1) { $0.canary.requests == 6 }
        #expect(report.canary.spilled == 6)
        #expect(try await gateway.status().targets.allSatisfy { $0.inFlight == 0 })
      }
    }

    @Test func `a retry of a canary's request stays in the canary while another target is there`() async throws {
      try await withGateway(upstreams: 3) { gateway, upstreams in
        var table = TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1], upstreams[2]], share: 5_000)
        table.probe.fall = 1_000
        try await gateway.serve(table)
        try await upstreams[1].stop()
        let client = try await gateway.client()
        for _ in 0..<10 { #expect(try await client.ask(SpillTests.canaryUser).body == "u3") }
        await client.close()
        let report = try await gateway.traffic(1) { $0.canary.requests == 10 }
        #expect(report.canary.spilled == 0 && report.canary.failures == 0)
      }
    }
  }
}
