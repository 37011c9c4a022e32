import SluiceModel
import SluiceRollout

/// Carries out one attempt through the ports, with what the record held when it was dispatched.
struct AttemptPerformer: Sendable {
  let ports: FleetRunner.Ports
  let fleet: Fleet
  let record: ServiceRecord
  let fence: Fence
  /// Hosts that keep a copy of the record.
  let places: [Host]

  func perform(_ attempt: Attempt) async -> AttemptResult {
    switch attempt.action {
    case .observe(let host): return await order(.observe, attempt, host)
    case .stage(let host, let number):
      guard let release = record.release(number) else { return missing("release \(number)") }
      return await order(.stage(release), attempt, host)
    case .start(let host, let number):
      guard let instance = record.instance(number), let release = record.release(instance.release) else {
        return missing("instance \(number)")
      }
      return await order(.start(instance, release), attempt, host)
    case .checkReady(let host, let number):
      guard let instance = record.instance(number), let release = record.release(instance.release) else {
        return missing("instance \(number)")
      }
      return await order(.checkReady(instance, release), attempt, host)
    case .stop(let host, let number):
      guard let instance = record.instance(number) else { return missing("instance \(number)") }
      return await order(.stop(instance, record.release(instance.release)), attempt, host)
    case .task(let host, let number, let run):
      guard let release = record.release(number) else { return missing("release \(number)") }
      return await order(.task(release, number: run, secrets: record.rollout?.goal.secrets ?? ""), attempt, host)
    case .setTable(let id, let revision):
      guard let content = record.table.content else { return missing("table \(revision)") }
      return await ports.gateways.setTable(content.content(for: id), revision: revision, service: record.service, fence: fence, gateway: id)
    case .removeTable(let id): return await ports.gateways.removeTable(service: record.service, fence: fence, gateway: id)
    case .hook(let point, let wave):
      guard let command = record.policy.hooks[point] else { return .succeeded(.nothing) }
      return await ports.hooks.run(HookCall(point, wave: wave), command: command, record: record, attempt: attempt.id)
    case .check(let name, let step):
      guard let check = record.analysis?.checks.first(where: { $0.name == name }) else { return missing("check \(name)") }
      return await ports.checks.ask(check, step: step, record: record)
    case .replicate:
      return await replicate()
        ? .succeeded(.nothing) : .failed(Failure(.host, "no gateway and no host took a copy of the record", remedy: "sluice hosts check"))
    }
  }

  private func missing(_ what: String) -> AttemptResult {
    .failed(Failure(.start, "\(what) is not in the record of \(record.service)", remedy: "sluice status \(record.service)"))
  }

  private func order(_ kind: HostOrder.Kind, _ attempt: Attempt, _ name: HostName) async -> AttemptResult {
    guard let host = fleet.host(name) else { return .unreachable("host \(name) is in no manifest") }
    let order = HostOrder(service: record.service, fence: fence, attempt: attempt.id, policy: record.policy, kind: kind)
    return await ports.hosts.perform(order, on: host)
  }

  /// True when at least one place has the copy, or there is none to ask.
  func replicate() async -> Bool {
    let gateways = record.gateways.filter { !$0.excluded && !isUnreachable($0.reach) }.map(\.id)
    if gateways.isEmpty && places.isEmpty { return true }
    let ports = ports
    let copied = record.withoutLocalPrograms { ports.trust.digest(of: $0) }
    guard let bytes = try? ports.store.encode(copied) else { return false }
    let statement = CopyStatement(fleet: fleet.name, service: record.service, revision: record.revision, record: bytes)
    // Without a key that signs there are no copies, and whoever runs this knows: that is no reason to leave a release half done.
    guard case .signed(let signature) = await ports.trust.sign(statement.message) else { return true }
    let copy = SignedCopy(statement, signature: signature)
    let service = record.service
    let fence = fence
    return await withTaskGroup(of: Bool.self) { group in
      for id in gateways { group.addTask { await ports.gateways.replicate(copy, service: service, fence: fence, to: id) } }
      for host in places { group.addTask { await ports.hosts.replicate(copy, service: service, fence: fence, to: host) } }
      return await group.reduce(false) { $0 || $1 }
    }
  }

  private func isUnreachable(_ reach: Reach) -> Bool {
    if case .unreachable = reach { return true }
    return false
  }

  /// The end of a run: the newest copy, then the fence.
  func leave() async {
    _ = await replicate()
    let ports = ports
    let service = record.service
    let fence = fence
    let hosts = fleet.hosts.filter { record.host($0.name)?.reach.isReachable ?? false }
    // Of one that was removed only the fence and the record stay there.
    let kept = record.removal == nil ? record.keptDigests : []
    await withTaskGroup(of: Void.self) { group in
      for host in hosts { group.addTask { await ports.hosts.release(service, fence: fence, keep: kept, on: host) } }
    }
  }
}
