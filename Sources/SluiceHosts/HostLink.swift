internal import NIOCore
internal import SluiceEngine
internal import SluiceModel
internal import SluiceRollout
internal import SluiceSSH

/// The one connection to a host: made when first needed, kept open, made again when it was lost.
actor HostLink {
  let host: Host
  private let options: SSHOptions
  private let group: any EventLoopGroup
  private let counter: ExecCounter
  private var current: SSHConnection?
  private var connecting: Task<SSHConnection, any Error>?
  private var isClosed = false

  init(host: Host, options: SSHOptions, group: any EventLoopGroup, counter: ExecCounter) {
    self.host = host
    self.options = options
    self.group = group
    self.counter = counter
  }

  /// The key that got its user in; nil without a connection.
  var identity: SSHIdentity? { current?.identity }

  /// The open connection, or a new one; everyone who asks meanwhile waits for the same.
  func connection() async throws -> SSHConnection {
    if let current, current.isOpen { return current }
    guard !isClosed else {
      throw SSHError(.connect, .closed, host: host.name.rawValue, cause: "this controller has closed its connections")
    }
    if let connecting { return try await connecting.value }
    let (host, options, group) = (host, options, group)
    let task = Task {
      try await SSHConnection.connect(to: try await HostEndpoint.resolve(host), options: options, group: group)
    }
    connecting = task
    defer { connecting = nil }
    let connection = try await task.value
    if isClosed {
      await connection.close()
      throw SSHError(.connect, .closed, host: host.name.rawValue, cause: "this controller has closed its connections")
    }
    current = connection
    return connection
  }

  /// As `connection()`, with errors in the words of attempts.
  func openConnection() async throws -> SSHConnection {
    do { return try await connection() } catch { throw HostTrouble(error) }
  }

  func close() async {
    isClosed = true
    connecting?.cancel()
    await current?.close()
    current = nil
  }

  // MARK: Commands

  /// Runs a script that comes over stdin, and reads its answer. Throws `HostTrouble`, also where the answer is a failure.
  func run(_ script: HostScript, _ kind: ExecKind, limits: SSHLimits) async throws -> HostAnswer {
    if let name = script.unusable {
      throw HostTrouble.failed(Failure(.start, "a value of this release holds a zero byte, which no environment or argument can (\(name))"))
    }
    let command = (host.ssh.become == .sudo ? "sudo -n " : "") + HostScript.command
    let input = script.bytes
    return try await answer(to: kind) { try await $0.execute(command, input: input, limits: limits) }
  }

  /// Runs a script that is its own argument, with a file from `offset` on as stdin.
  func upload(_ script: HostScript, file: String, offset: Int64, limits: SSHLimits) async throws -> HostAnswer {
    let command = script.argument(become: host.ssh.become == .sudo)
    return try await answer(to: .upload) { try await $0.execute(command, inputFile: file, offset: offset, limits: limits) }
  }

  /// Starts a command that talks as long as it likes.
  func stream(_ command: String, _ kind: ExecKind) async throws -> SSHByteChannel {
    counter.count(kind, on: host.name)
    return try await connection().stream((host.ssh.become == .sudo ? "sudo -n " : "") + command)
  }

  private func answer(to kind: ExecKind, _ send: sending (SSHConnection) async throws -> SSHResult) async throws -> HostAnswer {
    do {
      counter.count(kind, on: host.name)
      let connection = try await connection()
      let result: SSHResult
      do {
        result = try await send(connection)
      } catch let error as SSHError where (error.code == .lost || error.code == .closed) && !error.inDoubt && !isClosed {
        // The kept connection had gone while nobody looked: nothing was sent, so a new one may be asked.
        current = nil
        result = try await send(try await self.connection())
      }
      return try read(result)
    } catch {
      throw HostTrouble(error)
    }
  }

  private func read(_ result: SSHResult) throws -> HostAnswer {
    let answer: HostAnswer
    do throws(HostAnswer.Problem) {
      answer = try HostAnswer(parsing: Array(result.stdout.readableBytesView))
    } catch {
      throw explain(error, result)
    }
    if let failure = answer.failure(on: host.name) { throw HostTrouble.failed(failure) }
    return answer
  }

  private func explain(_ problem: HostAnswer.Problem, _ result: SSHResult) -> HostTrouble {
    let said = String(result.errorOutput.suffix(2000))
    let user = host.ssh.user ?? "the login user"
    switch problem {
    case .missing where host.ssh.become == .sudo && (said.contains("sudo") || result.status == 127):
      let isMissing = result.status == 127 || said.contains("not found")
      return .failed(
        Failure(
          .host,
          isMissing
            ? "\(host.name): ssh.become is sudo, and there is no sudo" : "\(host.name): sudo does not work for \(user) without a password",
          output: said,
          remedy: isMissing
            ? "Install sudo, or log in as root with ssh.become: none."
            : "Let it: echo '\(host.ssh.user ?? "USER") ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/sluice, or log in as root with ssh.become: none."
        ))
    case .missing:
      return .failed(
        Failure(
          .host, "\(host.name): the login shell did not run Sluice's script (\(result.exit))", output: said,
          remedy: "Log in by hand and look: the account needs a shell, and `sh` in its PATH."))
    case .cut where result.status == nil:
      return .inDoubt("\(host.name): the script was \(result.exit); \(said)")
    case .cut:
      return .failed(
        Failure(
          .host, "\(host.name): the script ended early (\(result.exit))", output: said,
          remedy: "Look at the output: a full disk or a missing right shows there."))
    case .malformed(let line):
      return .failed(Failure(.host, "\(host.name): the answer is not what this version of Sluice reads: \(line)", output: said))
    }
  }
}

extension HostAnswer {
  /// The failure that the script reported; nil where it succeeded.
  func failure(on host: HostName) -> Failure? {
    guard let word = value("failed") else { return nil }
    var message = text("message")
    let fence = word == Failure.Kind.fenced.rawValue ? holder()?.fence : nil
    if let fence { message += ": \(fence.owner.prefix { $0 != ":" }) (epoch \(fence.epoch))" }
    return Failure(
      Failure.Kind(rawValue: word) ?? .host, "\(host): \(message)", output: text("log"), remedy: text("remedy"), holder: fence)
  }
}
