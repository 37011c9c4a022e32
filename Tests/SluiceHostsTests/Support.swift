import Foundation
import NIOCore
import NIOPosix
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceSSH
import Synchronization
import Testing

@testable import SluiceHosts

/// A real sshd on a loopback port, and a Sluice root of its own: a host that needs no rights.
final class LoopbackHost: Sendable {
  let directory: String
  let port: Int
  let host: SluiceModel.Host
  private let listener: Process

  static let isPossible =
    FileManager.default.isExecutableFile(atPath: "/usr/sbin/sshd") && FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")

  /// The shells that host scripts have to work in.
  enum RemoteShell: String, CaseIterable, Sendable {
    case dash, bash, busybox

    var path: String { self == .busybox ? "/usr/bin/busybox" : "/bin/\(rawValue)" }
    static var installed: [RemoteShell] { allCases.filter { FileManager.default.isExecutableFile(atPath: $0.path) } }
  }

  /// Starts a host, runs the body, and ends the host with all that was started on it, however the body ends.
  static func run<Value>(
    _ config: [String] = [], shell: RemoteShell? = nil, change: (inout SluiceModel.Host) -> Void = { _ in },
    _ body: (LoopbackHost) async throws -> Value
  ) async throws -> Value {
    let host = try await LoopbackHost(config, shell: shell, change: change)
    do {
      let value = try await body(host)
      await host.stop()
      return value
    } catch {
      await host.stop()
      throw error
    }
  }

  private init(_ config: [String], shell: RemoteShell?, change: (inout SluiceModel.Host) -> Void) async throws {
    let directory = "/tmp/sluice-hosts-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    self.directory = directory
    if getuid() == 0 { try FileManager.default.createDirectory(atPath: "/run/sshd", withIntermediateDirectories: true) }
    try FileManager.default.createDirectory(atPath: "\(directory)/bin", withIntermediateDirectories: true)
    if let shell {
      // With busybox, every tool it has comes from it.
      let applets = shell == .busybox ? try await tool(shell.path, ["--list"]).split(separator: "\n").map(String.init) : ["sh"]
      for name in applets {
        try FileManager.default.createSymbolicLink(atPath: "\(directory)/bin/\(name)", withDestinationPath: shell.path)
      }
    }
    for name in ["host_key", "id"] {
      try await tool("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", "\(directory)/\(name)"])
    }
    (listener, port) = try await Self.listen(directory, config)
    let key = try String(contentsOfFile: "\(directory)/host_key.pub", encoding: .utf8)
    try "[127.0.0.1]:\(port) \(key)".write(toFile: "\(directory)/known_hosts", atomically: true, encoding: .utf8)
    var host = SluiceModel.Host(
      name: "a1", rack: "rack-a", address: "127.0.0.1", serviceAddress: "127.0.0.1", slots: 3,
      ssh: SSHSettings(user: NSUserName(), port: port, identity: "\(directory)/id", knownHosts: "\(directory)/known_hosts"),
      root: "\(directory)/root")
    change(&host)
    self.host = host
  }

  /// Starts sshd on a port that is free, which another process may take in between: then on another one.
  private static func listen(_ directory: String, _ config: [String]) async throws -> (Process, Int) {
    for _ in 0..<8 {
      let port = try freePort()
      let lines =
        [
          "ListenAddress 127.0.0.1:\(port)", "PidFile none", "UsePAM no", "StrictModes no", "PasswordAuthentication no",
          "HostKey \(directory)/host_key", "AuthorizedKeysFile \(directory)/id.pub", "PrintMotd no", "PrintLastLog no",
        ] + config + ["SetEnv SLUICE_TEST_HOST=\(directory) HOME=\(directory) PATH=\(directory)/bin:/usr/bin:/bin:/usr/sbin:/sbin"]
      try lines.joined(separator: "\n").appending("\n").write(toFile: "\(directory)/sshd_config", atomically: true, encoding: .utf8)
      let listener = Process()
      listener.executableURL = URL(filePath: "/usr/sbin/sshd")
      listener.arguments = ["-D", "-e", "-f", "\(directory)/sshd_config"]
      try Data().write(to: URL(filePath: "\(directory)/sshd.log"))
      listener.standardError = FileHandle(forWritingAtPath: "\(directory)/sshd.log")
      listener.standardInput = FileHandle.nullDevice
      try listener.run()
      var log = ""
      try await eventually("sshd listens") {
        log = try String(contentsOfFile: "\(directory)/sshd.log", encoding: .utf8)
        return log.contains("Server listening") || log.contains("Cannot bind any address")
      }
      if log.contains("Server listening") { return (listener, port) }
    }
    throw NotInTime(what: "a free port for sshd")
  }

  /// Ends the processes that serve connections, not the listener.
  func cutConnections() {
    let monitors = Set(processes { $0.parent == listener.processIdentifier })
    let sessions = processes {
      monitors.contains($0.parent) && (try? String(contentsOfFile: "/proc/\($0.pid)/comm", encoding: .utf8))?.hasPrefix("sshd") == true
    }
    for pid in monitors.union(sessions) { kill(pid, SIGKILL) }
  }

  /// Processes with the host's directory in their command line, current directory or environment, as a set of numbers.
  var ownProcesses: Set<pid_t> {
    Set(
      processes { process in
        let base = "/proc/\(process.pid)"
        if let cwd = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(base)/cwd"), cwd.hasPrefix(directory) { return true }
        for file in ["cmdline", "environ"] {
          if let data = FileManager.default.contents(atPath: "\(base)/\(file)"), String(decoding: data, as: UTF8.self).contains(directory) {
            return true
          }
        }
        return false
      })
  }

  private func stop() async {
    if listener.isRunning { kill(listener.processIdentifier, SIGKILL) }
    for _ in 0..<20 {
      let own = ownProcesses
      if own.isEmpty { break }
      for pid in own { kill(pid, SIGKILL) }
      try? await Task.sleep(for: .milliseconds(20))
    }
    for _ in 0..<100 where listener.isRunning { try? await Task.sleep(for: .milliseconds(10)) }
    _ = try? await tool("/bin/chmod", ["-R", "u+w", directory])
    try? FileManager.default.removeItem(atPath: directory)
  }

  private func processes(where condition: ((pid: pid_t, parent: pid_t)) -> Bool) -> [pid_t] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { name -> pid_t? in
      guard let pid = pid_t(name), pid != getpid(), let stat = try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8) else {
        return nil
      }
      let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
      guard fields.count > 2, fields[1] != "Z", let parent = pid_t(fields[2]) else { return nil }
      return condition((pid, parent)) ? pid : nil
    }
  }

  private static let nextPort = Mutex(Int(getpid()) &* 97)

  /// A port that nothing is bound to, below those that the kernel gives to clients. Never listened on here: a descriptor that a child
  /// inherits for a moment would look like a listener.
  static func freePort() throws -> Int {
    for _ in 0..<1000 {
      let port =
        12_000 + nextPort.withLock { next in
          next += 1; return next
        } % 20_000
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      defer { close(descriptor) }
      var on: Int32 = 1
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
      }
      if bound == 0 { return port }
    }
    throw NotInTime(what: "a free port")
  }
}

struct NotInTime: Error { var what: String }
struct ToolFailed: Error {
  var program: String
  var status: Int32
}

/// Looks again and again until the condition holds, for at most forty seconds: a loaded machine is slow.
func eventually(_ what: String, within limit: Duration = .seconds(40), _ condition: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + limit
  while try await !condition() {
    guard ContinuousClock.now < deadline else { throw NotInTime(what: what) }
    try await Task.sleep(for: .milliseconds(10))
  }
}

/// Runs a program to its end and returns its stdout; a failure is an error. On a thread of its own, for it blocks.
/// By popen: Foundation's Process has hung in waitUntilExit here.
@discardableResult
func tool(_ program: String, _ arguments: [String], input: String = "") async throws -> String {
  let command = "printf %s \(Shell.quote(input)) | " + Shell.words([program] + arguments)
  return try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Result { try blockingTool(program, command) }) }
  }
}

private func blockingTool(_ program: String, _ command: String) throws -> String {
  guard let stream = popen(command, "re") else { throw ToolFailed(program: program, status: errno) }
  var output: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = fread(&piece, 1, piece.count, stream)
    if count == 0 { break }
    output += piece[..<count]
  }
  let status = pclose(stream)
  guard status == 0 else { throw ToolFailed(program: program, status: status) }
  return String(decoding: output, as: UTF8.self)
}
