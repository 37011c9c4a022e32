import SluiceEngine
import SluiceModel
import SluiceRollout
import Synchronization

/// Hosts on which everything works, behind the engine's ports: for the shell around the machine, whose rounds, locks and ends are tested here.
/// What a test wants otherwise it says before the run.
final class FakeFleet: HostPort, GatewayPort, HookPort, CheckPort, StorePort, Timekeeper {
  struct State {
    /// Answers to a claim that are not a plain grant.
    var claims: [HostName: ClaimAnswer<HostFact>] = [:]
    var gatewayClaims: [GatewayID: ClaimAnswer<GatewayFact>] = [:]
    /// What copies hold.
    var copied: ServiceRecord?
    /// Hosts that never answer a claim.
    var hangs: Set<HostName> = []
    var hanging: [AsyncStream<Void>.Continuation] = []
    /// What was called, in its order: `claim a1`, `withdraw gateway g1` …
    var calls: [String] = []
    var records: [ServiceName: ServiceRecord] = [:]
    var cordons: Cordons = []
    /// What was left on hosts.
    var left: [Cordon] = []
    var events: [StoredEvent] = []
    var answers: [String: CommandAnswer.Verdict] = [:]
    var inbox: [StoredCommand] = []
    /// What another process has committed, by when it is seen.
    var mark: Int64 = 0
    var clock: Int64 = 0
    /// Hooks wait until they are let go.
    var holds = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  let state = Mutex(State())
  let fleet: Fleet
  let gateway: Gateway?

  init(hosts: [String] = ["a1", "b1", "c1"], gateways: [String] = []) {
    fleet = Fleet(
      name: "test",
      racks: hosts.map { name in
        let rack = RackName(String(name.first!))
        return Rack(name: rack, hosts: [Host(name: HostName(name), rack: rack, address: "10.0.0.\(name.utf8.first!)", slots: 4)])
      }
        + (gateways.isEmpty
          ? [] : [Rack(name: "g", hosts: gateways.map { Host(name: HostName($0), rack: "g", address: "10.0.9.1", slots: 0) })]))
    gateway = gateways.isEmpty ? nil : Gateway(name: "edge", fleet: "test", hosts: gateways.map { HostName($0) }, listen: [])
  }

  func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }
  var calls: [String] { state.withLock { $0.calls } }
  var eventKinds: [String] { state.withLock { $0.events.map(\.event.kind) } }

  func runner(_ owner: String = "anna@here:1:1:1", observe: @escaping @Sendable (FleetRunner.News) -> Void = { _ in }) -> FleetRunner {
    FleetRunner(
      fleet: fleet, gateways: [gateway].compactMap(\.self),
      ports: .init(hosts: self, gateways: self, hooks: self, checks: self, store: self, trust: NamedKeys(), time: self),
      options: .init(owner: owner, machine: "here"), observe: observe)
  }

  private func note(_ call: String) { state.withLock { $0.calls.append(call) } }

  // MARK: Hosts

  func claim(_ claim: FenceClaim, on host: Host, ports: PortRange) async -> ClaimAnswer<HostFact> {
    note("claim \(host.name) for \(claim.service)")
    let (answer, hangs) = state.withLock { ($0.claims[host.name], $0.hangs.contains(host.name)) }
    if hangs {
      let (never, send) = AsyncStream.makeStream(of: Void.self)
      state.withLock { $0.hanging.append(send) }
      for await _ in never {}
      return .unreachable("cancelled")
    }
    return answer ?? .granted(HostFact(host: host.name, generation: 1), nil)
  }

  func withdraw(_ service: ServiceName, fence: Fence, on host: Host) async { note("withdraw \(host.name)") }

  func perform(_ order: HostOrder, on host: Host) async -> AttemptResult {
    switch order.kind {
    case .observe: .succeeded(.facts(HostFact(host: host.name, generation: 2)))
    case .stop: .succeeded(.stopped(generation: 2, killed: false))
    case .stage, .start, .checkReady, .task: .succeeded(.host(generation: 2))
    }
  }

  func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to host: Host) async -> Bool { true }
  func release(_ service: ServiceName, fence: Fence, keep: [Digest], on host: Host) async { note("release \(service) on \(host.name)") }

  func leave(_ word: Cordon, on host: Host) async -> Cordon? {
    state.withLock { state in
      state.calls.append("leave \(word.host)")
      state.left.append(word)
    }
    return word
  }

  // MARK: Gateways

  func claim(_ claim: FenceClaim, gateway: GatewayID) async -> ClaimAnswer<GatewayFact> {
    note("claim gateway \(gateway.host)")
    return state.withLock { $0.gatewayClaims[gateway] } ?? .granted(GatewayFact(gateway: gateway, revision: nil), nil)
  }

  func withdraw(_ service: ServiceName, fence: Fence, gateway: GatewayID) async { note("withdraw gateway \(gateway.host)") }

  func setTable(
    _ content: TableContent, revision: Revision, service: ServiceName, fence: Fence, gateway: GatewayID
  ) async -> AttemptResult {
    let targets = content.targets.map { TargetFact(instance: $0.instance, healthy: true) }
    return .succeeded(.gateway(GatewayFact(gateway: gateway, revision: revision, targets: targets)))
  }

  func removeTable(service: ServiceName, fence: Fence, gateway: GatewayID) async -> AttemptResult {
    .succeeded(.gateway(GatewayFact(gateway: gateway, revision: nil)))
  }

  func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to gateway: GatewayID) async -> Bool { true }
  func renewLease(_ service: ServiceName, fence: Fence, gateway: GatewayID) async {}
  func watch(_ service: ServiceName, gateway: GatewayID) -> AsyncStream<GatewayNews> { AsyncStream { $0.finish() } }

  // MARK: This machine

  func run(_ call: HookCall, command: String, record: ServiceRecord, attempt: Int) async -> AttemptResult {
    note("hook of \(record.service)")
    await withCheckedContinuation { continuation in
      let holds = state.withLock { state in
        if state.holds { state.waiting.append(continuation) }
        return state.holds
      }
      if !holds { continuation.resume() }
    }
    return .succeeded(.nothing)
  }

  /// Hooks end from now on, and those that wait do now.
  func letHooksGo() {
    let waiting = state.withLock { state in
      state.holds = false
      defer { state.waiting = [] }
      return state.waiting
    }
    for each in waiting { each.resume() }
  }

  func ask(_ check: AnalysisCheck, step: Int, record: ServiceRecord) async -> AttemptResult { .succeeded(.nothing) }

  // MARK: Store

  func load(_ fleet: FleetName) -> StoredFleet {
    state.withLock { StoredFleet(records: $0.records.values.sorted { $0.service < $1.service }, cordons: $0.cordons) }
  }

  func commit(_ records: [ServiceRecord], events: [StoredEvent], answers: [CommandAnswer], fleet: FleetName) {
    state.withLock { state in
      for record in records { state.records[record.service] = record }
      state.events += events
      for answer in answers { state.answers[answer.command] = answer.verdict }
    }
  }

  func hear(_ words: [Cordon], fleet: FleetName) { state.withLock { state in for word in words { state.cordons.hear(word) } } }

  func takeCommands(_ fleet: FleetName, for services: [ServiceName], now: WallTime) -> [StoredCommand] {
    state.withLock { state in
      defer { state.inbox.removeAll { services.contains($0.service) } }
      return state.inbox.filter { services.contains($0.service) }
    }
  }

  /// Another process commits a record.
  func commitElsewhere(_ record: ServiceRecord) {
    state.withLock { state in
      state.records[record.service] = record
      state.mark += 1
    }
  }

  func changes(_ fleet: FleetName, since mark: Int64?, known: () -> [ServiceName: Revision]) -> StoreChanges? {
    state.withLock { state in
      if mark == state.mark { return nil }
      let known = known()
      let records = state.records.values.filter { known[$0.service] != $0.revision }.sorted { $0.service < $1.service }
      return StoreChanges(mark: state.mark, records: records, cordons: state.cordons)
    }
  }

  func exclusively<Value>(_ work: () throws -> Value) throws -> Value { try work() }
  func encode(_ record: ServiceRecord) -> [UInt8] { [] }
  func decode(_ bytes: [UInt8]) throws -> ServiceRecord {
    guard let copied = state.withLock({ $0.copied }) else { throw Refusal("no copy is kept here") }
    return copied
  }

  // MARK: Time

  /// Goes on by what is waited for, and by a little each time it is asked.
  func monotonic() -> Milliseconds {
    state.withLock { state in
      state.clock += 1
      return Milliseconds(state.clock)
    }
  }

  func wall() -> WallTime { WallTime(milliseconds: state.withLock { $0.clock }) }

  /// Short waits pass at once, and the patience with a gate once everything else has had its turn. A deadline never comes.
  func sleep(for time: Milliseconds) async throws {
    if time == .minutes(1) {
      for _ in 0..<5_000 { await Task.yield() }
    } else if time > .seconds(6) {
      let (never, send) = AsyncStream.makeStream(of: Void.self)
      state.withLock { $0.hanging.append(send) }
      for await _ in never {}
    }
    try Task.checkCancellation()
    state.withLock { $0.clock += time.value }
  }

  func offset(of zone: String, at wall: WallTime) -> Milliseconds? { nil }
}
