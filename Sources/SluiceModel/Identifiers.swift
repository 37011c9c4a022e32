/// A string with a meaning: two kinds of name cannot be mixed up, and each encodes as the plain string.
public protocol Name: RawRepresentable, Hashable, Comparable, Codable, Sendable, CustomStringConvertible,
  ExpressibleByStringLiteral, CodingKeyRepresentable
where RawValue == String {
  /// Wraps the text as it is; the manifest reader has checked its form.
  init(_ rawValue: String)
}

extension Name {
  /// Wraps the text as it is.
  public init(rawValue: String) { self.init(rawValue) }
  /// For names written in source.
  public init(stringLiteral value: String) { self.init(value) }
  /// The bare text.
  public var description: String { rawValue }
  /// Orders by the text's Unicode scalars, the same in every locale.
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  /// Reads a plain string.
  public init(from decoder: any Decoder) throws {
    self.init(try decoder.singleValueContainer().decode(String.self))
  }
  /// Writes a plain string.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

/// The name of a fleet.
public struct FleetName: Name {
  public let rawValue: String
  public init(_ rawValue: String) { self.rawValue = rawValue }
}

/// The name of a rack, unique in its fleet.
public struct RackName: Name {
  public let rawValue: String
  public init(_ rawValue: String) { self.rawValue = rawValue }
}

/// The name of a host, unique in its fleet.
public struct HostName: Name {
  public let rawValue: String
  public init(_ rawValue: String) { self.rawValue = rawValue }
}

/// The name of a gateway (which may run on several hosts), unique in its fleet.
public struct GatewayName: Name {
  public let rawValue: String
  public init(_ rawValue: String) { self.rawValue = rawValue }
}

/// The name of a service, unique in its fleet.
public struct ServiceName: Name {
  public let rawValue: String
  public init(_ rawValue: String) { self.rawValue = rawValue }
}

/// One gateway process: the gateway's name and the host it runs on.
public struct GatewayID: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  /// The gateway of the manifest.
  public var gateway: GatewayName
  /// The host this process of it runs on.
  public var host: HostName

  public init(gateway: GatewayName, host: HostName) {
    self.gateway = gateway
    self.host = host
  }

  /// `edge/g1`.
  public var description: String { "\(gateway)/\(host)" }
  public static func < (left: Self, right: Self) -> Bool {
    (left.gateway, left.host) < (right.gateway, right.host)
  }
}

/// The number of a release within its service, counted from 1; shown as `shop@14`.
public struct ReleaseNumber: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  public var number: Int
  public init(_ number: Int) { self.number = number }
  public var description: String { "@\(number)" }
  public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
  public init(from decoder: any Decoder) throws { number = try decoder.singleValueContainer().decode(Int.self) }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(number)
  }
}

/// One instance of a service: its number within the service, never used twice; shown as `shop/3`.
public struct InstanceID: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  public var service: ServiceName
  public var number: Int

  public init(service: ServiceName, number: Int) {
    self.service = service
    self.number = number
  }

  /// Reads `shop/3`; nil when the text has another form.
  public init?(_ text: String) {
    guard let slash = text.lastIndex(of: "/"), let number = Int(text[text.index(after: slash)...]), number > 0 else { return nil }
    let service = String(text[..<slash])
    guard !service.isEmpty else { return nil }
    self.init(service: ServiceName(service), number: number)
  }

  public var description: String { "\(service)/\(number)" }
  public static func < (left: Self, right: Self) -> Bool {
    (left.service, left.number) < (right.service, right.number)
  }
}

/// A SHA-256 in lower-case hexadecimal: 64 characters.
public struct Digest: Name {
  public let rawValue: String
  public init(_ rawValue: String) { self.rawValue = rawValue }
  /// The first twelve characters, for people.
  public var short: String { String(rawValue.prefix(12)) }
}

/// Who may act on a service now: whatever carries a lower epoch, or the same epoch with another owner, is refused (DESIGN section 1).
public struct Fence: Hashable, Codable, Sendable, CustomStringConvertible {
  /// The controller: `user@machine:boot:session`, unique per run of Sluice.
  public var owner: String
  /// Rises with every take-over.
  public var epoch: UInt64

  public init(owner: String, epoch: UInt64) {
    self.owner = owner
    self.epoch = epoch
  }

  /// Whether an action that carries `other` may have an effect where this fence stands.
  @inlinable
  public func admits(_ other: Fence) -> Bool {
    other.epoch > epoch || (other.epoch == epoch && other.owner == owner)
  }

  public var description: String { "\(owner)#\(epoch)" }
}

/// The age of a record or table: epoch of the fence it was written under, then a counter that rises with every change.
public struct Revision: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  public var epoch: UInt64
  public var version: UInt64

  public init(epoch: UInt64, version: UInt64) {
    self.epoch = epoch
    self.version = version
  }

  /// Of a table that may be there, and of which nothing else is known: older than every other.
  public static let unknown = Revision(epoch: 0, version: 0)

  public var description: String { "\(epoch).\(version)" }
  @inlinable
  public static func < (left: Self, right: Self) -> Bool {
    (left.epoch, left.version) < (right.epoch, right.version)
  }
}
