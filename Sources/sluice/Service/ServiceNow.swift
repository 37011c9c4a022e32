import SluiceGatewayAPI
import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore
import SluiceTraffic

/// One service as it stands now: what the record decided, and what the gateways say of it.
struct ServiceNow {
  var record: ServiceRecord
  /// By gateway of the record; nil when nothing was asked.
  var answers: [GatewayID: GatewayAnswer]?
  /// When the record last had something to tell; nil when nothing says so.
  var recordedAt: WallTime?
  var orders: SwitchOrders
  /// Who drives the unfinished rollout.
  var driver: RolloutDriver?
  /// What somebody else has done since the record was written.
  var acted: ActedSince?

  init(record: ServiceRecord, answers: [GatewayID: GatewayAnswer]? = nil) {
    self.record = record
    self.answers = answers
    orders = SwitchOrders([], now: WallTime(milliseconds: 0))
  }

  var service: ServiceName { record.service }
  var wanted: Int { record.goal.map { $0.release == nil ? 0 : $0.replicas } ?? 0 }
  var serving: Int { record.instances.count(where: isServing) }
  /// An operator has stopped it, and that has come to its end.
  var isStopped: Bool { record.rollout == nil && record.stable?.release != nil && record.stable?.replicas == 0 }
  /// Whether at least one gateway was to be asked.
  var wasAsked: Bool { answers != nil && !record.gateways.isEmpty }

  // MARK: What the gateways say

  func answer(_ id: GatewayID) -> GatewayStatus? { answers?[id]?.status }

  /// Of this service; nil where the gateway was not asked, said nothing, or knows nothing of it.
  func status(_ id: GatewayID) -> ServiceStatus? { answer(id)?.services.first { $0.service == service } }

  /// Those that answered and that users reach.
  private var voices: [GatewayID] { record.gateways.filter { !$0.excluded && answer($0.id) != nil }.map(\.id) }
  var hasVoice: Bool { !voices.isEmpty }

  /// Gateways that send all users to stable, because they heard of no controller.
  /// How long a controller of this machine has looked after the record since it was written; a deadline runs on meanwhile.
  var sinceCommit: Milliseconds {
    guard driver?.kind == .process, let written = record.committedAt else { return .zero }
    return Milliseconds(max(0, SystemTimekeeper().wall().milliseconds - written.milliseconds))
  }

  var fallenBack: [GatewayID] { record.gateways.map(\.id).filter { status($0)?.split?.fallenBack != nil } }

  private func targets(_ number: Int, _ ids: [GatewayID]) -> [TargetStatus?] {
    ids.map { status($0)?.targets.first { $0.instance.number == number } }
  }

  /// The record has let it in, and every gateway that answers calls it healthy; where none answers, what they said last.
  func isServing(_ instance: Instance) -> Bool {
    guard instance.phase == .serving, instance.condemned == nil else { return false }
    return hasVoice ? word(instance) == "serving" : instance.isServing
  }

  /// The state of an instance in one word.
  func word(_ instance: Instance) -> String {
    guard instance.phase == .serving, hasVoice else { return StatusText.word(instance) }
    let targets = targets(instance.number, voices)
    if targets.contains(where: { $0 == nil }) { return "unrouted" }
    if targets.contains(where: { $0?.state == .draining || $0?.state == .drained }) { return "draining" }
    return targets.allSatisfy { $0?.state == .serving && $0?.health == .healthy } ? "serving" : "unhealthy"
  }

  /// For how long a fault of a serving instance is told.
  private static let faultShown: Int64 = 15 * 60_000

  /// What the last probe of an instance saw that is not healthy; else what it did lately that gateways had to answer for. Nil where no gateway says so.
  func trouble(_ instance: Instance) -> String? {
    guard word(instance) == "unhealthy" else {
      return voices.compactMap { id -> String? in
        guard let gateway = answer(id), let target = targets(instance.number, [id]).first ?? nil else { return nil }
        guard let at = target.lastFaultAt, gateway.clock.milliseconds - at.milliseconds < Self.faultShown else { return nil }
        return target.faultWords
      }.first
    }
    return targets(instance.number, voices).compactMap { $0 }.first { $0.health != .healthy && !$0.lastProbe.isEmpty }?.lastProbe
  }

  func inFlight(_ instance: Instance) -> Int {
    guard wasAsked else { return record.gateways.reduce(0) { $0 + ($1.target(instance.number)?.inFlight ?? 0) } }
    return targets(instance.number, record.gateways.map(\.id)).reduce(0) { $0 + ($1.map { $0.inFlight + $0.longLived } ?? 0) }
  }

  // MARK: The switch

  struct Switch {
    var state: SwitchMachine.State
    var since: WallTime?
    var pending: SwitchMachine.Pending?
    /// The gateways where it stands so; empty: at all of them.
    var gateways: [GatewayID]
  }

  /// Where it stands, as the gateways say; where none was asked, as it was ordered. More than one where gateways differ.
  var switches: [Switch] {
    if record.gateways.isEmpty { return [] }
    guard wasAsked else {
      let standing = orders.standing
      return [Switch(state: standing?.state ?? .open, since: standing?.since, pending: orders.pending, gateways: [])]
    }
    let known = voices.compactMap { id in status(id).map { (id, $0.switch) } }
    var found: [Switch] = []
    for (id, report) in known {
      if let place = found.firstIndex(where: { $0.state == report.state && $0.pending == report.pending }) {
        found[place].gateways.append(id)
      } else {
        // Another controller's orders are not among these events.
        let since = acted == nil ? orders.since(report.state) : nil
        found.append(Switch(state: report.state, since: since, pending: report.pending, gateways: [id]))
      }
    }
    if found.count == 1 { found[0].gateways = [] }
    return found
  }

  /// What a headline says of a switch that is not simply open.
  var switchWords: String? {
    let words = switches.compactMap { found in
      let place = found.gateways.isEmpty ? "" : " at " + found.gateways.map(\.description).joined(separator: ", ")
      return SwitchText.words(found.state, since: found.since, pending: found.pending, service: service, place: place)
    }
    return words.isEmpty ? nil : words.joined(separator: ", ")
  }
}

/// Somebody else has acted on the service since the record at hand was written: a gateway has something newer.
struct ActedSince: Codable {
  var gateway: String
  /// `user@machine`
  var by: String
  /// What is newer there.
  var what: String
  var next: String
  /// Whether the table is another, so that the record's instances need not be those that serve.
  var table: Bool
  /// Only the fence is another's: a claim that came to nothing elsewhere leaves that too.
  var fenceOnly: Bool
  /// It was done on this machine, and is not in this state.
  var isHere: Bool

  /// For people.
  var text: String {
    let who = isHere ? "a command on this machine with another state directory" : "another controller"
    return "\(who) has acted since\(fenceOnly ? ", or has tried to" : ""): \(by); gateway \(gateway) has \(what)"
  }

  /// nil when no gateway has anything newer, or when it is the work of the process that has this machine's lock. `files` are the manifests named.
  static func find(_ now: ServiceNow, holder: MachineLock.Holder?, machine: String, files: [String]) -> ActedSince? {
    let record = now.record
    for gateway in record.gateways {
      guard let status = now.status(gateway.id) else { continue }
      let own = record.fence ?? Fence(owner: "", epoch: 0)
      // Under this record's own fence, what is newer is from before it was adopted: the next run gives the gateway a table of its own.
      if status.fence == own || status.fence.epoch < own.epoch { continue }
      let parts = status.fence.owner.split(separator: ":")
      if let holder, parts.count == 4, parts[0].hasSuffix("@\(machine)"), parts[2] == String(holder.pid) { continue }
      let live = status.revision ?? Revision(epoch: 0, version: 0)
      let newerTable = live > record.table.revision
      let isHere = ControllerIdentity.machine(of: status.fence.owner) == machine
      var what = "fence \(status.fence.epoch), and this record knows \(own.epoch)"
      let newerCopy = status.record.map { $0 > record.revision } ?? false
      if let copy = status.record, newerCopy { what = "a record of age \(copy), and this one is \(record.revision)" }
      // A claim of this machine that came to nothing: nobody has acted.
      if isHere, !newerTable, !newerCopy { continue }
      if newerTable { what = "table \(live), and this record knows \(record.table.revision)" }
      return ActedSince(
        gateway: gateway.id.description, by: parts.first.map(String.init) ?? status.fence.owner, what: what,
        next: "sluice adopt -f \(files.isEmpty ? "PATH" : files.joined(separator: " "))"
          + " reads the newest record; it changes nothing that runs",
        table: newerTable, fenceOnly: !newerTable && !newerCopy, isHere: isHere)
    }
    return nil
  }
}
