internal import Glibc

/// The datagram socket by which one process tells another that something lies in the inbox. The datagrams carry nothing.
enum WakeSocket {
  /// A bound, non-blocking socket at `path`, in the place of whatever a process that was killed has left there.
  static func bound(at path: String) throws(StoreError) -> CInt {
    let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw failure(path, "made", errno) }
    _ = unlink(path)
    let outcome = reach(path) { address, length in bind(descriptor, address, length) }
    guard outcome == 0, chmod(path, 0o600) == 0 else {
      let number = errno
      _ = close(descriptor)
      throw failure(path, "bound", number)
    }
    return descriptor
  }

  /// True when a process listens at `path`.
  static func poke(_ path: String) throws(StoreError) -> Bool {
    let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw failure(path, "made", errno) }
    defer { _ = close(descriptor) }
    var byte: UInt8 = 1
    let sent = reach(path) { address, length in CInt(sendto(descriptor, &byte, 1, 0, address, length)) }
    if sent >= 0 { return true }
    switch errno {
    case ENOENT, ECONNREFUSED: return false
    // Its buffer is full: it has been woken and has not looked yet.
    case EAGAIN, ENOBUFS: return true
    default: throw failure(path, "written to", errno)
    }
  }

  /// Reads away what has come.
  static func drain(_ descriptor: CInt) {
    var bytes = [UInt8](repeating: 0, count: 16)
    while recv(descriptor, &bytes, bytes.count, 0) >= 0 {}
  }

  /// A unix address holds 107 bytes. A longer path is reached by way of its directory's descriptor.
  private static func reach(_ path: String, _ work: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
    var name = path
    var directory: CInt = -1
    defer { if directory >= 0 { _ = close(directory) } }
    if path.utf8.count > 107, let slash = path.lastIndex(of: "/") {
      directory = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard directory >= 0 else { return -1 }
      name = "/proc/self/fd/\(directory)" + path[slash...]
    }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(name.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      errno = ENAMETOOLONG
      return -1
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let outcome = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { work($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    return outcome
  }

  private static func failure(_ path: String, _ what: String, _ number: CInt) -> StoreError {
    StoreError(
      .unusable, "the socket \(path) cannot be \(what) (\(String(cString: strerror(number))))",
      remedy: "Check its directory and permissions")
  }
}
