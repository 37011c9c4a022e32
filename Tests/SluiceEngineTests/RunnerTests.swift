import SluiceModel
import SluiceRollout
import Synchronization
import Testing

@testable import SluiceEngine

/// The shell around the machine: claims, the end of one service beside others, commands of other processes.
@Suite struct RunnerTests {
  static func policy(_ name: ServiceName, routed: Bool = false, hooks: [HookPoint: String] = [:]) -> ServicePolicy {
    ServicePolicy(
      name: name, fleet: "test", replicas: 2, minHealthyTime: .zero, route: routed ? Route(gateway: "edge") : nil, hooks: hooks)
  }

  static func apply(_ policy: ServicePolicy) -> FleetRunner.Request {
    let spec = ReleaseSpec(artifact: Digest("artifact"), run: RunSpec(command: ["run"]), readiness: ReadinessCheck(probe: .tcp))
    let verb = Command.Verb.apply(policy: policy, digest: Digest("digest"), spec: spec, secrets: "", force: false)
    return FleetRunner.Request(
      service: policy.name, initial: policy,
      command: Command(id: "apply-\(policy.name)", by: "anna", at: WallTime(milliseconds: 0), verb: verb))
  }

  /// An inbox that is woken by hand.
  struct Inbox {
    let stream: AsyncStream<Void>
    let wake: AsyncStream<Void>.Continuation
    init() { (stream, wake) = AsyncStream.makeStream(of: Void.self) }
  }

  static let quiet = AsyncStream<Void> { $0.finish() }

  func run(_ world: FakeFleet, _ requests: [FleetRunner.Request]) async throws -> [ServiceName: FleetRunner.Outcome] {
    try await world.runner().run(requests, interruptions: Self.quiet, inbox: Self.quiet)
  }

  func succeeded(_ outcome: FleetRunner.Outcome?) -> Bool {
    if case .done(let end?) = outcome { end.result == .succeeded } else { false }
  }

  // MARK: Bad hosts

  @Test func `a host with a full disk is named and worked around`() async throws {
    let world = FakeFleet()
    let failure = Failure(.host, "a1: fence.former cannot be written: no space left", remedy: "make room")
    world.change { $0.claims["a1"] = .failed(failure) }
    let named = Mutex<[Failure]>([])
    let runner = world.runner { if case .passedOver("db", let failure) = $0 { named.withLock { $0.append(failure) } } }
    let outcomes = try await runner.run([Self.apply(Self.policy("db"))], interruptions: Self.quiet, inbox: Self.quiet)
    #expect(succeeded(outcomes["db"]), "\(outcomes)")
    #expect(named.withLock { $0 } == [failure])
    let event = try #require(world.state.withLock { $0.events.first { $0.event.kind == "passed-over" } })
    #expect(event.event.text.contains("no space left") && event.event.text.contains("next: make room"))
    let record = try #require(world.load("test").records.first)
    #expect(record.instances.count == 2 && record.instances.allSatisfy { $0.host != "a1" })
  }

  @Test(.timeLimit(.minutes(1))) func `a host that hangs after its login is waited for no longer than a majority needs`() async throws {
    let world = FakeFleet()
    world.change { $0.hangs = ["b1"] }
    let outcomes = try await run(world, [Self.apply(Self.policy("db")), Self.apply(Self.policy("shop"))])
    #expect(succeeded(outcomes["db"]) && succeeded(outcomes["shop"]), "\(outcomes)")
    let hosts = world.load("test").records.flatMap(\.instances).map(\.host)
    #expect(hosts.count == 4 && !hosts.contains("b1"))
  }

  @Test func `two of three that fail are too few, and no gateway has heard of it`() async throws {
    let world = FakeFleet(gateways: ["g1"])
    for host in ["a1", "b1"] as [HostName] { world.change { $0.claims[host] = .failed(Failure(.host, "\(host): read-only file system")) } }
    let outcomes = try await run(world, [Self.apply(Self.policy("db", routed: true))])
    guard case .failed(let failure)? = outcomes["db"] else {
      Issue.record("\(outcomes)")
      return
    }
    #expect(failure.message == "a1: read-only file system (and 1 more like it)")
    #expect(!world.calls.contains("claim gateway g1"))
    #expect(world.calls.filter { $0.hasPrefix("withdraw") } == ["withdraw c1"])
  }

  @Test func `a claim that comes to nothing at the end is taken back at gateways too`() async throws {
    let world = FakeFleet(gateways: ["g1", "g2"])
    // Nothing was ever released, and this command makes no first record.
    var request = Self.apply(Self.policy("db", routed: true))
    request.createsRecord = false
    let outcomes = try await run(world, [request])
    guard case .refused? = outcomes["db"] else {
      Issue.record("\(outcomes)")
      return
    }
    let taken = world.calls.filter { $0.hasPrefix("withdraw") }.sorted()
    #expect(taken == ["withdraw a1", "withdraw b1", "withdraw c1", "withdraw gateway g1", "withdraw gateway g2"])
  }

  @Test func `hosts are claimed before gateways`() async throws {
    let world = FakeFleet(gateways: ["g1"])
    _ = try await run(world, [Self.apply(Self.policy("db", routed: true))])
    let claims = world.calls.filter { $0.hasPrefix("claim") }
    #expect(claims.count == 4 && claims.last == "claim gateway g1", "\(claims)")
  }

  // MARK: One service beside others

  /// `shop` waits in its hook while `db` comes to its end; `then` happens in between.
  func beside(_ world: FakeFleet, inbox: Inbox, _ then: @escaping @Sendable () async -> Void) async throws -> (
    outcomes: [ServiceName: FleetRunner.Outcome], left: [ServiceName]
  ) {
    world.change { $0.holds = true }
    let left = Mutex<[ServiceName]>([])
    let (lefts, send) = AsyncStream.makeStream(of: ServiceName.self)
    let runner = world.runner { news in
      if case .left(let service) = news {
        left.withLock { $0.append(service) }
        send.yield(service)
      }
    }
    let waits = Task {
      for await service in lefts where service == "db" { break }
      await then()
      world.letHooksGo()
    }
    let requests = [Self.apply(Self.policy("db")), Self.apply(Self.policy("shop", hooks: [.preDeploy: "waits"]))]
    let outcomes = try await runner.run(requests, interruptions: Self.quiet, inbox: inbox.stream)
    await waits.value
    return (outcomes, left.withLock { $0 })
  }

  @Test(.timeLimit(.minutes(1))) func `a service that has come to rest is let go of while another of the run still goes on`() async throws {
    let world = FakeFleet()
    let found = Mutex<[String]>([])
    let (outcomes, left) = try await beside(world, inbox: Inbox()) {
      found.withLock { $0 = world.calls.filter { $0.hasPrefix("release") } }
    }
    #expect(succeeded(outcomes["db"]) && succeeded(outcomes["shop"]), "\(outcomes)")
    #expect(left == ["db", "shop"])
    #expect(found.withLock { $0.sorted() } == ["release db on a1", "release db on b1", "release db on c1"])
  }

  @Test func `a run goes on from the newest copy, whatever the store of this machine has`() async throws {
    let world = FakeFleet()
    var old = ServiceRecord(policy: Self.policy("shop"))
    (old.fence, old.version) = (Fence(owner: "ben@there:1:1:1", epoch: 3), 5)
    var newer = old
    (newer.version, newer.scale) = (9, 7)
    let statement = CopyStatement(fleet: "test", service: "shop", revision: newer.revision, record: Array("{}".utf8))
    let copy = SignedCopy(statement, signature: NamedKeys.signature(of: statement.message, by: "anna"))
    world.change { [old, newer] in
      ($0.records["shop"], $0.copied) = (old, newer)
      $0.claims["a1"] = .granted(HostFact(host: "a1", generation: 1), copy)
    }
    let freeze = Command(id: "freeze", by: "anna", at: WallTime(milliseconds: 0), verb: .freeze("a change elsewhere"))
    _ = try await run(world, [FleetRunner.Request(service: "shop", initial: nil, command: freeze)])
    let record = try #require(world.load("test").records.first)
    #expect(record.freeze != nil && record.scale == 7 && record.version > 9)
  }

  @Test(.timeLimit(.minutes(1))) func `what another process does to its service is seen by the decisions of this one`() async throws {
    let world = FakeFleet(hosts: ["a1"])
    let inbox = Inbox()
    // Another process has scaled db so far that every slot of the host is taken.
    let (outcomes, _) = try await beside(world, inbox: inbox) {
      guard var db = world.load("test").records.first(where: { $0.service == "db" }) else { return }
      let template = db.instances[0]
      db.instances += (10..<12).map { number in
        Instance(
          number: number, release: template.release, host: "a1", address: template.address, port: 20_500 + number, secrets: "",
          phase: .serving)
      }
      db.version += 1
      world.commitElsewhere(db)
    }
    #expect(succeeded(outcomes["db"]))
    #expect(!succeeded(outcomes["shop"]), "\(outcomes)")
    let shop = try #require(world.load("test").records.first { $0.service == "shop" })
    #expect(shop.instances.allSatisfy { $0.phase == .retired || $0.phase == .reserved } || shop.instances.isEmpty, "\(shop.instances)")
  }

  // MARK: Commands of other processes

  func command(_ id: String, _ verb: Command.Verb, for service: ServiceName = "shop", about: Int? = nil) -> StoredCommand {
    StoredCommand(service: service, command: Command(id: id, by: "ben", at: WallTime(milliseconds: 0), verb: verb, about: about))
  }

  @Test(.timeLimit(.minutes(1))) func `a command is answered where it counts, and one about another rollout is refused`() async throws {
    let world = FakeFleet()
    let inbox = Inbox()
    let commands = [
      command("late", .abort, about: 7), command("none", .abort, about: 0), command("right", .freeze("lunch"), about: 1),
      command("other", .abort, for: "web"),
    ]
    let (outcomes, _) = try await beside(world, inbox: inbox) {
      world.change { $0.inbox = commands }
      inbox.wake.yield()
      while world.state.withLock({ $0.answers.count < 3 }) { await Task.yield() }
    }
    let answers = world.state.withLock { $0.answers }
    guard case .refused(let late)? = answers["late"], case .refused(let none)? = answers["none"] else {
      Issue.record("\(answers)")
      return
    }
    #expect(late.message == "it was typed about rollout 7 of shop, and rollout 1 runs now")
    #expect(none.message == "it was typed when no rollout of shop ran, and rollout 1 does now")
    #expect(answers["right"] == .taken && answers["other"] == nil)
    // What was taken is what the record says.
    #expect(world.load("test").records.first { $0.service == "shop" }?.freeze != nil)
    #expect(world.state.withLock { $0.inbox.map(\.command.id) } == ["other"])
    #expect(succeeded(outcomes["db"]))
  }
}
