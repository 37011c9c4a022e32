internal import CLibSSH2
internal import Glibc
internal import NIOCore

/// The bytes between a libssh2 session and its transport. libssh2's callbacks touch this and nothing else.
final class LibSSH2Wire {
  /// What has arrived and libssh2 has not read yet.
  var inbox = ByteBuffer()
  /// What libssh2 has written and the transport has not been given yet.
  var outbox = ByteBuffer()
  /// Nothing more will arrive: reading past the inbox reports the end of the stream.
  var inboxEnded = false
  /// The transport is gone: writing fails. Without it freeing a session would wait for ever.
  var outboxClosed = false
  /// What the server said when it disconnected (RFC 4253 section 11.1).
  var disconnectReason: String?
  /// Fetches the signature that userauth waits for.
  var signer: LibSSH2Signer?

  static func from(_ abstract: UnsafeMutablePointer<UnsafeMutableRawPointer?>?) -> LibSSH2Wire? {
    guard let pointer = abstract?.pointee else { return nil }
    return Unmanaged<LibSSH2Wire>.fromOpaque(pointer).takeUnretainedValue()
  }

  fileprivate func receive(into buffer: UnsafeMutableRawPointer, _ length: Int) -> Int {
    let count = min(length, inbox.readableBytes)
    guard count > 0 else { return inboxEnded ? 0 : -Int(EAGAIN) }
    inbox.readWithUnsafeReadableBytes { bytes in
      buffer.copyMemory(from: bytes.baseAddress!, byteCount: count)
      return count
    }
    return count
  }

  /// Takes every byte: a short write would leave half a packet inside the session.
  fileprivate func send(_ buffer: UnsafeRawPointer, _ length: Int) -> Int {
    guard !outboxClosed else { return -Int(EPIPE) }
    outbox.writeBytes(UnsafeRawBufferPointer(start: buffer, count: length))
    return length
  }
}

/// One signature asked for by `libssh2_userauth_publickey`, whose callback answers "again" until it is there.
final class LibSSH2Signer {
  enum State {
    case idle, asked
    case answered([UInt8])
    case failed
  }

  var state = State.idle
  /// Starts to sign; whoever ends it sets `state` and lets the session go on.
  let sign: ([UInt8]) -> Void

  init(sign: @escaping ([UInt8]) -> Void) { self.sign = sign }
}

/// The C functions that libssh2 calls. They never call back into the session.
enum LibSSH2Callbacks {
  static let receive: sluice_ssh2_recv = { _, buffer, length, _, abstract in
    guard let wire = LibSSH2Wire.from(abstract), let buffer else { return -Int(EPIPE) }
    return wire.receive(into: buffer, length)
  }

  static let send: sluice_ssh2_send = { _, buffer, length, _, abstract in
    guard let wire = LibSSH2Wire.from(abstract), let buffer else { return -Int(EPIPE) }
    return wire.send(buffer, length)
  }

  static let disconnect: sluice_ssh2_disconnect = { _, reason, message, length, _, _, abstract in
    guard let wire = LibSSH2Wire.from(abstract) else { return }
    var text = "reason \(reason)"
    if let message, length > 0 {
      message.withMemoryRebound(to: UInt8.self, capacity: Int(length)) {
        text = String(decoding: UnsafeBufferPointer(start: $0, count: Int(length)), as: UTF8.self)
      }
    }
    wire.disconnectReason = text
  }

  /// libssh2 frees its copy of the data when this returns and takes the signature with `free`.
  static let sign: sluice_ssh2_sign = { session, signature, length, data, dataLength, abstract in
    guard let abstract, let pointer = abstract.pointee, let data, let signature, let length else { return LIBSSH2_ERROR_BAD_USE }
    let signer = Unmanaged<LibSSH2Signer>.fromOpaque(pointer).takeUnretainedValue()
    if case .idle = signer.state {
      signer.state = .asked
      signer.sign(Array(UnsafeBufferPointer(start: data, count: dataLength)))
    }
    switch signer.state {
    case .idle, .asked: return LIBSSH2_ERROR_EAGAIN
    case .failed: return LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED
    case .answered(let bytes):
      guard !bytes.isEmpty, let memory = malloc(bytes.count) else { return LIBSSH2_ERROR_ALLOC }
      bytes.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress!, byteCount: bytes.count) }
      signature.pointee = memory.assumingMemoryBound(to: UInt8.self)
      length.pointee = bytes.count
      return 0
    }
  }
}
