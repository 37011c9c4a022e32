import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

/// What `plan` shows for a dozen situations, as text. `SLUICE_WRITE_GOLDEN=1 swift test --filter Rehearsal` writes the files anew.
@Suite struct RehearsalTests {
  struct Situation: Sendable, CustomTestStringConvertible {
    var name: String
    var policy: ServicePolicy
    var racks = 3
    var perRack = 1
    var slots = 3
    var verb: @Sendable (ServicePolicy) -> Command.Verb
    var change: @Sendable (inout Engine) -> Void = { _ in }
    /// Whether release 1 stands already.
    var stands = true

    var testDescription: String { name }
  }

  static let situations: [Situation] = [
    Situation(name: "first release", policy: policy(3), verb: { apply(1, $0) }, stands: false),
    Situation(name: "nothing to do", policy: policy(3), verb: { apply(1, $0) }),
    Situation(name: "rolling, one more at a time", policy: policy(3), verb: { apply(2, $0) }),
    Situation(
      name: "rolling, two fewer at a time", policy: policy(6, .rolling(Rolling(maxUnavailable: .count(2), maxSurge: .count(0)))),
      verb: { apply(2, $0) }),
    Situation(
      name: "rolling by shares",
      policy: policy(8, .rolling(Rolling(maxUnavailable: .share(BasisPoints(2_500)), maxSurge: .share(BasisPoints(2_500))))),
      perRack: 2, verb: { apply(2, $0) }),
    Situation(
      name: "rack by rack", policy: policy(6, .rolling(Rolling(maxUnavailable: .count(0), maxSurge: .count(2), rackOrder: true))),
      perRack: 2,
      verb: { apply(2, $0) }),
    Situation(name: "recreate", policy: policy(2, .recreate(Recreate())), verb: { apply(2, $0) }),
    Situation(name: "scale up", policy: policy(3), verb: { _ in .scale(5) }),
    Situation(name: "scale down", policy: policy(3), verb: { _ in .scale(1) }),
    Situation(name: "restart", policy: policy(2), verb: { _ in .restart(instance: nil) }),
    Situation(name: "stop", policy: policy(2), verb: { _ in .stop }),
    Situation(
      name: "drain a host", policy: policy(3), verb: { _ in .settle(cause: "drain a1", overrideFloor: false) },
      change: { $0.cordons = ["a1"] }),
    Situation(name: "no free slot", policy: policy(3), slots: 1, verb: { apply(2, $0) }),
    Situation(
      name: "a rack-loss floor that cannot be kept",
      policy: policy(3, .rolling(Rolling(maxUnavailable: .count(1), maxSurge: .count(0), rackLossFloor: .count(2)))), slots: 2,
      verb: { apply(2, $0) }),
  ]

  static func policy(_ replicas: Int, _ strategy: Strategy = .rolling(Rolling())) -> ServicePolicy {
    ServicePolicy(
      name: "shop", fleet: "test", replicas: replicas, minHealthyTime: .seconds(1), route: Route(gateway: "edge"), strategy: strategy)
  }

  static func apply(_ release: Int, _ policy: ServicePolicy) -> Command.Verb {
    let spec = ReleaseSpec(artifact: Digest("artifact"), run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp))
    return .apply(policy: policy, digest: Digest("digest-\(release)"), spec: spec, secrets: "", force: false)
  }

  static func command(_ verb: Command.Verb, id: String = "plan") -> Command {
    Command(id: id, by: "anna", at: WallTime(milliseconds: 0), verb: verb)
  }

  static func engine(_ situation: Situation) throws -> Engine {
    var racks: [Rack] = []
    for (index, letter) in ["a", "b", "c"].prefix(situation.racks).enumerated() {
      let rack = RackName("rack-\(letter)")
      racks.append(
        Rack(
          name: rack,
          hosts: (1...situation.perRack).map {
            Host(name: HostName("\(letter)\($0)"), rack: rack, address: "10.0.\(index + 1).\($0)", slots: situation.slots)
          }))
    }
    racks.append(Rack(name: "edge", hosts: [Host(name: "g1", rack: "edge", address: "10.0.9.1", slots: 0)]))
    let gateway = Gateway(name: "edge", fleet: "test", hosts: ["g1"], listen: [ListenAddress(address: "10.0.9.1", port: 80)])
    var record = ServiceRecord(policy: situation.policy)
    let fleet = Fleet(name: "test", racks: racks)
    if situation.stands {
      var engine = Engine(fleet: fleet, gateways: [gateway], records: [record], cordons: [])
      record = try World.run(&engine, command(apply(1, situation.policy), id: "before"))
    }
    return Engine(fleet: fleet, gateways: [gateway], records: [record], cordons: [])
  }

  @Test(arguments: situations)
  func `a plan reads as its golden file`(_ situation: Situation) throws {
    var engine = try RehearsalTests.engine(situation)
    situation.change(&engine)
    var rehearsal = Rehearsal(engine: engine, service: "shop")
    let text = PlanText.render(try rehearsal.run(RehearsalTests.command(situation.verb(situation.policy))))
    let name = situation.name.replacing(",", with: "").replacing(" ", with: "-")
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name).txt")
    if ProcessInfo.processInfo.environment["SLUICE_WRITE_GOLDEN"] != nil {
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    let golden = try String(contentsOf: file, encoding: .utf8)
    #expect(text == golden)
  }

  @Test func `a plan is refused as the command would be`() throws {
    let situation = Situation(name: "", policy: RehearsalTests.policy(1), verb: { _ in .stop })
    var rehearsal = Rehearsal(engine: try RehearsalTests.engine(situation), service: "shop")
    #expect(throws: Refusal.self) { try rehearsal.run(RehearsalTests.command(.rollback(to: nil))) }
  }
}

/// A world in which everything works at once, to bring a record where a test wants it.
enum World {
  static func run(_ engine: inout Engine, _ command: Command) throws -> ServiceRecord {
    let service: ServiceName = "shop"
    var events: [Engine.Event] = [.acquired(service, Fence(owner: "test", epoch: 1)), .input(service, .command(command))]
    var open: [Attempt] = []
    var time = Milliseconds.zero
    for _ in 0..<5_000 {
      var wake: Milliseconds?
      var rests = false
      for effect in engine.handle(events, now: time, wall: WallTime(milliseconds: 0)) {
        switch effect {
        case .dispatch(_, let attempt): open.append(attempt)
        case .wake(let after): wake = time + after
        case .rest: rests = true
        default: break
        }
      }
      if rests { break }
      if !open.isEmpty {
        let attempt = open.removeFirst()
        var result = AttemptResult.succeeded(.nothing)
        if case .setTable(let id, let revision) = attempt.action {
          let targets = (engine.record(service)?.table.content?.targets ?? []).map { TargetFact(instance: $0.instance, healthy: true) }
          result = .succeeded(.gateway(GatewayFact(gateway: id, revision: revision, targets: targets)))
        }
        events = [.input(service, .outcome(attempt: attempt.id, result))]
      } else if let wake {
        time = wake
        events = [.tick]
      } else {
        break
      }
    }
    return try #require(engine.record(service))
  }
}

/// A plan as text.
enum PlanText {
  static func render(_ plan: Rehearsal.Plan) -> String {
    var lines = ["\(plan.service): \(plan.changes ? "changes" : "nothing to do"), floor \(plan.floor), cap \(plan.cap)"]
    if !plan.staged.isEmpty { lines.append("files to \(plan.staged.map(\.rawValue).joined(separator: " "))") }
    for wave in plan.waves {
      lines.append("wave \(wave.number): \(wave.text)")
      lines.append(
        "  serving at least \(wave.leastServing), existing at most \(wave.mostExisting), after the worst rack \(wave.leastAfterRackLoss)")
    }
    if let obstacle = plan.obstacle { lines.append("stops: \(obstacle.message); \(obstacle.remedy)") }
    if let end = plan.end { lines.append("ends \(end.rawValue)") }
    lines += plan.actions.map { "  \($0.description(service: plan.service))" }
    return lines.joined(separator: "\n") + "\n"
  }
}
