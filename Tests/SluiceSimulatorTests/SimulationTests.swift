import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceSimulator
import Testing

/// The engine's own machine on seeded fleets: the rules hold after every event, and everything ends.
@Suite struct SimulationTests {
  static var full: Bool { ProcessInfo.processInfo.environment["SLUICE_TESTS"] == "full" }

  @Test func `no rule is broken, and every story ends`() {
    for seed in 1...UInt64(SimulationTests.full ? 20_000 : 400) {
      var simulation = Simulation(seed: seed, scenario: Scenario(seed: seed))
      for violation in simulation.run().violations {
        Issue.record("seed \(seed), rule \(violation.rule) at \(violation.at) ms: \(violation.text)")
      }
    }
  }

  /// The first four: a claim that came to nothing was left standing at a gateway, and nobody could take the fence again. The last: a host went
  /// down with an instance that nobody wants any more, and came back after its service was last looked at.
  @Test(arguments: [77_002_292, 77_003_602, 9_002_948, 132_462_055, 132_463_570] as [UInt64])
  func `a story that broke a rule once breaks none`(_ seed: UInt64) {
    var simulation = Simulation(seed: seed, scenario: Scenario(seed: seed, harshness: .faults))
    #expect(simulation.run().violations.isEmpty)
  }

  @Test func `apply does what plan said: the same waves, the same attempts, the same order for each object`() throws {
    for seed: UInt64 in 1...60 {
      var scenario = Scenario(seed: seed, harshness: .calm)
      scenario.releases = [1]
      var first = Simulation(seed: seed, scenario: scenario)
      let before = try #require(first.run().record)
      scenario.releases = [1, 2]
      var both = Simulation(seed: seed, scenario: scenario)
      let report = both.run()
      let engine = Engine(fleet: scenario.fleet, gateways: [scenario.gateway], records: [before], cordons: [])
      var rehearsal = Rehearsal(engine: engine, service: "shop")
      let verb = Scenario.apply(2, policy: scenario.policy)
      let plan = try rehearsal.run(Command(id: "plan", by: "plan", at: WallTime(milliseconds: 0), verb: verb))
      let sent = Array(report.sent[report.appliedAt[1]...])
      #expect(plan.waves.map(\.text) == Array(report.waves.suffix(plan.waves.count)), "seed \(seed)")
      #expect(Objects.order(sent) == Objects.order(plan.actions), "seed \(seed)")
    }
  }

  @Test func `every kind of fault and every command is drawn`() {
    var kinds: Set<String> = []
    var verbs: Set<String> = []
    var (moved, renamed, deaths, refusals) = (0, 0, 0, 0)
    var (pairs, ordered, tasks, checks, windows, spreads, changed, refused) = (0, 0, 0, 0, 0, 0, 0, 0)
    for seed in 1...UInt64(400) {
      let scenario = Scenario(seed: seed)
      kinds.formUnion(scenario.faults.map(\.kind.name.rawValue))
      verbs.formUnion(scenario.commands.map(\.verb))
      let plans = [scenario.plan] + [scenario.second].compactMap(\.self)
      if scenario.rim != nil { moved += 1 }
      if scenario.isRenamed { renamed += 1 }
      if !scenario.claimDeaths.isEmpty { deaths += 1 }
      if !scenario.refusedStarts.isEmpty { refusals += 1 }
      if plans.count > 1 { pairs += 1 }
      if plans.contains(where: { $0.policy.after != nil }) { ordered += 1 }
      if plans.contains(where: { !$0.tasks.isEmpty }) { tasks += 1 }
      if plans.contains(where: { $0.flaws.values.contains(.checks) }) { checks += 1 }
      if plans.contains(where: { $0.policy.windows != nil }) { windows += 1 }
      if plans.contains(where: { $0.policy.placement.prefer != nil }) { spreads += 1 }
      if plans.contains(where: { !$0.changes.isEmpty }) { changed += 1 }
      if plans.contains(where: { !$0.refusals.isEmpty }) { refused += 1 }
    }
    #expect(kinds == Set(Scenario.Fault.Kind.Name.allCases.map(\.rawValue)))
    #expect(verbs.count >= 22 && changed > 30 && refused > 10)
    #expect(moved > 20 && renamed > 10 && deaths > 10 && refusals > 20)
    #expect(pairs > 50 && ordered > 20 && tasks > 30 && checks > 5 && windows > 20 && spreads > 10)
  }

  @Test(.enabled(if: executable != nil, "sluice-simulate is not built beside the tests"))
  func `the same seeds in two processes give the same hash`() throws {
    let first = try SimulationTests.simulate()
    let second = try SimulationTests.simulate()
    #expect(first.contains("hash "))
    #expect(first == second)
  }

  @Test(.enabled(if: executable != nil, "sluice-simulate is not built beside the tests"))
  func `no seeds, seeds beyond the last one and a lost output are told by the exit status`() throws {
    let last = "\(UInt64.max)"
    for (arguments, output, status) in [
      (["--seeds", "0"], "/dev/null", 64), (["--seed", last, "--seeds", "2"], "/dev/null", 64),
      (["--seed", last, "--trace"], "/dev/null", 0), (["--seeds", "2"], "/dev/full", 1), (["--seeds", "2"], "/dev/null", 0),
    ] as [([String], String, Int32)] {
      let process = Process()
      process.executableURL = SimulationTests.executable
      process.arguments = arguments
      process.standardOutput = FileHandle(forWritingAtPath: output)
      process.standardError = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationReason == .exit && process.terminationStatus == status, "\(arguments) to \(output)")
    }
  }

  static var executable: URL? {
    var places = ProcessInfo.processInfo.environment["SLUICE_BIN"].map { [URL(filePath: $0)] } ?? []
    places.append(URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent())
    return places.map { $0.appending(path: "sluice-simulate") }.first { FileManager.default.isExecutableFile(atPath: $0.path) }
  }

  static func simulate() throws -> String {
    let process = Process()
    process.executableURL = executable
    process.arguments = ["--seeds", full ? "2000" : "300"]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return String(decoding: output, as: UTF8.self)
  }
}

/// Actions by object, in order. How often a gateway is given a table depends on what becomes ready together, so that runs of tables count once
/// and without their revisions.
enum Objects {
  static func order(_ actions: [Action]) -> [String: [String]] {
    var order: [String: [String]] = [:]
    for action in actions {
      let object = "\(action.object)"
      let text = if case .setTable = action { "table" } else { action.description(service: "shop") }
      if text == "table", order[object]?.last == text { continue }
      order[object, default: []].append(text)
    }
    return order
  }
}
