internal import GRDB
package import SluiceEngine
package import SluiceModel
internal import SluiceRollout

extension SQLiteStore {
  /// Leaves a command for the process that has the service, and wakes it. A command whose id is in the inbox already is not left twice.
  ///
  /// False: it does not listen. It stays in the inbox all the same; `withdrawCommand` takes it back for who wants to carry it out himself.
  package func leaveCommand(_ command: StoredCommand, for holder: MachineLock.Holder) throws -> Bool {
    let content = try StableJSON.text(command)
    try write { database in
      try database.execute(
        sql: "INSERT OR IGNORE INTO inbox (command, service, content) VALUES (?, ?, ?)",
        arguments: [command.command.id, command.service.rawValue, content])
    }
    return try WakeSocket.poke("\(directory.path)/\(holder.wake ?? "\(fleet).wake")")
  }

  /// Takes a command back. False: it was handed out already, or never left.
  package func withdrawCommand(_ id: String) throws -> Bool {
    try write { database in
      try database.execute(sql: "UPDATE inbox SET taken = 1 WHERE command = ? AND taken = 0", arguments: [id])
      return database.changesCount == 1
    }
  }

  /// What has become of a command; nil: nothing yet.
  package func answer(to command: String) throws -> CommandAnswer.Verdict? {
    try read { database in
      try String.fetchOne(database, sql: "SELECT content FROM answer WHERE command = ?", arguments: [command]).map {
        try StableJSON.value(CommandAnswer.self, from: $0, what: "the answer to command \(command)").verdict
      }
    }
  }

  package func takeCommands(_ fleet: FleetName, for services: [ServiceName], now: WallTime) throws -> [StoredCommand] {
    try check(fleet)
    return try write { database in
      let waiting = try Row.fetchAll(database, sql: "SELECT id, service, content FROM inbox WHERE taken = 0 ORDER BY id")
      var commands: [StoredCommand] = []
      for row in waiting {
        let name: String = row["service"]
        guard services.contains(ServiceName(name)) else { continue }
        let id: Int64 = row["id"]
        let stored = try StableJSON.value(StoredCommand.self, from: row["content"] as String, what: "command \(id) of the inbox")
        try database.execute(sql: "UPDATE inbox SET taken = 1 WHERE id = ?", arguments: [id])
        if now.milliseconds - stored.command.at.milliseconds > CommandAnswer.expiry.value {
          try Self.put(CommandAnswer(command: stored.command.id, verdict: .expired), database)
        } else {
          commands.append(stored)
        }
      }
      return commands
    }
  }

  static func put(_ answer: CommandAnswer, _ database: Database) throws {
    try database.execute(
      sql: "INSERT OR REPLACE INTO answer (command, content) VALUES (?, ?)",
      arguments: [answer.command, try StableJSON.text(answer)])
  }

  /// Wakes every process that changes this fleet: what one of them waits for may have come.
  package func wakeAll() {
    for path in directory.wakes(of: fleet) { _ = try? WakeSocket.poke(path) }
  }

  // MARK: Several processes

  package func exclusively<Value>(_ work: () throws -> Value) throws -> Value { try directory.exclusively(work) }

  /// SQLite tells one connection whether another has written; all of this process' writes go over this one.
  package func changes(_ fleet: FleetName, since mark: Int64?, known: () -> [ServiceName: Revision]) throws -> StoreChanges? {
    try check(fleet)
    return try onWriter { database in
      let version = try Int64.fetchOne(database, sql: "PRAGMA data_version") ?? 0
      if version == mark { return nil }
      let known = known()
      let rows = try Row.fetchAll(database, sql: "SELECT service, epoch, version FROM record ORDER BY service")
      let records = try rows.compactMap { row -> ServiceRecord? in
        let service = ServiceName(row["service"] as String)
        if known[service] == Revision(epoch: row["epoch"], version: row["version"]) { return nil }
        let select = "SELECT content FROM record WHERE service = ?"
        return try String.fetchOne(database, sql: select, arguments: [service.rawValue]).map { try self.decode(Array($0.utf8)) }
      }
      return StoreChanges(mark: version, records: records, cordons: try Self.cordons(database))
    }
  }
}
