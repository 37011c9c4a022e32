import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

/// The machine around the brain: what it does with events, and in which order its effects come.
@Suite struct EngineTests {
  static let fleet = Fleet(
    name: "test",
    racks: [
      Rack(name: "r", hosts: ["a1", "a2"].map { Host(name: HostName($0), rack: "r", address: "10.0.0.\($0.last!)", slots: 4) })
    ])

  static func policy(_ name: ServiceName = "shop", hooks: [HookPoint: String] = [:]) -> ServicePolicy {
    ServicePolicy(name: name, fleet: "test", replicas: 2, minHealthyTime: .zero, hooks: hooks)
  }

  static func apply(_ release: Int, _ policy: ServicePolicy = policy()) -> Command {
    let spec = ReleaseSpec(artifact: Digest("artifact"), run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp))
    return Command(
      id: "apply-\(release)", by: "anna", at: WallTime(milliseconds: 0),
      verb: .apply(policy: policy, digest: Digest("digest-\(release)"), spec: spec, secrets: "", force: false))
  }

  static func engine(_ services: [ServiceName] = ["shop"]) -> Engine {
    Engine(fleet: fleet, gateways: [], records: services.map { ServiceRecord(policy: policy($0)) }, cordons: [])
  }

  func attempts(_ effects: [Engine.Effect]) -> [Attempt] {
    effects.compactMap { if case .dispatch(_, let attempt) = $0 { attempt } else { nil } }
  }

  @Test func `nothing is done for a service whose fence was not given, and whoever asked is told`() throws {
    var engine = EngineTests.engine()
    let effects = engine.handle([.input("shop", .command(EngineTests.apply(1)))], now: .zero, wall: WallTime(milliseconds: 0))
    guard case .refuse("shop", "apply-1", let refusal)? = effects.first, effects.count == 1 else {
      Issue.record("not one refusal: \(effects)")
      return
    }
    #expect(refusal.message == "the command that runs does not act on shop")
  }

  @Test func `what is dispatched was committed before, with the attempt in it`() throws {
    var engine = EngineTests.engine()
    let effects = engine.handle(
      [.acquired("shop", Fence(owner: "a", epoch: 1)), .input("shop", .command(EngineTests.apply(1)))], now: .zero,
      wall: WallTime(milliseconds: 0))
    guard case .commit(let records, _)? = effects.first else {
      Issue.record("the first effect is no commit: \(effects)")
      return
    }
    let sent = attempts(effects)
    #expect(!sent.isEmpty)
    #expect(records.first?.attempts == sent)
    #expect(records.first?.version == 1)
  }

  @Test func `a refused command changes nothing and says why`() {
    var engine = EngineTests.engine()
    _ = engine.handle([.acquired("shop", Fence(owner: "a", epoch: 1))], now: .zero, wall: WallTime(milliseconds: 0))
    let command = Command(id: "x", by: "anna", at: WallTime(milliseconds: 0), verb: .abort)
    let effects = engine.handle([.input("shop", .command(command))], now: .zero, wall: WallTime(milliseconds: 0))
    let refused = effects.contains { if case .refuse("shop", command: "x", _) = $0 { true } else { false } }
    #expect(refused)
    #expect(!effects.contains { if case .commit = $0 { true } else { false } })
  }

  @Test func `a service in the middle of a rollout goes on under no other name, and every way to apply is told`() throws {
    var engine = EngineTests.engine(["shop", "store"])
    let fence = Fence(owner: "a", epoch: 1)
    _ = engine.handle(
      [.acquired("shop", fence), .acquired("store", fence), .input("shop", .command(EngineTests.apply(1)))], now: .zero,
      wall: WallTime(milliseconds: 0))
    var policy = EngineTests.policy("store")
    policy.formerly = "shop"
    let effects = engine.handle([.input("store", .command(EngineTests.apply(2, policy)))], now: .zero, wall: WallTime(milliseconds: 0))
    guard case .refuse("store", "apply-2", let refusal)? = effects.first(where: { if case .refuse = $0 { true } else { false } }) else {
      Issue.record("not refused: \(effects)")
      return
    }
    #expect(refusal.message == "shop is to go on as store, and its rollout 1 (apply) is under way")
    #expect(attempts(effects).isEmpty && engine.record("store")?.rollout == nil)
  }

  @Test(arguments: [false, true])
  func `a service that goes on under another name is not applied under the old one, nor is its end aborted`(_ isDone: Bool) throws {
    var policy = EngineTests.policy("store")
    policy.formerly = "shop"
    var store = ServiceRecord(policy: policy)
    if isDone { store.stable = Goal(release: ReleaseNumber(1), replicas: 1, secrets: "") }
    var shop = ServiceRecord(policy: EngineTests.policy("shop"))
    shop.stable = Goal(release: ReleaseNumber(1), replicas: 1, secrets: "")
    shop.instances = [
      Instance(number: 1, release: ReleaseNumber(1), host: "a1", address: "10.0.0.1", port: 20_000, secrets: "", phase: .serving)
    ]
    var engine = Engine(fleet: EngineTests.fleet, gateways: [], records: [shop, store], cordons: [])
    func refusal(_ verb: Command.Verb, _ id: String) -> Refusal? {
      let command = Command(id: id, by: "anna", at: WallTime(milliseconds: 0), verb: verb)
      let effects = engine.handle([.input("shop", .command(command))], now: .zero, wall: WallTime(milliseconds: 0))
      return effects.compactMap { if case .refuse("shop", _, let refusal) = $0 { refusal } else { nil } }.first
    }
    let fence = Fence(owner: "a", epoch: 1)
    _ = engine.handle(
      [.acquired("shop", fence), .acquired("store", fence), .input("store", .command(EngineTests.apply(3, policy)))], now: .zero,
      wall: WallTime(milliseconds: 0))
    try #require(engine.record("store")?.rollout != nil)
    #expect(refusal(.remove(successor: "store"), "1") == nil)
    let message = isDone ? "shop goes on as store" : "shop is about to go on as store"
    #expect(refusal(.abort, "2")?.message == message && refusal(.rollback(to: nil), "3")?.message == message)
    #expect(refusal(EngineTests.apply(2).verb, "4")?.message == message)
    #expect(engine.record("shop")?.rollout?.isRemoval == true)
    // It is called so again: that is another rename.
    #expect(engine.isTooLate("shop", formerly: "store") == nil)
  }

  @Test func `of a service that is recreated two never run at once, under two names neither`() throws {
    for (former, renamed) in [(true, false), (false, true)] {
      func policy(_ name: ServiceName, isRecreated: Bool) -> ServicePolicy {
        var policy = EngineTests.policy(name)
        if isRecreated { policy.strategy = .recreate(Recreate()) }
        return policy
      }
      var shop = ServiceRecord(policy: policy("shop", isRecreated: former))
      shop.instances = [
        Instance(number: 1, release: ReleaseNumber(1), host: "a1", address: "10.0.0.1", port: 20_000, secrets: "", phase: .serving)
      ]
      var store = policy("store", isRecreated: renamed)
      store.formerly = "shop"
      for (instances, message) in [(shop.instances, "shop runs, and of a service that is recreated two never run at once"), ([], nil)] {
        shop.instances = instances
        var engine = Engine(fleet: EngineTests.fleet, gateways: [], records: [shop, ServiceRecord(policy: store)], cordons: [])
        let effects = engine.handle(
          [.acquired("store", Fence(owner: "a", epoch: 1)), .input("store", .command(EngineTests.apply(2, store)))], now: .zero,
          wall: WallTime(milliseconds: 0))
        let refusal = effects.compactMap { if case .refuse(_, _, let refusal) = $0 { refusal.message } else { nil } }.first
        #expect(refusal?.prefix(message?.count ?? 0).description == message, "\(String(describing: refusal))")
        var planned: Refusal?
        do { try engine.requirePlace(for: store) } catch { planned = error }
        #expect(planned?.message == refusal, "a plan says the same")
      }
    }
  }

  @Test func `what another service has is refused, also where that one is to give it up in the same apply`() throws {
    func policy(_ name: ServiceName, _ path: String) -> ServicePolicy {
      var policy = EngineTests.policy(name)
      policy.route = Route(gateway: "edge", path: path)
      return policy
    }
    var shop = ServiceRecord(policy: policy("shop", "/"))
    shop.stable = Goal(release: ReleaseNumber(1), replicas: 2)
    let engine = Engine(fleet: EngineTests.fleet, gateways: [], records: [shop], cordons: [])
    try engine.requirePlace(for: policy("shop", "/new"))
    let refusal = #expect(throws: Refusal.self) { try engine.requirePlace(for: policy("store", "/")) }
    #expect(refusal?.message == "any host, any path at gateway edge belongs to service shop")
    #expect(refusal?.remedy.contains("nobody answers there in between") == true)
  }

  @Test func `a gateway that refuses the table and gives users nothing by it is told at rest`() throws {
    let edge = GatewayID(gateway: "edge", host: "g1")
    var record = ServiceRecord(policy: EngineTests.policy())
    record.policy.route = Route(gateway: "edge")
    record.stable = Goal(release: ReleaseNumber(1), replicas: 1)
    record.instances = [
      Instance(number: 1, release: ReleaseNumber(1), host: "a1", address: "10.0.0.1", port: 20_000, secrets: "", phase: .serving)
    ]
    record.table.revision = Revision(epoch: 1, version: 2)
    record.table.content = TableContent(
      route: Route(gateway: "edge"), readiness: ReadinessCheck(probe: .tcp), drain: record.policy.drain,
      targets: [TableTarget(instance: 1, release: ReleaseNumber(1), address: "10.0.0.1", port: 20_000, draining: false)], hold: nil)
    var state = GatewayState(id: edge)
    state.reach = .reachable
    state.refusal = TableRefusal(revision: record.table.revision, tries: 9, failure: Failure(.gateway, "its own reasons", remedy: "look"))
    #expect(record.refusal(by: state) == .tableRefused(edge, "its own reasons", remedy: "look"))
    state.revision = Revision(epoch: 1, version: 1)
    state.targets = [TargetFact(instance: 1, healthy: true, inFlight: 0)]
    #expect(record.refusal(by: state) == nil, "its users have what the table would give them")
  }

  @Test func `an attempt that a command gives up is cancelled`() throws {
    var engine = EngineTests.engine()
    var effects = engine.handle(
      [
        .acquired("shop", Fence(owner: "a", epoch: 1)),
        .input("shop", .command(EngineTests.apply(1, EngineTests.policy(hooks: [.preDeploy: "hook"])))),
      ], now: .zero, wall: WallTime(milliseconds: 0))
    var hook: Attempt?
    for _ in 0..<20 where hook == nil {
      hook = engine.record("shop")?.attempts.first { if case .hook = $0.action { true } else { false } }
      guard hook == nil, let next = attempts(effects).first ?? engine.record("shop")?.attempts.first else { break }
      effects = engine.handle(
        [.input("shop", .outcome(attempt: next.id, .succeeded(.nothing)))], now: .zero, wall: WallTime(milliseconds: 0))
    }
    let running = try #require(hook)
    let abort = Command(id: "x", by: "anna", at: WallTime(milliseconds: 0), verb: .abort)
    effects = engine.handle([.input("shop", .command(abort))], now: .zero, wall: WallTime(milliseconds: 0))
    #expect(effects.contains(.cancel("shop", attempt: running.id)))
  }

  @Test func `another controller's fence ends the work at once`() throws {
    var engine = EngineTests.engine()
    let effects = engine.handle(
      [.acquired("shop", Fence(owner: "a", epoch: 1)), .input("shop", .command(EngineTests.apply(1)))], now: .zero,
      wall: WallTime(milliseconds: 0))
    let first = try #require(attempts(effects).first)
    let after = engine.handle(
      [.input("shop", .outcome(attempt: first.id, .failed(Failure(.fenced, "a newer fence stands"))))], now: .zero,
      wall: WallTime(milliseconds: 0))
    #expect(after == [.rest("shop", .fenceLost(Failure(.fenced, "a newer fence stands")))])
    #expect(engine.handle([.tick], now: .minutes(60), wall: WallTime(milliseconds: 0)).isEmpty)
  }

  @Test func `a gateway that tells of a newer controller's table ends the work before any order is refused`() throws {
    let id = GatewayID(gateway: "edge", host: "g1")
    func fact(_ epoch: UInt64) -> Engine.Event {
      .input("shop", .gateway(GatewayFact(gateway: id, revision: Revision(epoch: epoch, version: 1), boot: "1")))
    }
    var engine = EngineTests.engine()
    let begin = [.acquired("shop", Fence(owner: "a", epoch: 3)), fact(2), .input("shop", .command(EngineTests.apply(1)))]
    #expect(!attempts(engine.handle(begin, now: .zero, wall: WallTime(milliseconds: 0))).isEmpty)
    _ = engine.handle([fact(3)], now: .zero, wall: WallTime(milliseconds: 0))
    #expect(engine.drives("shop"))
    let after = engine.handle([fact(4)], now: .seconds(1), wall: WallTime(milliseconds: 0))
    #expect(after == [.rest("shop", .fenceLost(Failure(.fenced, "gateway edge/g1 has its table of epoch 4")))])
    #expect(!engine.drives("shop"))
  }

  @Test func `one host's word that another controller acts is asked of the others, and believed with theirs`() throws {
    var hosts = ["a1", "a2", "a3"].map {
      Host(name: HostName($0), rack: "r", address: "10.0.0.\($0.last!)", slots: 4, labels: ["disk": "ssd"])
    }
    // Those that it may not use have no say.
    hosts += (4...9).map { Host(name: HostName("a\($0)"), rack: "r", address: "10.0.0.\($0)", slots: 4) }
    var policy = EngineTests.policy()
    policy.replicas = 3
    policy.placement.require = ["disk": "ssd"]
    var engine = Engine(
      fleet: Fleet(name: "test", racks: [Rack(name: "r", hosts: hosts)]), gateways: [], records: [ServiceRecord(policy: policy)],
      cordons: [])
    func fenced(_ attempt: Attempt) -> Engine.Event {
      let holder = Fence(owner: "eve@there:7", epoch: 9)
      return .input("shop", .outcome(attempt: attempt.id, .failed(Failure(.fenced, "a newer fence stands", holder: holder))))
    }
    let facts = hosts.prefix(3).map { Engine.Event.input("shop", .host(HostFact(host: $0.name, generation: 1))) }
    let began = engine.handle(
      [.acquired("shop", Fence(owner: "a", epoch: 1))] + facts + [.input("shop", .command(EngineTests.apply(1, policy)))], now: .zero,
      wall: WallTime(milliseconds: 0))
    let first = try #require(attempts(began).first { $0.action.host == "a1" })
    var alone = engine.handle([fenced(first)], now: .zero, wall: WallTime(milliseconds: 0))
    #expect(engine.record("shop")?.hosts.filter(\.needsLook).map(\.name) == ["a2", "a3"], "the others are asked at once")
    alone += engine.handle([.tick], now: .seconds(1), wall: WallTime(milliseconds: 0))
    let again = try #require(engine.record("shop")?.attempts.first { $0.action.host == "a1" })
    alone += engine.handle([fenced(again)], now: .seconds(1), wall: WallTime(milliseconds: 0))
    #expect(engine.drives("shop") && !alone.contains { if case .rest = $0 { true } else { false } })
    guard case .unreachable(let why)? = engine.record("shop")?.host("a1")?.reach else {
      Issue.record("a1 counts as reachable")
      return
    }
    #expect(why.contains("eve@there, epoch 9") && why.contains("most hosts know nothing of"))
    let second = try #require(engine.record("shop")?.attempts.first { $0.action.host == "a2" })
    let lost = engine.handle([fenced(second)], now: .seconds(1), wall: WallTime(milliseconds: 0))
    #expect(lost.contains { if case .rest("shop", .fenceLost) = $0 { true } else { false } } && !engine.drives("shop"))
  }

  @Test func `time passes only for records that this controller looks after`() {
    var engine = EngineTests.engine(["shop", "cart"])
    _ = engine.handle([.acquired("shop", Fence(owner: "a", epoch: 1))], now: .seconds(100), wall: WallTime(milliseconds: 0))
    _ = engine.handle([.tick], now: .seconds(130), wall: WallTime(milliseconds: 0))
    #expect(engine.record("shop")?.activeTime == .seconds(30))
    #expect(engine.record("cart")?.activeTime == .zero)
  }

  @Test func `services that share hosts never hold the same port or more slots than there are`() throws {
    var engine = EngineTests.engine(["shop", "cart"])
    var open: [(ServiceName, Attempt)] = []
    var events: [Engine.Event] = []
    for service: ServiceName in ["shop", "cart"] {
      events.append(.acquired(service, Fence(owner: "a", epoch: 1)))
      events.append(.input(service, .command(EngineTests.apply(1, EngineTests.policy(service)))))
    }
    var steps = 0
    while steps < 200 {
      for effect in engine.handle(events, now: .zero, wall: WallTime(milliseconds: 0)) {
        if case .dispatch(let service, let attempt) = effect { open.append((service, attempt)) }
      }
      guard !open.isEmpty else { break }
      let (service, attempt) = open.removeFirst()
      events = [.input(service, .outcome(attempt: attempt.id, .succeeded(.nothing)))]
      steps += 1
    }
    let all = engine.records.flatMap(\.instances)
    #expect(all.count == 4)
    #expect(Set(all.map { "\($0.host):\($0.port)" }).count == 4)
    #expect(engine.records.allSatisfy { $0.ended?.result == .succeeded })
  }

  /// `cart`, which is decided first, comes after `shop`.
  private func inOrder() -> (Engine, [Engine.Event]) {
    var later = EngineTests.policy("cart")
    later.after = ["shop"]
    let events: [Engine.Event] = [
      .acquired("shop", Fence(owner: "a", epoch: 1)), .input("shop", .command(EngineTests.apply(1))),
      .acquired("cart", Fence(owner: "a", epoch: 1)), .input("cart", .command(EngineTests.apply(1, later))),
    ]
    return (EngineTests.engine(["shop", "cart"]), events)
  }

  @Test func `what comes after another service begins with the very event that ends that one`() throws {
    var (engine, events) = inOrder()
    var open: [Attempt] = []
    for _ in 0..<200 where engine.record("shop")?.ended == nil {
      let effects = engine.handle(events, now: .zero, wall: WallTime(milliseconds: 0))
      open += attempts(effects)
      #expect(engine.record("shop")?.ended != nil || engine.record("cart")?.attempts.isEmpty == true)
      guard engine.record("shop")?.ended == nil, !open.isEmpty else { break }
      events = [.input("shop", .outcome(attempt: open.removeFirst().id, .succeeded(.nothing)))]
    }
    #expect(engine.record("shop")?.ended?.result == .succeeded)
    #expect(engine.record("cart")?.attempts.isEmpty == false, "nothing would ever happen to it again")
  }

  @Test func `what comes after a service whose fence was lost fails instead of waiting for an end that nobody will tell`() throws {
    var (engine, events) = inOrder()
    let first = try #require(attempts(engine.handle(events, now: .zero, wall: WallTime(milliseconds: 0))).first)
    events = [.input("shop", .outcome(attempt: first.id, .failed(Failure(.fenced, "a newer fence stands"))))]
    let effects = engine.handle(events, now: .zero, wall: WallTime(milliseconds: 0))
    #expect(effects.contains { if case .rest("cart", .done) = $0 { true } else { false } })
    #expect(engine.record("cart")?.ended?.result == .failed)
  }
}
