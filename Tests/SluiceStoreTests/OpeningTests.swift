import Foundation
import GRDB
import SluiceEngine
import Glibc
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceStore

@Suite struct OpeningTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func mode(_ path: String) throws -> mode_t {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return status.st_mode & 0o777
  }

  @Test func `the directory is made for its owner alone, and so are the files`() throws {
    let old = umask(0)
    defer { umask(old) }
    let path = directory.path + "/deep/state"
    let store = try SQLiteStore(directory: path, fleet: prod)
    try store.commit([record()], events: [], fleet: prod)
    #expect(try mode(path) == 0o700)
    for file in try FileManager.default.contentsOfDirectory(atPath: path) { #expect(try mode(path + "/" + file) == 0o600, "\(file)") }
  }

  @Test func `commits are synced at every commit`() throws {
    let store = try SQLiteStore(directory: directory.path, fleet: prod)
    let settings = try store.write { database in
      [
        try Int.fetchOne(database, sql: "PRAGMA synchronous").map(String.init), try String.fetchOne(database, sql: "PRAGMA journal_mode"),
        try Int.fetchOne(database, sql: "PRAGMA foreign_keys").map(String.init),
      ]
    }
    #expect(settings == ["2", "wal", "1"])
  }

  @Test func `reading where nothing was ever written says so and makes nothing`() throws {
    let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path, fleet: prod, readOnly: true) }
    #expect(error?.code == .notYet)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    try Data().write(to: URL(filePath: directory.path + "/prod.sqlite"))
    #expect(#expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path, fleet: prod, readOnly: true) }?.code == .notYet)
  }

  @Test func `a reader cannot write`() throws {
    _ = try SQLiteStore(directory: directory.path, fleet: prod)
    let reader = try SQLiteStore(directory: directory.path, fleet: prod, readOnly: true)
    #expect(#expect(throws: StoreError.self) { try reader.commit([record()], events: [], fleet: prod) }?.code == .misuse)
  }

  @Test func `a file that is no database is called damaged`() throws {
    try Data(repeating: 7, count: 8_192).write(to: URL(filePath: directory.path + "/prod.sqlite"))
    #expect(#expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path, fleet: prod) }?.code == .damaged)
  }

  @Test func `a file of a newer sluice is left alone`() throws {
    _ = try SQLiteStore(directory: directory.path, fleet: prod)
    let queue = try DatabaseQueue(path: directory.path + "/prod.sqlite")
    try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('99 tomorrow')") }
    try queue.close()
    for readOnly in [true, false] {
      #expect(
        #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path, fleet: prod, readOnly: readOnly) }?.code == .newer)
    }
  }

  @Test func `a file of the version before is read as it is, and brought up to date by who changes something`() throws {
    let store = try SQLiteStore(directory: directory.path, fleet: prod)
    try store.commit([record(version: 4)], events: [event("before")], fleet: prod)
    _ = try store.leaveCommand(
      command("c-1"), for: MachineLock.Holder(who: "ann", command: "apply", pid: 1, since: WallTime(milliseconds: 1)))
    let queue = try DatabaseQueue(path: directory.path + "/prod.sqlite")
    // What Sluice 0.1 has made: the first tables alone.
    try queue.write {
      try $0.execute(
        sql: """
          DROP TABLE answer; ALTER TABLE cordon DROP COLUMN content; INSERT INTO cordon (host) VALUES ('a1');
          DELETE FROM grdb_migrations WHERE identifier NOT LIKE '1 %'
          """)
    }
    try queue.close()
    let reader = try SQLiteStore(directory: directory.path, fleet: prod, readOnly: true)
    #expect(try reader.records() == [record(version: 4)])
    #expect(try reader.lastEvents(limit: 1).map(\.stored) == [event("before")])
    #expect(try reader.load(prod).cordons.hosts == ["a1"])
    let writer = try SQLiteStore(directory: directory.path, fleet: prod)
    #expect(try writer.answer(to: "c-1") == nil)
    #expect(try writer.takeCommands(prod, for: ["shop"], now: WallTime(milliseconds: 5)) == [command("c-1")])
    #expect(try writer.records() == [record(version: 4)])
    #expect(try writer.load(prod).cordons.hosts == ["a1"])
    try writer.hear(
      [Cordon("a1", isDrained: false, by: "ann", at: WallTime(milliseconds: 1), after: writer.load(prod).cordons.word(on: "a1"))],
      fleet: prod)
    #expect(try writer.load(prod).cordons.hosts.isEmpty)
  }

  @Test func `a directory that cannot be made is named`() throws {
    try Data().write(to: URL(filePath: directory.path + "/file"))
    let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path + "/file/state", fleet: prod) }
    #expect(error?.code == .unusable)
    #expect(error?.message.contains("/file/state") == true)
  }

  @Test func `the standard directory follows XDG`() {
    #expect(StateDirectory.standard(environment: ["XDG_STATE_HOME": "/s", "HOME": "/h"]).path == "/s/sluice")
    #expect(StateDirectory.standard(environment: ["XDG_STATE_HOME": "", "HOME": "/h"]).path == "/h/.local/state/sluice")
    #expect(StateDirectory.standard(environment: ["XDG_STATE_HOME": "rel", "HOME": "/h"]).path == "/h/.local/state/sluice")
  }

  @Test func `network file systems are told from local ones`() {
    let mountinfo = """
      22 27 0:21 / /proc rw,relatime - proc proc rw
      40 27 0:45 / /home/ann/far rw,nosuid shared:9 - fuse.sshfs far: rw,user_id=0
      41 27 0:46 / /srv rw,relatime shared:1 master:2 - nfs4 10.0.0.1:/srv rw
      27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
      """
    func name(_ device: String) -> String? {
      NetworkFileSystem.mountType(device: device, in: mountinfo).flatMap(NetworkFileSystem.name(mountType:))
    }
    #expect(name("0:45") == "fuse.sshfs")
    #expect(name("0:46") == "nfs4")
    #expect(name("254:0") == nil)
    #expect(name("9:9") == nil)
    #expect(NetworkFileSystem.name(mountType: "fuse.gocryptfs") == nil)
    // What this very directory lies on is found, so that the device numbers are read as the kernel writes them.
    #expect(NetworkFileSystem.mountType(at: directory.path) != nil)
  }

  @Test func `many openers at once all find a whole database`() async throws {
    let path = directory.path
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<8 {
        group.addTask {
          let store = try SQLiteStore(directory: path, fleet: prod)
          try store.commit([record(ServiceName("s\(number)"))], events: [event("\(number)")], fleet: prod)
        }
      }
      try await group.waitForAll()
    }
    #expect(try SQLiteStore(directory: path, fleet: prod, readOnly: true).records().count == 8)
  }
}
