internal import Foundation
internal import Glibc
internal import Subprocess
internal import SystemPackage

/// One program run on this machine in a session of its own: bounded in time and output, and ended by a ladder that reaches its children too.
struct LocalCommand: Sendable {
  enum End: Hashable, Sendable {
    case exited(Int32)
    case signalled(Int32)
    /// It took longer than `timeLimit`, and was ended.
    case timedOut
    /// The task was cancelled, and it was ended.
    case cancelled
  }

  struct Outcome: Hashable, Sendable {
    var end: End
    /// What it wrote, standard output and standard error together where they were not told apart; the last `outputLimit` bytes.
    var output: [UInt8]
    /// Whether it wrote more than that.
    var wasCut: Bool

    var text: String { String(decoding: output, as: UTF8.self) }
  }

  /// An absolute path, or a name that is looked up in `PATH`.
  var program: String
  var arguments: [String] = []
  /// On top of this process's own.
  var environment: [String: String] = [:]
  var workingDirectory: String?
  var input: [UInt8] = []
  var timeLimit: Duration
  /// From SIGTERM to SIGKILL.
  var grace: Duration = .seconds(5)
  var outputLimit = 8 << 10
  /// Whether standard error is gathered with standard output, or thrown away.
  var gathersErrors = true

  /// Throws `SubprocessError` or `LocalError` when it cannot be started; whatever happens then is an outcome.
  ///
  /// The program runs in a task of its own, so that a cancellation does not kill it before the ladder has begun.
  func run() async throws -> Outcome {
    let (stops, stop) = AsyncStream.makeStream(of: End.self)
    let work = Task { try await perform(stops) }
    return try await withTaskCancellationHandler {
      try await work.value
    } onCancel: {
      stop.yield(.cancelled)
    }
  }

  private func perform(_ stops: AsyncStream<End>) async throws -> Outcome {
    var options = PlatformOptions()
    options.createSession = true
    let configuration = Configuration(
      executable: program.contains("/") ? .path(.init(program)) : .name(program), arguments: Arguments(arguments),
      environment: .inherit.updating(
        environment.reduce(into: [Environment.Key: String?]()) { all, entry in
          if let key = Environment.Key(rawValue: entry.key) { all[key] = entry.value }
        }),
      workingDirectory: workingDirectory.map { .init($0) }, platformOptions: options)
    let input = FileDescriptorInput.fileDescriptor(try inputFile(), closeAfterSpawningProcess: true)
    if gathersErrors {
      let result = try await Subprocess.run(configuration, input: input, output: .sequence, error: .combinedWithOutput) { execution in
        try await watch(execution.standardOutput, execution.processIdentifier.value, stops)
      }
      return outcome(result.terminationStatus, result.closureResult)
    }
    let result = try await Subprocess.run(configuration, input: input, output: .sequence, error: .discarded) { execution in
      try await watch(execution.standardOutput, execution.processIdentifier.value, stops)
    }
    return outcome(result.terminationStatus, result.closureResult)
  }

  /// A file without a name that holds the input. Not a pipe: a program that does not read it would end this process by SIGPIPE.
  private func inputFile() throws(LocalError) -> FileDescriptor {
    if input.isEmpty { return try Self.opened("/dev/null", open("/dev/null", O_RDONLY | O_CLOEXEC)) }
    let path = FileManager.default.temporaryDirectory.appending(path: "sluice-input.\(UInt64.random(in: 0...UInt64.max))").path
    let file = try Self.opened(path, open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
    _ = unlink(path)
    guard pwrite(file.rawValue, input, input.count, 0) == input.count else {
      let number = errno
      _ = close(file.rawValue)
      throw LocalError("\(path) cannot be written (\(systemMessage(number)))", remedy: "Make room on the disk")
    }
    return file
  }

  private static func opened(_ path: String, _ descriptor: CInt) throws(LocalError) -> FileDescriptor {
    guard descriptor >= 0 else { throw LocalError("\(path) cannot be opened (\(systemMessage(errno)))") }
    return FileDescriptor(rawValue: descriptor)
  }

  private struct Watched: Sendable {
    var tail = Tail()
    /// Why it was ended from here.
    var end: End?
  }

  /// Gathers output until it ends, and lets the ladder run when there is a reason to stop first.
  private func watch(_ output: SubprocessOutputSequence, _ process: pid_t, _ stops: AsyncStream<End>) async throws -> Watched {
    let limit = outputLimit
    return try await withThrowingTaskGroup(of: Watched.self) { group in
      group.addTask {
        var watched = Watched()
        for try await chunk in output { chunk.withUnsafeBytes { watched.tail.append($0, limit: limit) } }
        // It may have closed its output and go on.
        while !Self.hasEnded(process) { try await Task.sleep(for: .milliseconds(20)) }
        return watched
      }
      group.addTask {
        guard let end = await reasonToStop(stops) else { throw CancellationError() }
        await descend(process)
        return Watched(end: end)
      }
      var gathered = Watched()
      while let part = try await group.next() {
        guard let end = part.end else {
          gathered.tail = part.tail
          group.cancelAll()
          // A ladder that has begun says so; one that has not is done.
          while let rest = try? await group.next() { gathered.end = rest.end }
          return gathered
        }
        gathered.end = end
      }
      return gathered
    }
  }

  /// Waits for a cancellation or the time limit; nil when the program ended first.
  private func reasonToStop(_ stops: AsyncStream<End>) async -> End? {
    await withTaskGroup(of: End?.self) { group in
      group.addTask {
        for await stop in stops { return stop }
        return nil
      }
      group.addTask { (try? await Task.sleep(for: timeLimit)) == nil ? nil : .timedOut }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
  }

  /// TERM to the whole group, `grace`, KILL to the whole group. The process is reaped only later, so its number cannot be another's by now.
  private func descend(_ process: pid_t) async {
    kill(-process, SIGTERM)
    let deadline = ContinuousClock.now + grace
    while !Self.hasEnded(process), ContinuousClock.now < deadline {
      // A cancellation must not shorten the wait.
      await Task { try? await Task.sleep(for: .milliseconds(20)) }.value
    }
    kill(-process, SIGKILL)
  }

  /// Whether the process has exited and waits to be reaped.
  private static func hasEnded(_ process: pid_t) -> Bool {
    var info = siginfo_t()
    while true {
      let outcome = waitid(P_PID, id_t(process), &info, WEXITED | WNOWAIT | WNOHANG)
      if outcome == 0 { return info.si_signo != 0 }
      guard errno == EINTR else { return true }
    }
  }

  private func outcome(_ status: TerminationStatus, _ watched: Watched) -> Outcome {
    let natural: End =
      switch status {
      case .exited(let code): .exited(code)
      case .signaled(let signal): .signalled(signal)
      }
    return Outcome(end: watched.end ?? natural, output: watched.tail.bytes, wasCut: watched.tail.wasCut)
  }
}

/// The last bytes of what goes by.
private struct Tail: Sendable {
  private(set) var bytes: [UInt8] = []
  private(set) var wasCut = false

  mutating func append(_ more: UnsafeRawBufferPointer, limit: Int) {
    bytes += more
    if bytes.count > limit {
      bytes.removeFirst(bytes.count - limit)
      wasCut = true
    }
  }
}
