import SluiceEngine
import SluiceGatewayAPI
import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore
import SluiceTraffic

/// Reads records and what goes with them, and lays the gateways' answers over them.
struct ServiceReader {
  let workspace: Workspace
  /// One service; nil: all.
  let service: ServiceName?
  /// The manifests that were named, for what to type.
  let files: [String]
  private let machine = ControllerIdentity.current().machine

  init(workspace: Workspace, service: ServiceName?, files: [String]) {
    self.workspace = workspace
    self.service = service
    self.files = files
  }

  func records() throws -> [ServiceRecord] {
    let all = try workspace.reader()?.load(workspace.fleet.name).records ?? []
    return all.filter(isAsked)
  }

  /// One that was removed is told of where it is named.
  private func isAsked(_ record: ServiceRecord) -> Bool { service.map { $0 == record.service } ?? (record.removal == nil) }

  /// Every gateway of these services, once.
  static func gateways(_ records: [ServiceRecord]) -> [GatewayID] { Set(records.flatMap { $0.gateways.map(\.id) }).sorted() }

  /// The services as they stand. The records are read after the gateways were asked: what a running process does is in its record first,
  /// so that only somebody else's work is newer at a gateway. nil `answers`: nothing was asked.
  func services(_ answers: [GatewayID: GatewayAnswer]?) throws -> [ServiceNow] {
    guard let store = try workspace.reader() else { return [] }
    let records = try store.load(workspace.fleet.name).records.filter(isAsked)
    return try records.map { record in
      let holder = MachineLock.holder(directory: workspace.directory.path, fleet: workspace.fleet.name, service: record.service)
      var now = ServiceNow(record: record, answers: answers)
      now.acted = ActedSince.find(now, holder: holder, machine: machine, files: files)
      now.recordedAt = try recordedAt(record, store)
      if !now.wasAsked || now.switches.contains(where: { $0.state != .open }) { now.orders = try Self.orders(record.service, store) }
      if let rollout = record.rollout {
        let fences = record.gateways.compactMap { now.status($0.id)?.fence } + [record.fence].compactMap { $0 }
        now.driver = RolloutDriver(
          rollout, of: record.service, fence: fences.max { $0.epoch < $1.epoch }, holder: holder, machine: machine)
      }
      return now
    }
  }

  static func orders(_ service: ServiceName, _ store: SQLiteStore) throws -> SwitchOrders {
    let events = try store.lastEvents(service: service, kindPrefix: SwitchOrders.kindPrefix, limit: 200)
    return SwitchOrders(events.map(\.stored), now: SystemTimekeeper().wall())
  }

  /// A record holds no time of its own: whatever changes in it that people care for is an event.
  private func recordedAt(_ record: ServiceRecord, _ store: SQLiteStore) throws -> WallTime? {
    let event = try store.lastEvents(service: record.service, limit: 1).last?.stored.at
    return [event, record.ended?.endedAt, record.rollout?.startedAt].compactMap { $0 }.max()
  }
}
