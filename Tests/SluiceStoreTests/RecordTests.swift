import Foundation
import GRDB
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore
import Testing

@Suite struct RecordTests {
  let directory: TemporaryDirectory
  let store: SQLiteStore

  init() throws {
    directory = try TemporaryDirectory()
    store = try SQLiteStore(directory: directory.path, fleet: prod)
  }

  @Test func `what was committed is there after reopening, with its events`() throws {
    let rich = richRecord()
    try store.commit([rich, record("api")], events: [event("one"), event("two")], fleet: prod)
    let again = try SQLiteStore(directory: directory.path, fleet: prod, readOnly: true)
    #expect(try again.load(prod).records == [record("api"), rich])
    #expect(try again.events(service: "shop").map(\.stored) == [event("one"), event("two")])
  }

  @Test(arguments: [(1, 4), (0, 9)] as [(UInt64, UInt64)])
  func `an older record is refused, and its events with it`(epoch: UInt64, version: UInt64) throws {
    try store.commit([record(version: 5)], events: [], fleet: prod)
    let error = #expect(throws: StoreError.self) {
      try store.commit([record("other"), record(epoch: epoch, version: version)], events: [event("late")], fleet: prod)
    }
    #expect(error?.code == .stale)
    #expect(try store.records() == [record(version: 5)])
    #expect(try store.events().isEmpty)
  }

  @Test func `the same record once more changes nothing and repeats no event`() throws {
    try store.commit([record()], events: [event("one")], fleet: prod)
    var later = record()
    later.activeTime = .seconds(9)
    try store.commit([later], events: [event("one")], fleet: prod)
    #expect(try store.records() == [record()])
    #expect(try store.events().count == 1)
  }

  @Test func `a record of the same age with other content is refused`() throws {
    try store.commit([record()], events: [], fleet: prod)
    let error = #expect(throws: StoreError.self) { try store.commit([record(replicas: 9)], events: [], fleet: prod) }
    #expect(error?.code == .stale)
  }

  @Test func `a higher epoch wins over a higher version`() throws {
    try store.commit([record(epoch: 1, version: 100)], events: [], fleet: prod)
    try store.commit([record(epoch: 2, version: 1)], events: [], fleet: prod)
    #expect(try store.records() == [record(epoch: 2, version: 1)])
  }

  @Test func `events come in order, by service, and page by id`() throws {
    try store.commit([], events: (1...5).map { event("\($0)", service: $0 == 3 ? "api" : "shop") }, fleet: prod)
    let first = try store.events(service: "shop", limit: 2)
    #expect(first.map(\.stored.event.text) == ["1", "2"])
    let rest = try store.events(service: "shop", after: try #require(first.last).id)
    #expect(rest.map(\.stored.event.text) == ["4", "5"])
    #expect(try store.lastEvents(limit: 3).map(\.stored.event.text) == ["3", "4", "5"])
  }

  @Test func `the last events of a kind are found among others, with when they are due`() throws {
    func switched(_ kind: String, due: Int64? = nil) -> StoredEvent {
      var stored = event(kind)
      stored.event = RecordEvent(.info, kind, kind, due: due.map { WallTime(milliseconds: $0) })
      return stored
    }
    let events = [switched("switch-open"), event("1"), switched("switch-closed", due: 9), event("2"), switched("other-switch-open")]
    try store.commit([], events: events, fleet: prod)
    let found = try store.lastEvents(service: "shop", kindPrefix: "switch-", limit: 5).map(\.stored.event)
    #expect(found.map(\.kind) == ["switch-open", "switch-closed"])
    #expect(found.map(\.due) == [nil, WallTime(milliseconds: 9)])
    #expect(try store.lastEvents(service: "shop", kindPrefix: "switch-", limit: 1).map(\.stored.event.kind) == ["switch-closed"])
    #expect(try store.lastEvents(service: "api", kindPrefix: "switch-", limit: 5).isEmpty)
  }

  @Test func `events can be neither changed nor removed`() throws {
    try store.commit([], events: [event("one")], fleet: prod)
    let queue = try DatabaseQueue(path: directory.path + "/prod.sqlite")
    #expect(throws: DatabaseError.self) { try queue.write { try $0.execute(sql: "UPDATE event SET kind = 'other'") } }
    #expect(throws: DatabaseError.self) { try queue.write { try $0.execute(sql: "DELETE FROM event") } }
  }

  @Test func `every rollout that ended is in the history, the newest first`() throws {
    var shop = record()
    for number in 1...3 {
      shop.version += 1
      shop.ended = end(number, number == 2 ? .rolledBack : .succeeded, at: Int64(number) * 1_000)
      try store.commit([shop], events: [], fleet: prod)
      shop.version += 1
      try store.commit([shop], events: [], fleet: prod)
    }
    #expect(try store.history(service: "shop").map(\.end.number) == [3, 2, 1])
    #expect(try store.history().map(\.end.result) == [.succeeded, .rolledBack, .succeeded])
    #expect(try store.history(service: "api").isEmpty)
  }

  @Test func `equal records are equal bytes, and every kind of value survives`() throws {
    let bytes = try store.encode(richRecord())
    #expect(try (0..<20).allSatisfy { _ in try store.encode(richRecord()) == bytes })
    #expect(try store.decode(bytes) == richRecord())
    #expect(String(decoding: bytes, as: UTF8.self).hasPrefix(#"{"format":1,"record":{"activeTime":"#))
  }

  @Test func `a record of a newer format is refused as such`() throws {
    let error = #expect(throws: StoreError.self) { try store.decode(Array(#"{"format":2,"record":{"future":true}}"#.utf8)) }
    #expect(error?.code == .newer)
    #expect(error?.message == "the service record has format 2, and this sluice reads up to 1")
  }

  @Test func `an unreadable record names the field`() throws {
    let text = String(decoding: try store.encode(richRecord()), as: UTF8.self)
    let wrong = text.replacingOccurrences(of: #""port":20000"#, with: #""port":"no""#)
    let error = #expect(throws: StoreError.self) { try store.decode(Array(wrong.utf8)) }
    #expect(error?.code == .damaged)
    #expect(error?.message.contains("the field record.instances[0].port has another type") == true)
    let missing = text.replacingOccurrences(of: #""nextWave""#, with: "").replacingOccurrences(of: #""nextAttempt":"#, with: #""lost":"#)
    #expect(
      #expect(throws: StoreError.self) { try store.decode(Array(missing.utf8)) }?.message.contains("record.nextAttempt is missing") == true)
    #expect(#expect(throws: StoreError.self) { try store.decode([1, 2]) }?.code == .damaged)
  }

  @Test func `another fleet's state is not served`() throws {
    #expect(#expect(throws: StoreError.self) { try store.load("test") }?.code == .misuse)
    #expect(#expect(throws: StoreError.self) { try store.commit([], events: [], fleet: "test") }?.code == .misuse)
  }

  @Test func `cordons, definitions, salts and artifacts are kept`() throws {
    let drained = Cordon(host: "b1", number: 7, isDrained: true, by: "anna@here", at: WallTime(milliseconds: 5))
    try store.hear([drained, Cordon(host: "a1", number: 7, isDrained: true, by: "bob@there", at: WallTime(milliseconds: 6))], fleet: prod)
    try store.hear([Cordon(host: "a1", number: 8, isDrained: false, by: "anna@here", at: WallTime(milliseconds: 4))], fleet: prod)
    // An older word than the one that is kept changes nothing.
    try store.hear([Cordon(host: "b1", number: 6, isDrained: false, by: "bob@there", at: WallTime(milliseconds: 9))], fleet: prod)
    let cordons = try store.load(prod).cordons
    #expect(cordons.hosts == ["b1"] && cordons.word(on: "b1") == drained && cordons.word(on: "a1")?.number == 8)

    #expect(try store.definitions() == nil)
    let fleet = Fleet(name: prod, racks: [Rack(name: "r", hosts: [Host(name: "a1", rack: "r", address: "10.0.0.1")])])
    let gateways = [Gateway(name: "edge", fleet: prod, hosts: ["a1"], listen: [ListenAddress(address: "0.0.0.0", port: 80)])]
    try store.saveDefinitions(fleet: fleet, gateways: gateways + [Gateway(name: "old", fleet: prod, hosts: [], listen: [])])
    try store.saveDefinitions(fleet: fleet, gateways: gateways)
    #expect(try store.definitions() == FleetDefinitions(fleet: fleet, gateways: gateways))

    let salt = try store.salt(for: "shop")
    #expect(salt.count == 32)
    #expect(try store.salt(for: "shop") == salt)
    #expect(try store.salt(for: "api") != salt)

    let artifact = StoredArtifact(digest: Digest("aa"), path: "/x", size: 4)
    try store.noteArtifact(StoredArtifact(digest: Digest("aa"), path: "/old", size: 4))
    try store.noteArtifact(artifact)
    #expect(try store.artifact("aa") == artifact)
    try store.forgetArtifact("aa")
    #expect(try store.artifacts().isEmpty)
  }
}
