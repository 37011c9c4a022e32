internal import CLibSSH2
internal import Glibc
internal import NIOCore
internal import NIOPosix

/// Words for what can go wrong before the host key is known.
enum SSHConnectFailure {
  /// Of the TCP connect, and the look-up before it.
  static func error(_ error: any Error, endpoint: SSHEndpoint, timeout: Duration) -> any Error {
    if error is CancellationError { return error }
    let place = "\(endpoint.address) port \(endpoint.port)"
    if case .connectTimeout? = error as? ChannelError { return noAnswer(place, endpoint, timeout) }
    if let error = error as? NIOConnectionError {
      guard let first = error.connectionErrors.first else {
        return SSHError(
          .resolve, .nameNotFound, host: endpoint.name,
          cause: "the name \(endpoint.address) has no address\(lookUp(error.dnsAError ?? error.dnsAAAAError))",
          remedy: "Check the host's address in the manifest or in ~/.ssh/config.")
      }
      return Self.error(first.error, endpoint: endpoint, timeout: timeout)
    }
    guard let number = (error as? IOError)?.errnoCode else {
      return SSHError(.connect, .unreachable, host: endpoint.name, cause: "\(place) cannot be reached (\(error))")
    }
    switch number {
    case ECONNREFUSED:
      return SSHError(
        .connect, .refused, host: endpoint.name, cause: "\(place) refused the connection",
        remedy: "Is sshd running there, and on this port?")
    case ETIMEDOUT: return noAnswer(place, endpoint, timeout)
    default:
      return SSHError(
        .connect, .unreachable, host: endpoint.name, cause: "\(place) cannot be reached (\(systemMessage(number)))",
        remedy: "Is the host up, and is there a route to it?")
    }
  }

  /// Why a name has no address, in the resolver's words.
  private static func lookUp(_ error: (any Error)?) -> String {
    switch error {
    case nil: ""
    case let unknown as SocketAddressError.UnknownHost: " (\(unknown.errorDescription))"
    case let other?: " (\(other))"
    }
  }

  private static func noAnswer(_ place: String, _ endpoint: SSHEndpoint, _ timeout: Duration) -> SSHError {
    SSHError(
      .connect, .noAnswer, host: endpoint.name, cause: "\(place) did not answer within \(timeout)",
      remedy: "Is the host up, and does a firewall let this machine in?")
  }

  /// libssh2 gave up the key exchange.
  static func handshake(_ failure: LibSSH2Failure, session: SSHSession, endpoint: SSHEndpoint) -> SSHError {
    switch failure.code {
    case LIBSSH2_ERROR_KEX_FAILURE, LIBSSH2_ERROR_METHOD_NONE, LIBSSH2_ERROR_METHOD_NOT_SUPPORTED, LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE:
      return SSHError(
        .connect, .noCommonAlgorithm, host: endpoint.name, cause: "no key exchange was agreed on (\(failure.message))",
        remedy: "libssh2 1.10 needs an ed25519 or ECDSA host key, an aes-ctr cipher and a plain hmac-sha2 MAC on the server.")
    case LIBSSH2_ERROR_BANNER_RECV: return closedEarly(session.lostError(failure.message), session: session, endpoint: endpoint)
    default:
      return SSHError(.connect, .handshakeFailed, host: endpoint.name, cause: "the key exchange failed (\(failure.message))")
    }
  }

  /// The connection went before or in the key exchange: what the server said first tells why, if anything does.
  static func closedEarly(_ error: SSHError, session: SSHSession, endpoint: SSHEndpoint) -> SSHError {
    let said = String(decoding: session.greeting.readableBytesView.prefix(200).filter { (32..<127).contains($0) }, as: UTF8.self)
    let limits =
      "sshd drops connections over MaxStartups (10:30:100 unless set), and over PerSourceMaxStartups: connect to fewer at once, or raise it."
    if said.contains("MaxStartups") {
      return SSHError(.connect, .tooManyStartups, host: endpoint.name, cause: "the server said \"\(said)\"", remedy: limits)
    }
    if said.isEmpty {
      return SSHError(
        .connect, .tooManyStartups, host: endpoint.name, cause: "the server closed the connection before saying anything", remedy: limits)
    }
    if !said.contains("SSH-") {
      return SSHError(
        .connect, .notSSH, host: endpoint.name, cause: "what answers at port \(endpoint.port) is not an SSH server: \"\(said)\"",
        remedy: "Check the port.")
    }
    return SSHError(
      .connect, .handshakeFailed, host: endpoint.name, cause: "the server closed the connection in the key exchange (\(error.cause))",
      remedy: "Its log tells why; a host key that sshd cannot read is one reason.")
  }
}
