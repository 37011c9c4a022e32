/// Hosts grouped in racks, and how they are reached.
package struct Fleet: Hashable, Codable, Sendable {
  package var name: FleetName
  package var racks: [Rack]
  /// The public keys whose copies of records are believed, as lines of `authorized_keys`; nil: those that were accepted on this machine.
  package var signers: [String]?

  package init(name: FleetName, racks: [Rack], signers: [String]? = nil) {
    self.name = name
    self.racks = racks
    self.signers = signers
  }

  /// Every host, in the order of the manifest.
  package var hosts: [Host] { racks.flatMap(\.hosts) }

  /// The host of that name.
  package func host(_ name: HostName) -> Host? {
    for rack in racks { if let host = rack.hosts.first(where: { $0.name == name }) { return host } }
    return nil
  }
}

/// A failure domain: what one breaker, one switch or one power feed takes down together.
package struct Rack: Hashable, Codable, Sendable {
  package var name: RackName
  package var hosts: [Host]

  package init(name: RackName, hosts: [Host]) {
    self.name = name
    self.hosts = hosts
  }
}

/// A Linux machine that is reached over SSH. The reader of manifests has merged the fleet's defaults into it.
package struct Host: Hashable, Codable, Sendable {
  package var name: HostName
  package var rack: RackName
  /// Where SSH connects: a DNS name, an IPv4 or an IPv6 address, or an alias of `~/.ssh/config`.
  package var address: String
  /// Where gateways reach instances: a numeric address. The SSH address when the manifest says nothing.
  package var serviceAddress: String
  /// How many instances, of all services, may be on it at once.
  package var slots: Int
  package var labels: [String: String]
  package var ssh: SSHSettings
  /// The directory below which Sluice keeps everything on this host.
  package var root: String

  package init(
    name: HostName, rack: RackName, address: String, serviceAddress: String? = nil, slots: Int = 4, labels: [String: String] = [:],
    ssh: SSHSettings = SSHSettings(), root: String = "/var/lib/sluice"
  ) {
    self.name = name
    self.rack = rack
    self.address = address
    self.serviceAddress = serviceAddress ?? address
    self.slots = slots
    self.labels = labels
    self.ssh = ssh
    self.root = root
  }
}

/// How a host is reached. What is nil is left to `~/.ssh/config` and then to OpenSSH's defaults.
package struct SSHSettings: Hashable, Codable, Sendable {
  package var user: String?
  package var port: Int?
  /// A private key file; `~` is expanded where it is read.
  package var identity: String?
  package var knownHosts: String?
  package var hostKeys: HostKeyPolicy
  /// A host to connect through.
  package var jump: String?
  package var become: Become

  package init(
    user: String? = nil, port: Int? = nil, identity: String? = nil, knownHosts: String? = nil, hostKeys: HostKeyPolicy = .strict,
    jump: String? = nil, become: Become = .none
  ) {
    self.user = user
    self.port = port
    self.identity = identity
    self.knownHosts = knownHosts
    self.hostKeys = hostKeys
    self.jump = jump
    self.become = become
  }
}

/// What to do about a host key that known_hosts does not hold. A changed key is always an error.
package enum HostKeyPolicy: String, Codable, Sendable, CaseIterable {
  case strict
  case acceptNew = "accept-new"
}

/// How the login user gets the rights that Sluice's scripts need.
package enum Become: String, Codable, Sendable, CaseIterable {
  case none
  /// `sudo -n`: never asks for a password.
  case sudo
}

/// A reverse proxy in front of services, on one or more hosts.
package struct Gateway: Hashable, Codable, Sendable {
  package var name: GatewayName
  package var fleet: FleetName
  package var driver: GatewayDriverName
  package var hosts: [HostName]
  package var listen: [ListenAddress]
  /// CIDR blocks whose X-Forwarded-For is believed.
  package var trustedProxies: [String]
  /// Where a load balancer in front asks whether this gateway takes traffic.
  package var health: ListenAddress?

  package init(
    name: GatewayName, fleet: FleetName, driver: GatewayDriverName = .sluice, hosts: [HostName], listen: [ListenAddress],
    trustedProxies: [String] = [], health: ListenAddress? = nil
  ) {
    self.name = name
    self.fleet = fleet
    self.driver = driver
    self.hosts = hosts
    self.listen = listen
    self.trustedProxies = trustedProxies
    self.health = health
  }

  /// One identity per host it runs on, in the manifest's order.
  package var processes: [GatewayID] { hosts.map { GatewayID(gateway: name, host: $0) } }
}

/// The gateway products that a driver exists for.
package enum GatewayDriverName: String, Codable, Sendable, CaseIterable {
  case sluice
}

/// A numeric address and port.
package struct ListenAddress: Hashable, Codable, Sendable, CustomStringConvertible {
  package var address: String
  package var port: Int

  package init(address: String, port: Int) {
    self.address = address
    self.port = port
  }

  /// `10.0.1.11:80`, `[2001:db8::12]:80`.
  package var description: String { address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)" }
}
