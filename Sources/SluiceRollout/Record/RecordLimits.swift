import SluiceModel

/// How large the numbers of a record may be: beyond all that a service reaches in a hundred years, and small enough that no sum or product of
/// them overflows. What comes from outside is held against them where it enters.
package enum RecordLimits {
  /// Epochs, versions, generations and sequence numbers that a record may hold.
  package static let counter = SluiceModel.Bounds.epoch
  /// Epochs and the like that a host or gateway may tell: half of that, so that what follows from them is still in a record's bounds.
  package static let told = SluiceModel.Bounds.epoch / 2
  /// An epoch that is further ahead than this was not reached by taking over, one at a time.
  package static let longestJump = SluiceModel.Bounds.epochLeap
  /// Instances, releases, rollouts, attempts and runs of tasks.
  package static let number = SluiceModel.Bounds.number
  /// Those that a host or gateway may tell.
  package static let numberTold = SluiceModel.Bounds.number / 2
  /// Instances of one service.
  package static let count = 1_000_000
  package static let ports = SluiceModel.Bounds.ports
  /// Milliseconds.
  static let time: Int64 = 1 << 48
}

extension ServiceRecord {
  /// What in it is beyond `RecordLimits`, as a sentence; nil: nothing.
  package var limitFault: String? {
    var check = LimitCheck()
    check.counter("epoch", fence?.epoch ?? 0)
    check.counter("version", version)
    check.time("activeTime", activeTime)
    check.number("scale", scale ?? 0, upTo: RecordLimits.count)
    for (name, next) in [("nextInstance", nextInstance), ("nextAttempt", nextAttempt), ("nextRollout", nextRollout)] {
      check.number(name, next, from: 1)
    }
    check.policy(policy)
    if let former = rollout?.formerPolicy { check.policy(former) }
    for release in releases {
      check.number("release", release.number.number)
      check.number("task run", release.task?.number ?? 0)
    }
    if let noWayBack { check.number("noWayBack", noWayBack.number) }
    for instance in instances { check.instance(instance, below: nextInstance) }
    for attempt in attempts { check.number("attempt", attempt.id, upTo: max(0, nextAttempt)) }
    for backoff in backoffs {
      check.number("tries", backoff.tries)
      check.time("notBefore", backoff.notBefore)
    }
    for host in hosts { check.host(host) }
    for gateway in gateways { check.gateway(gateway) }
    check.table(table)
    for goal in [stable, rollout?.goal, rollout?.origin].compactMap(\.self) { check.goal(goal) }
    if let rollout { check.rollout(rollout) }
    if let ended { check.number("rollout", ended.number) }
    return check.fault
  }
}

/// Remembers the first number that is out of bounds.
private struct LimitCheck {
  private(set) var fault: String?

  private mutating func found(_ name: String, _ value: String) { fault = fault ?? "\(name) is \(value), which no record reaches" }

  mutating func counter(_ name: String, _ value: UInt64) { if value > RecordLimits.counter { found(name, "\(value)") } }
  mutating func number(_ name: String, _ value: Int, from least: Int = 0, upTo most: Int = RecordLimits.number) {
    if value < least || value > most { found(name, "\(value)") }
  }
  mutating func port(_ value: Int) { if !RecordLimits.ports.contains(value) { found("a port", "\(value)") } }
  mutating func time(_ name: String, _ value: Milliseconds) {
    if value.value < 0 || value.value > RecordLimits.time { found(name, "\(value.value) ms") }
  }
  mutating func revision(_ revision: Revision?) {
    counter("a revision's epoch", revision?.epoch ?? 0)
    counter("a revision's version", revision?.version ?? 0)
  }

  mutating func policy(_ policy: ServicePolicy) {
    number("replicas", policy.replicas, upTo: RecordLimits.count)
    number("tier", policy.tier)
    number("maxSkew", policy.placement.maxSkew ?? 0)
    port(policy.ports.from)
    port(policy.ports.to)
    if policy.ports.from > policy.ports.to { found("the range of ports", "\(policy.ports.from) to \(policy.ports.to)") }
    amount("failureBudget", policy.failureBudget)
    for (name, value) in [
      ("startTimeout", policy.startTimeout), ("minHealthyTime", policy.minHealthyTime), ("drain.timeout", policy.drain.timeout),
      ("drain.longLived", policy.drain.longLived), ("progressDeadline", policy.progressDeadline),
    ] { time(name, value) }
    strategy(policy.strategy)
  }

  private mutating func amount(_ name: String, _ amount: Amount?) {
    if case .count(let count)? = amount { number(name, count, upTo: RecordLimits.count) }
  }

  private mutating func strategy(_ strategy: Strategy) {
    switch strategy {
    case .rolling(let rolling):
      amount("maxUnavailable", rolling.maxUnavailable)
      amount("maxSurge", rolling.maxSurge)
      amount("rackLossFloor", rolling.rackLossFloor)
      time("pauseBetween", rolling.pauseBetween)
    case .blueGreen(let blueGreen): time("keepOld", blueGreen.keepOld)
    case .canary(let canary):
      amount("maxSurge", canary.maxSurge)
      time("controllerLost.after", canary.controllerLost.after)
      for step in canary.steps {
        amount("a step's instances", step.instances)
        time("hold", step.hold)
        time("maxHold", step.maxHold)
      }
    case .recreate(let recreate): time("queue", recreate.queue)
    }
    for check in strategy.checks {
      number("count", check.count)
      number("failureLimit", check.failureLimit)
      time("interval", check.interval)
      time("timeout", check.timeout)
    }
  }

  mutating func instance(_ instance: Instance, below next: Int) {
    number("instance", instance.number, upTo: max(0, next - 1))
    number("release", instance.release.number)
    // A host's orphan may have none that is known.
    number("a port", instance.port, upTo: RecordLimits.ports.upperBound)
    time("healthySince", instance.healthySince ?? .zero)
    revision(instance.admittedBy)
    switch instance.phase {
    case .draining(let revision, let acknowledged):
      self.revision(revision)
      time("acknowledged", acknowledged ?? .zero)
    case .warming(let acknowledged): time("acknowledged", acknowledged ?? .zero)
    case .reserved, .starting, .checking, .serving, .stopping, .retired, .lost: break
    }
  }

  mutating func host(_ host: HostState) {
    counter("a host's generation", host.generation)
    time("lookedAt", host.lookedAt ?? .zero)
    for port in host.listening { self.port(port) }
  }

  mutating func gateway(_ gateway: GatewayState) {
    counter("a gateway's sequence", gateway.sequence ?? 0)
    revision(gateway.revision)
    for target in gateway.targets {
      number("a target", target.instance)
      number("inFlight", target.inFlight)
    }
  }

  mutating func table(_ table: TableState) {
    revision(table.revision)
    revision(table.content?.split?.generation)
    for target in table.content?.targets ?? [] {
      number("a target", target.instance)
      number("a target's release", target.release.number)
      port(target.port)
    }
  }

  mutating func goal(_ goal: Goal) {
    number("replicas", goal.replicas, upTo: RecordLimits.count)
    number("release", goal.release?.number ?? 0)
  }

  mutating func rollout(_ rollout: Rollout) {
    number("rollout", rollout.number)
    number("waves", rollout.waves)
    number("portsTaken", rollout.portsTaken)
    number("the wave", rollout.wave?.number ?? 0)
    number("a step", rollout.step?.index ?? 0, upTo: 10_000)
    number("stableReplicas", rollout.stableReplicas ?? 0, upTo: RecordLimits.count)
    for (name, value) in [
      ("progressAt", rollout.progressAt), ("restUntil", rollout.restUntil ?? .zero), ("a step's beginning", rollout.step?.since ?? .zero),
    ] { time(name, value) }
    revision(rollout.splitSince)
  }
}
