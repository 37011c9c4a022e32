import Glibc
import NIOCore

/// The networks whose X-Forwarded-* fields are believed. Built once; asked once per connection.
struct TrustedNetworks: Sendable {
  private struct Network: Sendable {
    var octets: [UInt8]
    var bits: Int
  }

  private let networks: [Network]

  /// The texts that are no network, of `texts` as in a configuration.
  static func invalid(_ texts: [String]) -> [String] { texts.filter { parse($0) == nil } }

  /// Takes `10.0.0.0/8`, `2001:db8::/32` or a single address; leaves out what is none (see `invalid`).
  init(_ texts: [String]) { networks = texts.compactMap(Self.parse) }

  private static func parse(_ text: String) -> Network? {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = try? SocketAddress(ipAddress: String(parts[0]), port: 0) else { return nil }
    let octets = octets(of: address)
    guard parts.count == 2 else { return Network(octets: octets, bits: octets.count * 8) }
    guard let bits = Int(parts[1]), bits >= 0, bits <= octets.count * 8 else { return nil }
    return Network(octets: octets, bits: bits)
  }

  /// Four or sixteen octets; an IPv4 address mapped into IPv6 counts as IPv4. Empty for a unix socket.
  static func octets(of address: SocketAddress) -> [UInt8] {
    switch address {
    case .v4: return address.withSockAddr { pointer, _ in bytes(of: pointer, offset: 4, count: 4) }
    case .v6:
      let all = address.withSockAddr { pointer, _ in bytes(of: pointer, offset: 8, count: 16) }
      let mapped = all[0..<10].allSatisfy { $0 == 0 } && all[10] == 255 && all[11] == 255
      return mapped ? Array(all[12...]) : all
    case .unixDomainSocket: return []
    }
  }

  /// `sin_addr` and `sin6_addr` by their places in the socket address.
  private static func bytes(of pointer: UnsafePointer<sockaddr>, offset: Int, count: Int) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: UnsafeRawPointer(pointer) + offset, count: count))
  }

  func contains(_ address: SocketAddress?) -> Bool {
    guard !networks.isEmpty, let address else { return false }
    return Self.octets(of: address).withUnsafeBytes(holds)
  }

  /// Whether a text is an address of these networks.
  func contains(text: UnsafeRawBufferPointer) -> Bool {
    // The longest form of an IPv6 address has 45 characters.
    guard !networks.isEmpty, text.count <= 45 else { return false }
    return withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { space in
      space.copyMemory(from: text)
      space[text.count] = 0
      let name = space.baseAddress!.assumingMemoryBound(to: CChar.self)
      let address = space.baseAddress! + 48
      if inet_pton(AF_INET, name, address) == 1 { return holds(UnsafeRawBufferPointer(start: address, count: 4)) }
      guard inet_pton(AF_INET6, name, address) == 1 else { return false }
      let all = UnsafeRawBufferPointer(start: address, count: 16)
      let mapped = all[..<10].allSatisfy { $0 == 0 } && all[10] == 255 && all[11] == 255
      return holds(mapped ? UnsafeRawBufferPointer(rebasing: all[12...]) : all)
    }
  }

  private func holds(_ octets: UnsafeRawBufferPointer) -> Bool {
    networks.contains { network in
      guard network.octets.count == octets.count else { return false }
      let whole = network.bits / 8
      guard octets[..<whole].elementsEqual(network.octets[..<whole]) else { return false }
      let rest = network.bits % 8
      return rest == 0 || (octets[whole] ^ network.octets[whole]) >> (8 - rest) == 0
    }
  }
}
