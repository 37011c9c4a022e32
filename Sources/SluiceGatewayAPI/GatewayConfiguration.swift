package import SluiceModel

/// What `sluice-gateway run --config FILE` reads, as JSON.
package struct GatewayConfiguration: Hashable, Codable, Sendable {
  /// Where clients are accepted.
  package var listen: [Address]
  /// The path of the admin socket (made with mode 0600).
  package var adminSocket: String
  /// The directory of the durable state (made with mode 0700 when missing).
  package var stateDirectory: String
  /// Networks as `10.0.0.0/8` or single addresses whose X-Forwarded-* headers are believed and kept.
  package var trustedProxies: [String]
  /// Where `GET` of any path answers 200, or 503 while the gateway is drained or ending; nil: nowhere.
  package var health: Address?
  /// Event loops; nil: one a core.
  package var loops: Int?
  /// How long requests in flight may take after SIGTERM.
  package var finish: Milliseconds?
  /// Bounds for clients; nil: the defaults.
  package var limits: Limits?

  package init(
    listen: [Address], adminSocket: String, stateDirectory: String, trustedProxies: [String] = [], health: Address? = nil,
    loops: Int? = nil,
    finish: Milliseconds? = nil, limits: Limits? = nil
  ) {
    self.listen = listen
    self.adminSocket = adminSocket
    self.stateDirectory = stateDirectory
    self.trustedProxies = trustedProxies
    self.health = health
    self.loops = loops
    self.finish = finish
    self.limits = limits
  }

  /// A numeric address and a port (0: any free one).
  package struct Address: Hashable, Codable, Sendable {
    package var address: String
    package var port: Int

    package init(address: String, port: Int) {
      self.address = address
      self.port = port
    }
  }

  /// Bounds for what clients send.
  package struct Limits: Hashable, Codable, Sendable {
    /// Bytes of a request's or response's head; more: 431 (or 502).
    package var head: Int
    /// Fields in a head; more: 431.
    package var fields: Int
    /// Bytes of the request target; more: 414.
    package var target: Int
    /// Options in all Connection fields of a head together; more: 431 (or 502).
    package var options: Int
    /// Client connections at a time, over all event loops; more are told 503 and closed. Half of the descriptors that the process may have is the
    /// bound where that is less: each may need one to a target.
    package var connections: Int
    /// From the first byte of a head to its last; slower: 408.
    package var headTime: Milliseconds
    /// A connection without a request is closed after this.
    package var keepAlive: Milliseconds

    package init(
      head: Int = 32_768, fields: Int = 128, target: Int = 8_192, options: Int = 32, connections: Int = 65_536,
      headTime: Milliseconds = .seconds(10), keepAlive: Milliseconds = .seconds(75)
    ) {
      self.head = head
      self.fields = fields
      self.target = target
      self.options = options
      self.connections = connections
      self.headTime = headTime
      self.keepAlive = keepAlive
    }

    /// What a file does not name has its default: limits are added over time.
    package init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      self.init()
      head = try container.decodeIfPresent(Int.self, forKey: .head) ?? head
      fields = try container.decodeIfPresent(Int.self, forKey: .fields) ?? fields
      target = try container.decodeIfPresent(Int.self, forKey: .target) ?? target
      options = try container.decodeIfPresent(Int.self, forKey: .options) ?? options
      connections = try container.decodeIfPresent(Int.self, forKey: .connections) ?? connections
      headTime = try container.decodeIfPresent(Milliseconds.self, forKey: .headTime) ?? headTime
      keepAlive = try container.decodeIfPresent(Milliseconds.self, forKey: .keepAlive) ?? keepAlive
    }
  }
}
