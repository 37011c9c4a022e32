import Glibc
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel

/// The built `sluice-gateway` as a process of its own, so that its memory is its own too.
final class GatewayProgram {
  struct Unmet: Error, CustomStringConvertible {
    var description: String
  }

  let directory: String
  let port: Int
  private let pid: pid_t

  /// Beside the test bundle, or where the build says; nil: it is not built.
  static var executable: String? {
    var places: [String] = []
    if let path = getenv("SLUICE_BIN") { places.append(String(cString: path)) }
    var own = [CChar](repeating: 0, count: 4_096)
    let count = readlink("/proc/self/exe", &own, own.count)
    if count > 0 { places.append(String(decoding: own[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)) }
    places.append(CommandLine.arguments[0])
    // The bundle's own path is behind `--test-bundle-path` when a helper runs it.
    places += CommandLine.arguments.filter { $0.hasSuffix(".xctest") }
    for place in places {
      for folder in [place, place.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")]
      where access("\(folder)/sluice-gateway", X_OK) == 0 { return "\(folder)/sluice-gateway" }
    }
    return nil
  }

  /// Starts it on a port of its own with one service, whose targets are never probed away (a TCP probe), and waits until it serves.
  init(executable: String, target: Int) throws {
    var template = Array("/tmp/sluice-gateway-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Unmet(description: "no directory: \(errno)") }
    directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    port = try freePort()
    let configuration = GatewayConfiguration(
      listen: [.init(address: "127.0.0.1", port: port)], adminSocket: "\(directory)/admin.sock", stateDirectory: "\(directory)/state",
      loops: 1, finish: .seconds(1))
    let file = open("\(directory)/config.json", O_WRONLY | O_CREAT, 0o600)
    let octets = try AdminJSON.encode(configuration)
    guard write(file, octets, octets.count) == octets.count else { throw Unmet(description: "no configuration written: \(errno)") }
    close(file)
    let words: [String] = [executable, "run", "--config", "\(directory)/config.json"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { (word: String) in strdup(word) }
    var environment: [UnsafeMutablePointer<CChar>?] = [strdup("SWIFT_BACKTRACE=enable=no")]
    arguments.append(nil)
    environment.append(nil)
    defer { for text in arguments + environment { free(text) } }
    var child: pid_t = 0
    guard posix_spawn(&child, executable, nil, nil, &arguments, &environment) == 0 else {
      throw Unmet(description: "not started: \(errno)")
    }
    pid = child
    var table = RouteTable(
      service: "shop", fence: Fence(owner: "test", epoch: 1), revision: Revision(epoch: 1, version: 1), hosts: ["a"],
      pools: [
        .init(
          release: ReleaseNumber(1), targets: [.init(instance: InstanceID(service: "shop", number: 1), address: "127.0.0.1", port: target)])
      ],
      probe: .init(kind: .tcp, interval: Milliseconds(50), rise: 1))
    table.timeouts.idle = .seconds(30)
    let body = try AdminJSON.encode(table)
    for _ in 0..<500 {
      if let answer = try? admin("PUT", "/v1/services/shop/table", body), answer.contains("\"serving\"") { return }
      usleep(20_000)
    }
    throw Unmet(description: "it does not serve")
  }

  /// Octets of memory that it holds.
  var memory: Int {
    let file = open("/proc/\(pid)/status", O_RDONLY)
    defer { close(file) }
    var octets = [UInt8](repeating: 0, count: 8_192)
    let count = max(0, read(file, &octets, octets.count))
    for line in String(decoding: octets[..<count], as: UTF8.self).split(separator: "\n") where line.hasPrefix("VmRSS:") {
      return (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1_024
    }
    return 0
  }

  /// One request of the admin socket; all that came back.
  func admin(_ method: String, _ path: String, _ body: [UInt8] = []) throws -> String {
    let socket = try Dialled(path: "\(directory)/admin.sock")
    try socket.sendAll(
      Array("\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body)
    return String(decoding: try socket.readToEnd(), as: UTF8.self)
  }

  /// A blocked SIGTERM may be inherited from the test's thread.
  func stop() {
    kill(pid, SIGKILL)
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    TestGateway.removeAll(directory)
  }
}

/// A plain socket, with a time limit on each step.
final class Dialled {
  let descriptor: Int32

  init(descriptor: Int32) { self.descriptor = descriptor }

  init(port: Int) throws {
    let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    descriptor = made
    let result = socketAddress([127, 0, 0, 1], port).asSocketAddress { connect(made, $0, $1) }
    guard result == 0 else { throw GatewayProgram.Unmet(description: "connect: \(errno)") }
    var yes: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, 4)
    setLimit(seconds: 10)
  }

  init(path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    guard result == 0 else { throw GatewayProgram.Unmet(description: "connect: \(errno)") }
    setLimit(seconds: 10)
  }

  deinit { close(descriptor) }

  private func setLimit(seconds: Int) {
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  func sendAll(_ octets: [UInt8]) throws {
    var sent = 0
    while sent < octets.count {
      let count = octets.withUnsafeBytes { send(descriptor, $0.baseAddress! + sent, octets.count - sent, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { throw GatewayProgram.Unmet(description: "send: \(errno)") }
      sent += count
    }
  }

  /// Sends what is taken without waiting, over and over, until `limit` octets are sent or nothing was taken for a while.
  func flood(_ octets: [UInt8], limit: Int, reading: Bool) -> Int {
    var sent = 0
    var at = 0
    var quiet = 0
    var taken = [UInt8](repeating: 0, count: 262_144)
    while sent < limit, quiet < 60 {
      if reading { while recv(descriptor, &taken, taken.count, Int32(MSG_DONTWAIT)) > 0 { quiet = 0 } }
      let count = octets.withUnsafeBytes {
        send(descriptor, $0.baseAddress! + at, octets.count - at, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      if count > 0 {
        sent += count
        at = (at + count) % octets.count
        quiet = 0
      } else {
        if errno != EAGAIN { return sent }
        quiet += 1
        usleep(5_000)
      }
    }
    return sent
  }

  func readToEnd(limit: Int = 64 << 20) throws -> [UInt8] {
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while all.count < limit {
      let count = recv(descriptor, &piece, piece.count, 0)
      if count == 0 { return all }
      guard count > 0 else { throw GatewayProgram.Unmet(description: "recv: \(errno) after \(all.count) octets") }
      all.append(contentsOf: piece[..<count])
    }
    return all
  }
}

/// A socket address as the system wants it (ip(7), ipv6(7)): the C types belong to a module that tests do not import.
func socketAddress(_ address: [UInt8], _ port: Int) -> [UInt8] {
  let family = withUnsafeBytes(of: sa_family_t(address.count == 4 ? AF_INET : AF_INET6)) { Array($0) }
  let place = [UInt8(port >> 8), UInt8(port & 255)]
  return address.count == 4
    ? family + place + address + Array(repeating: 0, count: 8) : family + place + [0, 0, 0, 0] + address + [0, 0, 0, 0]
}

extension [UInt8] {
  func asSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafeBytes { body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count)) }
  }
}

/// A port that nobody has at the moment.
func freePort() throws -> Int {
  let listener = try Listener(share: false)
  return listener.port
}

/// A listening socket without anybody who accepts.
final class Listener {
  let descriptor: Int32
  let port: Int

  /// `share`: with SO_REUSEPORT. `six`: at all addresses of both families; `all`: at all of IPv4.
  init(port wanted: Int = 0, share: Bool = true, all: Bool = false, six: Bool = false, backlog: Int32 = 16, reuse: Bool = true) throws {
    let made = socket(six ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var yes: Int32 = 1
    if reuse { setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, 4) }
    if share { setsockopt(made, SOL_SOCKET, SO_REUSEPORT, &yes, 4) }
    let address = six ? [UInt8](repeating: 0, count: 16) : all ? [0, 0, 0, 0] : [127, 0, 0, 1]
    var result = socketAddress(address, wanted).asSocketAddress { bind(made, $0, $1) }
    if result == 0 { result = listen(made, backlog) }
    guard result == 0 else {
      let code = errno
      close(made)
      throw GatewayProgram.Unmet(description: "listen: \(code)")
    }
    var bound = [UInt8](repeating: 0, count: 28)
    var size = socklen_t(bound.count)
    _ = bound.withUnsafeMutableBytes { getsockname(made, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &size) }
    descriptor = made
    // The port stands at the same place in both families.
    port = Int(bound[2]) << 8 | Int(bound[3])
  }

  /// From now on connecting hangs, given that one connection waits already.
  func fill() { listen(descriptor, 0) }

  /// Takes one connection; waits.
  func accept() -> Dialled { Dialled(descriptor: Glibc.accept(descriptor, nil, nil)) }

  deinit { close(descriptor) }
}
