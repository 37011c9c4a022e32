internal import GRDB
internal import Glibc
package import SluiceEngine
package import SluiceModel
package import SluiceRollout

/// The working copy of one fleet's records and its long history: `<directory>/<fleet>.sqlite`.
///
/// A commit is one transaction, durable when it returns. Any number of processes may read and write: `MachineLock` keeps a second one from
/// changing the same service. All calls block for the disk.
package final class SQLiteStore: StorePort {
  package let fleet: FleetName
  package let directory: StateDirectory
  let isReadOnly: Bool
  private let pool: DatabasePool

  /// Opens the fleet's file, and makes it unless `readOnly`.
  ///
  /// Throws `StoreError`: `.notYet` when there is nothing to read, `.network`, `.unusable`, `.newer`, `.damaged`, `.busy`.
  package init(directory path: String, fleet: FleetName, readOnly: Bool = false) throws {
    self.fleet = fleet
    directory = StateDirectory(path)
    isReadOnly = readOnly
    let file = directory.database(of: fleet)
    if readOnly {
      guard access(file, F_OK) == 0 else { throw Self.notYet(fleet, directory) }
      try directory.refuseNetwork()
    } else {
      try directory.prepare()
      try Self.create(file, in: directory)
    }
    var configuration = Configuration()
    configuration.readonly = readOnly
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(10)
    configuration.label = "sluice.\(fleet)"
    pool = try Self.translating(file) { try DatabasePool(path: file, configuration: configuration) }
    if readOnly { try checkSchema() } else { try prepare() }
  }

  /// The file is made here and not by SQLite so that it is 0600 whatever the umask; its companions take its mode.
  ///
  /// It gets its name only when it is closed: closing any descriptor of a file drops every lock that SQLite has on it in this process
  /// (sqlite.org/howtocorrupt.html, section 2.2).
  private static func create(_ file: String, in directory: StateDirectory) throws(StoreError) {
    guard access(file, F_OK) != 0 else { return }
    let draft = "\(file).\(getpid()).\(UInt64.random(in: 0...UInt64.max))"
    let descriptor = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    var outcome = descriptor >= 0 && close(descriptor) == 0 && link(draft, file) == 0
    let number = errno
    if descriptor >= 0 { _ = unlink(draft) }
    outcome = outcome || number == EEXIST
    guard outcome else {
      throw StoreError(.unusable, "\(file) cannot be made (\(String(cString: strerror(number))))", remedy: "Name another with --state")
    }
    try directory.sync()
  }

  private func prepare() throws {
    try translating {
      try pool.writeWithoutTransaction { database in
        // GRDB sets NORMAL when it turns WAL on, after its own preparing hook; in WAL that would lose the last commits at a power failure.
        try database.execute(sql: "PRAGMA synchronous = FULL")
        let synchronous = try Int.fetchOne(database, sql: "PRAGMA synchronous")
        let journal = try String.fetchOne(database, sql: "PRAGMA journal_mode")
        guard synchronous == 2, journal == "wal" else {
          throw StoreError(
            .unusable,
            "SQLite does not write \(self.directory.database(of: self.fleet)) durably (synchronous \(synchronous ?? -1), \(journal ?? "no journal"))",
            remedy: "Name a directory on a local disk with --state")
        }
      }
      guard try !pool.read(StoreSchema.migrator.hasBeenSuperseded) else { throw newerSchema }
      if try !pool.read(StoreSchema.migrator.hasCompletedMigrations) {
        // The migrator looks before its transaction begins, so two of them at once would both make the tables.
        try directory.exclusively { try StoreSchema.migrator.migrate(pool) }
      }
    }
  }

  private func checkSchema() throws {
    try read { database in
      guard try !StoreSchema.migrator.hasBeenSuperseded(database) else { throw self.newerSchema }
      // What a version before has left is read as it is; whoever changes something brings it up to date.
      guard try StoreSchema.migrator.appliedIdentifiers(database).contains(StoreSchema.first) else {
        throw Self.notYet(self.fleet, self.directory)
      }
    }
  }

  private var newerSchema: StoreError {
    StoreError(
      .newer, "\(directory.database(of: fleet)) was written by a newer sluice",
      remedy: "Use that version or a later one, or another --state")
  }

  private static func notYet(_ fleet: FleetName, _ directory: StateDirectory) -> StoreError {
    StoreError(
      .notYet, "nothing is known here of the fleet \(fleet) (no records in \(directory.path))",
      remedy: "sluice adopt -f PATH reads them from the fleet's hosts and gateways; sluice apply -f PATH begins anew")
  }

  // MARK: Access

  func read<Value>(_ work: (Database) throws -> Value) throws -> Value { try translating { try pool.read(work) } }

  /// One transaction.
  func write<Value>(_ work: (Database) throws -> Value) throws -> Value {
    guard !isReadOnly else { throw StoreError(.misuse, "the state of \(fleet) was opened for reading") }
    return try translating { try pool.write(work) }
  }

  /// The one connection that writes, for reading.
  func onWriter<Value>(_ work: (Database) throws -> Value) throws -> Value { try translating { try pool.writeWithoutTransaction(work) } }

  private func translating<Value>(_ work: () throws -> Value) throws -> Value {
    try Self.translating(directory.database(of: fleet), work)
  }

  private static func translating<Value>(_ file: String, _ work: () throws -> Value) throws -> Value {
    do { return try work() } catch let error as DatabaseError {
      let cause = error.message ?? "error \(error.resultCode.rawValue)"
      switch error.resultCode {
      case .SQLITE_CORRUPT, .SQLITE_NOTADB:
        throw StoreError(
          .damaged, "\(file) is damaged (\(cause))",
          remedy: "Move it away and run sluice rollout resume: the newest records are taken from gateways and hosts")
      case .SQLITE_BUSY, .SQLITE_LOCKED: throw StoreError(.busy, "\(file) is kept by another process (\(cause))", remedy: "Try again")
      case .SQLITE_FULL:
        throw StoreError(.unusable, "\(file) cannot grow: the disk is full", remedy: "Make room, then run the command again")
      default: throw StoreError(.unusable, "\(file) cannot be used (\(cause))", remedy: "Check its file system and permissions")
      }
    }
  }

  func check(_ asked: FleetName) throws(StoreError) {
    guard asked == fleet else { throw StoreError(.misuse, "this state is of the fleet \(fleet), not of \(asked)") }
  }

  // MARK: Records

  package func load(_ fleet: FleetName) throws -> StoredFleet {
    try check(fleet)
    return try read { database in
      let records = try String.fetchAll(database, sql: "SELECT content FROM record ORDER BY service").map {
        try self.decode(Array($0.utf8))
      }
      return StoredFleet(records: records, cordons: try Self.cordons(database))
    }
  }

  /// Every record, in the order of the services' names.
  package func records() throws -> [ServiceRecord] { try load(fleet).records }

  /// A record that is older than the stored one is refused, and so is one as old with other content; the stored record once more is no
  /// change, and its events are not appended again.
  package func commit(_ records: [ServiceRecord], events: [StoredEvent], answers: [CommandAnswer], fleet: FleetName) throws {
    try check(fleet)
    let encoded = try records.map { ($0, String(decoding: try encode($0), as: UTF8.self)) }
    try write { database in
      for answer in answers { try Self.put(answer, database) }
      var changes = records.isEmpty
      for (record, content) in encoded where try self.put(record, content, database) { changes = true }
      guard changes else { return }
      for event in events { try Self.append(event, database) }
    }
  }

  /// Says whether the stored record is another now.
  private func put(_ record: ServiceRecord, _ content: String, _ database: Database) throws -> Bool {
    let service = record.service.rawValue
    if let row = try Row.fetchOne(database, sql: "SELECT epoch, version, content FROM record WHERE service = ?", arguments: [service]) {
      let stored = Revision(epoch: row["epoch"], version: row["version"])
      if record.revision == stored {
        var same = try decode(Array((row["content"] as String).utf8))
        // Active time passes without a change of version.
        same.activeTime = record.activeTime
        guard same == record else { throw stale(record, stored, "is another one of the same age") }
        return false
      }
      guard record.revision > stored else { throw stale(record, stored, "is newer") }
    }
    try database.execute(
      sql: """
        INSERT INTO record (service, epoch, version, content) VALUES (?, ?, ?, ?)
        ON CONFLICT (service) DO UPDATE SET epoch = excluded.epoch, version = excluded.version, content = excluded.content
        """,
      arguments: [service, record.revision.epoch, record.revision.version, content])
    if let end = record.ended {
      try database.execute(
        sql: """
          INSERT INTO history (service, number, endedAt, content) VALUES (?, ?, ?, ?)
          ON CONFLICT (service, number) DO UPDATE SET endedAt = excluded.endedAt, content = excluded.content
          """,
        arguments: [service, end.number, end.endedAt.milliseconds, try StableJSON.text(end)])
    }
    return true
  }

  private func stale(_ record: ServiceRecord, _ stored: Revision, _ how: String) -> StoreError {
    StoreError(
      .stale, "the record of \(record.service) at \(record.revision) was not stored: the stored one, \(stored), \(how)",
      remedy: "Another controller has acted meanwhile: run the command again")
  }

  private static func append(_ event: StoredEvent, _ database: Database) throws {
    try database.execute(
      sql: "INSERT INTO event (service, at, rollout, level, kind, content) VALUES (?, ?, ?, ?, ?, ?)",
      arguments: [
        event.service.rawValue, event.at.milliseconds, event.rollout, event.event.level.rawValue, event.event.kind,
        try StableJSON.text(event.event),
      ])
  }

  package func encode(_ record: ServiceRecord) throws -> [UInt8] { try RecordCodec.encode(record) }
  package func decode(_ bytes: [UInt8]) throws -> ServiceRecord { try RecordCodec.decode(bytes) }
}
