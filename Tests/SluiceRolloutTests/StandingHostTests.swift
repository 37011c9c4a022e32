import SluiceModel
import Testing

@testable import SluiceRollout

/// What was there before a rollout, and hosts that go, come back, or are full: none of it speaks against the release.
@Suite struct StandingHostTests {
  /// A service with an instance on each of three hosts, of which the last is gone since.
  private func withDeadHost(_ change: (inout ServicePolicy) -> Void = { _ in }) throws -> (bench: Bench, dead: HostName) {
    let bench = try Bench.released(Bench.policy(change), hostsPerRack: 2)
    return (bench, try #require(bench.record.instances.last?.host))
  }

  /// A controller takes the fence, and finds that host gone.
  private func take(_ bench: inout Bench, without dead: HostName) {
    bench.take(epoch: (bench.record.fence?.epoch ?? 0) + 1)
    for host in bench.view.fleet.hosts where host.slots > 0 && host.name != dead { bench.say(bench.fact(host.name)) }
    for instance in bench.record.instances where instance.host == dead { bench.unhealthy.insert(instance.number) }
  }

  @Test func `where a copy is from before a place was given on, what had it is not started again beside its successor`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 1), racks: 1)
    let instance = try #require(bench.record.instances.first)
    let newer = InstanceFact(number: 4, port: instance.port, running: true)
    try bench.takeOver(
      epoch: 9,
      [
        .host(HostFact(host: instance.host, generation: 99, instances: [newer], releases: [Digest("digest-1")])),
        .gateway(bench.fact(GatewayID(gateway: "edge", host: "g1"))),
      ], then: .settle(cause: "settle", overrideFloor: false))
    #expect(!bench.sent.contains(.start(instance.host, instance: 1)))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 1 && bench.record.instance(1) == nil)
  }

  @Test(arguments: ["stop", "restart", "scale", "remove"])
  func `what an operator asks for goes on with the hosts that there are`(_ verb: String) throws {
    var (bench, dead) = try withDeadHost()
    take(&bench, without: dead)
    let command: Command.Verb =
      switch verb {
      case "stop": .stop
      case "restart": .restart(instance: nil)
      case "scale": .scale(4)
      default: .remove(successor: nil)
      }
    // It was found gone with the fence: the command is the next event of the same decision.
    let seen = try absorb(bench.record, .hostUnreachable(dead, "no route"), view: bench.view)
    bench.record = seen.record
    try bench.command(command)
    bench.run()
    #expect(bench.record.rollout == nil && !bench.kinds().contains("rollout-back"))
    let standing = bench.record.instances.filter { $0.phase != .lost }
    switch verb {
    case "stop", "remove": #expect(standing.isEmpty)
    case "restart": #expect(bench.serving.count >= 2 && standing.allSatisfy { $0.number > 3 })
    default: #expect(bench.serving.count == 4)
    }
  }

  @Test func `a release is not begun with fewer hosts than it had, unless the budget says so`() throws {
    var (bench, dead) = try withDeadHost()
    take(&bench, without: dead)
    let seen = try absorb(bench.record, .hostUnreachable(dead, "no route"), view: bench.view)
    bench.record = seen.record
    try bench.apply(2)
    bench.run()
    #expect(bench.record.stable?.release == ReleaseNumber(1) && bench.record.ended?.result != .succeeded)
  }

  @Test func `a host that comes back without its programs makes no release bad, and keeps nothing that was replaced`() throws {
    var (bench, dead) = try withDeadHost()
    take(&bench, without: dead)
    bench.tell(.hostUnreachable(dead, "no route"))
    try bench.command(.restart(instance: nil))
    bench.run()
    try #require(bench.serving.count >= 3 && bench.record.instances.contains { $0.phase == .lost })
    let lost = try #require(bench.record.instances.first { $0.phase == .lost })
    let ended = InstanceFact(number: lost.number, port: lost.port, running: false, ended: EndedFact(.unsupervised))
    for isRunning in [false, true] {
      var after = bench
      after.take(epoch: (after.record.fence?.epoch ?? 0) + 1)
      let fact = isRunning ? InstanceFact(number: lost.number, port: lost.port, running: true) : ended
      after.tell(.host(HostFact(host: dead, generation: 99, instances: [fact], releases: [Digest("digest-1")])))
      #expect(after.record.instance(lost.number)?.condemned == .stale, "its place is taken")
      try after.apply(2)
      after.run()
      #expect(after.record.ended?.result == .succeeded && after.record.stable?.release == ReleaseNumber(2))
      #expect(after.record.instance(lost.number) == nil && after.serving.count == 3)
    }
  }

  @Test func `what fails and belongs to no wave is cleared away, and the release goes on`() throws {
    var bench = try Bench.released(Bench.policy(), hostsPerRack: 2)
    bench.record.instances[0].phase = .checking
    bench.record.instances[0].healthySince = nil
    let first = bench.record.instances[0].number
    bench.settle()
    try bench.apply(2)
    let check = try bench.attempt { if case .checkReady(_, first) = $0 { true } else { false } }
    bench.end(check, .failed(Failure(.readiness, "has ended before it was ready")))
    #expect(bench.record.rollout?.failures.isEmpty == true && bench.record.rollout?.direction.isForward == true)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.release(ReleaseNumber(2))?.status == .succeeded)
  }

  @Test func `nothing that every gateway calls well goes as if it cost nothing, whatever the record remembers`() throws {
    var bench = try Bench.released(Bench.policy { $0.strategy = .rolling(Rolling(maxUnavailable: .count(0), maxSurge: .count(1))) })
    try bench.apply(2)
    bench.run { $0.record.rollout?.wave?.stage == .recording }
    // Another machine has looked and written down that nothing serves, as far as it had heard.
    for index in bench.record.instances.indices { bench.record.instances[index].healthySince = nil }
    let applied = try absorb(
      bench.record,
      .command(
        Command(
          id: "next", by: "ben", at: WallTime(milliseconds: 0),
          verb: .apply(
            policy: bench.record.policy, digest: Digest("digest-3"),
            spec: ReleaseSpec(artifact: Digest("artifact"), run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp)),
            secrets: "", force: false))), view: bench.view)
    #expect(applied.record.instances.allSatisfy { $0.release != ReleaseNumber(1) || $0.condemned == nil })
    bench.record = applied.record
    var fewest = 3
    bench.settle()
    bench.run {
      if $0.record.isRolling { fewest = min(fewest, $0.serving.count) }
      return false
    }
    #expect(fewest == 3 && bench.record.stable?.release == ReleaseNumber(3))
  }

  @Test func `slots of services that nobody here knows are taken, and a host that says it is full is believed`() throws {
    var bench = try Bench.released(Bench.policy(replicas: 2), hostsPerRack: 2, slots: 2)
    let full = try #require(bench.record.instances.first?.host)
    let own = bench.record.instances.filter { $0.host == full }.map { InstanceFact(number: $0.number, port: $0.port, running: true) }
    bench.tell(.host(HostFact(host: full, generation: 50, instances: own, releases: [Digest("digest-1")], held: [30_001])))
    #expect(bench.record.host(full)?.strangers == 1)
    try bench.apply(2)
    bench.run { !$0.record.isRolling || $0.record.instances.contains { $0.release == ReleaseNumber(2) } }
    #expect(!bench.record.instances.contains { $0.host == full && $0.release == ReleaseNumber(2) && $0.phase == .reserved })
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 2)

    // And one that was free when it was chosen.
    try bench.apply(3)
    bench.run { $0.open.contains { if case .start = $0.action { true } else { false } } }
    let start = try bench.attempt { if case .start = $0 { true } else { false } }
    let host = try #require(start.action.host)
    bench.end(start, .failed(Failure(.slotsTaken, "all 2 slots of this host are taken")))
    #expect(bench.record.rollout?.failures.isEmpty == true && bench.kinds().contains("slots-taken"))
    #expect(bench.record.host(host)?.needsLook == true)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 2)
  }
}

extension Bench {
  fileprivate mutating func say(_ fact: HostFact) { tell(.host(fact)) }
}
