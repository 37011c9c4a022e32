internal import GRDB
package import SluiceEngine
package import SluiceModel
internal import SluiceRollout

extension SQLiteStore {
  /// Leaves a command for the process that runs, and wakes it. A command whose id is in the inbox already is not left twice.
  ///
  /// False: nobody listens. It stays in the inbox all the same; `withdrawCommand` takes it back for who wants to carry it out himself.
  package func leaveCommand(_ command: StoredCommand) throws -> Bool {
    let content = try StableJSON.text(command)
    try write { database in
      try database.execute(
        sql: "INSERT OR IGNORE INTO inbox (command, service, content) VALUES (?, ?, ?)",
        arguments: [command.command.id, command.service.rawValue, content])
    }
    return try WakeSocket.poke(directory.wake(of: fleet))
  }

  /// Takes a command back. False: it was handed out already, or never left.
  package func withdrawCommand(_ id: String) throws -> Bool {
    try write { database in
      try database.execute(sql: "UPDATE inbox SET taken = 1 WHERE command = ? AND taken = 0", arguments: [id])
      return database.changesCount == 1
    }
  }

  package func takeCommands(_ fleet: FleetName) throws -> [StoredCommand] {
    try check(fleet)
    return try write { database in
      let waiting = try Row.fetchAll(database, sql: "SELECT id, content FROM inbox WHERE taken = 0 ORDER BY id")
      let commands = try waiting.map {
        try StableJSON.value(StoredCommand.self, from: $0["content"] as String, what: "command \($0["id"] as Int64) of the inbox")
      }
      if let last = waiting.last {
        try database.execute(sql: "UPDATE inbox SET taken = 1 WHERE taken = 0 AND id <= ?", arguments: [last["id"] as Int64])
      }
      return commands
    }
  }
}
