internal import Glibc
package import SluiceModel

/// Where the working copies of records lie on this machine: one database a fleet, one lock a service, one wake-up socket a process.
package struct StateDirectory: Hashable, Sendable {
  /// Absolute or relative to the working directory, without a slash at its end.
  package let path: String

  package init(_ path: String) {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
  }

  /// `$XDG_STATE_HOME/sluice`, or `~/.local/state/sluice` where that is unset, empty or relative (XDG Base Directory Specification).
  package static func standard(environment: [String: String]) -> StateDirectory {
    if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") { return StateDirectory(state + "/sluice") }
    return StateDirectory((environment["HOME"] ?? "") + "/.local/state/sluice")
  }

  package func database(of fleet: FleetName) -> String { "\(path)/\(fleet).sqlite" }
  package func lock(of fleet: FleetName) -> String { "\(path)/\(fleet).lock" }
  /// The public keys whose copies of the fleet's records were accepted here.
  package func signers(of fleet: FleetName) -> String { "\(path)/\(fleet).signers" }
  package func lock(of fleet: FleetName, service: ServiceName) -> String { "\(path)/\(fleet).\(service).lock" }

  /// The wake-up sockets of the processes that change this fleet, and of those that were killed while they did.
  func wakes(of fleet: FleetName) -> [String] {
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    var found: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name.hasPrefix("\(fleet)."), name.hasSuffix(".wake") { found.append("\(path)/\(name)") }
    }
    return found.sorted()
  }
  /// Packed artifacts, by digest.
  package var artifacts: String { path + "/artifacts" }

  /// Makes the directory and its parents where they are missing (mode 0700), and refuses what SQLite and locks cannot rely on.
  ///
  /// Throws `StoreError` with `.unusable` or `.network`.
  package func prepare() throws(StoreError) {
    var made = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: true) {
      made += (made.isEmpty && !path.hasPrefix("/") ? "" : "/") + part
      if mkdir(made, 0o700) != 0 && errno != EEXIST && access(made, F_OK) != 0 { throw unusable("cannot be made", errno) }
    }
    var status = stat()
    guard stat(path, &status) == 0 else { throw unusable("cannot be looked at", errno) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw unusable("is not a directory", ENOTDIR) }
    guard access(path, R_OK | W_OK | X_OK) == 0 else { throw unusable("cannot be written", errno) }
    try refuseNetwork()
  }

  /// Throws `.network` where locks and shared memory are not to be trusted.
  func refuseNetwork() throws(StoreError) {
    guard let name = NetworkFileSystem.name(at: path) else { return }
    throw StoreError(
      .network, "the state directory \(path) lies on a network file system (\(name)), where SQLite's locks cannot be trusted",
      remedy: "Name a directory on a local disk with --state or XDG_STATE_HOME; the records themselves are also on hosts and gateways")
  }

  private func unusable(_ what: String, _ number: CInt) -> StoreError {
    StoreError(
      .unusable, "the state directory \(path) \(what) (\(String(cString: strerror(number))))",
      remedy: "Name another with --state or XDG_STATE_HOME")
  }

  /// Makes the names in the directory durable.
  func sync() throws(StoreError) {
    let descriptor = try opened()
    defer { _ = close(descriptor) }
    guard fsync(descriptor) == 0 else { throw unusable("cannot be synced", errno) }
  }

  /// Lets only one process, and one task of it, work at a time. For moments only.
  func exclusively<Value>(_ work: () throws -> Value) throws -> Value {
    let descriptor = try opened()
    defer { _ = close(descriptor) }
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else { throw unusable("cannot be locked", errno) }
    }
    return try work()
  }

  private func opened() throws(StoreError) -> CInt {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unusable("cannot be opened", errno) }
    return descriptor
  }
}
