import Foundation
import PortContracts
import SluiceEngine
import SluiceModel
import SluiceRollout
import Synchronization

@testable import SluiceSimulator

/// The simulated hosts, gateways, hooks and checks behind the engine's ports: what the simulation makes of an action, answered as an adapter answers.
final class SimulatedPorts: HostPort, GatewayPort, HookPort, CheckPort, Sendable {
  let host: SluiceModel.Host
  let gateway: GatewayID
  let policy: ServicePolicy
  private let world: Mutex<Simulation>
  private let sabotage: Sabotage?

  /// Release 2 never becomes ready.
  init(_ sabotage: Sabotage? = nil) {
    self.sabotage = sabotage
    let fleet = Scenario.fleet(racks: 1, perRack: 1, slots: 4)
    host = fleet.hosts[0]
    let edge = Scenario.gateway(processes: 1)
    gateway = edge.processes[0]
    policy = ServicePolicy(name: "shop", fleet: "sim", replicas: 2, startTimeout: .seconds(5), route: Route(gateway: "edge"))
    var plan = Scenario.Plan(policy: policy, releases: [])
    plan.badReleases[2] = 1
    world = Mutex(Simulation(seed: 1, scenario: Scenario(fleet: fleet, gateway: edge, plan: plan), sabotage: sabotage))
  }

  /// Sends one action and lets the world go on until it is answered.
  private func carryOut(_ action: Action, _ fence: Fence, _ record: ServiceRecord) -> AttemptResult {
    world.withLock { world in
      let attempt = Attempt(id: 1, action: action, openedAt: .zero)
      world.arrive(world.incarnation, attempt, fence, record)
      while let (at, (index, happening)) = world.queue.pop() {
        world.turn(to: index)
        world.time = at
        if case .answers(_, attempt, let result, _) = happening { return result }
        world.happen(happening)
      }
      return .inDoubt("nobody has answered")
    }
  }

  // MARK: Hosts

  func claim(_ claim: FenceClaim, on host: SluiceModel.Host, ports: PortRange) async -> ClaimAnswer<HostFact> {
    world.withLock { world in
      if let holder = world.scene.hosts[host.name]?.claim(claim, sabotage) { return .refused(holder) }
      guard let fact = world.facts(of: host.name) else { return .unreachable("no such host") }
      return .granted(fact, world.scene.hosts[host.name]?.copy.flatMap { Self.copy($0.record) })
    }
  }

  func withdraw(_ service: ServiceName, fence: Fence, on host: SluiceModel.Host) async {
    world.withLock { $0.scene.hosts[host.name]?.withdraw(service, owner: fence.owner) }
  }

  func perform(_ order: HostOrder, on host: SluiceModel.Host) async -> AttemptResult {
    var record = ServiceRecord(policy: order.policy)
    let action: Action
    switch order.kind {
    case .observe: action = .observe(host.name)
    case .stage(let release): (action, record.releases) = (.stage(host.name, release.number), [release])
    case .start(let instance, let release):
      action = .start(host.name, instance: instance.number)
      (record.instances, record.releases) = ([instance], [release])
    case .checkReady(let instance, let release):
      action = .checkReady(host.name, instance: instance.number)
      (record.instances, record.releases) = ([instance], [release])
    case .stop(let instance, let release):
      action = .stop(host.name, instance: instance.number)
      (record.instances, record.releases) = ([instance], [release].compactMap(\.self))
    case .task(let release, let number, _):
      (action, record.releases) = (.task(host.name, release.number, number: number), [release])
    }
    return carryOut(action, order.fence, record)
  }

  func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to host: SluiceModel.Host) async -> Bool {
    guard let record = Self.record(copy) else { return false }
    return world.withLock { $0.scene.hosts[host.name]?.keep(record, fence, sabotage) ?? false }
  }

  func release(_ service: ServiceName, fence: Fence, keep: [Digest], on host: SluiceModel.Host) async {
    world.withLock { $0.scene.hosts[host.name]?.release(service, fence) }
  }

  func leave(_ word: Cordon, on host: SluiceModel.Host) async -> Cordon? { world.withLock { $0.leave(word, on: host.name) } }

  // MARK: Gateways

  func claim(_ claim: FenceClaim, gateway: GatewayID) async -> ClaimAnswer<GatewayFact> {
    world.withLock { world in
      if let standing = world.scene.gateways[gateway]?.claim(claim.fence, sabotage) {
        return .refused(FenceHolder(fence: standing, machine: claim.machine, since: claim.since, released: true))
      }
      guard let fact = world.scene.gateways[gateway]?.facts(gateway, nil) else { return .unreachable("no such gateway") }
      return .granted(fact, world.scene.gateways[gateway]?.copy.flatMap { Self.copy($0.record) })
    }
  }

  func withdraw(_ service: ServiceName, fence: Fence, gateway: GatewayID) async {
    world.withLock { $0.scene.gateways[gateway]?.withdraw(owner: fence.owner) }
  }

  func setTable(
    _ content: TableContent, revision: Revision, service: ServiceName, fence: Fence, gateway: GatewayID
  ) async -> AttemptResult {
    var record = ServiceRecord(policy: policy)
    (record.table.content, record.table.revision) = (content, revision)
    return carryOut(.setTable(gateway, revision), fence, record)
  }

  func removeTable(service: ServiceName, fence: Fence, gateway: GatewayID) async -> AttemptResult {
    carryOut(.removeTable(gateway), fence, ServiceRecord(policy: policy))
  }

  func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to gateway: GatewayID) async -> Bool {
    guard let record = Self.record(copy) else { return false }
    return world.withLock { $0.scene.gateways[gateway]?.keep(record, fence, sabotage) ?? false }
  }

  /// What gateways tell by themselves is no order and no answer: the laws are about these.
  func renewLease(_ service: ServiceName, fence: Fence, gateway: GatewayID) async {}
  func watch(_ service: ServiceName, gateway: GatewayID) -> AsyncStream<GatewayNews> { AsyncStream { $0.finish() } }

  // MARK: Hooks and checks

  /// Its name says how it ends.
  func run(_ call: HookCall, command: String, record: ServiceRecord, attempt: Int) async -> AttemptResult {
    world.withLock { $0.standingFaults = command == "fails" ? [.hookFails] : command == "hangs" ? [.hookHangs] : [] }
    return carryOut(.hook(call.point, wave: call.wave), Fence(owner: "me", epoch: 1), record)
  }

  func ask(_ check: AnalysisCheck, step: Int, record: ServiceRecord) async -> AttemptResult {
    if case .command(let words, _) = check.kind {
      let fault: Scenario.Fault.Kind.Name? = ["fails": .checkFails, "hangs": .checkHangs, "is cut off": .checkInDoubt][words[0]]
      world.withLock { $0.standingFaults = [fault].compactMap(\.self) }
    }
    return carryOut(.check(check.name, step: step), Fence(owner: "me", epoch: 1), record)
  }

  private static func record(_ copy: SignedCopy) -> ServiceRecord? {
    guard let statement = CopyStatement(copy.bytes) else { return nil }
    return try? JSONDecoder().decode(ServiceRecord.self, from: Data(statement.record))
  }

  private static func copy(_ record: ServiceRecord) -> SignedCopy? { HostContract.copy(of: record) }
}

extension SimulatedPorts: HostSubject {
  var hosts: any HostPort { self }

  func release(_ number: Int, sick: Bool) async throws -> Release {
    let number = sick ? 2 : number
    let spec = ReleaseSpec(
      artifact: Digest("artifact-\(number)"), run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp))
    return Release(number: ReleaseNumber(number), digest: Scenario.digest(number), spec: spec)
  }

  func instance(_ number: Int, of release: Release) async throws -> Instance {
    Instance(
      number: number, release: release.number, host: host.name, address: host.serviceAddress, port: 20_000 + number, secrets: "")
  }

  func crowded(_ number: Int, of release: Release) async throws -> Instance {
    let instance = try await instance(number, of: release)
    world.withLock { $0.scene.hosts[host.name]?.foreign.append(instance.port) }
    return instance
  }
}

extension SimulatedPorts: GatewaySubject {
  var gateways: any GatewayPort { self }

  func target(_ number: Int, draining: Bool) -> TableTarget {
    TableTarget(
      instance: number, release: ReleaseNumber(1), address: host.serviceAddress, port: 20_000 + number, draining: draining)
  }
}

extension SimulatedPorts: HookSubject, CheckSubject {
  var hooks: any HookPort { self }
  var checks: any CheckPort { self }

  func hook(that fate: Fate) -> String { name(fate) }

  func check(that fate: Fate) -> AnalysisCheck {
    AnalysisCheck(name: "smoke", kind: .command([name(fate)], directory: "/"), timeout: .init(500))
  }

  private func name(_ fate: Fate) -> String {
    switch fate {
    case .succeeds: "succeeds"
    case .fails: "fails"
    case .hangs: "hangs"
    case .isCutOff: "is cut off"
    }
  }
}

/// The simulated database behind the engine's port, and a machine whose processes all find the same one.
final class SimulatedDatabase: StorePort, StoreSubject, Sendable {
  private let content = Mutex(SimulatedStore())

  var store: any StorePort { self }
  func reopened() -> any StorePort { self }

  func load(_ fleet: FleetName) -> StoredFleet { content.withLock { StoredFleet(records: $0.records) } }

  func commit(_ records: [ServiceRecord], events: [StoredEvent], answers: [CommandAnswer], fleet: FleetName) throws {
    if let stale = content.withLock({ $0.commit(records) }) { throw Stale(service: stale.service) }
  }

  struct Stale: Error { let service: ServiceName }

  /// What the simulation has no need of: each machine's words are kept beside its records, its commands come from nobody's inbox.
  func hear(_ words: [Cordon], fleet: FleetName) {}
  func takeCommands(_ fleet: FleetName, for services: [ServiceName], now: WallTime) -> [StoredCommand] { [] }
  func changes(_ fleet: FleetName, since mark: Int64?, known: () -> [ServiceName: Revision]) -> StoreChanges? { nil }
  func exclusively<Value>(_ work: () throws -> Value) throws -> Value { try work() }

  func encode(_ record: ServiceRecord) throws -> [UInt8] { Array(try JSONEncoder().encode(record)) }
  func decode(_ bytes: [UInt8]) throws -> ServiceRecord { try JSONDecoder().decode(ServiceRecord.self, from: Data(bytes)) }
}
