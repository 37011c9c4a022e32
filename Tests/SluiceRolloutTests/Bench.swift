import SluiceModel
import Testing

@testable import SluiceRollout

/// A record with its fleet, driven one input at a time: absorb, decide, and what was asked for in between.
struct Bench {
  var record: ServiceRecord
  var view: FleetView

  mutating func cordon(_ hosts: [HostName]) { view = FleetView(fleet: view.fleet, gateways: view.gateways, cordons: hosts) }
  /// Attempts decided and not yet ended, in order.
  var open: [Attempt] = []
  var sent: [Action] = []
  var events: [RecordEvent] = []
  /// What each gateway's probes say of instances that are not simply healthy.
  var unhealthy: Set<Int> = []
  var inFlight: [Int: Int] = [:]
  /// Instances whose programs have ended: nothing starts them again, or their supervisor does in a while.
  var ended: [Int: Downtime] = [:]
  /// Gateways that have not found anything well yet.
  var unseen: Set<GatewayID> = []
  /// Gateways that do not answer.
  var silent: Set<GatewayID> = []
  /// Why gateways refuse tables; nil: they take them.
  var refuses: String?
  /// A gateway that refuses the tables which let users to a release.
  var refusesRelease: (gateway: GatewayID, release: ReleaseNumber)?
  private var commands = 0

  init(_ policy: ServicePolicy, racks: Int = 3, hostsPerRack: Int = 1, slots: Int = 3, gateways: Int = 1) {
    var list: [Rack] = []
    for letter in ["a", "b", "c", "d"].prefix(racks) {
      let rack = RackName("rack-\(letter)")
      let hosts = (1...hostsPerRack).map {
        Host(name: HostName("\(letter)\($0)"), rack: rack, address: "10.0.\(letter == "a" ? 1 : letter == "b" ? 2 : 3).\($0)", slots: slots)
      }
      list.append(Rack(name: rack, hosts: hosts))
    }
    let edges = (1...max(1, gateways)).map { HostName("g\($0)") }
    list.append(
      Rack(name: "edge", hosts: edges.enumerated().map { Host(name: $1, rack: "edge", address: "10.0.9.\($0 + 1)", slots: 0) }))
    let gateway = Gateway(name: "edge", fleet: "test", hosts: edges, listen: [ListenAddress(address: "10.0.9.1", port: 80)])
    view = FleetView(fleet: Fleet(name: "test", racks: list), gateways: gateways == 0 ? [] : [gateway])
    record = ServiceRecord(policy: policy)
  }

  static func policy(replicas: Int = 3, _ change: (inout ServicePolicy) -> Void = { _ in }) -> ServicePolicy {
    var policy = ServicePolicy(name: "shop", fleet: "test", replicas: replicas, route: Route(gateway: "edge"))
    policy.minHealthyTime = .zero
    policy.startTimeout = .seconds(10)
    policy.drain.timeout = .seconds(20)
    change(&policy)
    return policy
  }

  /// A service that runs release 1 on all its replicas, and a controller that holds its fence.
  static func released(_ policy: ServicePolicy, racks: Int = 3, hostsPerRack: Int = 1, slots: Int = 3, gateways: Int = 1) throws -> Bench {
    var bench = Bench(policy, racks: racks, hostsPerRack: hostsPerRack, slots: slots, gateways: gateways)
    bench.take(epoch: 1)
    try bench.apply(1)
    bench.run()
    try #require(bench.record.rollout == nil && bench.record.ended?.result == .succeeded)
    bench.sent = []
    bench.events = []
    return bench
  }

  // MARK: Inputs

  /// A controller takes the fence and sees every host and gateway as it is.
  mutating func take(epoch: UInt64) {
    open = []
    tell(.takenOver(Fence(owner: "test", epoch: epoch)))
    for id in view.processes(of: record.policy.route) where !silent.contains(id) { tell(.gateway(fact(id))) }
  }

  mutating func tell(_ input: Input) {
    do { try say(input) } catch { Issue.record("refused: \(error.message)") }
  }

  mutating func say(_ input: Input) throws(Refusal) {
    let answer = try absorb(record, input, view: view)
    record = answer.record
    events += answer.events
    settle()
  }

  mutating func command(_ verb: Command.Verb) throws {
    commands += 1
    try say(.command(Command(id: "c\(commands)", by: "anna", at: WallTime(milliseconds: 0), verb: verb)))
  }

  mutating func apply(
    _ release: Int, secrets: String = "", force: Bool = false, task: ReleaseTask? = nil, _ change: (inout ServicePolicy) -> Void = { _ in }
  ) throws {
    var policy = record.policy
    change(&policy)
    var spec = ReleaseSpec(artifact: Digest("artifact"), run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp))
    spec.task = task
    try command(.apply(policy: policy, digest: Digest("digest-\(release)"), spec: spec, secrets: secrets, force: force))
  }

  /// Another controller takes over: its claim and what it was told to do come together, and then one decision.
  mutating func takeOver(epoch: UInt64, _ facts: [Input], then verb: Command.Verb? = nil) throws {
    open = []
    sent = []
    var inputs = [Input.takenOver(Fence(owner: "other", epoch: epoch))] + facts
    if let verb { inputs.append(.command(Command(id: "epoch-\(epoch)", by: "bob", at: WallTime(milliseconds: 0), verb: verb))) }
    for input in inputs { record = try absorb(record, input, view: view).record }
    settle()
  }

  /// What `apply` says of a release, under the record's policy as `change` leaves it.
  func applying(_ release: Int, _ change: (inout ServicePolicy) -> Void = { _ in }) -> Command.Verb {
    var policy = record.policy
    change(&policy)
    let spec = ReleaseSpec(artifact: Digest("artifact"), run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp))
    return .apply(policy: policy, digest: Digest("digest-\(release)"), spec: spec, secrets: "", force: false)
  }

  mutating func pass(_ time: Milliseconds) {
    record.activeTime += time
    settle()
  }

  /// Decides, and holds the laws against the answer.
  mutating func settle() {
    var decider = Decider(record: record, view: view, wall: WallTime(milliseconds: 0))
    for _ in 0..<4 {
      decider.pass()
      #expect(decider.occupied == OccupiedObjects(decider.record.attempts), "the index of open attempts is not what is open")
    }
    let decision = decide(record, view: view, wall: WallTime(milliseconds: 0))
    record = decision.record
    events += decision.events
    open.removeAll { decision.cancelled.contains($0.id) || !record.attempts.contains($0) }
    open += decision.attempts
    sent += decision.attempts.map(\.action)
    for case .setTable(_, let revision) in decision.attempts.map(\.action) {
      #expect(revision == record.table.revision, "a table is sent under the number of another")
    }
    let again = decide(record, view: view, wall: WallTime(milliseconds: 0))
    #expect(again.record == record && again.attempts.isEmpty, "deciding again yields something new")
    let objects = record.attempts.map(\.action.object)
    #expect(Set(objects).count == objects.count, "two attempts are open on one object")
    if record.rollout != nil, record.attempts.isEmpty, decision.wakeAt == nil, record.rollout?.gate == nil {
      Issue.record("waits in silence")
    }
  }

  mutating func end(_ attempt: Attempt, _ result: AttemptResult) {
    open.removeAll { $0.id == attempt.id }
    tell(.outcome(attempt: attempt.id, result))
  }

  /// The open attempt whose action is so.
  func attempt(_ matches: (Action) -> Bool) throws -> Attempt {
    try #require(open.first { matches($0.action) }, "nothing of the kind is open, only \(open.map(\.action))")
  }

  // MARK: The world

  func fact(_ id: GatewayID, revision: Revision? = nil) -> GatewayFact {
    let state = record.gateway(id)
    guard revision != nil || state?.revision != nil else { return GatewayFact(gateway: id, revision: nil) }
    let targets = (record.table.content?.targets ?? []).map {
      TargetFact(
        instance: $0.instance, healthy: !unhealthy.contains($0.instance) && !unseen.contains(id), inFlight: inFlight[$0.instance] ?? 0)
    }
    return GatewayFact(gateway: id, revision: revision ?? state?.revision, targets: targets)
  }

  func fact(_ host: HostName) -> HostFact {
    HostFact(
      host: host, generation: record.host(host)?.generation ?? 0,
      instances: record.instances.filter { $0.host == host && $0.isExisting }.map {
        InstanceFact(number: $0.number, port: $0.port, running: ended[$0.number]?.isTriedAgain ?? true, ended: ended[$0.number]?.end)
      }, releases: record.host(host)?.releases ?? [])
  }

  /// Their programs end, gateways find it out, and a command comes that looks at everything again.
  mutating func end(_ numbers: Int..., isTriedAgain: Bool = false, cause: EndedFact.Cause = .exited) {
    for number in numbers {
      unhealthy.insert(number)
      ended[number] = Downtime(isTriedAgain: isTriedAgain, end: EndedFact(cause, since: WallTime(milliseconds: 5_000), exitStatus: 1))
    }
    run()
    takeAgain()
  }

  /// Another command takes the fence: it sees every host and gateway.
  mutating func takeAgain() {
    take(epoch: (record.fence?.epoch ?? 0) + 1)
    for host in view.fleet.hosts where host.slots > 0 { tell(.host(fact(host.name))) }
    run()
    sent = []
    events = []
  }

  private func isRefused(by id: GatewayID) -> Bool {
    guard let (gateway, release) = refusesRelease, gateway == id else { return false }
    return record.table.content?.targets.contains { $0.release == release && !$0.draining } ?? false
  }

  /// How a world answers in which everything works.
  func answer(_ attempt: Attempt) -> AttemptResult {
    switch attempt.action {
    case .setTable where refuses != nil: .failed(Failure(.gateway, refuses ?? "", remedy: "put it right"))
    case .setTable(let id, _) where isRefused(by: id): .failed(Failure(.gateway, "its own reasons", remedy: "put it right"))
    case .setTable(let id, let revision):
      silent.contains(id) ? .unreachable("no route") : .succeeded(.gateway(fact(id, revision: revision)))
    case .removeTable(let id) where silent.contains(id): .unreachable("no route")
    case .observe(let host): .succeeded(.facts(fact(host)))
    default: .succeeded(.nothing)
    }
  }

  /// Lets everything work until nothing is open, or until `stop` says so; time passes to the next wake-up when nothing else can happen.
  mutating func run(steps: Int = 2_000, until stop: (Bench) -> Bool = { _ in false }) {
    for _ in 0..<steps {
      if stop(self) { return }
      if let next = open.first(where: { !isSilent($0) }) {
        end(next, answer(next))
        continue
      }
      guard record.rollout != nil || !record.attempts.isEmpty || record.instances.contains(where: { $0.condemned != nil }) else { return }
      guard let wake = decide(record, view: view, wall: WallTime(milliseconds: 0)).wakeAt else { return }
      pass(wake - record.activeTime)
    }
  }

  private func isSilent(_ attempt: Attempt) -> Bool {
    if case .setTable(let id, _) = attempt.action { return silent.contains(id) }
    return false
  }

  // MARK: What is asked of it

  var serving: [Int] { record.instances.filter(\.isServing).map(\.number) }
  var hosts: [HostName] { record.instances.filter(\.isServing).map(\.host).sorted() }
  func phase(_ number: Int) -> InstancePhase? { record.instance(number)?.phase }
  func targets(draining: Bool) -> [Int] { (record.table.content?.targets ?? []).filter { $0.draining == draining }.map(\.instance) }
  func kinds() -> [String] { events.map(\.kind) }
}

func isStart(_ action: Action) -> Bool { if case .start = action { true } else { false } }
func isStop(_ action: Action) -> Bool { if case .stop = action { true } else { false } }
func isCheck(_ action: Action) -> Bool { if case .checkReady = action { true } else { false } }
func isTable(_ action: Action) -> Bool { if case .setTable = action { true } else { false } }
func isStage(_ action: Action) -> Bool { if case .stage = action { true } else { false } }
func isTask(_ action: Action) -> Bool { if case .task = action { true } else { false } }
func isHook(_ action: Action) -> Bool { if case .hook = action { true } else { false } }
