package import NIOCore
internal import NIOPosix

/// An authenticated connection to one host. Usable from any task; its work happens on one event loop.
///
/// At most eight commands, streams and bridges are open at once, and a hundred forwarded connections; further ones wait their turn. Where the
/// server lets fewer be open (MaxSessions), that is found out and commands wait for each other; what could only wait for streams, bridges and
/// uploads fails with `.tooManySessions` instead, never having run: another connection is the way for it.
/// Every command is sent at most once. When the connection goes, all that is pending fails with code `.lost`; where the error says `inDoubt`
/// the command may have run, so look before repeating it. A command whose time is up is cut off from here, but sshd does not kill it:
/// let what may hang run under a limit of its own on the host.
package final class SSHConnection: Sendable {
  package let endpoint: SSHEndpoint
  package let options: SSHOptions
  /// The key that the host proved to hold.
  package let hostKey: SSHHostKey
  /// The key that got its user in; nil where the host asked for none.
  package let identity: SSHIdentity?
  let session: SSHSession
  /// Connections that this one runs through; they close with it.
  private let carriers: [SSHConnection]

  /// The connection that this one runs through and that others may use, too.
  private let kept: SSHConnection?

  init(
    endpoint: SSHEndpoint, options: SSHOptions, hostKey: SSHHostKey, identity: SSHIdentity?, session: SSHSession,
    carriers: [SSHConnection], kept: SSHConnection?
  ) {
    self.identity = identity
    self.endpoint = endpoint
    self.options = options
    self.hostKey = hostKey
    self.session = session
    self.carriers = carriers
    self.kept = kept
  }

  deinit {
    let session = session
    guard !session.hasEnded else { return }
    session.eventLoop.execute { session.shutdown() }
  }

  // MARK: Life

  /// Connects, checks the host key and authenticates, through the endpoint's jumps if it has any.
  ///
  /// Throws `SSHError` with step resolve, connect, hostKey, auth, forward (a jump) or timeout. Only connects that failed in a way that may pass are tried again.
  package static func connect(to endpoint: SSHEndpoint, options: SSHOptions = SSHOptions(), group: any EventLoopGroup) async throws
    -> SSHConnection
  {
    try await SSHConnector(options: options, group: group, carrier: nil).connect(to: endpoint)
  }

  /// Connects to a host behind this one, over a forwarded connection of this connection: one connection to a jump host serves up to a hundred
  /// hosts behind it. The endpoint's own `jumps` are left aside. This connection stays open when the new one is closed; its loss is the other's loss.
  package func connect(onTo endpoint: SSHEndpoint, options: SSHOptions? = nil) async throws -> SSHConnection {
    let options = options ?? self.options
    return try await SSHConnector(options: options, group: session.eventLoop, carrier: self).connect(to: endpoint)
  }

  /// False once the connection is lost or closed; every further call fails at once.
  package var isOpen: Bool { !session.hasEnded }

  /// Waits until the connection has ended and tells why: code `.lost`, or `.closed` where `close()` was called.
  package func ended() async -> SSHError {
    do { return try await session.ended.get() } catch { return session.lostError(String(describing: error)) }
  }

  /// Closes the connection. What is pending fails with code `.closed`. Closing twice is fine.
  package func close() async {
    session.eventLoop.execute { self.session.shutdown() }
    _ = await ended()
    for carrier in carriers.reversed() { await carrier.close() }
  }

  // MARK: Sessions

  /// How many commands the server lets be open at once, as far as is known: eight until it has refused one.
  package var sessionLimit: Int { session.sessionLimit }

  /// How many streams, bridges and uploads are open here.
  package var lastingCount: Int { session.lastingCount }

  /// Another connection to the same server has found out how many sessions it lets be open.
  package func expectSessions(_ limit: Int) {
    let session = session
    session.eventLoop.execute { session.expectSessions(limit) }
  }

  /// Tries out how many sessions the server lets be open beside those that are, up to `most`; nothing is run. Throws `SSHError`.
  package func countSessions(upTo most: Int) async throws -> Int {
    var tries = 0
    while true {
      let count: Int
      do { count = try await session.countSessions(upTo: most).get() } catch let failure as LibSSH2Failure {
        throw session.lostError(failure.message)
      }
      tries += 1
      // One that has just ended may still be counted over there.
      if count > 0 || tries == 3 { return count }
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  // MARK: Commands

  /// Runs a command through the user's login shell and waits for its end.
  ///
  /// - Parameters:
  ///   - command: up to 32 000 bytes (a packet's size); longer scripts go as `input` to `sh -s`.
  ///   - input: its stdin, sent as fast as the host takes it; nil is an empty stdin.
  ///   - limits: nil means `options.limits`.
  /// - Throws: `SSHError`; `CancellationError` when the task is cancelled (the command may go on).
  package func execute(_ command: String, input: ByteBuffer? = nil, limits: SSHLimits? = nil) async throws -> SSHResult {
    try await run(command, feed: input.map { SSHInputFeed.bytes($0) } ?? .none, limits: limits ?? options.limits)
  }

  /// Runs a command with a local file, from `offset` on, as its stdin. The file is read in pieces of 256 KiB as the host takes them.
  ///
  /// - Parameter head: sent before the file.
  /// - Parameter progress: called on the connection's event loop with the position in the file up to which bytes have gone out; must return at once.
  /// - Throws: as `execute`, and `.inputUnreadable` for the file.
  package func execute(
    _ command: String, head: ByteBuffer = ByteBuffer(), inputFile path: String, offset: Int64 = 0, limits: SSHLimits? = nil,
    progress: (@Sendable (Int64) -> Void)? = nil
  ) async throws -> SSHResult {
    let file = try await SSHInputFile.open(path, offset: offset, host: endpoint.name)
    return try await run(command, feed: .file(file, head: head, progress: progress), limits: limits ?? options.limits)
  }

  /// Starts a command that talks for as long as it likes, in both directions. It holds one of the eight places until it is closed.
  package func stream(_ command: String) async throws -> SSHByteChannel {
    try await SSHByteChannel.open(.exec(command: try commandBytes(command)), on: self)
  }

  /// Connects from the host to `host:port`, as sshd sees them. An error with code `.forwardingForbidden` means that sshd does not let it,
  /// `.forwardRefused` that nothing there accepts.
  package func openDirectTCPIP(host: String, port: Int) async throws -> SSHByteChannel {
    try await SSHByteChannel.open(.directTCPIP(host: host, port: port), on: self)
  }

  /// Starts a command and puts a NIO channel in front of its stdin and stdout, so that any protocol's handlers can speak over it.
  /// Closing either side closes the other. Of stderr the last 8 KiB are kept. It holds one of the eight places until it is closed.
  package func bridge(
    _ command: String, initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
  ) async throws -> SSHBridge {
    try await SSHBridge.open(.exec(command: try commandBytes(command)), on: self, initializer: initializer)
  }

  private func run(_ command: String, feed: SSHInputFeed, limits: SSHLimits) async throws -> SSHResult {
    let bytes = try commandBytes(command)
    let session = session
    let run = SSHCommandRun(limits: limits, feed: feed, session: session)
    return try await withTaskCancellationHandler {
      try Task.checkCancellation()
      do {
        return try await session.eventLoop.flatSubmit { run.start(bytes) }.get()
      } catch let error as SSHError where error.code == .closed && Task.isCancelled {
        throw CancellationError()
      }
    } onCancel: {
      session.eventLoop.execute { run.cancel() }
    }
  }

  /// A channel request has to fit into one packet.
  private func commandBytes(_ command: String) throws(SSHError) -> [UInt8] {
    let bytes = Array(command.utf8)
    guard bytes.count <= 32_000 else {
      throw SSHError(
        .exec, .commandTooLong, host: endpoint.name, cause: "the command has \(bytes.count) bytes, and a request holds 32000",
        remedy: "Send the script as input to `sh -s`.")
    }
    return bytes
  }
}
