import SluiceModel
import SluiceTraffic

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Numeric addresses (RFC 4291 for IPv6, dotted decimal for IPv4).
enum NumericAddress {
  /// The family's width in bits: 32 or 128; nil when the text is no numeric address. An IPv6 zone is not part of one.
  static func bits(_ text: String) -> Int? {
    var bytes = [UInt8](repeating: 0, count: 16)
    if inet_pton(AF_INET, text, &bytes) == 1 { return 32 }
    if inet_pton(AF_INET6, text, &bytes) == 1 { return 128 }
    return nil
  }
}

extension Form where Output == String {
  /// Where SSH connects: a name, a numeric address or an alias.
  static var sshAddress: Form {
    scalar("a host name or address") { (text) throws(Mistake) in
      if NumericAddress.bits(text) != nil { return text }
      if text.hasPrefix("["), text.hasSuffix("]"), NumericAddress.bits(String(text.dropFirst().dropLast())) == 128 {
        throw Mistake(problem: "has brackets", suggestion: "write `\"\(text.dropFirst().dropLast())\"`")
      }
      if let at = text.firstIndex(of: "@") {
        let user = text[..<at]
        throw Mistake(problem: "has a user in it", suggestion: "write `address: \(text[text.index(after: at)...]), ssh: { user: \(user) }`")
      }
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      if parts.count == 2, Digits.number(parts[1]) != nil {
        throw Mistake(problem: "has a port in it", suggestion: "write `address: \(parts[0]), ssh: { port: \(parts[1]) }`")
      }
      let isBody = Letters.areAll(text, also: "-._")
      guard isBody, let first = text.utf8.first, first != 45, first != 46, text.utf8.count <= 253 else {
        throw Mistake(
          problem: "is no host name or address", suggestion: "write a DNS name, an IPv4 or IPv6 address, or an alias of ~/.ssh/config")
      }
      if text.utf8.allSatisfy({ (48...57).contains($0) || $0 == 46 }) {
        throw Mistake(problem: "is not an IPv4 address", suggestion: "four numbers from 0 to 255, such as `10.0.1.11`")
      }
      return text
    }
  }

  /// A jump host: `[user@]host[:port]`, as ssh's own option takes it.
  static var jumpHost: Form {
    scalar("a host to connect through") { (text) throws(Mistake) in
      let isBody = text.utf8.allSatisfy { $0 > 32 && $0 < 127 }
      guard isBody, !text.isEmpty, !text.hasPrefix("-"), !text.contains("/") else {
        throw Mistake(
          problem: "is no host", suggestion: "write `bastion.example.com`, with `user@` before it and `:port` after it where needed")
      }
      guard !text.contains(",") else {
        throw Mistake(id: .notBuiltYet, problem: "is more than one jump; that is not built yet", suggestion: "name one host")
      }
      return text
    }
  }

  /// A numeric IPv4 or IPv6 address.
  static var numericAddress: Form {
    scalar("a numeric address") { (text) throws(Mistake) in
      guard NumericAddress.bits(text) != nil else {
        let bare = text.filter { $0 != "[" && $0 != "]" }
        throw Mistake(
          problem: "is not a numeric address",
          suggestion: NumericAddress.bits(bare) == 128
            ? "write `\"\(bare)\"`" : "write an IPv4 or IPv6 address, such as `10.0.1.11` or `\"2001:db8::11\"`")
      }
      return text
    }
  }

  /// An address block (RFC 4632, RFC 4291 section 2.3).
  static var cidr: Form {
    scalar("an address block such as `10.0.0.0/8`") { (text) throws(Mistake) in
      let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      guard let bits = NumericAddress.bits(String(parts[0])) else {
        throw Mistake(problem: "is not an address block", suggestion: "write `10.0.0.0/8`")
      }
      guard parts.count == 2 else { throw Mistake(problem: "is a single address", suggestion: "write `\(text)/\(bits)`") }
      guard let prefix = Digits.number(parts[1]), prefix <= bits else {
        throw Mistake(problem: "is not an address block", suggestion: "the length can be from 0 to \(bits)")
      }
      return text
    }
  }

  /// A host that requests carry, in its one form.
  static var routeHost: Form {
    scalar("a host name such as `shop.example.com`") { (text) throws(Mistake) in
      if text.contains("*") {
        throw Mistake(id: .notBuiltYet, problem: "is a wildcard; that is not built yet", suggestion: "list the host names")
      }
      return try Mistake.from { () throws(RouteFault) in try RouteRules.host(text) }
    }
  }
}

extension Form where Output == ListenAddress {
  /// `{ address: 0.0.0.0, port: 80 }`.
  static var listen: Form {
    object { reader in
      reader.notBuilt("tls", "redirect", "proxyProtocol", "http2")
      let address = reader.required("address", .numericAddress, example: "address: 0.0.0.0")
      let port = reader.required("port", .port, example: "port: 80")
      guard let address, let port else { return nil }
      return ListenAddress(address: address, port: port)
    }
  }
}
