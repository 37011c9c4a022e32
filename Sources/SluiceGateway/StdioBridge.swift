import Glibc

/// Carries octets between standard input and output and a unix socket, for use over SSH: `ssh host sluice-gateway bridge --socket PATH`.
package enum StdioBridge {
  /// Why the bridge could not do its work.
  package struct Failure: Error, CustomStringConvertible {
    package var description: String
  }

  private static let size = 65_536

  /// Runs until both directions have ended. Blocks.
  package static func run(socket path: String, input: Int32 = STDIN_FILENO, output: Int32 = STDOUT_FILENO) throws(Failure) {
    let socket = try connect(path)
    defer { close(socket) }
    var toSocket = Direction(from: input, to: socket)
    var fromSocket = Direction(from: socket, to: output)
    while !fromSocket.ended {
      var waits = [toSocket.wait, fromSocket.wait]
      if poll(&waits, 2, -1) < 0 {
        if errno == EINTR { continue }
        throw Failure(description: "poll: \(String(cString: strerror(errno)))")
      }
      if waits[0].revents != 0, try toSocket.move() { shutdown(socket, Int32(SHUT_WR)) }
      if waits[1].revents != 0 { _ = try fromSocket.move() }
    }
  }

  private static func connect(_ path: String) throws(Failure) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let octets = Array(path.utf8)
    guard octets.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw Failure(description: "\(path): too long for a socket's path")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: octets) }
    let made = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard made >= 0 else { throw Failure(description: "socket: \(String(cString: strerror(errno)))") }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(made, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    guard result == 0 else {
      let reason = String(cString: strerror(errno))
      close(made)
      throw Failure(description: "no gateway answers at \(path): \(reason). Is sluice-gateway running, and may this user open the socket?")
    }
    return made
  }

  /// One way, with blocking writes: both ends take what they are given.
  private struct Direction {
    let from: Int32
    let to: Int32
    var ended = false
    private var buffer = [UInt8](repeating: 0, count: size)

    init(from: Int32, to: Int32) {
      self.from = from
      self.to = to
    }

    var wait: pollfd { pollfd(fd: ended ? -1 : from, events: Int16(POLLIN), revents: 0) }

    /// Moves what is there; says whether this way ended now.
    mutating func move() throws(Failure) -> Bool {
      let count = read(from, &buffer, buffer.count)
      if count < 0, errno == EINTR || errno == EAGAIN { return false }
      guard count > 0 else {
        ended = true
        return true
      }
      var written = 0
      while written < count {
        let now = buffer.withUnsafeBytes { write(to, $0.baseAddress! + written, count - written) }
        if now < 0, errno == EINTR { continue }
        guard now >= 0 else {
          ended = true
          return true
        }
        written += now
      }
      return false
    }
  }
}
