import SluiceModel

/// What hosts and gateways show against what the record says of them.
extension Absorber {
  /// A host's facts, unless something newer has been done there. What was seen while the fence was taken is the newest there is, also
  /// where the host has lost its generation along with its disk: whoever acted before can no more.
  mutating func see(_ fact: HostFact, isNewest: Bool = false) {
    if !isNewest, let state = record.host(fact.host), fact.generation < state.generation { return }
    let ours = Set(record.instances.filter { $0.host == fact.host }.map(\.port) + fact.instances.map(\.port))
    let others = Set(view.map.index(of: fact.host).map { view.occupancy.others(than: record.service, on: $0).map(\.port) } ?? [])
    let now = record.activeTime
    changeHost(fact.host) {
      $0.lookedAt = now
      $0.reach = .reachable
      $0.generation = fact.generation
      $0.releases = fact.releases
      // Those of instances are held by their reservations, and free when these are gone.
      $0.listening = fact.listening.filter { !ours.contains($0) && !others.contains($0) }
      let unknown = (fact.held ?? []).count { !ours.contains($0) && !others.contains($0) }
      $0.strangers = unknown == 0 ? nil : unknown
      $0.needsLook = false
    }
    for index in record.instances.indices.reversed() where record.instances[index].host == fact.host {
      let instance = record.instances[index]
      // What has an attempt under way answers for itself.
      if record.openAttempt(on: .instance(instance.number)) != nil { continue }
      // This record may be a copy from before its place was given to a newer one.
      let isGivenOn = fact.instances.contains { $0.number != instance.number && $0.port == instance.port }
      compare(
        at: index, with: fact.instances.first { $0.number == instance.number }, isGivenAway: isGivenOn || others.contains(instance.port))
    }
    for orphan in fact.instances where record.instance(orphan.number) == nil { adopt(orphan, on: fact.host) }
  }

  /// One instance against what its host shows: present, or absent. `isGivenAway`: another instance or service has its port.
  private mutating func compare(at index: Int, with seen: InstanceFact?, isGivenAway: Bool) {
    let instance = record.instances[index]
    follow(at: index, seen)
    switch (instance.phase, seen) {
    case (.reserved, nil), (.retired, nil): return
    case (.lost, nil):
      // Its address is free once no gateway has it any more.
      record.instances[index].phase = .retired
      if instance.condemned == nil { record.instances[index].condemned = .stale }
    case (.lost, let found?):
      // Alive after all: it is looked at as if it had just started. Where its program is gone, or its place is taken, nobody wants it.
      let isWanted = found.running && found.ended == nil && record.rollout == nil && record.lacks(instance.release)
      record.instances[index].phase = .checking
      if instance.condemned == nil, !isWanted { record.instances[index].condemned = .stale }
      note(.info, "instance-found", "\(record.service)/\(instance.number) on \(instance.host) is there again")
    case (.draining, nil), (.stopping, nil): record.instances[index].phase = .retired
    case (.starting, nil): if instance.condemned != nil { record.instances[index].phase = .retired }
    case (.checking, nil), (.warming, nil), (.serving, nil):
      if instance.condemned != nil {
        record.instances[index].phase = .retired
      } else if record.rollout?.wave?.replacements.contains(where: { $0.old == instance.number }) ?? false {
        // The wave takes it away, and has done so where this record is a copy from before: it does not come back.
        record.instances[index].condemned = .replaced
        record.instances[index].phase = .retired
      } else if isGivenAway {
        note(.warning, "instance-vanished", "\(record.service)/\(instance.number) has left \(instance.host), and its port is another's")
        record.instances[index].condemned = .stale
        record.instances[index].phase = .retired
      } else {
        note(.warning, "instance-vanished", "\(record.service)/\(instance.number) is not on \(instance.host) any more: it is started again")
        record.instances[index].phase = .starting
        record.instances[index].healthySince = nil
      }
    case (.starting, _?): record.instances[index].phase = .checking
    case (.reserved, _?): record.instances[index].phase = .checking
    case (.retired, _?): record.instances[index].phase = .stopping
    case (.checking, _?), (.warming, _?), (.serving, _?), (.draining, _?), (.stopping, _?): return
    }
  }

  /// Whether its program is up, as its host says.
  private mutating func follow(at index: Int, _ seen: InstanceFact?) {
    let instance = record.instances[index]
    let down = instance.phase == .serving ? seen.flatMap(Downtime.init) : nil
    guard down != instance.down else { return }
    record.instances[index].down = down
    guard let down, instance.down.map({ $0.isTriedAgain != down.isTriedAgain }) ?? true else { return }
    events.append(
      RecordEvent(
        .warning, "instance-down", "\(record.service)/\(instance.number) on \(instance.host): \(down.description)",
        instance: instance.number, host: instance.host))
  }

  /// An instance that no record tells of: it is drained and stopped like any other.
  private mutating func adopt(_ fact: InstanceFact, on host: HostName) {
    guard let known = view.host(host) else { return }
    var orphan = Instance(
      number: fact.number, release: ReleaseNumber(0), host: host, address: known.serviceAddress, port: fact.port, secrets: "",
      phase: .warming(acknowledged: nil))
    orphan.condemned = .stale
    // Where the service has no route, no table is made to drain it.
    if record.claim == nil { orphan.phase = .checking }
    record.instances.append(orphan)
    record.instances.sort { $0.number < $1.number }
    record.nextInstance = max(record.nextInstance, fact.number + 1)
    note(.warning, "orphan-found", "\(record.service)/\(fact.number) runs on \(host) and is in no record: it will be stopped")
  }

  /// A gateway's facts. One that was on its way while a newer table was acknowledged says nothing new; a gateway that has started again
  /// may really have an older table, or none, and is given the newest. So may one that is heard for the first time since the fence was taken:
  /// the controller before did not live to hear of what it had told it last.
  mutating func see(_ fact: GatewayFact) {
    if let known = record.gateway(fact.gateway), let boot = fact.boot, boot == known.boot {
      let isOlder = known.sequence.map { (fact.sequence ?? $0) < $0 } ?? false
      let isBehind = known.heard == true && known.revision.map { acknowledged in fact.revision.map { $0 < acknowledged } ?? true } ?? false
      if isOlder || isBehind { return changeGateway(fact.gateway) { ($0.reach, $0.heard) = (.reachable, true) } }
    }
    keepInService(fact)
    changeGateway(fact.gateway) {
      $0.heard = true
      $0.boot = fact.boot
      $0.sequence = fact.sequence
      $0.fellBack = fact.fellBack ? true : nil
      $0.reach = .reachable
      $0.revision = fact.revision
      $0.targets = fact.targets.inOrder(by: \.instance)
    }
  }

  /// Where the record is a copy from before instances were let in, the gateways' word counts: what has come so far is not taken out of service to
  /// be checked anew.
  private mutating func keepInService(_ fact: GatewayFact) {
    guard let revision = fact.revision, revision > record.table.revision else { return }
    for target in fact.targets where target.healthy {
      guard let index = record.instances.index(of: target.instance, by: \.number), record.instances[index].condemned == nil else {
        continue
      }
      if case .checking = record.instances[index].phase { record.instances[index].phase = .warming(acknowledged: nil) }
    }
  }

  // MARK: Take-over

  mutating func takeOver(_ fence: Fence) {
    record.fence = fence
    for attempt in record.attempts {
      if let host = attempt.action.host { changeHost(host) { $0.needsLook = true } }
      mayHaveTable(attempt)
      note(.warning, "in-doubt", "\(describe(attempt.action)) was under way when its controller ended", attempt)
    }
    record.attempts = []
    record.backoffs = []
    suspectTasks()
    let counting = record.table.content?.split == nil ? [] : view.requiredGateways(record)
    record.rollout?.step?.unheard = counting
    for index in record.gateways.indices {
      (record.gateways[index].reach, record.gateways[index].heard, record.gateways[index].refusal) = (.unknown, nil, nil)
    }
    for index in record.hosts.indices { record.hosts[index].reach = .unknown }
  }
}
