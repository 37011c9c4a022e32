import NIOCore
package import SluiceGatewayAPI
import SluiceModel

extension GatewayConfiguration {
  /// What keeps a gateway from starting with this configuration, and the values that would do; nil: nothing.
  package var problem: String? {
    if listen.isEmpty { return "listen names no address" }
    let wrong = TrustedNetworks.invalid(trustedProxies)
    if !wrong.isEmpty { return "trustedProxies: \(wrong.joined(separator: ", ")) is no network" }
    if let (key, address) = places.first(where: { !Self.isPort($1.port) }) { return "\(key): port \(address.port) is not 0 to 65535" }
    if let (key, address) = places.first(where: { !Self.isNumeric($1) }) { return "\(key): \"\(address.address)\" is no numeric address" }
    if stateDirectory.isEmpty { return "stateDirectory is empty: it names the directory of the durable state" }
    if let problem = socketProblem { return "adminSocket \(problem)" }
    return counts.compactMap { Self.problem($0, $1, within: $2) }.first ?? spans.compactMap { Self.problem($0, $1, within: $2) }.first
  }

  private var places: [(key: String, address: Address)] {
    listen.enumerated().map { ("listen[\($0)]", $1) } + (health.map { [("health", $0)] } ?? [])
  }

  private var socketProblem: String? {
    if adminSocket.isEmpty { return "is empty: it names the path of the admin socket" }
    // sun_path holds 108 bytes with the one that ends it (unix(7)).
    return adminSocket.utf8.count < 108 ? nil : "has \(adminSocket.utf8.count) bytes; a socket's path has at most 107"
  }

  private var counts: [(String, Int, ClosedRange<Int>)] {
    let limits = limits ?? Limits()
    return [
      ("loops", loops ?? 1, 1...256), ("limits.head", limits.head, 1_024...1_048_576), ("limits.fields", limits.fields, 8...10_000),
      ("limits.target", limits.target, 64...max(64, limits.head)), ("limits.options", limits.options, 1...1_000),
      ("limits.connections", limits.connections, 1...10_000_000),
    ]
  }

  private var spans: [(String, Milliseconds, ClosedRange<Milliseconds>)] {
    let limits = limits ?? Limits()
    return [
      ("finish", finish ?? .zero, .zero ... .longest), ("limits.headTime", limits.headTime, Milliseconds(100) ... .longest),
      ("limits.keepAlive", limits.keepAlive, Milliseconds(100) ... .longest),
    ]
  }

  private static func problem<Value: Comparable>(_ key: String, _ value: Value, within range: ClosedRange<Value>) -> String? {
    range.contains(value) ? nil : "\(key) is \(value): it must be \(range.lowerBound) to \(range.upperBound)"
  }

  private static func isPort(_ port: Int) -> Bool { (0...65_535).contains(port) }
  private static func isNumeric(_ address: Address) -> Bool { (try? SocketAddress(ipAddress: address.address, port: address.port)) != nil }
}
