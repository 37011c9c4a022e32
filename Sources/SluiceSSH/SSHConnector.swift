internal import CLibSSH2
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// The way from an endpoint to an authenticated connection: look-up, TCP (or a jump), key exchange, host key, authentication, with retries of what may pass.
struct SSHConnector {
  let options: SSHOptions
  let group: any EventLoopGroup
  /// The connection to go through, in place of the endpoint's jumps. It is the caller's to close.
  let carrier: SSHConnection?

  func connect(to endpoint: SSHEndpoint) async throws -> SSHConnection {
    let known = try await KnownHostsFile.load(endpoint.knownHostsFiles, host: endpoint.name)
    return try await retrying { try await connectOnce(to: endpoint, known: known) }
  }

  /// The key a host shows, of one type or of whichever is agreed on. It proves to hold the key; nobody vouches for it.
  func hostKey(of endpoint: SSHEndpoint, type: String?) async throws -> SSHHostKey {
    try await retrying {
      let link = try await self.link(to: endpoint, hostKeyTypes: type.map { [$0] } ?? Self.hostKeyTypes, only: type != nil)
      let key: Result<SSHHostKey, any Error>
      do {
        key = .success(
          try await limited(link.session, endpoint) {
            try await handshake(link.session, endpoint)
          })
      } catch {
        key = .failure(error)
      }
      link.session.eventLoop.execute { link.session.shutdown() }
      _ = try? await link.session.ended.get()
      for carrier in link.carriers.reversed() { await carrier.close() }
      return try key.get()
    }
  }

  private func connectOnce(to endpoint: SSHEndpoint, known: KnownHosts) async throws -> SSHConnection {
    let knownTypes = known.keyTypes(host: endpoint.knownHostsName)
    let types = knownTypes + Self.hostKeyTypes.filter { !knownTypes.contains($0) }
    let link = try await link(to: endpoint, hostKeyTypes: types, only: false)
    let session = link.session
    do {
      let (key, identity) = try await limited(session, endpoint) {
        let key = try await handshake(session, endpoint)
        try await SSHHostKeyCheck(endpoint: endpoint, options: options, known: known).check(key)
        var authenticator = SSHAuthenticator(endpoint: endpoint, options: options, session: session)
        return (key, try await authenticator.authenticate())
      }
      let keepAlive = options.keepAlive.map { TimeAmount($0) }
      try await session.eventLoop.submit { session.becomeReady(keepAlive: keepAlive) }.get()
      return SSHConnection(
        endpoint: endpoint, options: options, hostKey: key, identity: identity, session: session, carriers: link.carriers, kept: link.kept)
    } catch {
      session.eventLoop.execute { session.shutdown() }
      for carrier in link.carriers.reversed() { await carrier.close() }
      throw error
    }
  }

  // MARK: The link

  private struct Link {
    var session: SSHSession
    /// To be closed with the connection.
    var carriers: [SSHConnection]
    /// To be kept alive, and left open.
    var kept: SSHConnection?
  }

  private func link(to endpoint: SSHEndpoint, hostKeyTypes: [String], only: Bool) async throws -> Link {
    if let carrier {
      let session = try await forward(to: endpoint, over: carrier, hostKeyTypes: hostKeyTypes, only: only)
      return Link(session: session, carriers: [], kept: carrier)
    }
    guard let last = endpoint.jumps.last else {
      return Link(session: try await tcp(to: endpoint, hostKeyTypes: hostKeyTypes, only: only), carriers: [])
    }
    var carrierEndpoint = last
    carrierEndpoint.jumps = Array(endpoint.jumps.dropLast()) + last.jumps
    let carrier = try await SSHConnector(options: options, group: group, carrier: nil).connect(to: carrierEndpoint)
    do {
      return Link(session: try await forward(to: endpoint, over: carrier, hostKeyTypes: hostKeyTypes, only: only), carriers: [carrier])
    } catch {
      await carrier.close()
      throw error
    }
  }

  private func forward(to endpoint: SSHEndpoint, over carrier: SSHConnection, hostKeyTypes: [String], only: Bool) async throws -> SSHSession
  {
    let session = try makeSession(endpoint, on: carrier.session.eventLoop, hostKeyTypes: hostKeyTypes, only: only)
    let transport = SSHJumpTransport(carrier: carrier.session, session: session)
    try await session.eventLoop.flatSubmit { transport.open(host: endpoint.address, port: endpoint.port) }.get()
    return session
  }

  private func tcp(to endpoint: SSHEndpoint, hostKeyTypes: [String], only: Bool) async throws -> SSHSession {
    let eventLoop = group.next()
    let session = try makeSession(endpoint, on: eventLoop, hostKeyTypes: hostKeyTypes, only: only)
    let pending = PendingConnect()
    let bootstrap = ClientBootstrap(group: eventLoop)
      .connectTimeout(TimeAmount(options.connectTimeout))
      .channelOption(.socketOption(.so_keepalive), value: 1)
      .channelInitializer { channel in
        pending.began(channel)
        return channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(TCPTransport(session: session)) }
      }
    do {
      try await withTaskCancellationHandler {
        if let address = try? SocketAddress(ipAddress: endpoint.address, port: endpoint.port) {
          _ = try await bootstrap.connect(to: address).get()
        } else {
          _ = try await bootstrap.connect(host: endpoint.address, port: endpoint.port).get()
        }
      } onCancel: {
        pending.cancel()
      }
    } catch {
      try Task.checkCancellation()
      throw SSHConnectFailure.error(error, endpoint: endpoint, timeout: options.connectTimeout)
    }
    return session
  }

  private func makeSession(_ endpoint: SSHEndpoint, on eventLoop: any EventLoop, hostKeyTypes: [String], only: Bool) throws(SSHError)
    -> SSHSession
  {
    do throws(LibSSH2Failure) {
      let session = try SSHSession(host: endpoint.name, eventLoop: eventLoop)
      // A type libssh2 does not know is no reason to fail here: the rest of the list stands.
      let accepted = session.library.prefer(LIBSSH2_METHOD_HOSTKEY, hostKeyTypes)
      if only, !accepted {
        throw LibSSH2Failure(code: LIBSSH2_ERROR_METHOD_NOT_SUPPORTED, message: "libssh2 does not know \(hostKeyTypes)")
      }
      _ = session.library.prefer(LIBSSH2_METHOD_CRYPT_CS, Self.ciphers)
      _ = session.library.prefer(LIBSSH2_METHOD_CRYPT_SC, Self.ciphers)
      return session
    } catch {
      throw SSHError(.connect, .handshakeFailed, host: endpoint.name, cause: error.message)
    }
  }

  /// What libssh2 1.10 can verify and servers offer.
  static let hostKeyTypes = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"]
  private static let ciphers = ["aes128-ctr", "aes192-ctr", "aes256-ctr"]

  // MARK: Key exchange

  private func handshake(_ session: SSHSession, _ endpoint: SSHEndpoint) async throws -> SSHHostKey {
    let timeout = options.authTimeout
    do {
      try await session.perform({ $0.handshake() }, rejected: { SSHConnectFailure.handshake($0, session: session, endpoint: endpoint) })
        .get()
    } catch let error as SSHError where error.code == .lost {
      throw try await session.eventLoop.submit { SSHConnectFailure.closedEarly(error, session: session, endpoint: endpoint) }.get()
    }
    guard let blob = try await session.eventLoop.submit({ session.library.hostKey() }).get() else {
      throw SSHError(.hostKey, .handshakeFailed, host: endpoint.name, cause: "the server showed no host key within \(timeout)")
    }
    return SSHHostKey(blob: blob)
  }

  /// Runs the work of a handshake in its turn, under the time limit, and ends the session when it is exceeded or the task is cancelled.
  private func limited<Value: Sendable>(
    _ session: SSHSession, _ endpoint: SSHEndpoint, _ work: () async throws -> Value
  ) async throws -> Value {
    let eventLoop = session.eventLoop
    try await SSHHandshakeGate.enter(eventLoop, limit: options.handshakesPerLoop)
    defer { SSHHandshakeGate.leave(eventLoop) }
    let timeout = options.authTimeout
    let timer = eventLoop.scheduleTask(in: TimeAmount(timeout)) {
      session.fail(
        SSHError(
          .timeout, .authTimeout, host: endpoint.name, cause: "key exchange and authentication took longer than \(timeout)",
          remedy: "The host accepts connections but its sshd is slow or stuck: look at its load."))
    }
    defer { timer.cancel() }
    return try await withTaskCancellationHandler {
      try Task.checkCancellation()
      do { return try await work() } catch {
        try Task.checkCancellation()
        throw error
      }
    } onCancel: {
      eventLoop.execute { session.shutdown() }
    }
  }

  // MARK: Retries

  /// Repeats what failed in a way that may pass, until `connectTimeout` has gone by: a host that is silent that long is not asked again.
  /// Nothing has been run on the host by then, so repeating is safe.
  private func retrying<Value: Sendable>(_ work: () async throws -> Value) async throws -> Value {
    var delay = options.retryDelay
    var attempt = 1
    let end = ContinuousClock.now + options.connectTimeout
    while true {
      do {
        return try await work()
      } catch let error as SSHError where error.mayPass && attempt < options.connectAttempts && ContinuousClock.now < end {
        try await Task.sleep(for: delay * Double.random(in: 0.5...1.5))
        attempt += 1
        delay = delay * 2
      }
    }
  }
}

/// A TCP connect under way, which a cancelled task gives up at once instead of waiting for a host that does not answer.
private final class PendingConnect: Sendable {
  private struct State {
    var channel: (any Channel)?
    var isCancelled = false
  }

  private let state = Mutex(State())

  func began(_ channel: any Channel) {
    let isCancelled = state.withLock { state in
      state.channel = channel
      return state.isCancelled
    }
    if isCancelled { channel.close(promise: nil) }
  }

  func cancel() {
    let channel = state.withLock { state in
      state.isCancelled = true
      return state.channel
    }
    channel?.close(promise: nil)
  }
}

extension SSHError {
  /// A connect that failed like this may succeed a moment later.
  fileprivate var mayPass: Bool {
    switch code {
    case .refused, .unreachable, .noAnswer, .tooManyStartups: true
    default: false
    }
  }
}
