internal import Foundation
internal import Glibc
package import SluiceModel

/// Reads the values of a service's secrets where the manifest says they are. No error holds a value, nor what a command wrote.
package struct SecretReader: Sendable {
  private static let sizeLimit = 64 << 10

  private let environment: [String: String]
  private let baseDirectory: String
  private let timeLimit: Duration

  /// Relative files, and relative programs with a slash in them, start at `baseDirectory`; commands run there.
  package init(
    environment: [String: String] = ProcessInfo.processInfo.environment, baseDirectory: String, timeLimit: Duration = .seconds(30)
  ) {
    self.environment = environment
    self.baseDirectory = baseDirectory
    self.timeLimit = timeLimit
  }

  /// Every value, or a `LocalError` that names every secret that could not be read.
  package func read(_ sources: [String: SecretSource]) async throws -> SecretValues {
    var values: [String: String] = [:]
    var troubles: [LocalError] = []
    for (name, source) in sources.sorted(by: { $0.key < $1.key }) {
      do throws(LocalError) { values[name] = try await value(of: name, source) } catch { troubles.append(error) }
    }
    guard let first = troubles.first else { return SecretValues(values) }
    if troubles.count == 1 { throw first }
    throw LocalError(
      troubles.map(\.message).joined(separator: "; "),
      remedy: troubles.map(\.remedy).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        .joined(separator: ". "))
  }

  private func value(of name: String, _ source: SecretSource) async throws(LocalError) -> String {
    let bytes: [UInt8]
    switch source {
    case .env(let variable):
      guard let value = environment[variable] else {
        throw LocalError("secret \(name): the environment variable \(variable) is not set", remedy: "Set it where sluice is started")
      }
      bytes = Array(value.utf8)
    case .file(let path): bytes = try file(path, name)
    case .command(let command, let directory): bytes = try await output(of: command, in: directory ?? baseDirectory, name)
    case .elsewhere(let hash):
      throw LocalError(
        "secret \(name): where it is read is not known on this machine (its hash \(hash.short))", remedy: "Give the manifest: -f PATH")
    }
    let place = Self.describe(source)
    guard !bytes.isEmpty else {
      throw LocalError("secret \(name): \(place) is empty", remedy: "An empty secret is nearly always a mistake")
    }
    guard bytes.count <= Self.sizeLimit else { throw LocalError("secret \(name): \(place) holds more than \(Self.sizeLimit) bytes") }
    guard !bytes.contains(0), let value = String(validating: bytes, as: UTF8.self) else {
      throw LocalError(
        "secret \(name): \(place) is not text", remedy: "Encode it, as Base64 for example: it becomes an environment variable")
    }
    return value
  }

  private static func describe(_ source: SecretSource) -> String {
    switch source {
    case .env(let variable): "the environment variable \(variable)"
    case .file(let path): "the file \(path)"
    case .command(let command, _): "the output of \(command.first ?? "the command")"
    case .elsewhere: "another machine's source"
    }
  }

  private func file(_ path: String, _ name: String) throws(LocalError) -> [UInt8] {
    let full = LocalPath.resolve(path, from: baseDirectory, home: environment["HOME"])
    // Opening or reading a pipe would wait for whoever writes to it, for ever perhaps.
    let descriptor = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else {
      throw LocalError(
        "secret \(name): the file \(full) cannot be read (\(systemMessage(errno)))", remedy: "Check its path and permissions")
    }
    defer { _ = close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw LocalError(
        "secret \(name): \(full) is \(Self.kind(status.st_mode)), not a file", remedy: "Name a file, or let fromCommand fetch it")
    }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while content.count <= Self.sizeLimit {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count == 0 { break }
      if count < 0 {
        if errno == EINTR { continue }
        throw LocalError(
          "secret \(name): the file \(full) cannot be read (\(systemMessage(errno)))", remedy: "Check its path and permissions")
      }
      content += chunk[..<count]
    }
    return Self.withoutLastNewlines(content)
  }

  private func output(of command: [String], in directory: String, _ name: String) async throws(LocalError) -> [UInt8] {
    guard let first = command.first, !first.isEmpty else { throw LocalError("secret \(name): its command is empty") }
    let program = first.contains("/") ? LocalPath.resolve(first, from: directory, home: environment["HOME"]) : first
    let run = LocalCommand(
      program: program, arguments: Array(command.dropFirst()), workingDirectory: directory, timeLimit: timeLimit,
      outputLimit: Self.sizeLimit + 1, gathersErrors: false)
    let remedy = "Run it by hand in \(directory) to see why"
    let outcome: LocalCommand.Outcome
    do { outcome = try await run.run() } catch {
      throw LocalError("secret \(name): the command \(first) cannot be started (\(error))", remedy: remedy)
    }
    switch outcome.end {
    case .exited(0): return Self.withoutLastNewlines(outcome.output)
    case .exited(let status): throw LocalError("secret \(name): the command \(first) exited with status \(status)", remedy: remedy)
    case .signalled(let signal): throw LocalError("secret \(name): the command \(first) was killed by signal \(signal)", remedy: remedy)
    case .timedOut: throw LocalError("secret \(name): the command \(first) did not end within \(timeLimit)", remedy: remedy)
    case .cancelled: throw LocalError("secret \(name): the command \(first) was interrupted")
    }
  }

  private static func kind(_ mode: mode_t) -> String {
    switch mode & S_IFMT {
    case S_IFIFO: "a pipe"
    case S_IFDIR: "a directory"
    case S_IFSOCK: "a socket"
    case S_IFCHR, S_IFBLK: "a device"
    default: "something else"
    }
  }

  /// As a shell's `$(…)` does.
  private static func withoutLastNewlines(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes[...]
    while bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    return Array(bytes)
  }
}
