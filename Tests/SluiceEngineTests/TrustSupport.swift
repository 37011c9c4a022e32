import Foundation
import SluiceModel
import SluiceRollout
import Synchronization

@testable import SluiceEngine

/// Keys as these tests have them: a signature is the signer's name and a sum over what was signed.
final class NamedKeys: TrustPort {
  let own: String?
  let believed: [String]
  let takesUnsigned: Bool
  let asked = Mutex<[String]>([])

  init(own: String? = "anna", believed: [String] = ["anna"], takesUnsigned: Bool = false) {
    self.own = own
    self.believed = believed
    self.takesUnsigned = takesUnsigned
  }

  static func sum(_ bytes: [UInt8]) -> Digest {
    Digest("\(bytes.reduce(14_695_981_039_346_656_037 as UInt64) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 })")
  }

  static func signature(of statement: [UInt8], by name: String) -> String { "\(name) \(sum(statement))" }

  func sign(_ statement: [UInt8]) async -> SigningOutcome { own.map { .signed(Self.signature(of: statement, by: $0)) } ?? .unable }

  func seal(of statement: [UInt8], signature: String) -> SealCheck {
    let name = String(signature.prefix { $0 != " " })
    guard signature == Self.signature(of: statement, by: name) else { return .broken("the signature does not fit the content") }
    return .signed(Signer(fingerprint: "SHA256:\(name)", key: name))
  }

  func believes(_ signer: Signer, copy: FoundCopy) async -> Belief {
    if believed.contains(signer.key) { return .believed }
    asked.withLock { $0.append(signer.key) }
    return .refused(remedy: "sluice adopt -f PATH --accept-signer \(signer.fingerprint)")
  }

  func believesUnsigned(_ copy: FoundCopy) async -> Belief {
    takesUnsigned ? .believed : .refused(remedy: "sluice adopt -f PATH --accept-unsigned")
  }

  func digest(of spec: ReleaseSpec) throws -> Digest { Digest("of \(spec.artifact)") }
  func digest(of bytes: [UInt8]) -> Digest { Self.sum(bytes) }
}

/// A fleet whose hosts and gateways give back copies, and remember what is left on them.
final class CopyPlacesWorld: HostPort, GatewayPort, HookPort, CheckPort, StorePort, Timekeeper {
  struct State {
    var stored: [ServiceRecord] = []
    var events: [RecordEvent] = []
    var hooks: [String] = []
    var left: [String: SignedCopy] = [:]
    var withdrawn: [HostName] = []
  }

  let copies: [String: SignedCopy]
  let standing: Bool
  /// What another controller's fence was; nil: none.
  let former: FenceHolder?
  let state: Mutex<State>

  init(_ copies: [String: SignedCopy] = [:], stored: [ServiceRecord] = [], standing: Bool = false, former: FenceHolder? = nil) {
    self.copies = copies
    self.standing = standing
    self.former = former
    state = Mutex(State(stored: stored))
  }

  func claim(_ claim: FenceClaim, on host: SluiceModel.Host, ports: PortRange) async -> ClaimAnswer<HostFact> {
    if let former, claim.fence.epoch <= former.fence.epoch { return .refused(former) }
    let instances = standing ? [InstanceFact(number: 1, port: 20_000, running: true)] : []
    return .granted(HostFact(host: host.name, generation: 1, instances: instances), copies[host.name.rawValue])
  }
  func withdraw(_ service: ServiceName, fence: Fence, on host: SluiceModel.Host) async { state.withLock { $0.withdrawn.append(host.name) } }
  func perform(_ order: HostOrder, on host: SluiceModel.Host) async -> AttemptResult { .unreachable("nothing is done here") }
  func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to host: SluiceModel.Host) async -> Bool {
    state.withLock { $0.left[host.name.rawValue] = copy }
    return true
  }
  func release(_ service: ServiceName, fence: Fence, keep: [Digest], on host: SluiceModel.Host) async {}
  func leave(_ word: Cordon, on host: SluiceModel.Host) async -> Cordon? { nil }

  func claim(_ claim: FenceClaim, gateway: GatewayID) async -> ClaimAnswer<GatewayFact> {
    .granted(GatewayFact(gateway: gateway, revision: nil), copies["\(gateway)"])
  }
  func withdraw(_ service: ServiceName, fence: Fence, gateway: GatewayID) async {}
  func setTable(_ content: TableContent, revision: Revision, service: ServiceName, fence: Fence, gateway: GatewayID) async -> AttemptResult
  {
    .unreachable("nothing is done here")
  }
  func removeTable(service: ServiceName, fence: Fence, gateway: GatewayID) async -> AttemptResult { .unreachable("nothing is done here") }
  func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to gateway: GatewayID) async -> Bool {
    state.withLock { $0.left["\(gateway)"] = copy }
    return true
  }
  func renewLease(_ service: ServiceName, fence: Fence, gateway: GatewayID) async {}
  func watch(_ service: ServiceName, gateway: GatewayID) -> AsyncStream<GatewayNews> { AsyncStream { $0.finish() } }

  func run(_ call: HookCall, command: String, record: ServiceRecord, attempt: Int) async -> AttemptResult {
    state.withLock { $0.hooks.append(command) }
    return .succeeded(.nothing)
  }
  func ask(_ check: AnalysisCheck, step: Int, record: ServiceRecord) async -> AttemptResult { .succeeded(.nothing) }

  func load(_ fleet: FleetName) throws -> StoredFleet { state.withLock { StoredFleet(records: $0.stored) } }
  func commit(_ records: [ServiceRecord], events: [StoredEvent], answers: [CommandAnswer], fleet: FleetName) throws {
    state.withLock { state in
      for record in records {
        state.stored.removeAll { $0.service == record.service }
        state.stored.append(record)
      }
      state.events += events.map(\.event)
    }
  }
  func hear(_ words: [Cordon], fleet: FleetName) throws {}
  func takeCommands(_ fleet: FleetName, for services: [ServiceName], now: WallTime) throws -> [StoredCommand] { [] }
  func changes(_ fleet: FleetName, since mark: Int64?, known: () -> [ServiceName: Revision]) throws -> StoreChanges? { nil }
  func exclusively<Value>(_ work: () throws -> Value) throws -> Value { try work() }
  func encode(_ record: ServiceRecord) throws -> [UInt8] { try Self.bytes(record) }
  func decode(_ bytes: [UInt8]) throws -> ServiceRecord { try JSONDecoder().decode(ServiceRecord.self, from: Data(bytes)) }

  static func bytes(_ record: ServiceRecord) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return [UInt8](try encoder.encode(record))
  }

  func monotonic() -> Milliseconds { .zero }
  func wall() -> WallTime { WallTime(milliseconds: 0) }
  func sleep(for time: Milliseconds) async throws { throw CancellationError() }
  func offset(of zone: String, at wall: WallTime) -> Milliseconds? { .zero }
}
