package import SluiceEngine
import SluiceModel
import SluiceRollout

/// An empty database of the fleet `prod`.
package protocol StoreSubject: Sendable {
  var store: any StorePort { get }
  /// The same one as another process finds it.
  func reopened() throws -> any StorePort
}

/// What every store does (DESIGN section 5).
package enum StoreContract {
  private static let fleet: FleetName = "prod"

  package static let laws: [Law<any StoreSubject>] = [
    Law("what was committed is what the next process finds, and what was not is as it was") { subject in
      try demand(try subject.store.load(fleet) == StoredFleet(), "it was not empty")
      try subject.store.commit([record("web", 1, 1), record("api", 1, 1)], events: [], fleet: fleet)
      try subject.store.commit([record("web", 1, 2)], events: [], fleet: fleet)
      try found([record("api", 1, 1), record("web", 1, 2)], subject)
    },
    Law("an older record is refused, and all that was to be committed with it") { subject in
      try subject.store.commit([record("web", 2, 5)], events: [], fleet: fleet)
      for older in [record("web", 2, 4), record("web", 1, 9)] {
        try refused([record("api", 3, 1), older], subject)
      }
      try found([record("web", 2, 5)], subject)
    },
    Law("another record of the same age is refused; the same one again is no change, however long it was looked after") { subject in
      try subject.store.commit([record("web", 1, 5)], events: [], fleet: fleet)
      try refused([record("web", 1, 5, replicas: 9)], subject)
      var later = record("web", 1, 5)
      later.activeTime = .seconds(9)
      try subject.store.commit([later], events: [], fleet: fleet)
      let kept = try subject.reopened().load(fleet).records.map { ($0.revision, $0.policy.replicas) }
      try demand(kept.count == 1 && kept[0] == (Revision(epoch: 1, version: 5), 3), "\(kept)")
    },
    Law("a higher epoch goes over a higher version") { subject in
      try subject.store.commit([record("web", 1, 100)], events: [], fleet: fleet)
      try subject.store.commit([record("web", 2, 1)], events: [], fleet: fleet)
      try found([record("web", 2, 1)], subject)
    },
    Law("a record that was made bytes is the same when it is read again") { subject in
      let before = record("web", 7, 3)
      let after = try subject.store.decode(try subject.store.encode(before))
      try demand(after == before, "\(after)")
    },
  ]

  private static func record(_ service: ServiceName, _ epoch: UInt64, _ version: UInt64, replicas: Int = 3) -> ServiceRecord {
    var record = ServiceRecord(policy: ServicePolicy(name: service, fleet: fleet, replicas: replicas))
    record.fence = Fence(owner: "me@here:boot:1", epoch: epoch)
    record.version = version
    return record
  }

  private static func found(_ records: [ServiceRecord], _ subject: any StoreSubject, line: UInt = #line) throws {
    let kept = try subject.reopened().load(fleet).records
    try demand(kept == records, "\(kept.map { "\($0.service) \($0.revision)" }) were found", line: line)
  }

  private static func refused(_ records: [ServiceRecord], _ subject: any StoreSubject, line: UInt = #line) throws {
    do { try subject.store.commit(records, events: [], fleet: fleet) } catch { return }
    throw BrokenLaw(description: "\(records.map { "\($0.service) \($0.revision)" }) was taken (line \(line))")
  }
}
