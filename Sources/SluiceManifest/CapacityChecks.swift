import SluiceModel

/// Warnings about room: slots, ports and racks against what a service asks for. Documents with errors are left out, since their numbers are not known.
struct CapacityChecks {
  private let declarations: Declarations
  private let report: Report

  init(_ declarations: Declarations, _ report: Report) {
    self.declarations = declarations
    self.report = report
  }

  /// Adds what it finds to the report.
  func run() {
    for service in declarations.services where !service.document.hasErrors {
      let name = service.value.policy.fleet
      guard let fleet = declarations.fleets.first(where: { $0.value.name == name }), !fleet.document.hasErrors else { continue }
      let eligible = fleet.value.hosts.filter { isEligible($0, for: service.value.policy.placement) }
      checkSlots(service, eligible, fleet.value)
      checkRackLoss(service, eligible)
      checkPorts(service, eligible)
    }
    checkFixedPorts()
  }

  private func isEligible(_ host: Host, for placement: Placement) -> Bool {
    host.slots > 0 && placement.require.allSatisfy { host.labels[$0.key] == $0.value }
  }

  /// How many instances fit: on each host as many as it has slots, and as there are ports to tell them apart.
  private func room(_ eligible: [Host], _ policy: ServicePolicy) -> Int {
    eligible.reduce(0) { $0 + min($1.slots, policy.ports.to - policy.ports.from + 1) }
  }

  private func checkSlots(_ service: Declared<ServiceManifest>, _ eligible: [Host], _ fleet: Fleet) {
    let policy = service.value.policy
    let room = room(eligible, policy)
    let hosts = "\(eligible.count) of \(fleet.hosts.count) hosts"
    if policy.replicas > room {
      report.warning(
        .tooFewSlots, "\(policy.replicas) replicas can never run: \(hosts) can take them, with \(room) slots in all",
        at: service.document.place(eligible.isEmpty && !policy.placement.require.isEmpty ? "spec.placement.require" : "spec.replicas"),
        suggestion: eligible.isEmpty
          ? "no host has slots and the labels of `placement.require`"
          : "lower `replicas`, raise `slots`, widen `ports`, or require fewer labels")
      return
    }
    checkSecondPool(service, room: room, hosts)
    guard policy.replicas > 0, case .rolling(let rolling) = policy.strategy, rolling.maxUnavailable.roundedDown(of: policy.replicas) == 0
    else { return }
    let surge = rolling.maxSurge.roundedUp(of: policy.replicas)
    if policy.replicas + surge > room {
      let free = room - policy.replicas
      report.warning(
        .surgeWithoutSlot,
        "a surge of \(surge) beside \(policy.replicas) replicas needs \(policy.replicas + surge) slots, and \(hosts) have \(room)",
        at: service.document.place("spec.strategy.rolling.maxSurge"),
        suggestion: free > 0
          ? "write `maxSurge: \(free)`, or allow `maxUnavailable: 1`"
          : "no slot is free: allow `maxUnavailable: 1`, or use `recreate` for a single replica")
    }
  }

  /// Room for the new pool beside the old one.
  private func checkSecondPool(_ service: Declared<ServiceManifest>, room: Int, _ hosts: String) {
    let policy = service.value.policy
    let second: Int
    let key: String
    switch policy.strategy {
    case .rolling, .recreate: return
    case .blueGreen: (second, key) = (policy.replicas, "blueGreen")
    case .canary(let canary):
      let pools = canary.steps.map { min(policy.replicas, ($0.instances ?? .share($0.users)).roundedUp(of: policy.replicas)) }
      (second, key) = (max(1, pools.max() ?? 1), "canary")
    }
    guard policy.replicas > 0, policy.replicas + second > room else { return }
    report.warning(
      .surgeWithoutSlot,
      "a second pool of \(second) beside \(policy.replicas) replicas needs \(policy.replicas + second) slots, and \(hosts) have \(room)",
      at: service.document.place("spec.strategy.\(key)"), suggestion: "add `slots` or hosts, or use `rolling`")
  }

  /// The best case: instances spread evenly, and the state after the last stop, or with nothing added, after the first.
  private func checkRackLoss(_ service: Declared<ServiceManifest>, _ eligible: [Host]) {
    let policy = service.value.policy
    guard case .rolling(let rolling) = policy.strategy, let floor = rolling.rackLossFloor, policy.replicas > 0 else { return }
    var racks: [RackName] = []
    for host in eligible where !racks.contains(host.rack) { racks.append(host.rack) }
    guard !racks.isEmpty else { return }
    let wanted = floor.roundedUp(of: policy.replicas)
    let running = policy.replicas - (rolling.maxSurge.roundedUp(of: policy.replicas) > 0 ? 0 : 1)
    let remaining = running - (running + racks.count - 1) / racks.count
    if wanted > remaining {
      report.warning(
        .rackLossFloorUnreachable,
        "`rackLossFloor: \(floor)` can never hold: with \(running) of \(policy.replicas) running in \(racks.count) racks, losing one leaves \(remaining)",
        at: service.document.place("spec.strategy.rolling.rackLossFloor"),
        suggestion: remaining > 0 ? "at most \(remaining) can be promised; more racks or replicas raise it" : "it takes two racks at least")
    }
  }

  /// A gateway's own port, where an instance might be given it.
  private func checkPorts(_ service: Declared<ServiceManifest>, _ eligible: [Host]) {
    let policy = service.value.policy
    for gateway in declarations.gateways where gateway.value.fleet == policy.fleet && !gateway.document.hasErrors {
      guard let host = gateway.value.hosts.first(where: { host in eligible.contains { $0.name == host } }) else { continue }
      for listen in gateway.value.listen + [gateway.value.health].compactMap({ $0 })
      where (policy.ports.from...policy.ports.to).contains(listen.port) {
        report.warning(
          .portTaken, "port \(listen.port) belongs to gateway `\(gateway.value.name)` on host `\(host)`, where instances can be too",
          at: service.document.place(service.document.has("spec.ports") ? "spec.ports" : "spec.port"),
          suggestion: "choose ports without \(listen.port)")
      }
    }
  }

  /// One port for two services: they can never be on the same host.
  private func checkFixedPorts() {
    let fixed = declarations.services.filter {
      !$0.document.hasErrors && $0.value.policy.ports.from == $0.value.policy.ports.to && $0.value.policy.replicas > 0
    }
    for (index, service) in fixed.enumerated() {
      let policy = service.value.policy
      guard let fleet = declarations.fleets.first(where: { $0.value.name == policy.fleet })?.value else { continue }
      let other = fixed[..<index].first { other in
        let otherPolicy = other.value.policy
        return otherPolicy.fleet == policy.fleet && otherPolicy.ports == policy.ports
          && fleet.hosts.contains { isEligible($0, for: policy.placement) && isEligible($0, for: otherPolicy.placement) }
      }
      guard let other else { continue }
      report.warning(
        .portTaken, "service `\(other.value.policy.name)` has the fixed port \(policy.ports.from) too, and can be on the same hosts",
        at: service.document.place(service.document.has("spec.ports") ? "spec.ports" : "spec.port"),
        suggestion: "write `ports: { from: …, to: … }`, or keep them apart by `placement.require`")
    }
  }
}
