import SluiceEngine
import SluiceModel
import SluiceRollout
import Synchronization
import Testing

/// What hosts tell of being drained, by whomever: it takes part in every decision, and the newer word counts.
@Suite struct CordonTests {
  private static let wall = WallTime(milliseconds: 0)

  private static func word(_ number: UInt64, _ isDrained: Bool, on host: HostName = "a1") -> Cordon {
    Cordon(host: host, number: number, isDrained: isDrained, by: "bob@there", at: WallTime(milliseconds: 5))
  }

  private static func fact(_ host: HostName, _ cordon: Cordon?) -> Engine.Event {
    .input("shop", .host(HostFact(host: host, generation: 1, cordon: cordon)))
  }

  private static let acquired = Engine.Event.acquired("shop", Fence(owner: "a", epoch: 1))

  /// A service that comes up, on a host that says so and on another one.
  private static func begin(_ engine: inout Engine, _ told: Cordon?) -> [Engine.Effect] {
    engine.handle(
      [acquired, fact("a1", told), fact("a2", nil), .input("shop", .command(EngineTests.apply(1)))], now: .zero, wall: wall)
  }

  /// Where it stages: every host that is to have an instance.
  private static func staged(_ effects: [Engine.Effect]) -> [HostName] {
    effects.compactMap { if case .dispatch(_, let attempt) = $0, case .stage(let host, _) = attempt.action { host } else { nil } }
  }

  private static func notes(_ effects: [Engine.Effect]) -> [RecordEvent] {
    effects.flatMap { effect -> [RecordEvent] in if case .commit(_, let notes) = effect { notes.map(\.event) } else { [] } }
  }

  @Test func `a host that a colleague has drained gets nothing, and that is told`() throws {
    var engine = EngineTests.engine()
    let effects = Self.begin(&engine, Self.word(3, true))
    #expect(Self.staged(effects) == ["a2"], "\(effects)")
    #expect(engine.cordons.word(on: "a1") == Self.word(3, true))
    let note = try #require(Self.notes(effects).first { $0.kind == "host-drained" })
    #expect(note.text == "a1 is drained by bob@there: nothing is placed there" && note.host == "a1")
    #expect(!effects.contains { if case .cordon = $0 { true } else { false } })
  }

  @Test func `a host that a colleague has undrained since is used again`() {
    var engine = EngineTests.engine()
    engine.cordons.hear(Self.word(3, true))
    let effects = Self.begin(&engine, Self.word(4, false))
    #expect(Self.staged(effects) == ["a1", "a2"], "\(effects)")
    #expect(Self.notes(effects).contains { $0.kind == "host-undrained" && $0.text == "a1 may have instances again by bob@there" })
  }

  @Test(arguments: [nil, 2] as [UInt64?])
  func `a host that knows nothing of it, or something older, is told before anything is sent there`(_ older: UInt64?) throws {
    var engine = EngineTests.engine()
    engine.cordons.hear(Self.word(3, false))
    let effects = Self.begin(&engine, older.map { Self.word($0, true) })
    #expect(Self.staged(effects) == ["a1", "a2"], "\(effects)")
    let told = try #require(effects.firstIndex(of: .cordon(Self.word(3, false))))
    let sent = try #require(effects.firstIndex { if case .dispatch = $0 { true } else { false } })
    #expect(told < sent)
    #expect(engine.cordons.word(on: "a1") == Self.word(3, false))
  }

  @Test func `what a refusal tells counts from then on`() throws {
    var engine = EngineTests.engine()
    var effects = Self.begin(&engine, nil)
    #expect(Self.staged(effects) == ["a1", "a2"])
    var refused = false
    for _ in 0..<60 {
      let open = engine.record("shop")?.attempts ?? []
      guard let attempt = open.first else { break }
      var result = AttemptResult.succeeded(.nothing)
      if case .start("a1", _) = attempt.action {
        #expect(!refused, "it is started there again")
        refused = true
        result = .failed(Failure(.drained, "a1: it takes no instances: it is drained by bob@there", cordon: Self.word(3, true)))
      }
      effects = engine.handle([.input("shop", .outcome(attempt: attempt.id, result))], now: .zero, wall: Self.wall)
    }
    let record = try #require(engine.record("shop"))
    #expect(refused && record.ended?.result == .succeeded && record.instances.allSatisfy { $0.host == "a2" }, "\(record.instances)")
  }

  // MARK: The shell around it

  @Test func `a run keeps what it hears, and tells hosts what they do not know`() async throws {
    let world = FakeFleet()
    let drained = Self.word(3, true)
    let kept = Self.word(2, false, on: "b1")
    world.change {
      $0.claims["a1"] = .granted(HostFact(host: "a1", generation: 1, cordon: drained), nil)
      $0.claims["b1"] = .granted(HostFact(host: "b1", generation: 1), nil)
      $0.cordons = Cordons([kept])
    }
    let outcomes = try await world.runner().run(
      [RunnerTests.apply(RunnerTests.policy("db")), RunnerTests.apply(RunnerTests.policy("shop"))], interruptions: RunnerTests.quiet,
      inbox: RunnerTests.quiet)
    #expect(outcomes.count == 2)
    #expect(world.state.withLock { $0.cordons } == Cordons([drained, kept]))
    // Once a run, however many services show the host.
    #expect(world.state.withLock { $0.left } == [kept])
    let instances = world.load("test").records.flatMap(\.instances)
    #expect(instances.count == 4 && !instances.contains { $0.host == "a1" }, "\(instances.map(\.host))")
  }

  @Test func `who only adopts keeps what hosts tell too`() async throws {
    let world = FakeFleet()
    let drained = Self.word(3, true)
    world.change {
      $0.claims["a1"] = .granted(HostFact(host: "a1", generation: 1, cordon: drained), nil)
      $0.records["db"] = ServiceRecord(policy: RunnerTests.policy("db"))
    }
    _ = try await world.runner().adopt([FleetRunner.Request(service: "db", initial: nil, command: nil, createsRecord: false)])
    #expect(world.state.withLock { $0.cordons } == Cordons([drained]))
  }
}
