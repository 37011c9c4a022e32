internal import GRDB

/// The tables, by migrations that are never changed once released.
enum StoreSchema {
  /// What every version has written.
  static let first = "1 records, events, history, inbox"

  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration(first) { database in try makeFirst(database) }
    migrator.registerMigration("2 answers to commands") { database in
      try database.execute(sql: "CREATE TABLE answer (command TEXT PRIMARY KEY NOT NULL, content TEXT NOT NULL) STRICT")
    }
    migrator.registerMigration("3 words on hosts") { database in
      try database.execute(sql: "ALTER TABLE cordon ADD COLUMN content TEXT")
    }
    return migrator
  }

  private static func makeFirst(_ database: Database) throws {
    try database.execute(
      sql: """
        CREATE TABLE record (
          service TEXT PRIMARY KEY NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL, content TEXT NOT NULL
        ) STRICT;

        CREATE TABLE event (
          id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, at INTEGER NOT NULL, rollout INTEGER, level TEXT NOT NULL,
          kind TEXT NOT NULL, content TEXT NOT NULL
        ) STRICT;
        CREATE INDEX event_service ON event (service, id);
        CREATE TRIGGER event_unchanged BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
        CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

        CREATE TABLE history (
          service TEXT NOT NULL, number INTEGER NOT NULL, endedAt INTEGER NOT NULL, content TEXT NOT NULL, PRIMARY KEY (service, number)
        ) STRICT;

        CREATE TABLE cordon (host TEXT PRIMARY KEY NOT NULL) STRICT;

        CREATE TABLE inbox (
          id INTEGER PRIMARY KEY AUTOINCREMENT, command TEXT NOT NULL UNIQUE, service TEXT NOT NULL, content TEXT NOT NULL,
          taken INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX inbox_waiting ON inbox (id) WHERE taken = 0;

        CREATE TABLE definition (kind TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (kind, name)) STRICT;

        CREATE TABLE salt (service TEXT PRIMARY KEY NOT NULL, content BLOB NOT NULL CHECK (length(content) = 32)) STRICT;

        CREATE TABLE artifact (digest TEXT PRIMARY KEY NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL) STRICT;
        """)
  }
}
