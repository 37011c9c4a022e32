import SluiceEngine
import SluiceModel
package import SluiceRollout
import SluiceTraffic

/// Drives the engine's own machine against a fleet in memory, from one seed: safety is checked after every event, liveness at the end.
package struct Simulation {
  package struct Report: Sendable {
    package var seed: UInt64
    package var violations: [Violation]
    package var hash: UInt64
    package var events: Int
    /// How each apply ended, in order.
    package var ends: [String]
    package var trace: [String]
    /// Every action that was sent, in order, and how many had been when each apply was given.
    package var sent: [Action]
    package var appliedAt: [Int]
    /// What each wave that began replaces, in the words of the history.
    package var waves: [String]
    package var coverage: Coverage
    /// How many commits there were.
    package var commits: Int
    /// Of each service, the first one's first.
    package var records: [ServiceRecord]

    package var record: ServiceRecord? { records.first }

    /// What the record holds at the end, in words.
    package var standing: [String] { records.flatMap(Self.standing) }

    private static func standing(_ record: ServiceRecord) -> [String] {
      var lines = record.instances.map { instance in
        let fate = instance.condemned.map { ", \($0.rawValue)" } ?? ""
        let healthy = instance.isServing ? ", healthy" : ""
        return
          "\(instance.number): release \(instance.release) on \(instance.host):\(instance.port), \(instance.phase)\(fate)\(healthy), let in by \(instance.admittedBy?.description ?? "no table")"
      }
      lines += record.gateways.map { gateway in
        "\(gateway.id): \(gateway.reach), table \(gateway.revision?.description ?? "none") of \(record.table.revision)\(gateway.excluded ? ", excluded" : "")"
      }
      if let rollout = record.rollout {
        lines.append(
          "rollout \(rollout.number): \(rollout.direction), \(rollout.stage.rawValue), gate \(rollout.gate?.description ?? "none")")
        for replacement in rollout.wave?.replacements ?? [] { lines.append("  \(replacement)") }
      }
      return lines
    }
  }

  indirect enum Happening {
    /// By whoever was there when it was planned: nil, the next one.
    case controllerStarts(after: Int)
    case engine(Int, [Engine.Event])
    /// An action arrives where it was sent.
    case arrives(Int, Attempt, Fence, ServiceRecord)
    case answers(Int, Attempt, AttemptResult, HostName?)
    case fault(Scenario.Fault)
    case faultEnds(Scenario.Fault)
    case gatewayLooks(GatewayID)
    case gatewaySilent(Int, GatewayID)
    /// Nobody has renewed its lease since then.
    case leaseEnds(GatewayID, since: Int64)
    case drained(GatewayID, Int)
    case users(GatewayID)
    case taskIsAsked(Int, Attempt, HostName)
    case command(String)
  }

  /// Faults end: from then on every release gets ready.
  static let mended: Int64 = 300_000

  let seed: UInt64
  let scenario: Scenario
  /// Of all gateways.
  let processes: [GatewayID]
  let keepsTrace: Bool
  var random: Randomness
  var time: Int64 = 0
  /// With the scene that it is about.
  var queue = EventQueue<(Int, Happening)>()
  /// The service that something happens to now.
  var scene: Scene
  /// The other services.
  var others: [Scene]
  var store = SimulatedStore()
  /// The record of a service on the same hosts that nobody acts upon.
  let neighbours: [ServiceRecord]
  var engine: Engine?
  /// Rises with every start of a controller: what an earlier one waits for reaches nobody.
  var incarnation = 0
  var dispatched = 0
  /// How often a controller has begun.
  var starts = 0
  var hash = TraceHash()
  var trace: [String] = []
  var violations: [Violation] = []
  var ends: [String] = []
  var faultsSoFar = 0
  /// When the last of the faults ends that come with others.
  var strikesUntil: Int64 = 0
  var finished = false
  var events = 0
  var pendingCrashes: [Int]
  /// Operators' words as they lie on the hosts, and as each machine has said or heard them.
  var cordons: Cordons = []
  var heard: [String: Cordons] = [:]
  var losesState = false
  var standingFaults: [Scenario.Fault.Kind.Name] = []
  /// Until when what every program needs is away.
  var dependencyUntil: Int64 = 0
  /// Whose route it is at each gateway: as real gateways keep it.
  var ledgers: [GatewayID: RouteLedger] = [:]
  /// Gateways that will be cut off when the next flip has reached another one.
  var cutsInFlip: [HostName] = []
  var sent: [Action] = []
  var appliedAt: [Int] = []
  var waves: [String] = []
  var coverage = Coverage()
  var commits = 0
  /// How far the wall clock is off.
  var clockOff: Int64 = 0
  var hostAt: [String: HostName] = [:]
  let sabotage: Sabotage?

  // MARK: More than one controller

  /// Where the controller runs: a colleague's is another machine, with another database.
  var machine = "sim"
  /// What the other machines' databases have, by machine.
  var databases: [String: SimulatedStore] = [:]
  var pendingTurns: [Int64]
  /// What the machine that acts next has in its database, where that is not what was stored last.
  var colleagues: [ServiceRecord] = []
  /// What was stored when the controller began that acts.
  var earlier: [ServiceRecord] = []
  /// One that was taken over from, and has not noticed yet.
  var former: FormerController?

  package init(seed: UInt64, scenario: Scenario, keepsTrace: Bool = false, sabotage: Sabotage? = nil) {
    self.sabotage = sabotage
    self.seed = seed
    self.scenario = scenario
    processes = scenario.processes
    self.keepsTrace = keepsTrace
    random = Randomness(seed: seed)
    neighbours = scenario.neighbours.isEmpty ? [] : [scenario.neighbour]
    pendingCrashes = scenario.crashes.sorted()
    pendingTurns = scenario.turns.sorted()
    let scenes = scenario.plans.enumerated().map { Scene(index: $0, plan: $1, scenario: scenario) }
    scene = scenes[0]
    others = Array(scenes.dropFirst())
    for host in scenario.fleet.hosts { hostAt[host.serviceAddress] = host.name }
  }

  /// Runs the story to its end, or until it is clear that it has none.
  package mutating func run() -> Report {
    for fault in scenario.faults { push(fault.at, .fault(fault)) }
    for command in scenario.commands {
      turn(to: command.service)
      push(command.at, .command(command.verb))
    }
    turn(to: 0)
    push(0, .controllerStarts(after: 0))
    while !finished, violations.isEmpty, let (at, (index, happening)) = queue.pop() {
      turn(to: index)
      time = at
      events += 1
      if time > 3_600_000 * 12 || events > 200_000 {
        violate("9", "no end after \(time / 1000) s and \(events) events: \(kept(service)?.rollout?.gate?.description ?? "no gate")")
        break
      }
      happen(happening)
      onEachScene { $0.watchLeases() }
    }
    if !finished, violations.isEmpty { violate("9", "silence: nothing will happen any more, and the service does not rest") }
    turn(to: 0)
    return Report(
      seed: seed, violations: violations, hash: hash.value, events: events, ends: ends, trace: trace, sent: sent, appliedAt: appliedAt,
      waves: waves, coverage: coverage, commits: commits, records: scenes.compactMap { kept($0.service) })
  }

  /// Something that happens to the service in front, or to all.
  mutating func note(_ text: String, isGeneral: Bool = false) {
    let text = others.isEmpty || isGeneral ? text : "\(service): \(text)"
    hash.add(time)
    hash.add(text)
    if keepsTrace { trace.append("\(time) \(text)") }
  }

  mutating func violate(_ rule: String, _ text: String) {
    note("VIOLATION of rule \(rule): \(text)")
    violations.append(Violation(rule: rule, at: time, text: text))
  }

  mutating func after(_ wait: ClosedRange<Int>, _ happening: Happening) { push(time + Int64(random.integer(in: wait)), happening) }

  mutating func happen(_ happening: Happening) {
    switch happening {
    case .controllerStarts(let after): if after == incarnation { startController() }
    case .engine(let of, let events): if of == incarnation { feed(events) } else { feedFormer(of, events) }
    case .arrives(let of, let attempt, let fence, let record): arrive(of, attempt, fence, record)
    case .answers(let of, let attempt, let result, let host): answer(of, attempt, result, host)
    case .fault(let fault): begin(fault)
    case .faultEnds(let fault): end(fault)
    case .gatewayLooks(let id): look(id)
    case .leaseEnds(let id, let since): leaseEnds(id, since: since)
    case .gatewaySilent(let of, let id):
      if of == incarnation, scene.gateways[id]?.answers == false { feed([.input(service, .gatewayUnreachable(id, "no heartbeat"))]) }
    case .drained(let id, let number):
      scene.gateways[id]?.inFlight[number] = 0
      tell(id)
    case .users(let id): serveUsers(id)
    case .taskIsAsked(let of, let attempt, let host): askTask(of, attempt, host)
    case .command(let verb): command(verb)
    }
  }

  /// An outcome on its way back: what its host or gateway can no longer say is in doubt.
  private mutating func answer(_ of: Int, _ attempt: Attempt, _ result: AttemptResult, _ host: HostName?) {
    var result = result
    if case .unreachable = result {} else if isSilent(attempt.action, host) { result = .inDoubt("the connection was lost") }
    if of == incarnation { count(attempt, result) }
    result = sabotaged(result, of: attempt.action)
    guard of == incarnation else { return feedFormer(of, [.input(service, .outcome(attempt: attempt.id, result))]) }
    if sabotage == .outcomeLost, case .stop = attempt.action, time % 7 == 0 { return }
    note("outcome \(attempt.action.description(service: service)): \(brief(result))")
    feed([.input(service, .outcome(attempt: attempt.id, result))])
    scene.concluded.insert(attempt.id)
    if sabotage == .outcomeTwice, var record = engine?.record(service), record.openAttempt(on: attempt.action.object) == nil {
      record.attempts.append(attempt)
      engine?.install(record)
      feed([.input(service, .outcome(attempt: attempt.id, result))])
    }
  }

  /// What a broken host adapter makes of an answer that did not come.
  private func sabotaged(_ result: AttemptResult, of action: Action) -> AttemptResult {
    if sabotage == .checkAssumed, case .check = action { return .succeeded(.nothing) }
    switch result {
    case .unreachable, .inDoubt: break
    case .succeeded, .failed: return result
    }
    switch (sabotage, action) {
    case (.unknownIsGone, .stop): return .succeeded(.nothing)
    case (.deadHostCondemns, .checkReady), (.deadHostCondemns, .start): return .failed(Failure(.readiness, "no answer"))
    default: return result
    }
  }

  private func isSilent(_ action: Action, _ host: HostName?) -> Bool {
    switch action {
    case .setTable(let id, _), .removeTable(let id): scene.gateways[id]?.answers == false
    default: host.map { scene.hosts[$0]?.answers == false } ?? false
    }
  }

  func brief(_ result: AttemptResult) -> String {
    switch result {
    case .succeeded: "ok"
    case .failed(let failure): "failed (\(failure.message))"
    case .unreachable: "unreachable"
    case .inDoubt: "in doubt"
    }
  }
}
