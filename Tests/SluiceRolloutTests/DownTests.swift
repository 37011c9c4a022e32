import SluiceModel
import Testing

@testable import SluiceRollout

/// What is down and does not come up by itself is not as asked: whoever types a command finds it and has it replaced.
@Suite struct DownTests {
  private static let commands: [(String, Command.Verb)] = [
    ("start", .start), ("scale", .scale(3)), ("restart", .restart(instance: 3)), ("drain", .settle(cause: "drain", overrideFloor: false)),
  ]

  @Test func `an apply of what stands replaces the instances whose programs have ended`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.end(1, 2)
    #expect(bench.record.instances.map { $0.down?.end?.exitStatus } == [1, 1, nil])
    try bench.apply(1)
    #expect(bench.record.rollout?.goal.renew == [1, 2])
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.ended?.number == 2)
    #expect(bench.serving == [3, 4, 5])
    #expect(bench.sent.filter(isStart).count == 2 && bench.sent.filter(isStop).count == 2)
  }

  @Test(arguments: commands.indices)
  func `start, scale, restart and drain find it too`(_ index: Int) throws {
    var bench = try Bench.released(Bench.policy())
    bench.end(1)
    try bench.command(Self.commands[index].1)
    bench.run()
    #expect(bench.record.rollout == nil && bench.record.ended?.result == .succeeded, "\(Self.commands[index].0)")
    #expect(bench.serving.count == 3 && !bench.serving.contains(1))
  }

  @Test func `one that is about to be started again is left to its supervisor, and is well once it is up`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.end(1, isTriedAgain: true)
    try bench.apply(1)
    #expect(bench.record.rollout == nil)
    #expect(
      bench.record.notAsAsked(in: bench.view.fleet) == [
        "shop/1 on a1 is down, its program has ended with exit status 1; it is about to be started again"
      ])
    (bench.unhealthy, bench.ended) = ([], [:])
    bench.tell(.gateway(bench.fact(GatewayID(gateway: "edge", host: "g1"))))
    #expect(bench.serving == [1, 2, 3] && bench.record.instances.allSatisfy { $0.down == nil })
    #expect(bench.record.notAsAsked(in: bench.view.fleet).isEmpty)
  }

  @Test func `one that a gateway calls healthy is left, whatever its host says of its supervisor`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.ended[1] = Downtime(isTriedAgain: false, end: EndedFact(.unsupervised))
    bench.takeAgain()
    try bench.apply(1)
    #expect(bench.record.rollout == nil && bench.serving == [1, 2, 3])
  }

  @Test func `without a route the host's word is enough`() throws {
    var bench = try Bench.released(Bench.policy { $0.route = nil }, gateways: 0)
    bench.end(2, cause: .unitRemoved)
    #expect(bench.serving == [1, 3])
    try bench.apply(1)
    bench.run()
    #expect(bench.record.ended?.number == 2 && bench.record.ended?.result == .succeeded && bench.serving == [1, 3, 4])
  }

  @Test func `one that has vanished from its host is not as asked before it serves again`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.take(epoch: 2)
    bench.unhealthy = [1]
    var fact = bench.fact(HostName("a1"))
    fact.instances = []
    bench.tell(.host(fact))
    try bench.apply(1)
    #expect(bench.record.rollout?.cause == "apply", "it waits for what comes up in its place")
    bench.unhealthy = []
    bench.run()
    #expect(bench.record.ended?.number == 2 && bench.record.ended?.result == .succeeded && bench.serving == [1, 2, 3])
  }

  @Test func `where it cannot be replaced it stops and asks, and a retry tries again`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.end(1, 2, 3)
    try bench.apply(1)
    bench.run { $0.open.contains { isCheck($0.action) } }
    let check = try bench.attempt(isCheck)
    bench.end(check, .failed(Failure(.start, "it ends at once")))
    bench.run()
    guard case .failed? = bench.record.rollout?.gate else {
      Issue.record("it waits at \(String(describing: bench.record.rollout?.gate))")
      return
    }
    #expect(bench.record.release(ReleaseNumber(1))?.status == .succeeded, "it is no fault of the release that stands")
    try bench.command(.retry)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.serving.count == 3)
  }

  @Test func `a new one whose program ends for good fails its wave at once`() throws {
    var bench = try Bench.released(Bench.policy { $0.minHealthyTime = .minutes(1) })
    try bench.apply(2)
    bench.run { $0.record.instance(4)?.phase == .serving }
    let began = bench.record.activeTime
    bench.unhealthy = [4]
    bench.ended[4] = Downtime(isTriedAgain: false, end: EndedFact(.exited, exitStatus: 7))
    bench.tell(.gateway(bench.fact(GatewayID(gateway: "edge", host: "g1"))))
    bench.run { $0.record.rollout?.direction.isForward == false }
    #expect(bench.record.activeTime - began < .minutes(1))
    #expect(bench.record.badReleases.map(\.why) == ["its program has ended with exit status 7"])
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack && bench.serving == [1, 2, 3])
  }

  @Test func `a start of what was scaled to nothing brings the manifest's number`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.command(.scale(0))
    bench.run()
    #expect(bench.record.instances.isEmpty)
    try bench.command(.start)
    bench.run()
    #expect(bench.serving.count == 3 && bench.record.scale == nil)
    try bench.apply(1) { $0.replicas = 0 }
    bench.run()
    #expect(throws: Refusal.self) { try bench.command(.start) }
  }

  @Test func `instances outside a changed range of ports are told, until they are replaced`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(1) { $0.ports = PortRange(from: 21_000, to: 21_999) }
    #expect(bench.record.rollout == nil)
    let told = bench.record.notAsAsked(in: bench.view.fleet)
    #expect(told == ["shop/1, shop/2, shop/3 keep port 20000, outside ports 21000–21999, until replaced: sluice restart shop"])
    try bench.command(.restart(instance: nil))
    bench.run()
    #expect(bench.record.notAsAsked(in: bench.view.fleet).isEmpty && bench.record.instances.allSatisfy { $0.port >= 21_000 })
  }
}
