internal import GRDB
package import SluiceModel
package import SluiceRollout

extension SQLiteStore {
  package func hear(_ words: [Cordon], fleet: FleetName) throws {
    try check(fleet)
    if words.isEmpty { return }
    try write { database in
      var kept = try Self.cordons(database)
      for word in words where kept.hear(word) {
        try database.execute(
          sql: "INSERT OR REPLACE INTO cordon (host, content) VALUES (?, ?)",
          arguments: [word.host.rawValue, try StableJSON.text(word)])
      }
    }
  }

  /// A host of which a version before has kept no more than that it is drained is older than any word.
  static func cordons(_ database: Database) throws -> Cordons {
    Cordons(
      try Row.fetchAll(database, sql: "SELECT * FROM cordon ORDER BY host").map { row in
        let host = HostName(row["host"] as String)
        guard row.hasColumn("content"), let content = row["content"] as String? else {
          return Cordon(host: host, number: 1, isDrained: true, by: "", at: WallTime(milliseconds: 0))
        }
        return try StableJSON.value(Cordon.self, from: content, what: "what was said of host \(host)")
      })
  }
}
