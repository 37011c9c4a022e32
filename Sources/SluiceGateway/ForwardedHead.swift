import NIOCore

/// What stays the same for all requests of one client connection.
struct ClientIdentity {
  /// The client's address as it is told on, with no port.
  let address: String
  let trusted: Bool
  private let networks: TrustedNetworks

  init(remote: SocketAddress?, networks: TrustedNetworks) {
    address = remote?.ipAddress ?? "unknown"
    trusted = networks.contains(remote)
    self.networks = networks
  }

  /// Where the X-Forwarded-For values of a trusted client name the one it speaks for: the last address that is no trusted proxy's own, or the
  /// first of all. Nil when they name nobody.
  func toldAddress(_ octets: UnsafeRawBufferPointer, _ values: [Span]) -> Span? {
    var told: Span?
    for value in values.reversed() {
      var end = value.end
      while end > value.start {
        var start = end
        while start > value.start, octets[start - 1] != Octet.comma { start -= 1 }
        let address = octets.addressWithoutPort(start, end)
        if !address.isEmpty {
          told = address
          if !networks.contains(text: octets.part(address)) { return told }
        }
        end = start - 1
      }
    }
    return told
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
  /// Writes the head that goes to the client when it cannot pass untouched. `cookie`: a line to add; `without`: a further one to leave out.
  func write(
    _ octets: UnsafeRawBufferPointer, into buffer: inout ByteBuffer, connection: StaticString?, cookie: [UInt8]? = nil,
    without: Span? = nil
  ) {
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
    if let cookie { buffer.writeBytes(cookie) }
    buffer.writeStaticString("\r\n")
  }
}

extension UnsafeRawBufferPointer {
  /// The address of `192.0.2.7:80` or `[2001:db8::1]:80`, which some proxies write, or of either without a port.
  fileprivate func addressWithoutPort(_ start: Int, _ end: Int) -> Span {
    let (first, last) = trimmed(start, end)
    guard first < last else { return Span(start: first, end: first) }
    if self[first] == 91, let bracket = self[first..<last].firstIndex(of: 93) { return Span(start: first + 1, end: bracket) }
    let colons = self[first..<last].count { $0 == Octet.colon }
    guard colons == 1, let colon = self[first..<last].firstIndex(of: Octet.colon) else { return Span(start: first, end: last) }
    return Span(start: first, end: colon)
  }
}

extension ByteBuffer {
  @inline(__always)
  mutating func writeOctets(_ octets: UnsafeRawBufferPointer, _ start: Int, _ end: Int) {
    guard end > start else { return }
    writeBytes(UnsafeRawBufferPointer(rebasing: octets[start..<end]))
  }
}
