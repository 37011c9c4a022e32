import Foundation
import Glibc

/// A program that was started by a test: its output goes to files, so that nothing can fill a pipe.
final class Program {
  struct Output: Sendable {
    var status: Int32
    var out: String
    var error: String

    /// Everything, for a failing test's message.
    var all: String { "exit \(status)\n--- stdout\n\(out)\n--- stderr\n\(error)" }
  }

  let pid: pid_t
  let words: [String]
  private let directory: URL
  private var ended: Int32?

  /// Starts `words[0]`, found on PATH when it has no slash. Foundation's Process does not stand parallel starts, so this is posix_spawn.
  init(_ words: [String], environment: [String: String] = [:], in folder: String? = nil) throws {
    self.words = words
    directory = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-program-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, directory.appendingPathComponent("out").path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, directory.appendingPathComponent("error").path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // A group of its own, as in a shell: what a test signals is this program alone.
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let placed = folder.map { ["env", "-C", $0] + words } ?? words
    let arguments = placed.map { strdup($0) } + [nil]
    let variables = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in arguments + variables { free(pointer) } }
    var pid: pid_t = 0
    let problem = posix_spawnp(&pid, placed[0], &actions, &attributes, arguments, variables)
    guard problem == 0 else { throw ProgramError("\(words[0]) cannot be started: \(String(cString: strerror(problem)))") }
    self.pid = pid
  }

  deinit {
    if ended == nil {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    try? FileManager.default.removeItem(at: directory)
  }

  func send(_ signal: Int32) { kill(pid, signal) }

  var isRunning: Bool {
    if ended != nil { return false }
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return true }
    ended = (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    return false
  }

  var out: String { (try? String(contentsOf: directory.appendingPathComponent("out"), encoding: .utf8)) ?? "" }
  var error: String { (try? String(contentsOf: directory.appendingPathComponent("error"), encoding: .utf8)) ?? "" }

  /// Its end, or an error with all it has said when it has not ended in time.
  func wait(_ limit: Duration = .seconds(120)) async throws -> Output {
    let end = ContinuousClock.now + limit
    while isRunning {
      if ContinuousClock.now > end {
        kill(pid, SIGKILL)
        throw ProgramError("\(words.joined(separator: " ")) has not ended within \(limit)\n\(out)\n\(error)")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    return Output(status: ended ?? -1, out: out, error: error)
  }

  /// Runs to the end.
  static func run(_ words: [String], environment: [String: String] = [:], in folder: String? = nil, limit: Duration = .seconds(120))
    async throws
    -> Output
  {
    try await Program(words, environment: environment, in: folder).wait(limit)
  }

  /// Waits until the condition holds; throws what is said when it does not in time.
  static func until(_ what: String, _ limit: Duration = .seconds(30), _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
      if ContinuousClock.now > end { throw ProgramError("waited \(limit) in vain: \(what)") }
      try await Task.sleep(for: .milliseconds(50))
    }
  }
}

struct ProgramError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// Where the programs and the repository are.
enum Place {
  static let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  /// `$SLUICE_BIN`, as Tests/run sets it, or the folder of the tests themselves.
  static let bin =
    ProcessInfo.processInfo.environment["SLUICE_BIN"] ?? Bundle.main.bundleURL.path
  static let isFull = ProcessInfo.processInfo.environment["SLUICE_TESTS"] == "full"

  static func program(_ name: String) -> String { "\(bin)/\(name)" }
}
