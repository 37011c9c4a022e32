import ArgumentParser
import Glibc

/// File descriptors: each connection takes one, and running out of them would look like a fault of the service.
enum Descriptors {
  /// Raises the limit as far as this user may; throws when it does not suffice for so many connections.
  static func reserve(connections: Int) throws {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    // Beside the connections: files, loops, and what is closing while its successor opens.
    let needed = connections + connections / 4 + 64
    guard limit.rlim_cur < UInt(needed) else { return }
    throw ValidationError(
      "\(connections) connections need \(needed) open files, and the limit is \(limit.rlim_cur): fewer clients, or a higher ulimit -Hn")
  }
}
