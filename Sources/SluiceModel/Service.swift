/// What to run, how many, and how to release it, as far as it is not part of a release: a change here alone makes no new release.
package struct ServicePolicy: Hashable, Codable, Sendable {
  package var name: ServiceName
  /// What it was called before: the service of that name gives its route to this one, and is removed. Nil: it has always had this name.
  package var formerly: ServiceName?
  package var fleet: FleetName
  /// 1 is the most important.
  package var tier: Int
  package var replicas: Int
  package var placement: Placement
  package var ports: PortRange
  package var startTimeout: Milliseconds
  /// How long a new instance must stay healthy before the wave counts it.
  package var minHealthyTime: Milliseconds
  package var drain: DrainPolicy
  package var route: Route?
  package var strategy: Strategy
  package var onFailure: FailureAction
  /// Instances that may fail, of `replicas`, and the rollout still ends, as degraded.
  package var failureBudget: Amount
  package var progressDeadline: Milliseconds
  package var hooks: [HookPoint: String]
  /// Services whose rollouts end before one of this service begins; nil: none.
  package var after: [ServiceName]?
  /// When a release may begin, and more users get it; nil: at any time.
  package var windows: [MaintenanceWindow]?
  /// Where secrets are read, by the name of their environment variable: never their values.
  package var secrets: [String: SecretSource]

  package init(
    name: ServiceName, fleet: FleetName, tier: Int = 1, replicas: Int, placement: Placement = Placement(),
    ports: PortRange = PortRange(from: 20_000, to: 20_999), startTimeout: Milliseconds = .seconds(30),
    minHealthyTime: Milliseconds = .seconds(5), drain: DrainPolicy = DrainPolicy(), route: Route? = nil,
    strategy: Strategy = .rolling(Rolling()), onFailure: FailureAction = .rollback, failureBudget: Amount = .count(0),
    progressDeadline: Milliseconds = .minutes(10), hooks: [HookPoint: String] = [:],
    secrets: [String: SecretSource] = [:]
  ) {
    self.name = name
    self.fleet = fleet
    self.tier = tier
    self.replicas = replicas
    self.placement = placement
    self.ports = ports
    self.startTimeout = startTimeout
    self.minHealthyTime = minHealthyTime
    self.drain = drain
    self.route = route
    self.strategy = strategy
    self.onFailure = onFailure
    self.failureBudget = failureBudget
    self.progressDeadline = progressDeadline
    self.hooks = hooks
    self.secrets = secrets
  }
}

/// Where instances may be and how they are spread.
package struct Placement: Hashable, Codable, Sendable {
  /// The racks' instance counts may differ by this much; nil does not spread.
  package var maxSkew: Int?
  /// Labels a host must have.
  package var require: [String: String]
  /// Labels of the hosts that are taken first, as far as the spread lets them; nil: none.
  package var prefer: [String: String]?

  package init(maxSkew: Int? = 1, require: [String: String] = [:], prefer: [String: String]? = nil) {
    self.maxSkew = maxSkew
    self.require = require
    self.prefer = prefer
  }
}

/// The ports that instances of a service may be given on a host, both ends included. One fixed port is a range of one.
package struct PortRange: Hashable, Codable, Sendable {
  package var from: Int
  package var to: Int

  package init(from: Int, to: Int) {
    self.from = from
    self.to = to
  }
}

/// How long old instances may take to answer what they accepted.
package struct DrainPolicy: Hashable, Codable, Sendable {
  package var timeout: Milliseconds
  /// The deadline of tunnels and other long-lived connections.
  package var longLived: Milliseconds

  package init(timeout: Milliseconds = .seconds(30), longLived: Milliseconds = .seconds(10)) {
    self.timeout = timeout
    self.longLived = longLived
  }
}

/// Which requests come to a service, and how they are passed on.
package struct Route: Hashable, Codable, Sendable {
  package var gateway: GatewayName
  /// Host names in lower case; empty matches every host.
  package var hosts: [String]
  /// A path prefix that ends at a segment's end.
  package var path: String
  package var balance: Balance
  package var timeouts: RouteTimeouts
  /// Where the gateway finds who a request is from; nil: a split by user is not possible.
  package var user: UserKey?

  package init(
    gateway: GatewayName, hosts: [String] = [], path: String = "/", balance: Balance = .leastConnections,
    timeouts: RouteTimeouts = RouteTimeouts(), user: UserKey? = nil
  ) {
    self.gateway = gateway
    self.hosts = hosts
    self.path = path
    self.balance = balance
    self.timeouts = timeouts
    self.user = user
  }
}

/// How a gateway chooses among the targets of a pool.
package enum Balance: String, Codable, Sendable, CaseIterable {
  case roundRobin
  case leastConnections
}

/// Time limits of one proxied request.
package struct RouteTimeouts: Hashable, Codable, Sendable {
  package var connect: Milliseconds
  /// From the request's end to the response's head.
  package var response: Milliseconds
  /// Silence in either direction.
  package var idle: Milliseconds

  package init(connect: Milliseconds = .seconds(2), response: Milliseconds = .seconds(30), idle: Milliseconds = .seconds(60)) {
    self.connect = connect
    self.response = response
    self.idle = idle
  }
}

/// What a failed rollout does by itself.
package enum FailureAction: String, Codable, Sendable, CaseIterable {
  case rollback
  case pause
}

/// Where a user's executable runs in a rollout.
package enum HookPoint: String, Codable, Sendable, CaseIterable, Comparable, CodingKeyRepresentable {
  case preDeploy, preWave, postWave, postDeploy, failed, rolledBack

  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A service as the manifest declares it: the policy, and what a release is built from once the artifact is packed.
package struct ServiceManifest: Hashable, Codable, Sendable {
  package var policy: ServicePolicy
  package var artifact: ArtifactSource
  package var run: RunSpec
  package var secretSources: [String: SecretSource]
  package var readiness: ReadinessCheck
  package var stop: StopSpec
  package var task: ReleaseTask?
  /// The folder of the file it was read from; relative paths start there.
  package var baseDirectory: String

  package init(
    policy: ServicePolicy, artifact: ArtifactSource, run: RunSpec, secretSources: [String: SecretSource] = [:],
    readiness: ReadinessCheck, stop: StopSpec = StopSpec(), task: ReleaseTask? = nil, baseDirectory: String
  ) {
    self.policy = policy
    self.artifact = artifact
    self.run = run
    self.secretSources = secretSources
    self.readiness = readiness
    self.stop = stop
    self.task = task
    self.baseDirectory = baseDirectory
  }
}

/// Where the files of a release come from.
package enum ArtifactSource: Hashable, Codable, Sendable {
  /// A gzip-compressed tar.
  case path(String)
  /// Packed reproducibly: sorted names, no owner, fixed times.
  case directory(String)
}

/// Where a secret's value is read when a release is applied.
package enum SecretSource: Hashable, Codable, Sendable {
  case env(String)
  case file(String)
  /// Run in `directory`, the manifest's folder, wherever the next command is typed.
  case command([String], directory: String? = nil)
  /// Another machine's: all that is known here is its hash.
  case elsewhere(Digest)
}

/// Everything that a set of manifest files declares.
package struct Manifests: Hashable, Codable, Sendable {
  package var fleets: [Fleet]
  package var gateways: [Gateway]
  package var services: [ServiceManifest]

  package init(fleets: [Fleet] = [], gateways: [Gateway] = [], services: [ServiceManifest] = []) {
    self.fleets = fleets
    self.gateways = gateways
    self.services = services
  }
}
