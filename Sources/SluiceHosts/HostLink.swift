internal import NIOCore
internal import SluiceEngine
internal import SluiceModel
internal import SluiceRollout
internal import SluiceSSH

/// The connection to a host: made when first needed, kept open, made again when it was lost. Where sshd lets few sessions be open on one
/// (MaxSessions), what lasts gets further ones, so that commands never wait for it.
actor HostLink {
  /// Further connections for what lasts.
  private static let furtherLimit = 16

  let host: Host
  private let options: SSHOptions
  private let group: any EventLoopGroup
  private let counter: ExecCounter
  /// From when a script was taken to its first line.
  private let scriptStart: Duration
  private var current: SSHConnection?
  private var connecting: Task<SSHConnection, any Error>?
  private var further: [SSHConnection] = []
  /// The fewest sessions that sshd was seen to let be open on a connection.
  private var sessionLimit = Int.max
  private var isClosed = false

  init(host: Host, options: SSHOptions, group: any EventLoopGroup, counter: ExecCounter, scriptStart: Duration) {
    self.host = host
    self.options = options
    self.group = group
    self.counter = counter
    self.scriptStart = scriptStart
  }

  /// The key that got its user in; nil without a connection.
  var identity: SSHIdentity? { current?.identity }

  /// The open connection, or a new one; everyone who asks meanwhile waits for the same.
  func connection() async throws -> SSHConnection {
    if let current, current.isOpen { return current }
    if let connecting { return try await connecting.value }
    let task = Task { try await self.connect() }
    connecting = task
    defer { connecting = nil }
    let connection = try await task.value
    current = connection
    return connection
  }

  private func connect() async throws -> SSHConnection {
    try refuseClosed()
    let connection = try await SSHConnection.connect(to: try await HostEndpoint.resolve(host), options: options, group: group)
    if sessionLimit < Int.max { connection.expectSessions(sessionLimit) }
    do { try refuseClosed() } catch {
      await connection.close()
      throw error
    }
    return connection
  }

  private func refuseClosed() throws(SSHError) {
    guard !isClosed else {
      throw SSHError(.connect, .closed, host: host.name.rawValue, cause: "this controller has closed its connections")
    }
  }

  /// As `connection()`, with errors in the words of attempts.
  func openConnection() async throws -> SSHConnection {
    do { return try await connection() } catch { throw HostTrouble(error) }
  }

  func close() async {
    isClosed = true
    connecting?.cancel()
    await current?.close()
    for connection in further { await connection.close() }
    current = nil
    further = []
  }

  // MARK: Commands

  /// Runs a script that comes over stdin, and reads its answer. Throws `HostTrouble`, also where the answer is a failure.
  func run(_ script: HostScript, _ kind: ExecKind, limits: SSHLimits) async throws -> HostAnswer {
    try refuse(unusable: script)
    let command = HostScript.command(become: host.ssh.become == .sudo)
    let (input, limits) = (script.bytes, starting(limits))
    return try await answer(to: kind) { try await $0.execute(command, input: input, limits: limits) }
  }

  /// Runs a script with a file from `offset` on behind it as stdin.
  func upload(_ script: HostScript, file: String, offset: Int64, limits: SSHLimits) async throws -> HostAnswer {
    try refuse(unusable: script)
    let command = script.leadCommand(become: host.ssh.become == .sudo)
    let (head, limits) = (script.bytes, starting(limits))
    return try await answer(to: .upload, lasts: true) {
      try await $0.execute(command, head: head, inputFile: file, offset: offset, limits: limits)
    }
  }

  /// Starts a script that talks as long as it likes; its stdin ends when the channel is closed.
  func stream(_ script: HostScript, _ kind: ExecKind) async throws -> SSHByteChannel {
    try refuse(unusable: script)
    let channel = try await stream(script.leadCommand(become: host.ssh.become == .sudo), kind)
    try await channel.write(script.bytes)
    return channel
  }

  /// Starts a command line that talks as long as it likes.
  func stream(_ command: String, _ kind: ExecKind) async throws -> SSHByteChannel {
    counter.count(kind, on: host.name)
    return try await lasting { try await $0.stream(command) }
  }

  private func refuse(unusable script: HostScript) throws {
    guard let name = script.unusable else { return }
    throw HostTrouble.failed(Failure(.start, "a value of this release holds a zero byte, which no environment or argument can (\(name))"))
  }

  /// Every script says something at once.
  private func starting(_ limits: SSHLimits) -> SSHLimits {
    var limits = limits
    limits.start = limits.start ?? scriptStart
    return limits
  }

  private func answer(
    to kind: ExecKind, lasts: Bool = false, _ send: @escaping @Sendable (SSHConnection) async throws -> SSHResult
  ) async throws -> HostAnswer {
    do {
      counter.count(kind, on: host.name)
      let result: SSHResult
      do {
        result = lasts ? try await lasting(send) : try await asking(send)
      } catch let error as SSHError where (error.code == .lost || error.code == .closed) && !error.inDoubt && !isClosed {
        // The kept connection had gone while nobody looked: nothing was sent, so a new one may be asked.
        result = lasts ? try await lasting(send) : try await asking(send)
      }
      return try read(result)
    } catch {
      throw HostTrouble(error)
    }
  }

  // MARK: Sessions

  /// On the connection that commands share. Where what lasts has taken all its sessions, that one is left to it and another takes its place.
  private func asking<Value: Sendable>(_ send: @Sendable (SSHConnection) async throws -> Value) async throws -> Value {
    for _ in 0..<3 {
      let connection = try await connection()
      do { return try await send(connection) } catch let error as SSHError
        where error.code == .tooManySessions && connection.lastingCount > 0
      {
        sessionLimit = min(sessionLimit, connection.sessionLimit)
        guard current === connection else { continue }
        further.append(connection)
        current = nil
      }
    }
    return try await send(try await connection())
  }

  /// On the shared connection while that leaves commands their half; else on a further one.
  private func lasting<Value: Sendable>(_ send: @Sendable (SSHConnection) async throws -> Value) async throws -> Value {
    let shared = try await connection()
    further.removeAll { !$0.isOpen }
    let places = (shared.lastingCount < shared.sessionLimit / 2 ? [shared] : []) + further
    for place in places where place === shared || place.lastingCount < place.sessionLimit {
      do { return try await send(place) } catch let error as SSHError where error.code == .tooManySessions {
        sessionLimit = min(sessionLimit, place.sessionLimit)
      }
    }
    sessionLimit = min(sessionLimit, shared.sessionLimit)
    guard further.count < Self.furtherLimit else { return try await send(shared) }
    let connection = try await connect()
    further.append(connection)
    return try await send(connection)
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
    switch problem {
    case .missing where host.ssh.become == .sudo && (said.contains("sudo") || result.status == 127):
      return .failed(SudoTrouble(said: said, status: result.status).failure(on: host))
    case .missing:
      return .failed(
        Failure(
          .host, "\(host.name): the login shell did not run Sluice's script (\(result.exit))", output: said,
          remedy: "Log in by hand and look: the account needs a shell that lets commands run, and `sh` in its PATH."))
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
    let cordon = word == Failure.Kind.drained.rawValue ? cordon(of: host) : nil
    if let cordon { message += cordon.speaker }
    return Failure(
      Failure.Kind(rawValue: word) ?? .host, "\(host): \(message)", output: text("log"),
      remedy: cordon.map { _ in "sluice undrain \(host)" } ?? text("remedy"), holder: fence, cordon: cordon)
  }
}
