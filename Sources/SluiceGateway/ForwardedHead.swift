import NIOCore

/// What stays the same for all requests of one client connection.
struct ClientIdentity {
  /// The client's address as it is told on, with no port.
  let address: String
  let trusted: Bool

  init(remote: SocketAddress?, networks: TrustedNetworks) {
    address = remote?.ipAddress ?? "unknown"
    trusted = networks.contains(remote)
  }
}

extension RequestHead {
  /// Writes the head that goes to the target: the client's without what belongs to its own connection, and who the client is.
  /// `octets` are those that were scanned.
  func write(_ octets: UnsafeRawBufferPointer, into buffer: inout ByteBuffer, identity: ClientIdentity, authority: String) {
    var from = methodSpan.start
    if writesHost || minor == 0 {
      buffer.writeOctets(octets, methodSpan.start, methodSpan.end + 1)
      if target.isEmpty { buffer.writeStaticString("/") } else { buffer.writeOctets(octets, target.start, target.end) }
      buffer.writeStaticString(" HTTP/1.1\r\n")
      if writesHost {
        buffer.writeStaticString("Host: ")
        if host.isEmpty { buffer.writeString(authority) } else { buffer.writeOctets(octets, host.start, host.end) }
        buffer.writeStaticString("\r\n")
      }
      from = fieldsStart
    }
    for cut in cuts {
      if cut.start > from { buffer.writeOctets(octets, from, cut.start) }
      from = max(from, cut.end)
    }
    buffer.writeOctets(octets, from, length - 2)
    if upgrade {
      buffer.writeStaticString("Connection: Upgrade\r\n")
      buffer.writeOctets(octets, upgradeSpan.start, upgradeSpan.end)
    }
    buffer.writeStaticString("X-Forwarded-For: ")
    for value in forwardedFor {
      buffer.writeOctets(octets, value.start, value.end)
      buffer.writeStaticString(", ")
    }
    buffer.writeString(identity.address)
    if !forwardedProto { buffer.writeStaticString("\r\nX-Forwarded-Proto: http") }
    if !forwardedHost, !host.isEmpty {
      buffer.writeStaticString("\r\nX-Forwarded-Host: ")
      buffer.writeOctets(octets, host.start, host.end)
    }
    buffer.writeStaticString("\r\n\r\n")
  }
}

extension ResponseHead {
  /// Writes the head that goes to the client when it cannot pass untouched. `without`: a further line to leave out.
  func write(_ octets: UnsafeRawBufferPointer, into buffer: inout ByteBuffer, connection: StaticString?, without: Span? = nil) {
    buffer.writeStaticString("HTTP/1.1")
    var from = 8
    var all = cuts
    if let without, !all.contains(without) {
      all.append(without)
      all.sort { $0.start < $1.start }
    }
    for cut in all {
      if cut.start > from { buffer.writeOctets(octets, from, cut.start) }
      from = max(from, cut.end)
    }
    buffer.writeOctets(octets, from, length - 2)
    if let connection { buffer.writeStaticString(connection) }
    buffer.writeStaticString("\r\n")
  }
}

extension ByteBuffer {
  @inline(__always)
  mutating func writeOctets(_ octets: UnsafeRawBufferPointer, _ start: Int, _ end: Int) {
    guard end > start else { return }
    writeBytes(UnsafeRawBufferPointer(rebasing: octets[start..<end]))
  }
}
