package import SluiceModel
package import SluiceRollout

/// A controller machine's database: what was committed is durable, and what an older controller would put over it is refused.
package struct SimulatedStore: Sendable {
  /// In order of their services.
  package private(set) var records: [ServiceRecord] = []

  package init() {}

  package func record(_ service: ServiceName) -> ServiceRecord? { records.first { $0.service == service } }

  /// All of them, or none where one is older than what is stored or another of the same age: that one is given back.
  package mutating func commit(_ records: [ServiceRecord]) -> ServiceRecord? {
    if let stale = records.first(where: isStale) { return stale }
    for record in records { put(record) }
    return nil
  }

  /// The database of another machine is the one that is acted on from here, as far as this record goes.
  mutating func put(_ record: ServiceRecord) {
    let place = records.partitioningIndex { $0.service >= record.service }
    if place < records.count, records[place].service == record.service {
      records[place] = record
    } else {
      records.insert(record, at: place)
    }
  }

  private func isStale(_ record: ServiceRecord) -> Bool {
    guard var stored = self.record(record.service) else { return false }
    // Active time passes without a change of version.
    stored.activeTime = record.activeTime
    return record.revision < stored.revision || record.revision == stored.revision && record != stored
  }
}
