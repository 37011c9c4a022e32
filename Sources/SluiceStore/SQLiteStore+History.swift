internal import GRDB
package import SluiceEngine
package import SluiceModel
package import SluiceRollout

/// One stored event with its place in the order of all events.
package struct NumberedEvent: Hashable, Codable, Sendable {
  /// Rises with every event of the fleet; what `events(after:)` takes to go on.
  package var id: Int64
  package var stored: StoredEvent
}

/// One rollout that has ended.
package struct HistoryEntry: Hashable, Codable, Sendable {
  package var service: ServiceName
  package var end: RolloutEnd
}

extension SQLiteStore {
  /// Events in the order they were appended: those after `id`, at most `limit`. Of one service, or of all.
  package func events(service: ServiceName? = nil, after id: Int64 = 0, limit: Int = 1_000) throws -> [NumberedEvent] {
    try read { database in
      try Row.fetchAll(
        database,
        sql: """
          SELECT id, service, at, rollout, content FROM event WHERE id > :id AND (:service IS NULL OR service = :service) ORDER BY id LIMIT :limit
          """, arguments: ["id": id, "service": service?.rawValue, "limit": limit]
      ).map(Self.event)
    }
  }

  /// The newest events, oldest first.
  package func lastEvents(service: ServiceName? = nil, limit: Int) throws -> [NumberedEvent] {
    try read { database in
      try Row.fetchAll(
        database,
        sql: """
          SELECT id, service, at, rollout, content FROM event WHERE :service IS NULL OR service = :service ORDER BY id DESC LIMIT :limit
          """, arguments: ["service": service?.rawValue, "limit": limit]
      ).map(Self.event).reversed()
    }
  }

  /// The newest events of a service whose kind begins so, oldest first.
  package func lastEvents(service: ServiceName, kindPrefix: String, limit: Int) throws -> [NumberedEvent] {
    try read { database in
      try Row.fetchAll(
        database,
        sql: """
          SELECT id, service, at, rollout, content FROM event
          WHERE service = :service AND substr(kind, 1, length(:prefix)) = :prefix ORDER BY id DESC LIMIT :limit
          """, arguments: ["service": service.rawValue, "prefix": kindPrefix, "limit": limit]
      ).map(Self.event).reversed()
    }
  }

  /// Rollouts that have ended, the newest first. Of one service, or of all.
  package func history(service: ServiceName? = nil, limit: Int = 1_000) throws -> [HistoryEntry] {
    try read { database in
      try Row.fetchAll(
        database,
        sql: """
          SELECT service, content FROM history WHERE :service IS NULL OR service = :service ORDER BY endedAt DESC, service, number DESC LIMIT :limit
          """, arguments: ["service": service?.rawValue, "limit": limit]
      ).map { row in
        let service: String = row["service"]
        return HistoryEntry(
          service: ServiceName(service),
          end: try StableJSON.value(RolloutEnd.self, from: row["content"] as String, what: "a rollout of \(service)"))
      }
    }
  }

  private static func event(_ row: Row) throws -> NumberedEvent {
    let id: Int64 = row["id"]
    return NumberedEvent(
      id: id,
      stored: StoredEvent(
        service: ServiceName(row["service"] as String), at: WallTime(milliseconds: row["at"]), rollout: row["rollout"],
        event: try StableJSON.value(RecordEvent.self, from: row["content"] as String, what: "event \(id)")))
  }
}
