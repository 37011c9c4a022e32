import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic

extension ServiceTally {
  /// Adds another loop's.
  mutating func add(_ other: ServiceTally) {
    total += other.total
    since += other.since
    waiting += other.waiting
    if let theirs = other.splits {
      var sum = splits ?? SplitTally()
      sum.add(theirs)
      splits = sum
    }
    for target in other.targets {
      if let index = targets.firstIndex(where: { $0.instance == target.instance && $0.authority == target.authority }) {
        targets[index].counts += target.counts
      } else {
        targets.append(target)
      }
    }
  }
}

extension RequestCounts {
  init(_ counts: LoopCounts, waiting: Int) {
    self.init(
      admitted: counts.admitted, completed: counts.completed, failed: counts.failed, cutOff: counts.cutOff, gone: counts.gone,
      inFlight: counts.inFlight, longLived: counts.longLived, refused: counts.refused, unserved: counts.unserved,
      abandoned: counts.abandoned, waiting: waiting)
  }
}

extension ServiceControl {
  /// What stands, with the counts of all loops. `live`: what every loop has taken.
  func status(
    _ tally: ServiceTally, live: ControlPlane.Live, sequence: UInt64, boot: String, lastFaults: [TargetKey: LastFault] = [:]
  ) -> ServiceStatus {
    ServiceStatus(
      service: service, fence: standing.fence, revision: live.revision, record: record?.revision,
      switch: SwitchReport(
        state: hotSwitch.state, pending: hotSwitch.pending, since: RequestCounts(tally.since, waiting: tally.waiting)),
      total: RequestCounts(tally.total, waiting: tally.waiting), panicking: eligibility.panicking,
      targets: targetStatuses(tally, lastFaults), sequence: sequence, boot: boot, split: live.split,
      lost: live.lost.isEmpty ? nil : live.lost)
  }

  /// The table's targets in its order; then those that left with something open.
  private func targetStatuses(_ tally: ServiceTally, _ lastFaults: [TargetKey: LastFault]) -> [TargetStatus] {
    var counted: [TargetKey: ServiceTally.TargetTally] = [:]
    for target in tally.targets { counted[TargetKey(instance: target.instance, authority: target.authority)] = target }
    var statuses: [TargetStatus] = []
    for (release, target) in table?.targets ?? [] {
      let key = TargetKey(target)
      guard let record = targets[key] else { continue }
      let counts = counted.removeValue(forKey: key)?.counts ?? LoopCounts()
      statuses.append(
        TargetStatus(
          instance: target.instance, release: release, address: target.address, port: target.port, state: record.machine.state,
          health: record.health.health, since: record.since, lastProbe: record.lastProbe, counts,
          lastFault: lastFaults[key]))
    }
    for (key, left) in counted.sorted(by: { ($0.key.instance, $0.key.authority) < ($1.key.instance, $1.key.authority) }) {
      guard left.counts.open > 0 else { continue }
      let (address, port) = key.parts
      statuses.append(
        TargetStatus(
          instance: key.instance, release: left.release, address: address, port: port, state: .draining, health: .unknown,
          since: WallTime(milliseconds: 0), lastProbe: "", left.counts))
    }
    return statuses
  }
}

extension TargetKey {
  /// Address without brackets, and port.
  var parts: (String, Int) {
    guard let colon = authority.lastIndex(of: ":") else { return (authority, 0) }
    var address = String(authority[..<colon])
    if address.hasPrefix("[") { address = String(address.dropFirst().dropLast()) }
    return (address, Int(authority[authority.index(after: colon)...]) ?? 0)
  }
}

extension TargetStatus {
  init(
    instance: InstanceID, release: ReleaseNumber, address: String, port: Int, state: TargetMachine.State, health: HealthMachine.Health,
    since: WallTime, lastProbe: String, _ counts: LoopCounts, lastFault: LastFault? = nil
  ) {
    let faults = counts.faults.all

    self.init(
      instance: instance, release: release, address: address, port: port, state: state, health: health, since: since,
      lastProbe: lastProbe, inFlight: counts.inFlight, longLived: counts.longLived, admitted: counts.admitted,
      completed: counts.completed, failed: counts.failed, cutOff: counts.cutOff, gone: counts.gone,
      faults: faults.isEmpty ? nil : Dictionary(uniqueKeysWithValues: faults.map { ($0.kind.rawValue, $0.count) }),
      lastFault: lastFault?.text, lastFaultAt: lastFault?.at)
  }
}
