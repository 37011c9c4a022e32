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
