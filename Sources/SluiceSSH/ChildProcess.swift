internal import Glibc

/// Runs a short local program and gathers what it says. Blocks: for the thread pool only.
enum ChildProcess {
  enum Outcome {
    /// The program is not installed.
    case missing
    case failed(String)
    case finished(String)
  }

  private static let outputLimit = 4 << 20

  static func run(_ arguments: [String], timeout: Duration) -> Outcome {
    var pipeEnds: [CInt] = [-1, -1]
    let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &pipeEnds) == 0 else { return .failed(systemMessage(errno)) }
    defer { _ = close(pipeEnds[0]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, pipeEnds[1], 1)
    posix_spawn_file_actions_adddup2(&actions, pipeEnds[1], 2)
    var pid: pid_t = 0
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { words.forEach { free($0) } }
    let code = posix_spawnp(&pid, arguments[0], &actions, nil, &words, environ)
    _ = close(pipeEnds[1])
    guard code == 0 else { return code == ENOENT ? .missing : .failed(systemMessage(code)) }
    let output = gather(pipeEnds[0], until: ContinuousClock.now + timeout)
    if output == nil { kill(pid, SIGKILL) }
    var status: CInt = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    guard let output else { return .failed("no end within \(timeout), or too much output") }
    let text = String(decoding: output, as: UTF8.self)
    return status == 0 ? .finished(text) : .failed(text.split(whereSeparator: \.isNewline).joined(separator: "; "))
  }

  /// All output up to its end; nil where the time or the limit is exceeded.
  private static func gather(_ descriptor: CInt, until deadline: ContinuousClock.Instant) -> [UInt8]? {
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while output.count < outputLimit {
      let left = ContinuousClock.now.duration(to: deadline)
      guard left > .zero else { return nil }
      var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard Glibc.poll(&poll, 1, CInt(min(left / .milliseconds(1), 60_000)) + 1) > 0 else { continue }
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return count == 0 ? output : nil }
      output += chunk[..<count]
    }
    return nil
  }
}
