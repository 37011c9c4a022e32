internal import Glibc
package import SluiceModel
internal import Synchronization

/// The right of one process of this machine to change services of a fleet: an advisory lock (`flock(2)`) on `<fleet>.<service>.lock` for each of
/// them, so that one service's rollout keeps no other from being touched.
///
/// All of these processes share `<fleet>.lock`, which Sluice 0.1 took for itself alone: while one of that version changes the fleet nobody else
/// does, and the other way round.
///
/// The kernel frees a lock when the process ends, however it ends. Dropping the last reference frees them all.
package final class MachineLock: Sendable {
  /// Who holds a lock: what the file says while it is held, so that whoever is refused can name them.
  package struct Holder: Hashable, Codable, Sendable, CustomStringConvertible {
    /// `user@machine`.
    package var who: String
    /// What they do: `apply shop`.
    package var command: String
    package var pid: Int32
    package var since: WallTime
    /// The file name of the socket that wakes it; nil: of Sluice 0.1.
    package var wake: String?

    package init(who: String, command: String, pid: Int32, since: WallTime) {
      self.who = who
      self.command = command
      self.pid = pid
      self.since = since
    }

    package var description: String { "\(who) (\(command), pid \(pid))" }

    /// Whether such a process is there; what is no number of one is not.
    fileprivate var isAlive: Bool { pid > 0 && (kill(pid, 0) == 0 || errno == EPERM) }
  }

  package enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// Another process of this machine changes it. The holder is nil in the moment before it has said who it is.
    case heldBy(Holder?)
    case unusable(StoreError)

    package var description: String {
      switch self {
      case .heldBy(let holder?): "\(holder) is changing it"
      case .heldBy(nil): "another sluice on this machine is changing it"
      case .unusable(let error): "\(error)"
      }
    }
  }

  package let fleet: FleetName
  package let directory: StateDirectory
  /// What the files say of this process.
  package let holder: Holder
  private let descriptor: CInt
  private let services = Mutex<[ServiceName: CInt]>([:])

  private init(fleet: FleetName, directory: StateDirectory, holder: Holder, descriptor: CInt) {
    self.fleet = fleet
    self.directory = directory
    self.holder = holder
    self.descriptor = descriptor
  }

  deinit {
    for held in services.withLock({ $0.values.sorted() }) { Self.free(held) }
    _ = close(descriptor)
  }

  /// Joins the processes that change this fleet, or says which one of Sluice 0.1 keeps it to itself; never waits for that one.
  package static func acquire(directory path: String, fleet: FleetName, holder: Holder) throws(Failure) -> MachineLock {
    let directory = StateDirectory(path)
    do throws(StoreError) { try directory.prepare() } catch { throw .unusable(error) }
    let descriptor = try taken(directory.lock(of: fleet), LOCK_SH)
    var holder = holder
    holder.wake = "\(fleet).\(holder.pid)-\(String(UInt32.random(in: 0...UInt32.max), radix: 16)).wake"
    return MachineLock(fleet: fleet, directory: directory, holder: holder, descriptor: descriptor)
  }

  /// Takes a service, or says who has it; waits for nobody. One that is held here already is no error.
  package func take(_ service: ServiceName) throws(Failure) {
    guard services.withLock({ $0[service] }) == nil else { return }
    let file = directory.lock(of: fleet, service: service)
    guard !service.rawValue.contains("/") else { throw Self.unusable(file, "made", EINVAL) }
    let descriptor = try Self.taken(file, LOCK_EX)
    do throws(Failure) { try Self.write(holder, descriptor, file) } catch {
      Self.free(descriptor)
      throw error
    }
    services.withLock { $0[service] = descriptor }
  }

  /// Lets go of a service; of one that is not held too.
  package func letGo(_ service: ServiceName) {
    if let held = services.withLock({ $0.removeValue(forKey: service) }) { Self.free(held) }
  }

  package func holds(_ service: ServiceName) -> Bool { services.withLock { $0[service] != nil } }

  /// Whether no other process of this machine changes the fleet in this moment.
  package var isAlone: Bool {
    defer { _ = flock(descriptor, LOCK_SH) }
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0
  }

  /// Who holds the service now; nil when nobody does, or nobody has said so yet.
  package static func holder(directory path: String, fleet: FleetName, service: ServiceName) -> Holder? {
    let directory = StateDirectory(path)
    // Sluice 0.1 says so in the fleet's file, and for all services at once.
    return exclusive(directory.lock(of: fleet)) ?? exclusive(directory.lock(of: fleet, service: service))
  }

  // MARK: Files

  /// Who has the file's lock for itself alone.
  private static func exclusive(_ file: String) -> Holder? {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { _ = close(descriptor) }
    if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return nil }
    return read(descriptor)
  }

  /// An open descriptor with the lock. Whoever only looks has it for a moment, and is waited for.
  private static func taken(_ file: String, _ kind: CInt) throws(Failure) -> CInt {
    // Not inherited by hooks and other children: one of them could outlive this process and keep the lock.
    let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw unusable(file, "opened", errno) }
    var waits = 25
    while flock(descriptor, kind | LOCK_NB) != 0 {
      let number = errno
      if number == EINTR { continue }
      let other = read(descriptor)
      guard number == EWOULDBLOCK, waits > 0, !(other?.isAlive ?? false) else {
        _ = close(descriptor)
        if number == EWOULDBLOCK { throw .heldBy(other) }
        throw unusable(file, "locked", number)
      }
      waits -= 1
      usleep(20_000)
    }
    return descriptor
  }

  /// What a file says is only true while the lock is held.
  private static func free(_ descriptor: CInt) {
    _ = ftruncate(descriptor, 0)
    _ = close(descriptor)
  }

  private static func write(_ holder: Holder, _ descriptor: CInt, _ file: String) throws(Failure) {
    guard let text = try? StableJSON.text(holder) else { throw unusable(file, "written", EINVAL) }
    let bytes = Array(text.utf8)
    guard ftruncate(descriptor, 0) == 0 else { throw unusable(file, "written", errno) }
    let count = pwrite(descriptor, bytes, bytes.count, 0)
    // A part of it is written where the disk has just become full: then nothing says so.
    guard count == bytes.count else { throw unusable(file, "written", count < 0 ? errno : ENOSPC) }
  }

  private static func read(_ descriptor: CInt) -> Holder? {
    var bytes = [UInt8](repeating: 0, count: 4_096)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    guard count > 0 else { return nil }
    return try? StableJSON.value(Holder.self, from: String(decoding: bytes[..<count], as: UTF8.self), what: "the lock")
  }

  private static func unusable(_ file: String, _ what: String, _ number: CInt) -> Failure {
    .unusable(
      StoreError(
        .unusable, "\(file) cannot be \(what) (\(String(cString: strerror(number))))", remedy: "Check its directory and permissions"))
  }
}
