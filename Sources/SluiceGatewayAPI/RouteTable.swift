package import SluiceModel
package import SluiceTraffic

/// The whole route of one service as a gateway serves it: what `PUT /v1/services/NAME/table` carries.
///
/// It is always sent whole, so a late gateway needs one request to be up to date, and is live when every event loop has taken it.
package struct RouteTable: Hashable, Codable, Sendable {
  /// The service the route belongs to; the same as in the request's path.
  package var service: ServiceName
  /// Who sends it. A fence that the standing one does not admit has no effect.
  package var fence: Fence
  /// Its age. An older one, or an equal one with other content, is refused.
  package var revision: Revision
  /// Host names the route answers to, without port, in any case; empty: every host.
  package var hosts: [String]
  /// The path prefix, at segment boundaries: `/api` takes `/api`, `/api/x` and `/api?x`, not `/apix`. `/` takes everything.
  package var path: String
  /// How a target is chosen for a request; each event loop chooses by what it knows itself.
  package var balance: Balance
  /// One pool a release.
  package var pools: [Pool]
  /// Which users go to the pool whose role is `canary`; nil: there is none.
  package var split: Split?
  package var preview: Preview?
  /// How the gateway judges the health of targets whose pool does not say.
  package var probe: Probe
  package var timeouts: RouteTimeouts
  package var drain: Drain
  /// Bounds of what is held while the switch is at `queue`.
  package var queue: Queue
  /// When at least this share of the targets that were healthy once fail together, the gateway keeps routing to all of them. Zero: never.
  package var panicThreshold: BasisPoints
  /// While it stands, a request that finds no target waits so long for one, within `queue.requests`: between the old and the new instances of a
  /// recreate. Nil: it is answered at once. It is no switch: an operator's stands beside it.
  package var hold: Milliseconds?
  /// Whose (host, path)s this service may take, when that one has them: a rename, a takeover. They go over, all of them on every event loop at one
  /// moment, once some target of this table's serving pools can take requests (or when nothing stands behind the other's route); until then they
  /// stay where they are, and `ServiceStatus.lost` tells. What the other was given is finished there; its table stays, for draining, and gets no
  /// new request for them. It counts once, when it is new: a table that repeats it takes nothing back that was lost since. Nil: what another
  /// service has is refused (`routeTaken`). Gateways of 0.1 do not know it.
  package var takesFrom: ServiceName?

  package init(
    service: ServiceName, fence: Fence, revision: Revision, hosts: [String] = [], path: String = "/", balance: Balance = .leastConnections,
    pools: [Pool], split: Split? = nil, preview: Preview? = nil, probe: Probe, timeouts: RouteTimeouts = RouteTimeouts(),
    drain: Drain = Drain(), queue: Queue = Queue(),
    panicThreshold: BasisPoints = BasisPoints(5_000), hold: Milliseconds? = nil, takesFrom: ServiceName? = nil
  ) {
    self.service = service
    self.fence = fence
    self.revision = revision
    self.hosts = hosts
    self.path = path
    self.balance = balance
    self.pools = pools
    self.split = split
    self.preview = preview
    self.probe = probe
    self.timeouts = timeouts
    self.drain = drain
    self.queue = queue
    self.panicThreshold = panicThreshold
    self.hold = hold
    self.takesFrom = takesFrom
  }

  /// The targets of one release.
  package struct Pool: Hashable, Codable, Sendable {
    package var release: ReleaseNumber
    package var role: Role
    package var targets: [Target]
    /// How its targets' health is judged: by what their own release promised. Nil: by the table's `probe`, as gateways of 0.1 judge all.
    package var probe: Probe?

    package init(release: ReleaseNumber, role: Role = .serving, targets: [Target], probe: Probe? = nil) {
      self.release = release
      self.role = role
      self.targets = targets
      self.probe = probe
    }

    /// Who is sent to a pool.
    package enum Role: String, Hashable, Codable, Sendable {
      /// Everybody that no split sends elsewhere, together with the other serving pools.
      case serving
      /// Those whom the table's split sends there. At most one pool, and only beside a split.
      case canary
      /// Nobody but the preview's hosts; its targets are probed.
      case idle
    }

    /// A pool of before there were roles serves.
    package init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      release = try container.decode(ReleaseNumber.self, forKey: .release)
      role = try container.decodeIfPresent(Role.self, forKey: .role) ?? .serving
      targets = try container.decode([Target].self, forKey: .targets)
      probe = try container.decodeIfPresent(Probe.self, forKey: .probe)
    }
  }

  /// Which users go to the canary pool (DESIGN section 4, rule 5). First the override, then `deny`, then `allow`, then the bucket.
  package struct Split: Hashable, Codable, Sendable {
    /// A user is in the canary iff its bucket is below it.
    package var share: BasisPoints
    /// Of the rollout: the same for all its shares, so that raising the share only adds users.
    package var salt: String
    /// The first revision with this split: counters begin anew with each.
    package var generation: Revision
    package var user: UserKey
    package var allow: [String]
    package var deny: [String]
    package var override: SplitOverride?
    /// What counts once in `exposures`; zero: every request.
    package var userWindow: Milliseconds
    /// What the gateway does when it has not heard of the controller; nil: nothing.
    package var controllerLost: FallBack?

    package init(
      share: BasisPoints, salt: String, generation: Revision, user: UserKey, allow: [String] = [], deny: [String] = [],
      override: SplitOverride? = nil, userWindow: Milliseconds = .seconds(1), controllerLost: FallBack? = nil
    ) {
      self.share = share
      self.salt = salt
      self.generation = generation
      self.user = user
      self.allow = allow
      self.deny = deny
      self.override = override
      self.userWindow = userWindow
      self.controllerLost = controllerLost
    }

    /// A share out of range is refused: taken for the nearest one that is not, a slip would send everybody to the canary.
    package init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      let share = try container.decode(Int.self, forKey: .share)
      guard (0...BasisPoints.whole.value).contains(share) else {
        throw DecodingError.dataCorruptedError(forKey: .share, in: container, debugDescription: "\(share) is no share of 10000")
      }
      self.share = BasisPoints(share)
      salt = try container.decode(String.self, forKey: .salt)
      generation = try container.decode(Revision.self, forKey: .generation)
      user = try container.decode(UserKey.self, forKey: .user)
      allow = try container.decode([String].self, forKey: .allow)
      deny = try container.decode([String].self, forKey: .deny)
      override = try container.decodeIfPresent(SplitOverride.self, forKey: .override)
      userWindow = try container.decode(Milliseconds.self, forKey: .userWindow)
      controllerLost = try container.decodeIfPresent(FallBack.self, forKey: .controllerLost)
    }
  }

  /// With no lease renewed for `after`, and at least `leastTargets` healthy targets in the serving pools, all users go to those until a table
  /// with another revision comes. Every order that is accepted renews the lease.
  package struct FallBack: Hashable, Codable, Sendable {
    package var after: Milliseconds
    package var leastTargets: Int

    package init(after: Milliseconds, leastTargets: Int) {
      self.after = after
      self.leastTargets = leastTargets
    }
  }

  /// Host names, beside the route's, that reach the pool of one release and nothing else.
  package struct Preview: Hashable, Codable, Sendable {
    package var hosts: [String]
    package var release: ReleaseNumber

    package init(hosts: [String], release: ReleaseNumber) {
      self.hosts = hosts
      self.release = release
    }
  }

  /// One instance as the gateway sees it.
  package struct Target: Hashable, Codable, Sendable {
    package var instance: InstanceID
    /// A numeric IPv4 or IPv6 address, without brackets.
    package var address: String
    /// 1 to 65 535.
    package var port: Int
    package var state: State

    package init(instance: InstanceID, address: String, port: Int, state: State = .active) {
      self.instance = instance
      self.address = address
      self.port = port
      self.state = state
    }

    /// What the table asks of a target.
    package enum State: String, Hashable, Codable, Sendable {
      /// Gets requests once its probe has passed `rise` times.
      case active
      /// Gets no new request; what it was given is finished.
      case draining
    }
  }

  /// How a target's health is judged.
  package struct Probe: Hashable, Codable, Sendable {
    package var kind: Kind
    package var interval: Milliseconds
    package var timeout: Milliseconds
    /// Successes in a row until healthy.
    package var rise: Int
    /// Failures in a row until unhealthy.
    package var fall: Int

    package init(
      kind: Kind, interval: Milliseconds = .seconds(1), timeout: Milliseconds = .seconds(1), rise: Int = 2, fall: Int = 3
    ) {
      self.kind = kind
      self.interval = interval
      self.timeout = timeout
      self.rise = rise
      self.fall = fall
    }

    package enum Kind: Hashable, Codable, Sendable {
      /// `GET path`, expecting exactly this status; with that `Host` in the place of the target's address, and those fields beside what is always
      /// sent. Gateways of 0.1 know neither.
      case http(path: String, status: Int, host: String? = nil, headers: [String: String]? = nil)
      /// A connection that is accepted.
      case tcp
    }
  }

  /// What a drain does beyond waiting.
  package struct Drain: Hashable, Codable, Sendable {
    /// How long tunnels may live on after their target began to drain; then they are cut, and counted.
    package var longLived: Milliseconds

    package init(longLived: Milliseconds = .seconds(10)) { self.longLived = longLived }
  }

  /// Bounds of what is held at `queue`, over all event loops.
  package struct Queue: Hashable, Codable, Sendable {
    package var requests: Int
    /// The longest a request is held; then it is refused.
    package var wait: Milliseconds

    package init(requests: Int = 1_000, wait: Milliseconds = .seconds(20)) {
      self.requests = requests
      self.wait = wait
    }
  }

  /// All targets with their release, in table order.
  package var targets: [(release: ReleaseNumber, target: Target)] {
    pools.flatMap { pool in pool.targets.map { (pool.release, $0) } }
  }

  /// All targets with the check that judges each, in table order.
  package var probedTargets: [(target: Target, probe: Probe)] {
    pools.flatMap { pool in pool.targets.map { ($0, pool.probe ?? probe) } }
  }

  /// All (host, path)s that the table asks for, the preview's among them.
  package var routes: [RouteKey] { RouteKey.keys(hosts: hosts, path: path, preview: preview?.hosts ?? []) }
}
