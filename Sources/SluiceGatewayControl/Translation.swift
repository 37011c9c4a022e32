internal import SluiceEngine
internal import SluiceGatewayAPI
internal import SluiceModel
internal import SluiceRollout
internal import SluiceTraffic

/// Between the words of the record and the words of the gateway's admin API.
extension RouteTable {
  init(_ content: TableContent, revision: Revision, service: ServiceName, fence: Fence) {
    let releases = Dictionary(grouping: content.targets, by: \.release).sorted { $0.key < $1.key }
    // A gateway of 0.1 knows one check for all. What stands in the larger number is then judged rightly: a new release does not get healthy
    // there, and is rolled back, but nothing that serves is taken down.
    let stands = releases.max { left, right in
      (left.value.count { !$0.draining }, right.key) < (right.value.count { !$0.draining }, left.key)
    }
    let common = stands.map { content.check(of: $0.key) } ?? content.readiness
    self.init(
      service: service, fence: fence, revision: revision, hosts: content.route.hosts, path: content.route.path,
      balance: content.route.balance,
      pools: releases.map { release, targets in
        let check = content.check(of: release)
        return Pool(
          release: release, role: Pool.Role(release, in: content), targets: targets.map { Target($0, service: service) },
          probe: check == common ? nil : Probe(check))
      }, split: content.split.map { Split($0) },
      preview: content.preview.map { Preview(hosts: $0.hosts, release: $0.release) }, probe: Probe(common),
      timeouts: content.route.timeouts, drain: Drain(longLived: content.drain.longLived),
      hold: content.hold, takesFrom: content.takesFrom)
  }
}

extension RouteTable.Pool.Role {
  fileprivate init(_ release: ReleaseNumber, in content: TableContent) {
    if content.split?.release == release {
      self = .canary
    } else {
      self = content.idle?.contains(release) ?? false ? .idle : .serving
    }
  }
}

extension RouteTable.Split {
  fileprivate init(_ split: TableSplit) {
    self.init(
      share: split.share, salt: split.salt, generation: split.generation, user: split.user, allow: split.allow, deny: split.deny,
      override: split.override, userWindow: split.userWindow,
      controllerLost: split.fallBack.map { .init(after: $0.after, leastTargets: $0.leastTargets) })
  }
}

extension RouteTable.Target {
  init(_ target: TableTarget, service: ServiceName) {
    self.init(
      instance: InstanceID(service: service, number: target.instance), address: target.address, port: target.port,
      state: target.draining ? .draining : .active)
  }
}

extension RouteTable.Probe {
  /// A gateway runs nothing on hosts: where readiness is a command, it asks whether the port is open.
  init(_ check: ReadinessCheck) {
    let kind: Kind =
      switch check.probe {
      case .http(let path, let status, let host, let headers): .http(path: path, status: status, host: host, headers: headers)
      case .tcp, .exec: .tcp
      }
    self.init(kind: kind, interval: check.interval, timeout: check.timeout, rise: check.rise, fall: check.fall)
  }
}

extension GatewayFact {
  /// Numbers beyond all bounds count for nothing: no controller can go on from them.
  init(_ status: ServiceStatus, gateway: GatewayID) {
    let targets = status.targets.filter { (0...Bounds.number).contains($0.instance.number) }
    self.init(
      gateway: gateway, revision: status.revision.flatMap { $0.isBounded ? $0 : nil }, targets: targets.map { TargetFact($0) },
      boot: status.boot,
      sequence: status.sequence, fellBack: status.split?.fallenBack != nil, lost: status.lost)
  }
}

extension TargetFact {
  /// Healthy is what new requests may go to: probed healthy, and not on its way in or out.
  init(_ status: TargetStatus) {
    let counts = [status.inFlight, status.longLived].map { min(max($0, 0), Bounds.number) }
    let open = counts[0] + counts[1]
    // Drained is exact: every event loop has taken the table and counted to zero. Until it says so, something may be under way.
    let inFlight =
      switch status.state {
      case .drained: 0
      case .draining: max(1, open)
      case .warming, .serving: open
      }
    self.init(
      instance: status.instance.number, healthy: status.state == .serving && status.health == .healthy, probe: status.lastProbe,
      inFlight: inFlight)
  }
}

extension Fence {
  /// The machine part of `user@machine:boot:pid:random`; the whole owner where it has another form.
  var machine: String {
    guard let at = owner.lastIndex(of: "@") else { return owner }
    return String(owner[owner.index(after: at)...].prefix { $0 != ":" })
  }
}

extension Failure {
  /// A number that no controller can go on from.
  static func beyondBounds(_ what: String, _ gateway: GatewayID) -> Failure {
    Failure(
      .gateway, "gateway \(gateway) tells \(what), which is beyond all bounds",
      remedy: "sluice adopt --reset-fence shows what stands everywhere, and gives the fence back")
  }

  /// What a gateway refused.
  init(_ error: AdminError, gateway: GatewayID) {
    switch error.reason {
    case .fenceHeld:
      let words = error.holder.map { "\($0.owner.prefix { $0 != ":" }) (epoch \($0.epoch))" } ?? error.error
      self.init(.fenced, "gateway \(gateway) has a newer fence: \(words)", remedy: error.remedy, holder: error.holder)
    default: self.init(.gateway, "gateway \(gateway): \(error.error)", remedy: error.remedy)
    }
  }
}
