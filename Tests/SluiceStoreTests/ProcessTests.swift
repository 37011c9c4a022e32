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

  @Test func `a second process is refused with the holder's name, until the first is killed`() async throws {
    let path = directory.path
    var lock: MachineLock? = try MachineLock.acquire(directory: path, fleet: prod, holder: Self.holder)
    await #expect(processExitsWith: .exitCode(75)) { [path = path as String] in
      do {
        _ = try MachineLock.acquire(directory: path, fleet: prod, holder: ProcessTests.holder)
      } catch MachineLock.Failure.heldBy(let holder) {
        let asked = MachineLock.holder(directory: path, fleet: prod)
        exit(holder == ProcessTests.holder && asked == holder && "\(holder!)" == "ann@laptop (apply shop, pid 4711)" ? 75 : 1)
      }
    }
    #expect(lock != nil)
    lock = nil
    #expect(MachineLock.holder(directory: path, fleet: prod) == nil)
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let lock = try MachineLock.acquire(directory: path, fleet: prod, holder: ProcessTests.holder)
      kill(getpid(), SIGKILL)
      withExtendedLifetime(lock) {}
    }
    lock = try MachineLock.acquire(directory: path, fleet: prod, holder: Self.holder)
    #expect(MachineLock.holder(directory: path, fleet: prod) == Self.holder)
  }

  @Test func `the lock of one fleet does not keep another`() throws {
    let one = try MachineLock.acquire(directory: directory.path, fleet: prod, holder: Self.holder)
    let other = try MachineLock.acquire(directory: directory.path, fleet: "test", holder: Self.holder)
    #expect(throws: MachineLock.Failure.heldBy(Self.holder)) {
      try MachineLock.acquire(directory: directory.path, fleet: prod, holder: Self.holder)
    }
    withExtendedLifetime((one, other)) {}
  }

  @Test func `a command left by another process wakes the running one and is handed out once`() async throws {
    let path = directory.path
    let store = try SQLiteStore(directory: path, fleet: prod)
    let lock = try MachineLock.acquire(directory: path, fleet: prod, holder: Self.holder)
    let listener = try InboxListener(lock: lock)
    #expect(await next(of: listener.wakes) != nil)
    #expect(try store.takeCommands(prod).isEmpty)
    await #expect(processExitsWith: .success) { [path = path as String] in
      let store = try SQLiteStore(directory: path, fleet: prod)
      let first = try store.leaveCommand(command("c-1"))
      let again = try store.leaveCommand(command("c-1"))
      let second = try store.leaveCommand(command("c-2", .pause))
      exit(first && again && second ? 0 : 1)
    }
    #expect(await next(of: listener.wakes) != nil)
    #expect(try store.takeCommands(prod) == [command("c-1"), command("c-2", .pause)])
    #expect(try store.takeCommands(prod).isEmpty)
    _ = try store.leaveCommand(command("c-1"))
    #expect(try store.takeCommands(prod).isEmpty)
  }

  @Test func `takers that race share the commands without a double`() async throws {
    let path = directory.path
    let store = try SQLiteStore(directory: path, fleet: prod)
    for number in 0..<40 { _ = try store.leaveCommand(command("c-\(number)")) }
    let taken = try await withThrowingTaskGroup(of: [StoredCommand].self) { group in
      for _ in 0..<4 { group.addTask { try SQLiteStore(directory: path, fleet: prod).takeCommands(prod) } }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(taken.count == 40 && Set(taken).count == 40)
  }

  @Test func `without a listener the command stays, and can be withdrawn once`() throws {
    let store = try SQLiteStore(directory: directory.path, fleet: prod)
    #expect(try !store.leaveCommand(command("c-1")))
    #expect(try store.withdrawCommand("c-1"))
    #expect(try !store.withdrawCommand("c-1"))
    #expect(try store.takeCommands(prod).isEmpty)
    #expect(try !store.leaveCommand(command("c-2")))
    #expect(try store.takeCommands(prod) == [command("c-2")])
    #expect(try !store.withdrawCommand("c-2"))
  }

  @Test func `a listener takes the place of one that was killed, and leaves nothing behind`() async throws {
    let path = directory.path + "/" + String(repeating: "long", count: 40)
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let listener = try InboxListener(lock: try MachineLock.acquire(directory: path, fleet: prod, holder: ProcessTests.holder))
      kill(getpid(), SIGKILL)
      withExtendedLifetime(listener) {}
    }
    #expect(FileManager.default.fileExists(atPath: path + "/prod.wake"))
    let store = try SQLiteStore(directory: path, fleet: prod)
    #expect(try !store.leaveCommand(command("c-1")))
    var listener: InboxListener? = try InboxListener(lock: try MachineLock.acquire(directory: path, fleet: prod, holder: Self.holder))
    let wakes = try #require(listener).wakes
    #expect(await next(of: wakes) != nil)
    #expect(try store.leaveCommand(command("c-2")))
    #expect(await next(of: wakes) != nil)
    listener = nil
    #expect(!FileManager.default.fileExists(atPath: path + "/prod.wake"))
    #expect(await next(of: wakes) == nil)
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
