internal import Glibc
package import SluiceModel

/// The right of one process of this machine to change a fleet: an advisory lock (`flock(2)`) on `<fleet>.lock`.
///
/// The kernel frees it when the process ends, however it ends. Dropping the last reference frees it too.
package final class MachineLock: Sendable {
  /// Who holds the lock: what the file says while it is held, so that whoever is refused can name them.
  package struct Holder: Hashable, Codable, Sendable, CustomStringConvertible {
    /// `user@machine`.
    package var who: String
    /// What they do: `apply shop`.
    package var command: String
    package var pid: Int32
    package var since: WallTime

    package init(who: String, command: String, pid: Int32, since: WallTime) {
      self.who = who
      self.command = command
      self.pid = pid
      self.since = since
    }

    package var description: String { "\(who) (\(command), pid \(pid))" }
  }

  package enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// Another process of this machine changes the fleet. The holder is nil in the moment before it has said who it is.
    case heldBy(Holder?)
    case unusable(StoreError)

    package var description: String {
      switch self {
      case .heldBy(let holder?): "\(holder) is changing this fleet"
      case .heldBy(nil): "another sluice on this machine is changing this fleet"
      case .unusable(let error): "\(error)"
      }
    }
  }

  package let fleet: FleetName
  package let directory: StateDirectory
  private let descriptor: CInt

  private init(fleet: FleetName, directory: StateDirectory, descriptor: CInt) {
    self.fleet = fleet
    self.directory = directory
    self.descriptor = descriptor
  }

  deinit {
    // What the file says is only true while the lock is held.
    _ = ftruncate(descriptor, 0)
    _ = close(descriptor)
  }

  /// Takes the lock or says who has it; never waits.
  package static func acquire(directory path: String, fleet: FleetName, holder: Holder) throws(Failure) -> MachineLock {
    let directory = StateDirectory(path)
    do throws(StoreError) { try directory.prepare() } catch { throw .unusable(error) }
    let file = directory.lock(of: fleet)
    // Not inherited by hooks and other children: one of them could outlive this process and keep the lock.
    let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw unusable(file, "opened", errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let number = errno
      let other = read(descriptor)
      _ = close(descriptor)
      guard number == EWOULDBLOCK else { throw unusable(file, "locked", number) }
      throw .heldBy(other)
    }
    let lock = MachineLock(fleet: fleet, directory: directory, descriptor: descriptor)
    try lock.write(holder, file)
    return lock
  }

  /// Who holds it now; nil when nobody does, or nobody has said so yet.
  package static func holder(directory path: String, fleet: FleetName) -> Holder? {
    let descriptor = open(StateDirectory(path).lock(of: fleet), O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { _ = close(descriptor) }
    if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return nil }
    return read(descriptor)
  }

  private func write(_ holder: Holder, _ file: String) throws(Failure) {
    guard let text = try? StableJSON.text(holder) else { throw Self.unusable(file, "written", EINVAL) }
    let bytes = Array(text.utf8)
    guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
      throw Self.unusable(file, "written", errno)
    }
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
