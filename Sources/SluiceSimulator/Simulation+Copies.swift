import SluiceEngine
import SluiceModel
import SluiceRollout

/// Records that go from one controller's machine to another's: by their copies on hosts and gateways, of which some are no good.
extension Simulation {
  // MARK: Whose turn it is

  /// The next process runs on another machine, which has a database of its own.
  mutating func passOn() {
    while let turn = pendingTurns.first, turn <= time {
      pendingTurns.removeFirst()
      databases[machine] = store
      machine = machine == "sim" ? "laptop" : "sim"
      store = databases[machine] ?? SimulatedStore()
      note("\(machine) goes on", isGeneral: true)
    }
  }

  // MARK: The newest

  /// The newest of the database's record and the copies that can be reached; nil where instances run and no record is found.
  mutating func newestRecord(
    _ known: ServiceRecord?, at gateways: [GatewayID], _ fence: Fence, foreignEpoch: UInt64
  ) -> ServiceRecord? {
    let found = copiesInReach(gateways)
    let verifier = CopyVerifier.simulated(fleet: scenario.fleet.name, service: service)
    var copies: [(record: VerifiedRecord, isTampered: Bool)] = []
    for copy in found where sabotage != .copiesUnseen {
      if let record = copy.sabotaged(by: sabotage).verified(by: verifier) { copies.append((record, copy.isTampered)) }
    }
    let standing = scenario.fleet.hosts.contains { scene.hosts[$0.name].map { $0.answers && !$0.instances.isEmpty } ?? false }
    let newest: ServiceRecord?
    switch RecordChoice.choose(
      service: service, known: known?.revision, copies: copies.map(\.record), foreignEpoch: foreignEpoch, standing: standing,
      takesOver: scene.takesOver)
    {
    case .known: newest = known
    case .copy(let copy):
      if let place = copies.firstIndex(where: { $0.record.revision == copy.revision }), copies[place].isTampered {
        violate("trust", "a copy that no controller has left is gone on from: \(copy.revision)")
      }
      newest = copy.record.withLocalPrograms(of: (known?.policies ?? []) + [scene.plan.policy], Self.hash)
    case .none: newest = ServiceRecord(policy: scene.plan.policy, begunUnder: fence.epoch)
    case .stale: return nil
    }
    checkAge(newest, found)
    return newest
  }

  private func copiesInReach(_ gateways: [GatewayID]) -> [SimulatedCopy] {
    let gateways = gateways.compactMap { id in scene.gateways[id].flatMap { $0.answers ? $0.copy : nil } }
    return gateways + scenario.fleet.hosts.compactMap { host in scene.hosts[host.name].flatMap { $0.answers ? $0.copy : nil } }
  }

  /// Whoever takes the fence goes on from the newest record that a controller has left within reach. Where what others have done since is
  /// nowhere to be found, what the record says is not held against the world.
  private mutating func checkAge(_ record: ServiceRecord?, _ found: [SimulatedCopy]) {
    guard let revision = record?.revision else { return }
    if let newest = found.filter({ !$0.isTampered }).map(\.claimed).max(), newest > revision {
      violate("copy", "\(machine) goes on from \(revision), and a copy of \(newest) is within reach")
    }
    let newest = databases.values.compactMap { $0.record(service)?.revision }.max()
    if let newest, newest > revision { scene.stateWasLost = true }
  }

  // MARK: Copies that no controller has left

  /// Somebody who can write there changes what lies there, or the disk does.
  mutating func tamper(at host: HostName, _ way: Scenario.Tampering) {
    if let copy = scene.hosts[host]?.copy { scene.hosts[host]?.copy = copy.tampered(way) }
    for id in processes where id.host == host {
      if let copy = scene.gateways[id]?.copy { scene.gateways[id]?.copy = copy.tampered(way) }
    }
  }
}

extension Scenario {
  /// What is wrong with a copy of a record.
  package enum Tampering: String, CaseIterable, Hashable, Sendable {
    /// It brings another release, signed by nobody, and is said to be the newest.
    case forged
    /// An old one is said to be the newest.
    case replayed
    /// It is cut short.
    case torn
    /// It is another service's.
    case foreign
    /// Its numbers leave no room for the next one, and it bears a signature that counts.
    case numbers
  }
}

extension SimulatedCopy {
  fileprivate func tampered(_ way: Scenario.Tampering) -> SimulatedCopy {
    var copy = self
    switch way {
    case .forged:
      copy = forged { record in
        record.releases.append(Release(number: ReleaseNumber(666), digest: Scenario.digest(666), spec: Scenario.spec(666)))
        record.stable?.release = ReleaseNumber(666)
      }
    case .replayed: copy = replayed(as: Revision(epoch: claimed.epoch + 1, version: claimed.version + 1_000))
    case .torn: copy = torn
    case .foreign: copy.stated.service = "other"
    case .numbers:
      copy.record.nextInstance = Int.max
      copy.record.version += 1_000
      (copy.claimed, copy.stated.revision) = (copy.record.revision, copy.record.revision)
    }
    copy.isTampered = true
    return copy
  }

  /// What a controller sees that does not look closely.
  fileprivate func sabotaged(by sabotage: Sabotage?) -> SimulatedCopy {
    var copy = self
    switch sabotage {
    case .anySigner: copy.isSigned = true
    case .ageBelieved:
      copy.stated.revision = claimed
      copy.record.fence = Fence(owner: copy.record.fence?.owner ?? "", epoch: claimed.epoch)
      copy.record.version = claimed.version
    default: break
    }
    return copy
  }
}
