import SluiceModel
import SluiceRollout

/// Why a fence was not taken.
package struct NotTaken: Error {
  package var outcome: FleetRunner.Outcome

  init(outcome: FleetRunner.Outcome) { self.outcome = outcome }
}

/// Performs a `FenceAcquisition`: asks all hosts and gateways at once, round by round.
struct FenceTaker: Sendable {
  struct Taken: Sendable {
    var fence: Fence
    /// The newest record that was found, here or elsewhere.
    var record: ServiceRecord
    /// What was seen on the way.
    var inputs: [Input]
  }

  let runner: FleetRunner
  let engine: Engine
  let request: FleetRunner.Request

  private struct Round: Sendable {
    var hosts: [(HostName, ClaimAnswer<HostFact>)]
    var gateways: [(GatewayID, ClaimAnswer<GatewayFact>)]
  }

  /// A claim that comes to nothing leaves no trace: whoever was there before may go on, and nobody is told of a holder that never acted.
  /// Throws what the store throws.
  func take() async throws -> Result<Taken, NotTaken> {
    var granted: [HostName: Fence] = [:]
    let result = try await take(&granted)
    if case .failure = result {
      let ports = runner.ports
      let service = request.service
      await withTaskGroup(of: Void.self) { group in
        for host in runner.fleet.hosts {
          guard let fence = granted[host.name] else { continue }
          group.addTask { await ports.hosts.withdraw(service, fence: fence, on: host) }
        }
      }
    }
    return result
  }

  private func take(_ granted: inout [HostName: Fence]) async throws -> Result<Taken, NotTaken> {
    let known = engine.record(request.service)
    var machine = FenceAcquisition(
      owner: runner.options.owner, machine: runner.options.machine, known: known?.fence?.epoch ?? 0, takeOver: runner.options.takeOver,
      isLive: runner.options.isLive)
    var step = machine.first()
    var last = Round(hosts: [], gateways: [])
    while true {
      switch step {
      case .ask(let fence):
        runner.observe(.claiming(request.service, fence))
        last = await ask(fence, known, takeOver: runner.options.takeOver || machine.overrules)
        for (host, answer) in last.hosts { if case .granted = answer { granted[host] = fence } }
        let excluded = known?.gateways.filter(\.excluded).map(\.id) ?? []
        step = machine.conclude(hosts: last.hosts, gateways: last.gateways, excluded: excluded)
      case .acquired(let fence): return try await conclude(last, fence: fence, known: known, foreignEpoch: machine.foreignEpoch)
      case .held(let holder): return .failure(NotTaken(outcome: .held(holder)))
      case .failed(let failure): return .failure(NotTaken(outcome: .failed(failure)))
      }
    }
  }

  private var policy: ServicePolicy? { request.initial ?? engine.record(request.service)?.policy }

  /// Every host that the service may use or has used.
  private func hosts(_ known: ServiceRecord?) -> [Host] {
    let labels = policy?.placement.require ?? [:]
    return runner.fleet.hosts.filter { host in
      if known?.instances.contains(where: { $0.host == host.name }) ?? false { return true }
      return host.slots > 0 && labels.allSatisfy { host.labels[$0.key] == $0.value }
    }
  }

  private func gateways(_ known: ServiceRecord?) -> [GatewayID] {
    let view = engine.view(for: request.service)
    var ids = view.processes(of: policy?.route)
    for id in (known?.gateways.map(\.id) ?? []) + view.processes(of: known?.policy.route) where !ids.contains(id) { ids.append(id) }
    return ids
  }

  private func ask(_ fence: Fence, _ known: ServiceRecord?, takeOver: Bool) async -> Round {
    let claim = FenceClaim(
      service: request.service, fence: fence, machine: runner.options.machine, since: runner.ports.time.wall(),
      takeOver: takeOver)
    let ports = runner.ports
    let range = policy?.ports ?? PortRange(from: 20_000, to: 20_999)
    let hostList = hosts(known)
    async let hostAnswers = withTaskGroup(of: (Int, HostName, ClaimAnswer<HostFact>).self) { group in
      for (order, host) in hostList.enumerated() {
        group.addTask { (order, host.name, await ports.hosts.claim(claim, on: host, ports: range)) }
      }
      return await group.reduce(into: [(Int, HostName, ClaimAnswer<HostFact>)]()) { $0.append($1) }
    }
    let ids = gateways(known)
    async let gatewayAnswers = withTaskGroup(of: (Int, GatewayID, ClaimAnswer<GatewayFact>).self) { group in
      for (order, id) in ids.enumerated() { group.addTask { (order, id, await ports.gateways.claim(claim, gateway: id)) } }
      return await group.reduce(into: [(Int, GatewayID, ClaimAnswer<GatewayFact>)]()) { $0.append($1) }
    }
    let (fromHosts, fromGateways) = await (hostAnswers, gatewayAnswers)
    return Round(
      hosts: fromHosts.sorted { $0.0 < $1.0 }.map { ($0.1, $0.2) }, gateways: fromGateways.sorted { $0.0 < $1.0 }.map { ($0.1, $0.2) })
  }

  private func conclude(_ round: Round, fence: Fence, known: ServiceRecord?, foreignEpoch: UInt64) async throws -> Result<Taken, NotTaken> {
    var standing = false
    var inputs: [Input] = []
    var copies: [CopySearch.Found] = []
    for (host, answer) in round.hosts {
      switch answer {
      case .granted(let fact, let copy):
        inputs.append(.host(fact))
        standing = standing || !fact.instances.isEmpty
        if let copy { copies.append(CopySearch.Found(place: "\(host)", copy: copy)) }
      case .unreachable(let why): inputs.append(.hostUnreachable(host, why))
      case .failed, .refused: break
      }
    }
    for (id, answer) in round.gateways {
      switch answer {
      case .granted(let fact, let copy):
        inputs.append(.gateway(fact))
        if let copy { copies.append(CopySearch.Found(place: "gateway \(id)", copy: copy)) }
      case .unreachable(let why): inputs.append(.gatewayUnreachable(id, why))
      case .failed(let failure): inputs.append(.gatewayUnreachable(id, failure.message))
      case .refused: break
      }
    }
    let trust = runner.ports.trust
    let search = CopySearch(fleet: runner.fleet.name, service: request.service, trust: trust, store: runner.ports.store)
    let found = await search.newest(of: copies, over: known?.revision)
    for event in found.events(of: request.service) { try runner.tell(event, of: request.service) }
    return judge(found, known, foreignEpoch: foreignEpoch, standing: standing).flatMap { record in
      // What runs on this machine is what this machine knows of, or was just given.
      let policies = (known?.policies ?? []) + [request.initial].compactMap(\.self)
      let whole = record.withLocalPrograms(of: policies) { trust.digest(of: $0) }
      if let verb = request.command?.verb, let unknown = whole.programNeeded(by: verb) {
        return .failure(NotTaken(outcome: .refused(unknown)))
      }
      return .success(Taken(fence: fence, record: whole, inputs: inputs))
    }
  }

  private func judge(
    _ found: CopySearch.Result, _ known: ServiceRecord?, foreignEpoch: UInt64, standing: Bool
  ) -> Result<ServiceRecord, NotTaken> {
    switch RecordChoice.choose(
      service: request.service, known: known?.revision, copies: [found.believed].compactMap(\.self), foreignEpoch: foreignEpoch,
      standing: standing, takesOver: runner.options.takeOver)
    {
    case .stale(var failure):
      if let question = found.question {
        failure.message += "; the copy at \(question.found.place) is not used: \(question.why.text)"
        failure.remedy = question.why.remedy
      }
      return .failure(NotTaken(outcome: .failed(failure)))
    case .copy(let copy): return .success(copy.record)
    case .known: if let known { return .success(known) }
    case .none: break
    }
    if let refused = found.question ?? (request.createsRecord ? nil : found.refused.first) {
      return .failure(
        NotTaken(
          outcome: .refused(
            Refusal(
              "no record of \(request.service) is known here, and the copy at \(refused.found.place) is not used: \(refused.why.text)",
              remedy: refused.why.remedy))))
    }
    guard request.createsRecord, let policy = request.initial else {
      return .failure(
        NotTaken(
          outcome: .refused(
            Refusal("\(request.service) has never been released in fleet \(runner.fleet.name)", remedy: "sluice apply -f PATH"))))
    }
    return .success(ServiceRecord(policy: policy))
  }
}
