internal import Foundation
internal import GRDB
package import SluiceModel

/// What the last manifests declared, so that a command without `-f` knows the fleet.
package struct FleetDefinitions: Hashable, Codable, Sendable {
  package var fleet: Fleet
  package var gateways: [Gateway]

  package init(fleet: Fleet, gateways: [Gateway]) {
    self.fleet = fleet
    self.gateways = gateways
  }
}

/// A packed artifact in the cache of this machine.
package struct StoredArtifact: Hashable, Codable, Sendable {
  package var digest: Digest
  package var path: String
  /// Bytes.
  package var size: Int64

  package init(digest: Digest, path: String, size: Int64) {
    self.digest = digest
    self.path = path
    self.size = size
  }
}

extension SQLiteStore {
  /// Replaces what was known of the fleet and its gateways.
  package func saveDefinitions(fleet definition: Fleet, gateways: [Gateway]) throws {
    try check(definition.name)
    let fleetContent = try StableJSON.text(definition)
    let gatewayContents = try gateways.map { ($0.name.rawValue, try StableJSON.text($0)) }
    try write { database in
      try database.execute(sql: "DELETE FROM definition")
      let insert = "INSERT INTO definition (kind, name, content) VALUES (?, ?, ?)"
      try database.execute(sql: insert, arguments: ["fleet", definition.name.rawValue, fleetContent])
      for (name, content) in gatewayContents { try database.execute(sql: insert, arguments: ["gateway", name, content]) }
    }
  }

  /// nil before the first `saveDefinitions`. Gateways come in the order of their names.
  package func definitions() throws -> FleetDefinitions? {
    try read { database in
      let select = "SELECT content FROM definition WHERE kind = ? ORDER BY name"
      guard let fleet = try String.fetchOne(database, sql: select, arguments: ["fleet"]) else { return nil }
      return FleetDefinitions(
        fleet: try StableJSON.value(Fleet.self, from: fleet, what: "the definition of the fleet"),
        gateways: try String.fetchAll(database, sql: select, arguments: ["gateway"]).map {
          try StableJSON.value(Gateway.self, from: $0, what: "the definition of a gateway")
        })
    }
  }

  /// What keys the versions of a service's secrets: 32 random bytes, made once and never sent anywhere.
  package func salt(for service: ServiceName) throws -> [UInt8] {
    let select = "SELECT content FROM salt WHERE service = ?"
    if let salt = try read({ try Data.fetchOne($0, sql: select, arguments: [service.rawValue]) }) { return [UInt8](salt) }
    return try write { database in
      if let salt = try Data.fetchOne(database, sql: select, arguments: [service.rawValue]) { return [UInt8](salt) }
      var generator = SystemRandomNumberGenerator()
      let salt = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
      try database.execute(sql: "INSERT INTO salt (service, content) VALUES (?, ?)", arguments: [service.rawValue, Data(salt)])
      return salt
    }
  }

  /// Notes a packed artifact; the newest path and size of a digest count.
  package func noteArtifact(_ artifact: StoredArtifact) throws {
    try write { database in
      try database.execute(
        sql: """
          INSERT INTO artifact (digest, path, size) VALUES (?, ?, ?)
          ON CONFLICT (digest) DO UPDATE SET path = excluded.path, size = excluded.size
          """, arguments: [artifact.digest.rawValue, artifact.path, artifact.size])
    }
  }

  package func artifact(_ digest: Digest) throws -> StoredArtifact? {
    try artifacts(where: "WHERE digest = ?", [digest.rawValue]).first
  }

  /// All that are noted, in the order of their digests.
  package func artifacts() throws -> [StoredArtifact] { try artifacts(where: "ORDER BY digest", []) }

  package func forgetArtifact(_ digest: Digest) throws {
    try write { try $0.execute(sql: "DELETE FROM artifact WHERE digest = ?", arguments: [digest.rawValue]) }
  }

  private func artifacts(where clause: String, _ arguments: StatementArguments) throws -> [StoredArtifact] {
    try read { database in
      try Row.fetchAll(database, sql: "SELECT digest, path, size FROM artifact \(clause)", arguments: arguments).map {
        StoredArtifact(digest: Digest($0["digest"] as String), path: $0["path"], size: $0["size"])
      }
    }
  }
}
