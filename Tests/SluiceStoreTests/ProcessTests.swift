import Foundation
import Glibc
import SluiceEngine
import SluiceModel
import SluiceRollout
import Synchronization
import Testing

@testable import SluiceStore

/// What only shows between processes: crashes, locks, wake-ups.
@Suite struct ProcessTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  static let holder = MachineLock.Holder(who: "ann@laptop", command: "apply shop", pid: 4_711, since: WallTime(milliseconds: 12))

  @Test func `a process that is killed while it commits leaves whole commits only`() async throws {
    let path = directory.path
    var committed: UInt64 = 0
    for round in 0..<5 {
      let delay = useconds_t(3_000 + round * 11_000)
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [path = path as String, delay = delay as useconds_t, committed = committed as UInt64] in
        let store = try SQLiteStore(directory: path, fleet: prod)
        let begun = Mutex(false)
        Thread.detachNewThread {
          while !begun.withLock({ $0 }) { usleep(100) }
          usleep(delay)
          kill(getpid(), SIGKILL)
        }
        var version = committed
        while true {
          version += 1
          try store.commit(
            [record("api", version: version), record("shop", version: version)],
            events: [event("api \(version)"), event("shop \(version)")], fleet: prod)
          begun.withLock { $0 = true }
        }
      }
      let store = try SQLiteStore(directory: path, fleet: prod)
      let versions = try store.records().map(\.version)
      #expect(versions.count == 2 && Set(versions).count == 1)
      #expect(try #require(versions.first) > committed)
      committed = try #require(versions.first)
      let texts = try store.events(limit: 1_000_000).map(\.stored.event.text)
      #expect(texts == (1...committed).flatMap { ["api \($0)", "shop \($0)"] })
    }
  }

  static func lock(_ path: String, _ services: ServiceName..., fleet: FleetName = prod) throws -> MachineLock {
    let lock = try MachineLock.acquire(directory: path, fleet: fleet, holder: holder)
    for service in services { try lock.take(service) }
    return lock
  }

  @Test func `a second process is refused a service with the holder's name, until the first lets go or is killed`() async throws {
    let path = directory.path
    let lock = try Self.lock(path, "shop")
    await #expect(processExitsWith: .exitCode(75)) { [path = path as String] in
      let other = try ProcessTests.lock(path)
      do {
        try other.take("shop")
      } catch MachineLock.Failure.heldBy(let holder) {
        let asked = MachineLock.holder(directory: path, fleet: prod, service: "shop")
        exit(asked == holder && "\(holder!)" == "ann@laptop (apply shop, pid 4711)" && holder?.wake != other.holder.wake ? 75 : 1)
      }
    }
    lock.letGo("shop")
    #expect(MachineLock.holder(directory: path, fleet: prod, service: "shop") == nil)
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let lock = try ProcessTests.lock(path, "shop")
      kill(getpid(), SIGKILL)
      withExtendedLifetime(lock) {}
    }
    try lock.take("shop")
    try lock.take("shop")
    #expect(MachineLock.holder(directory: path, fleet: prod, service: "shop") == lock.holder)
  }

  @Test func `one service's lock keeps no other, and one fleet's no other fleet's`() async throws {
    let path = directory.path
    let lock = try Self.lock(path, "shop")
    await #expect(processExitsWith: .success) { [path = path as String] in
      let other = try ProcessTests.lock(path, "db")
      let test = try ProcessTests.lock(path, "shop", fleet: "test")
      exit(other.holds("db") && test.holds("shop") && !other.isAlone ? 0 : 1)
    }
    #expect(lock.isAlone)
    #expect(throws: MachineLock.Failure.heldBy(lock.holder)) { try Self.lock(path, "shop") }
  }

  @Test func `whoever looks who holds a service keeps nobody from taking it`() async throws {
    let path = directory.path
    let looking = Flag()
    async let looks: Void = Task.detached {
      while !looking.isRaised { _ = MachineLock.holder(directory: path, fleet: prod, service: "shop") }
    }.value
    for _ in 0..<200 {
      let lock = try Self.lock(path, "shop")
      withExtendedLifetime(lock) {}
    }
    looking.raise()
    await looks
  }

  /// Sluice 0.1 took the fleet's file for itself alone.
  @Test func `a process of the version before excludes this one, and the other way round`() async throws {
    let path = directory.path
    let file = StateDirectory(path).lock(of: prod)
    let old = open(file, O_RDWR | O_CREAT, 0o600)
    let text = try StableJSON.text(
      MachineLock.Holder(who: "ann@laptop", command: "sluice apply", pid: getpid(), since: WallTime(milliseconds: 5)))
    #expect(!text.contains("wake"))
    #expect(flock(old, LOCK_EX | LOCK_NB) == 0 && write(old, text, text.utf8.count) == text.utf8.count)
    do {
      _ = try Self.lock(path)
      Issue.record("it was not excluded")
    } catch MachineLock.Failure.heldBy(let holder) {
      #expect(holder?.description == "ann@laptop (sluice apply, pid \(getpid()))")
    }
    #expect(MachineLock.holder(directory: path, fleet: prod, service: "shop")?.command == "sluice apply")
    close(old)
    let lock = try Self.lock(path, "shop")
    let other = open(file, O_RDWR)
    #expect(flock(other, LOCK_EX | LOCK_NB) != 0)
    close(other)
    withExtendedLifetime(lock) {}
  }

  // MARK: Commands

  static let then = WallTime(milliseconds: 500)

  @Test func `a command left by another process wakes the one that has the service, and is handed out once`() async throws {
    let path = directory.path
    let store = try SQLiteStore(directory: path, fleet: prod)
    let lock = try Self.lock(path, "shop")
    let listener = try InboxListener(lock: lock)
    let bystander = try InboxListener(lock: try Self.lock(path, "db"))
    #expect(await next(of: listener.wakes) != nil)
    #expect(await next(of: bystander.wakes) != nil)
    #expect(try store.takeCommands(prod, for: ["shop"], now: Self.then).isEmpty)
    await #expect(processExitsWith: .success) { [path = path as String] in
      let store = try SQLiteStore(directory: path, fleet: prod)
      guard let holder = MachineLock.holder(directory: path, fleet: prod, service: "shop") else { exit(1) }
      let first = try store.leaveCommand(command("c-1"), for: holder)
      let again = try store.leaveCommand(command("c-1"), for: holder)
      let second = try store.leaveCommand(command("c-2", .pause), for: holder)
      exit(first && again && second ? 0 : 1)
    }
    #expect(await next(of: listener.wakes) != nil)
    // What is another service's is not this process' to take.
    #expect(try store.takeCommands(prod, for: ["db"], now: Self.then).isEmpty)
    #expect(try store.takeCommands(prod, for: ["db", "shop"], now: Self.then) == [command("c-1"), command("c-2", .pause)])
    #expect(try store.takeCommands(prod, for: ["shop"], now: Self.then).isEmpty)
    _ = try store.leaveCommand(command("c-1"), for: lock.holder)
    #expect(try store.takeCommands(prod, for: ["shop"], now: Self.then).isEmpty)
    withExtendedLifetime(bystander) {}
  }

  @Test func `takers that race share the commands without a double`() async throws {
    let path = directory.path
    let store = try SQLiteStore(directory: path, fleet: prod)
    for number in 0..<40 { _ = try store.leaveCommand(command("c-\(number)"), for: Self.holder) }
    let taken = try await withThrowingTaskGroup(of: [StoredCommand].self) { group in
      for _ in 0..<4 {
        group.addTask { try SQLiteStore(directory: path, fleet: prod).takeCommands(prod, for: ["shop"], now: Self.then) }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(taken.count == 40 && Set(taken).count == 40)
  }

  @Test func `without a listener the command stays, and can be withdrawn once`() throws {
    let store = try SQLiteStore(directory: directory.path, fleet: prod)
    #expect(try !store.leaveCommand(command("c-1"), for: Self.holder))
    #expect(try store.withdrawCommand("c-1"))
    #expect(try !store.withdrawCommand("c-1"))
    #expect(try store.takeCommands(prod, for: ["shop"], now: Self.then).isEmpty)
    #expect(try !store.leaveCommand(command("c-2"), for: Self.holder))
    #expect(try store.takeCommands(prod, for: ["shop"], now: Self.then) == [command("c-2")])
    #expect(try !store.withdrawCommand("c-2"))
  }

  @Test func `last week's command is not obeyed today`() throws {
    let store = try SQLiteStore(directory: directory.path, fleet: prod)
    _ = try store.leaveCommand(command("old"), for: Self.holder)
    let late = WallTime(milliseconds: command("old").command.at.milliseconds + CommandAnswer.expiry.value + 1)
    #expect(try store.takeCommands(prod, for: ["shop"], now: late).isEmpty)
    #expect(try store.answer(to: "old") == .expired)
    #expect(try !store.withdrawCommand("old"))
    _ = try store.leaveCommand(command("young"), for: Self.holder)
    let intime = WallTime(milliseconds: command("young").command.at.milliseconds + CommandAnswer.expiry.value)
    #expect(try store.takeCommands(prod, for: ["shop"], now: intime) == [command("young")])
    #expect(try store.answer(to: "young") == nil)
  }

  @Test func `a command is answered in the transaction that makes it count, or not at all`() throws {
    let store = try SQLiteStore(directory: directory.path, fleet: prod)
    try store.commit([record(version: 5)], events: [], fleet: prod)
    let answers = [
      CommandAnswer(command: "c-1", verdict: .taken), CommandAnswer(command: "c-2", verdict: .refused(Refusal("no", remedy: "yes"))),
    ]
    #expect(throws: StoreError.self) { try store.commit([record(version: 4)], events: [], answers: answers, fleet: prod) }
    #expect(try store.answer(to: "c-1") == nil)
    try store.commit([record(version: 6)], events: [], answers: answers, fleet: prod)
    #expect(try store.answer(to: "c-1") == .taken)
    #expect(try store.answer(to: "c-2") == .refused(Refusal("no", remedy: "yes")))
    // Where nothing else was to be said, the answer is.
    try store.commit([], events: [], answers: [CommandAnswer(command: "c-3", verdict: .taken)], fleet: prod)
    #expect(try store.answer(to: "c-3") == .taken)
  }

  @Test func `a listener clears away what one that was killed has left, and leaves nothing behind`() async throws {
    let path = directory.path + "/" + String(repeating: "long", count: 40)
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let listener = try InboxListener(lock: try ProcessTests.lock(path, "shop"))
      kill(getpid(), SIGKILL)
      withExtendedLifetime(listener) {}
    }
    #expect(StateDirectory(path).wakes(of: prod).count == 1)
    let lock = try Self.lock(path, "shop")
    var listener: InboxListener? = try InboxListener(lock: lock)
    #expect(StateDirectory(path).wakes(of: prod) == [path + "/" + (lock.holder.wake ?? "")])
    let store = try SQLiteStore(directory: path, fleet: prod)
    let wakes = try #require(listener).wakes
    #expect(await next(of: wakes) != nil)
    #expect(try store.leaveCommand(command("c-2"), for: lock.holder))
    #expect(await next(of: wakes) != nil)
    store.wakeAll()
    #expect(await next(of: wakes) != nil)
    listener = nil
    #expect(StateDirectory(path).wakes(of: prod).isEmpty)
    #expect(await next(of: wakes) == nil)
  }

  // MARK: Several that write

  @Test func `what another process has committed is seen once, and what this one has is not`() async throws {
    let path = directory.path
    let store = try SQLiteStore(directory: path, fleet: prod)
    try store.commit([record("api", version: 1), record("shop", version: 1)], events: [], fleet: prod)
    var known: [ServiceName: Revision] = ["api": Revision(epoch: 1, version: 1), "shop": Revision(epoch: 1, version: 1)]
    let first = try #require(try store.changes(prod, since: nil) { known })
    #expect(first.records.isEmpty)
    try store.commit([record("api", version: 2)], events: [], fleet: prod)
    known["api"] = Revision(epoch: 1, version: 2)
    #expect(try store.changes(prod, since: first.mark) { known } == nil)
    await #expect(processExitsWith: .success) { [path = path as String] in
      let store = try SQLiteStore(directory: path, fleet: prod)
      try store.commit([record("shop", version: 2)], events: [], fleet: prod)
      try store.hear(Cordons(arrayLiteral: "a1").words, fleet: prod)
    }
    let second = try #require(try store.changes(prod, since: first.mark) { known })
    #expect(second.records.map(\.service) == ["shop"] && second.records.map(\.version) == [2] && second.cordons.hosts == ["a1"])
    #expect(try store.changes(prod, since: second.mark) { known } == nil)
  }

  /// Each takes the lowest number that no record has, in a decision of its own: no two may take the same.
  @Test func `decisions of several processes see each other's reservations`() async throws {
    let path = directory.path
    _ = try SQLiteStore(directory: path, fleet: prod)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<4 {
        group.addTask {
          let store = try SQLiteStore(directory: path, fleet: prod)
          for round in 1...10 as ClosedRange<UInt64> {
            try store.exclusively {
              let taken = try store.load(prod).records.map(\.policy.replicas)
              let free = (1...).first { !taken.contains($0) } ?? 0
              try store.commit([record(ServiceName("s\(worker)-\(round)"), version: 1, replicas: free)], events: [], fleet: prod)
            }
          }
        }
      }
      try await group.waitForAll()
    }
    let store = try SQLiteStore(directory: path, fleet: prod)
    #expect(try store.records().map(\.policy.replicas).sorted() == Array(1...40))
  }

  @Test func `two that cordon hosts at once lose nothing of each other`() async throws {
    let path = directory.path
    _ = try SQLiteStore(directory: path, fleet: prod)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<4 {
        group.addTask {
          let store = try SQLiteStore(directory: path, fleet: prod)
          for number in 0..<10 { try store.hear(Cordons(arrayLiteral: HostName("h\(worker)\(number)")).words, fleet: prod) }
        }
      }
      try await group.waitForAll()
    }
    #expect(try SQLiteStore(directory: path, fleet: prod).load(prod).cordons.hosts.count == 40)
  }

  @Test func `a reader sees whole commits while another writes`() async throws {
    let path = directory.path
    let writer = try SQLiteStore(directory: path, fleet: prod)
    try writer.commit([record("api", version: 1), record("shop", version: 1)], events: [], fleet: prod)
    let done = Flag()
    let seen = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<2 {
        group.addTask {
          let reader = try SQLiteStore(directory: path, fleet: prod, readOnly: true)
          var versions: Set<UInt64> = []
          while !done.isRaised {
            let records = try reader.records()
            #expect(records[0].version == records[1].version)
            versions.insert(records[0].version)
            await Task.yield()
          }
          return versions.count
        }
      }
      for version in 2...200 as ClosedRange<UInt64> {
        try writer.commit([record("api", version: version), record("shop", version: version)], events: [], fleet: prod)
        await Task.yield()
      }
      done.raise()
      return try await group.reduce(0, +)
    }
    #expect(seen >= 2)
    #expect(try writer.records().map(\.version) == [200, 200])
  }
}

private final class Flag: Sendable {
  private let value = Mutex(false)
  var isRaised: Bool { value.withLock { $0 } }
  func raise() { value.withLock { $0 = true } }
}
