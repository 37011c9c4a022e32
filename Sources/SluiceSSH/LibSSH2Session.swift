internal import CLibSSH2
internal import Glibc
internal import NIOCore

/// What a non-blocking call of libssh2 came to.
enum LibSSH2Outcome<Value> {
  case done(Value)
  /// Call again with the same arguments after more input.
  case again
  case failed(LibSSH2Failure)
}

/// An error of libssh2: its number and what it says about it.
struct LibSSH2Failure: Error, Equatable {
  var code: Int32
  var message: String

  /// The session is of no use any more, whichever operation it was that noticed.
  var endsSession: Bool {
    switch code {
    case LIBSSH2_ERROR_SOCKET_SEND, LIBSSH2_ERROR_SOCKET_RECV, LIBSSH2_ERROR_SOCKET_DISCONNECT, LIBSSH2_ERROR_SOCKET_NONE,
      LIBSSH2_ERROR_DECRYPT, LIBSSH2_ERROR_ENCRYPT, LIBSSH2_ERROR_INVALID_MAC, LIBSSH2_ERROR_KEX_FAILURE,
      LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE, LIBSSH2_ERROR_OUT_OF_BOUNDARY, LIBSSH2_ERROR_PROTO, LIBSSH2_ERROR_ALLOC,
      LIBSSH2_ERROR_BAD_USE:
      true
    default: false
    }
  }
}

/// A channel of a session, as libssh2 names it. Good until `free` has ended.
struct LibSSH2Channel {
  fileprivate let raw: OpaquePointer
}

/// libssh2 without I/O of its own: every call works on `wire` and returns at once. One owner, on one event loop.
///
/// Handshake, `authMethods`, `authenticate` and the two `open` calls keep their state in the session: one of them at a time, repeated until it is not `.again`.
final class LibSSH2Session {
  let wire = LibSSH2Wire()
  private let raw: OpaquePointer
  private let scratch: UnsafeMutableRawBufferPointer

  /// The server may send this much of a channel's output unread: about what a command's memory should cost.
  static let receiveWindow: UInt32 = 256 << 10
  private static let scratchSize = 64 << 10

  init() throws(LibSSH2Failure) {
    guard LibSSH2Library.isReady, LibSSH2Library.nullDescriptor >= 0 else {
      throw LibSSH2Failure(code: LIBSSH2_ERROR_SOCKET_NONE, message: "libssh2 did not initialise")
    }
    guard let raw = libssh2_session_init_ex(nil, nil, nil, Unmanaged.passUnretained(wire).toOpaque()) else {
      throw LibSSH2Failure(code: LIBSSH2_ERROR_ALLOC, message: "no memory for a session")
    }
    self.raw = raw
    scratch = .allocate(byteCount: Self.scratchSize, alignment: 16)
    libssh2_session_set_blocking(raw, 0)
    sluice_ssh2_set_callbacks(raw, LibSSH2Callbacks.receive, LibSSH2Callbacks.send, LibSSH2Callbacks.disconnect)
  }

  deinit {
    wire.inbox.clear()
    wire.inboxEnded = true
    wire.outboxClosed = true
    // With both ends closed every call fails at once. The bound only stands against a library that does not; then its memory stays.
    for _ in 0..<1000 where libssh2_session_free(raw) != LIBSSH2_ERROR_EAGAIN { break }
    scratch.deallocate()
  }

  // MARK: Connection

  /// Sets a method list, most wanted first; names that libssh2 does not know are left out. False where none is left.
  func prefer(_ method: Int32, _ names: [String]) -> Bool {
    libssh2_session_method_pref(raw, method, names.joined(separator: ",")) == 0
  }

  func handshake() -> LibSSH2Outcome<Void> {
    outcome(libssh2_session_handshake(raw, LibSSH2Library.nullDescriptor))
  }

  func hostKey() -> [UInt8]? {
    var length = 0
    var type: Int32 = 0
    guard let pointer = libssh2_session_hostkey(raw, &length, &type) else { return nil }
    return pointer.withMemoryRebound(to: UInt8.self, capacity: length) { Array(UnsafeBufferPointer(start: $0, count: length)) }
  }

  /// Says goodbye; the bytes are in the outbox afterwards.
  func disconnect() {
    _ = libssh2_session_disconnect_ex(raw, SSH_DISCONNECT_BY_APPLICATION, "closed by sluice", "")
  }

  // MARK: Authentication

  /// The methods the server offers; nil where it asks for none and the user is in.
  func authMethods(user: String) -> LibSSH2Outcome<[String]?> {
    if let list = libssh2_userauth_list(raw, user, UInt32(user.utf8.count)) {
      return .done(String(cString: list).split(separator: ",").map(String.init))
    }
    if libssh2_userauth_authenticated(raw) != 0 { return .done(nil) }
    let failure = lastFailure()
    return failure.code == LIBSSH2_ERROR_EAGAIN ? .again : .failed(failure)
  }

  /// Public key authentication with a key held elsewhere. `signer` must live until the outcome is not `.again`.
  func authenticate(user: String, publicKey: [UInt8], signer: LibSSH2Signer) -> LibSSH2Outcome<Void> {
    var abstract: UnsafeMutableRawPointer? = Unmanaged.passUnretained(signer).toOpaque()
    return outcome(libssh2_userauth_publickey(raw, user, publicKey, publicKey.count, LibSSH2Callbacks.sign, &abstract))
  }

  /// Public key authentication with a private key file's content.
  func authenticate(user: String, privateKey: [UInt8], passphrase: String?) -> LibSSH2Outcome<Void> {
    let code = privateKey.withUnsafeBytes { bytes in
      libssh2_userauth_publickey_frommemory(
        raw, user, user.utf8.count, nil, 0, bytes.bindMemory(to: CChar.self).baseAddress, bytes.count, passphrase)
    }
    return outcome(code)
  }

  // MARK: Channels

  /// Opens a channel of the given type without type-specific data.
  func openChannel(type: String) -> LibSSH2Outcome<LibSSH2Channel> {
    opened(libssh2_channel_open_ex(raw, type, UInt32(type.utf8.count), Self.receiveWindow, UInt32(LIBSSH2_CHANNEL_PACKET_DEFAULT), nil, 0))
  }

  func openDirectTCPIP(host: String, port: Int) -> LibSSH2Outcome<LibSSH2Channel> {
    opened(libssh2_channel_direct_tcpip_ex(raw, host, Int32(port), "127.0.0.1", 0))
  }

  func start(_ channel: LibSSH2Channel, command: [UInt8]) -> LibSSH2Outcome<Void> {
    let code = command.withUnsafeBytes { bytes in
      libssh2_channel_process_startup(channel.raw, "exec", 4, bytes.bindMemory(to: CChar.self).baseAddress, UInt32(bytes.count))
    }
    return outcome(code)
  }

  /// What there is of the stream, up to 64 KiB; `.done` with nil where there is nothing and nothing to wait for.
  func read(_ channel: LibSSH2Channel, _ stream: SSHChunk.Stream) -> LibSSH2Outcome<ByteBuffer?> {
    let id = stream == .stdout ? 0 : SSH_EXTENDED_DATA_STDERR
    let count = libssh2_channel_read_ex(channel.raw, id, scratch.bindMemory(to: CChar.self).baseAddress, scratch.count)
    guard count >= 0 else { return failure(count) }
    return .done(count == 0 ? nil : ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: scratch[..<count])))
  }

  /// How many bytes of the front went out. `.again` (or 0) where the window is closed or keys are being exchanged: repeat with the same bytes.
  func write(_ channel: LibSSH2Channel, _ bytes: ByteBuffer) -> LibSSH2Outcome<Int> {
    let count = bytes.withUnsafeReadableBytes {
      libssh2_channel_write_ex(channel.raw, 0, $0.bindMemory(to: CChar.self).baseAddress, $0.count)
    }
    return count < 0 ? failure(count) : .done(count)
  }

  func sendEOF(_ channel: LibSSH2Channel) -> LibSSH2Outcome<Void> { outcome(libssh2_channel_send_eof(channel.raw)) }

  /// The other side will send nothing more, and all it sent has been read.
  func isAtEOF(_ channel: LibSSH2Channel) -> Bool { libssh2_channel_eof(channel.raw) == 1 }

  /// Done when the other side has closed the channel; only to be asked at its end of file.
  func waitClosed(_ channel: LibSSH2Channel) -> LibSSH2Outcome<Void> { outcome(libssh2_channel_wait_closed(channel.raw)) }

  /// How the process ended, once the channel is closed.
  func exit(of channel: LibSSH2Channel) -> SSHExit {
    var name: UnsafeMutablePointer<CChar>?
    if libssh2_channel_get_exit_signal(channel.raw, &name, nil, nil, nil, nil, nil) == 0, let name {
      defer { libssh2_free(raw, name) }
      return .signal(String(cString: name))
    }
    return .status(libssh2_channel_get_exit_status(channel.raw))
  }

  /// Tells the other side that this one is done with the channel. Whether that one is, too, `waitClosed` tells.
  func close(_ channel: LibSSH2Channel) -> LibSSH2Outcome<Void> { outcome(libssh2_channel_close(channel.raw)) }

  /// Frees, closing it first where that has not been done; the channel is gone when this is not `.again`.
  func free(_ channel: LibSSH2Channel) -> LibSSH2Outcome<Void> { outcome(libssh2_channel_free(channel.raw)) }

  // MARK: Outcomes

  private func outcome(_ code: Int32) -> LibSSH2Outcome<Void> { code == 0 ? .done(()) : failure(Int(code)) }

  private func opened(_ channel: OpaquePointer?) -> LibSSH2Outcome<LibSSH2Channel> {
    if let channel { return .done(LibSSH2Channel(raw: channel)) }
    let failure = lastFailure()
    return failure.code == LIBSSH2_ERROR_EAGAIN ? .again : .failed(failure)
  }

  private func failure<Value>(_ code: Int) -> LibSSH2Outcome<Value> {
    if code == Int(LIBSSH2_ERROR_EAGAIN) { return .again }
    return .failed(LibSSH2Failure(code: Int32(code), message: lastFailure().message))
  }

  private func lastFailure() -> LibSSH2Failure {
    var message: UnsafeMutablePointer<CChar>?
    let code = libssh2_session_last_error(raw, &message, nil, 0)
    return LibSSH2Failure(code: code, message: message.map { String(cString: $0) } ?? "no message")
  }
}

/// What all sessions share.
enum LibSSH2Library {
  /// The library and its cryptography are set up, once.
  ///
  /// OpenSSL takes itself down when the process exits (OPENSSL_cleanup(3)), and a thread that is still shaking hands with some host would crash
  /// in what is left. Handlers that were registered later run first (on_exit(3)): this one ends the process before that.
  static let isReady: Bool = {
    guard libssh2_init(0) == 0 else { return false }
    on_exit(
      { status, _ in
        fflush(nil)
        _exit(status)
      }, nil)
    return true
  }()

  /// The handshake insists on a descriptor, and sets it to non-blocking; no byte ever passes through it.
  static let nullDescriptor = open("/dev/null", O_RDWR | O_CLOEXEC)
}
