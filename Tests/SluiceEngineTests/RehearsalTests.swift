import Foundation
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceEngine

/// What `sluice plan` prints for each situation, as text and as JSON. `SLUICE_WRITE_GOLDEN=1 swift test --filter Rehearsal` writes the files anew.
@Suite struct RehearsalTests {
  static let golden = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

  static func command(_ verb: Command.Verb, id: String = "plan") -> Command {
    Command(id: id, by: "anna", at: WallTime(milliseconds: 0), verb: verb)
  }

  static func engine(_ situation: Situation) throws -> Engine {
    var racks: [Rack] = []
    for ((index, letter), count) in zip(["a", "b", "c"].enumerated(), situation.racks) {
      let rack = RackName("rack-\(letter)")
      let hosts = (1...count).map { number in
        let name = HostName("\(letter)\(number)")
        return Host(
          name: name, rack: rack, address: "10.0.\(index + 1).\(number)", slots: situation.slots, labels: situation.labels[name] ?? [:])
      }
      racks.append(Rack(name: rack, hosts: hosts))
    }
    racks.append(Rack(name: "edge", hosts: [Host(name: "g1", rack: "edge", address: "10.0.9.1", slots: 0)]))
    let gateway = Gateway(name: "edge", fleet: "test", hosts: ["g1"], listen: [ListenAddress(address: "10.0.9.1", port: 80)])
    var engine = Engine(
      fleet: Fleet(name: "test", racks: racks), gateways: [gateway], records: [ServiceRecord(policy: situation.policy)], cordons: [])
    for (index, verb) in situation.before.enumerated() { _ = try World.run(&engine, command(verb, id: "before-\(index)")) }
    if let begun = situation.begun {
      let record = try World.run(&engine, command(begun.verb, id: "begun"), events: begun.events)
      #expect(record.rollout != nil, "it is to be under way")
    }
    var fresh = Engine(fleet: engine.fleet, gateways: engine.gateways, records: engine.records, cordons: [])
    situation.change(&fresh)
    return fresh
  }

  @Test(arguments: Situation.all)
  func `a plan reads as its golden files`(_ situation: Situation) throws {
    var rehearsal = Rehearsal(engine: try RehearsalTests.engine(situation), service: "shop", past: PastWaves(situation.past))
    var text: String
    var json = ""
    do {
      let plan = try rehearsal.run(RehearsalTests.command(situation.verb))
      text = PlanText(plan).lines.joined(separator: "\n")
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      json = String(decoding: try encoder.encode(PlanReport(plan)), as: UTF8.self)
    } catch let refusal as Refusal {
      text = "refused: \(refusal.message); \(refusal.remedy)"
    }
    let name = situation.name.replacing(",", with: "").replacing(" ", with: "-")
    for (content, ending) in [(text, "txt"), (json, "json")] where !content.isEmpty {
      let file = RehearsalTests.golden.appending(path: "\(name).\(ending)")
      if ProcessInfo.processInfo.environment["SLUICE_WRITE_GOLDEN"] != nil {
        try FileManager.default.createDirectory(at: RehearsalTests.golden, withIntermediateDirectories: true)
        try (content + "\n").write(to: file, atomically: true, encoding: .utf8)
      }
      #expect(try String(contentsOf: file, encoding: .utf8) == content + "\n")
    }
  }

  @Test func `plans that are made side by side are those made one after the other, in their order`() async throws {
    let rehearsals = try Situation.all.map { situation in
      (Rehearsal(engine: try RehearsalTests.engine(situation), service: "shop"), RehearsalTests.command(situation.verb))
    }
    let alone = rehearsals.map { rehearsal, command in
      var rehearsal = rehearsal
      return Result { () throws(Refusal) in try rehearsal.run(command) }
    }
    #expect(await Rehearsal.run(rehearsals) == alone)
    #expect(Set(alone).count > alone.count / 2, "plans that are all alike have no order to be seen")
  }

  @Test func `every golden file is a situation's, and no secret is in one`() throws {
    let names = Set(Situation.all.map { $0.name.replacing(",", with: "").replacing(" ", with: "-") })
    #expect(names.count == Situation.all.count && names.count >= 30)
    let files = try FileManager.default.contentsOfDirectory(at: RehearsalTests.golden, includingPropertiesForKeys: nil)
    for file in files {
      #expect(names.contains(file.deletingPathExtension().lastPathComponent))
      #expect(!(try String(contentsOf: file, encoding: .utf8).contains("hush")))
    }
  }
}

/// A world in which everything works at once, to bring a record where a test wants it.
enum World {
  /// At most so many events.
  static func run(_ engine: inout Engine, _ command: Command, events limit: Int = 5_000) throws -> ServiceRecord {
    let service: ServiceName = "shop"
    let epoch = (engine.record(service)?.fence?.epoch ?? 0) + 1
    var events: [Engine.Event] = [.acquired(service, Fence(owner: "test", epoch: epoch))]
    // Whoever takes the fence hears of the gateways what they know.
    for state in engine.record(service)?.gateways ?? [] {
      let fact = GatewayFact(gateway: state.id, revision: state.revision, targets: state.targets)
      events.append(.input(service, .gateway(fact)))
    }
    events.append(.input(service, .command(command)))
    var open: [Attempt] = []
    var time = Milliseconds.zero
    for _ in 0..<limit {
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
