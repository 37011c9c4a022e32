import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import SluiceSSH

/// A real sshd on a loopback port with keys and files of its own, in a temporary directory.
final class SSHServer: Sendable {
  let directory: String
  let port: Int
  private let listening: Mutex<pid_t>
  private var listener: pid_t { listening.withLock { $0 } }

  static let isInstalled = FileManager.default.isExecutableFile(atPath: "/usr/sbin/sshd")
  static let user = NSUserName()

  /// Starts a server, runs the body, and ends it with all that it started, however the body ends.
  static func run<Value>(
    _ config: [String] = [], hostKeys: [String] = ["ed25519"], port: Int? = nil, _ body: (SSHServer) async throws -> Value
  ) async throws -> Value {
    let server = try await SSHServer(config: config, hostKeys: hostKeys, port: port)
    do {
      let value = try await body(server)
      server.stop()
      return value
    } catch {
      server.stop()
      throw error
    }
  }

  private init(config: [String], hostKeys: [String], port: Int?) async throws {
    let directory = NSTemporaryDirectory() + "sluice-ssh-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    self.directory = directory
    if getuid() == 0 { try FileManager.default.createDirectory(atPath: "/run/sshd", withIntermediateDirectories: true) }
    let port = try port ?? Self.freePort()
    self.port = port
    for type in hostKeys { try Self.makeKey("\(directory)/host_\(type)", type: type) }
    try Self.makeKey("\(directory)/id", type: "ed25519")
    try FileManager.default.copyItem(atPath: "\(directory)/id.pub", toPath: "\(directory)/authorized_keys")
    // sshd takes the first value it reads of a setting.
    let lines =
      config + [
        "ListenAddress 127.0.0.1:\(port)", "PidFile none", "UsePAM no", "StrictModes no", "PasswordAuthentication no",
        "AuthorizedKeysFile \(directory)/authorized_keys", "LogLevel VERBOSE", "PrintMotd no", "PrintLastLog no",
        // The user's own shell start-up files are nobody's business here.
        "SetEnv HOME=\(directory)",
      ] + hostKeys.map { "HostKey \(directory)/host_\($0)" }
    try lines.joined(separator: "\n").appending("\n").write(toFile: "\(directory)/sshd_config", atomically: true, encoding: .utf8)
    listening = Mutex(try Self.start(directory))
    do {
      try await eventually("sshd listens: \(log)") { self.log.contains("Server listening") }
    } catch {
      stop()
      throw error
    }
  }

  var log: String { (try? String(contentsOfFile: "\(directory)/log", encoding: .utf8)) ?? "" }

  /// Trusted, with the key that the server accepts, and no agent.
  func endpoint(_ change: (inout SSHEndpoint) -> Void = { _ in }) throws -> SSHEndpoint {
    let knownHosts = "\(directory)/known_hosts"
    if !FileManager.default.fileExists(atPath: knownHosts) {
      let keys = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("host_") && $0.hasSuffix(".pub") }
        .sorted()
      let lines = try keys.map { "[127.0.0.1]:\(port) " + (try String(contentsOfFile: "\(directory)/\($0)", encoding: .utf8)) }
      try lines.joined().write(toFile: knownHosts, atomically: true, encoding: .utf8)
    }
    var endpoint = SSHEndpoint(
      name: "host-a", address: "127.0.0.1", port: port, user: Self.user, identityFiles: ["\(directory)/id"], agentSocket: nil,
      knownHostsFiles: [knownHosts])
    change(&endpoint)
    return endpoint
  }

  func connect(_ options: SSHOptions = SSHOptions(), _ change: (inout SSHEndpoint) -> Void = { _ in }) async throws -> SSHConnection {
    try await SSHConnection.connect(to: endpoint(change), options: options, group: MultiThreadedEventLoopGroup.singleton)
  }

  /// Kills the processes that serve connections, not the listener.
  func killConnections() {
    for pid in Self.descendants(of: listener) { kill(pid, SIGKILL) }
  }

  /// Stops the processes that serve connections in their tracks: they hold their sockets and say nothing.
  func stopConnections() {
    for pid in Self.descendants(of: listener) { kill(pid, SIGSTOP) }
  }

  /// Ends the listener: connects are refused.
  func pauseListening() {
    kill(listener, SIGKILL)
    waitpid(listener, nil, 0)
  }

  func resumeListening() async throws {
    let count = log.ranges(of: "Server listening").count
    let pid = try Self.start(directory)
    listening.withLock { $0 = pid }
    try await eventually("sshd listens again") { self.log.ranges(of: "Server listening").count > count }
  }

  private static func start(_ directory: String) throws -> pid_t {
    try spawn(["/usr/sbin/sshd", "-D", "-e", "-f", "\(directory)/sshd_config"], output: "\(directory)/log")
  }

  private func stop() {
    let children = Self.descendants(of: listener)
    kill(listener, SIGKILL)
    for pid in children { kill(pid, SIGKILL) }
    waitpid(listener, nil, 0)
    try? FileManager.default.removeItem(atPath: directory)
  }

  // MARK: Tools

  static func makeKey(_ path: String, type: String, passphrase: String = "") throws {
    let bits = type == "rsa" ? ["-b", "2048"] : []
    _ = try tool("/usr/bin/ssh-keygen", ["-q", "-t", type, "-N", passphrase, "-C", "test", "-f", path] + bits)
  }

  /// Runs a program to its end and returns what it said; a failure is an error. (Foundation's `Process` hands its own sockets down to children
  /// that run at the same time, and then waits for the wrong one.)
  @discardableResult
  static func tool(_ program: String, _ arguments: [String]) throws -> String {
    switch ChildProcess.run([program] + arguments, timeout: .seconds(20)) {
    case .finished(let output): return output
    case .failed(let cause): throw ToolFailed(program: program, cause: cause)
    case .missing: throw ToolFailed(program: program, cause: "not installed")
    }
  }

  struct ToolFailed: Error {
    var program: String
    var cause: String
  }

  /// Starts a program that goes on running; stdout and stderr go to the file.
  static func spawn(_ arguments: [String], output: String) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { words.forEach { free($0) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, arguments[0], &actions, nil, &words, environ)
    guard code == 0 else { throw ToolFailed(program: arguments[0], cause: "error \(code)") }
    return pid
  }

  static func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    try #require(isBound)
    return Int(UInt16(bigEndian: address.sin_port))
  }

  private static func descendants(of root: pid_t) -> [pid_t] {
    var children: [pid_t: [pid_t]] = [:]
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
      guard let pid = pid_t(name), let stat = try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8),
        let parent = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ").dropFirst(2).first.flatMap({ pid_t($0) })
      else { continue }
      children[parent, default: []].append(pid)
    }
    var found: [pid_t] = []
    var queue = [root]
    while let next = queue.popLast() {
      found += children[next] ?? []
      queue += children[next] ?? []
    }
    return found
  }
}

struct NotInTime: Error { var what: String }

/// Looks again and again until the condition holds, for at most forty seconds: a loaded machine is slow.
func eventually(_ what: String, within limit: Duration = .seconds(40), _ condition: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + limit
  while try await !condition() {
    guard ContinuousClock.now < deadline else { throw NotInTime(what: what) }
    try await Task.sleep(for: .milliseconds(10))
  }
}

/// The `SSHError` that the work throws; anything else is a failure of the test.
func sshError(_ work: () async throws -> some Any, sourceLocation: SourceLocation = #_sourceLocation) async -> SSHError? {
  do {
    _ = try await work()
    Issue.record("no error was thrown", sourceLocation: sourceLocation)
  } catch let error as SSHError {
    return error
  } catch {
    Issue.record("another error: \(error)", sourceLocation: sourceLocation)
  }
  return nil
}
