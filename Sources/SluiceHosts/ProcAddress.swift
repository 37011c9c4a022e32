internal import Glibc

/// An address as `/proc/net/tcp` and `tcp6` write it: 32-bit words in the machine's byte order, in hexadecimal.
enum ProcAddress {
  /// For a numeric address; `*`, a pattern that matches any, for what is none.
  static func pattern(_ address: String) -> String {
    var four = in_addr()
    if inet_pton(AF_INET, address, &four) == 1 { return word(four.s_addr) }
    var six = in6_addr()
    guard inet_pton(AF_INET6, address, &six) == 1 else { return "*" }
    return withUnsafeBytes(of: six) { bytes in
      (0..<4).map { word(bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)) }.joined()
    }
  }

  /// Both ends are taken to be little-endian, as every machine is that Swift's static executables are built for.
  private static func word(_ value: UInt32) -> String {
    let text = String(UInt32(littleEndian: value), radix: 16, uppercase: true)
    return String(repeating: "0", count: 8 - text.count) + text
  }
}
