import SluiceModel
import SluiceRollout

/// Why a fence was not taken.
package struct NotTaken: Error {
  package var outcome: FleetRunner.Outcome

  init(outcome: FleetRunner.Outcome) { self.outcome = outcome }
}

/// Performs a `FenceAcquisition`: asks all hosts at once, then all gateways, round by round.
struct FenceTaker: Sendable {
  struct Taken: Sendable {
    var fence: Fence
    /// The newest record that was found, here or elsewhere.
    var record: ServiceRecord
    /// What was seen on the way.
    var inputs: [Input]
    /// Hosts and gateways that were reached and took no part.
    var passedOver: [Failure]
    /// Hosts that answered nothing.
    var silent: [HostName]
  }

  let runner: FleetRunner
  let engine: Engine
  let request: FleetRunner.Request
  /// Hosts that answered nothing when they were asked about another service just now: nobody waits for them once more.
  var silent: [HostName] = []

  private struct Round: Sendable {
    var hosts: [(HostName, ClaimAnswer<HostFact>)] = []
    var gateways: [(GatewayID, ClaimAnswer<GatewayFact>)] = []
  }

  /// Where the fence was granted, and which.
  private struct Granted {
    var hosts: [HostName: Fence] = [:]
    var gateways: [GatewayID: Fence] = [:]
  }

  /// A claim that comes to nothing leaves no trace: whoever was there before may go on, and nobody is told of a holder that never acted.
  /// Throws what the store throws.
  func take() async throws -> Result<Taken, NotTaken> {
    var granted = Granted()
    let result = try await take(&granted)
    if case .failure = result { await withdraw(granted) }
    return result
  }

  private func withdraw(_ granted: Granted) async {
    let ports = runner.ports
    let service = request.service
    await withTaskGroup(of: Void.self) { group in
      for host in runner.fleet.hosts {
        guard let fence = granted.hosts[host.name] else { continue }
        group.addTask { await ports.hosts.withdraw(service, fence: fence, on: host) }
      }
      for (id, fence) in granted.gateways.sorted(by: { $0.key < $1.key }) {
        group.addTask { await ports.gateways.withdraw(service, fence: fence, gateway: id) }
      }
    }
  }

  private func take(_ granted: inout Granted) async throws -> Result<Taken, NotTaken> {
    let known = engine.record(request.service)
    var machine = FenceAcquisition(
      owner: runner.options.owner, machine: runner.options.machine, known: known?.fence?.epoch ?? 0, takeOver: runner.options.takeOver,
      isLive: runner.options.isLive)
    var step = machine.first()
    var last = Round()
    while true {
      switch step {
      case .askHosts(let fence, let overruling):
        runner.observe(.claiming(request.service, fence))
        last = Round(hosts: await ask(fence, known, overruling: overruling))
        for (host, answer) in last.hosts { if case .granted = answer { granted.hosts[host] = fence } }
        step = machine.conclude(hosts: last.hosts)
      case .askGateways(let fence):
        last.gateways = await ask(gateways: gateways(known, last.hosts), fence)
        for (id, answer) in last.gateways { if case .granted = answer { granted.gateways[id] = fence } }
        step = machine.conclude(gateways: last.gateways, excluded: known?.gateways.filter(\.excluded).map(\.id) ?? [])
      case .acquired(let fence): return try await conclude(last, machine, fence: fence, known: known)
      case .held(let holder): return .failure(NotTaken(outcome: .held(holder)))
      case .failed(let failure): return .failure(NotTaken(outcome: .failed(failure)))
      }
    }
  }

  private var policy: ServicePolicy? { request.initial ?? engine.record(request.service)?.policy }

  /// Those of its route, and those that the record knows. Where the record is lost and instances run, any may have its table, and a copy.
  private func gateways(_ known: ServiceRecord?, _ hosts: [(HostName, ClaimAnswer<HostFact>)]) -> [GatewayID] {
    let view = engine.view(for: request.service)
    let runs = hosts.contains { if case .granted(let fact, _) = $0.1 { !fact.instances.isEmpty } else { false } }
    if known == nil, runs { return view.gateways.flatMap(\.processes) }
    var ids = view.processes(of: policy?.route)
    for id in (known?.gateways.map(\.id) ?? []) + view.processes(of: known?.policy.route) where !ids.contains(id) { ids.append(id) }
    return ids
  }

  private func claim(_ fence: Fence, takeOver: Bool) -> FenceClaim {
    FenceClaim(
      service: request.service, fence: fence, machine: runner.options.machine, since: runner.ports.time.wall(), takeOver: takeOver)
  }

  /// Asks all at once. When a majority has granted the fence, the others are waited for as long again, and `claimPatience` at least: one that
  /// hangs then counts as unreachable.
  private func ask(_ fence: Fence, _ known: ServiceRecord?, overruling: [HostName]) async -> [(HostName, ClaimAnswer<HostFact>)] {
    let ports = runner.ports
    let range = policy?.ports ?? PortRange(from: 20_000, to: 20_999)
    let hosts = runner.fleet.voters(on: known, policy: policy)
    if hosts.isEmpty { return [] }
    let (answers, send) = AsyncStream.makeStream(of: (place: Int, answer: ClaimAnswer<HostFact>)?.self)
    let tasks = hosts.enumerated().map { place, host in
      let claim = claim(fence, takeOver: runner.options.takeOver || overruling.contains(host.name))
      return Task { send.yield((place, await ports.hosts.claim(claim, on: host, ports: range))) }
    }
    var found = [ClaimAnswer<HostFact>?](repeating: nil, count: hosts.count)
    var granted = 0
    var timer: Task<Void, Never>?
    let begun = ports.time.monotonic()
    // `nil` is the end of patience.
    for await arrived in answers {
      guard let arrived else { break }
      found[arrived.place] = arrived.answer
      if case .granted = arrived.answer { granted += 1 }
      let hasMajority = granted * 2 > hosts.count
      if hosts.indices.allSatisfy({ found[$0] != nil || hasMajority && silent.contains(hosts[$0].name) }) { break }
      if timer == nil, hasMajority {
        let patience = max(runner.options.claimPatience, ports.time.monotonic() - begun)
        timer = Task {
          do { try await ports.time.sleep(for: patience) } catch { return }
          send.yield(nil)
        }
      }
    }
    timer?.cancel()
    for task in tasks { task.cancel() }
    return hosts.indices.map { (hosts[$0].name, found[$0] ?? .unreachable("it accepts a connection and does not answer")) }
  }

  private func ask(gateways ids: [GatewayID], _ fence: Fence) async -> [(GatewayID, ClaimAnswer<GatewayFact>)] {
    let ports = runner.ports
    let claim = claim(fence, takeOver: runner.options.takeOver)
    return await withTaskGroup(of: (Int, GatewayID, ClaimAnswer<GatewayFact>).self) { group in
      for (order, id) in ids.enumerated() { group.addTask { (order, id, await ports.gateways.claim(claim, gateway: id)) } }
      return await group.reduce(into: [(Int, GatewayID, ClaimAnswer<GatewayFact>)]()) { $0.append($1) }
    }.sorted { $0.0 < $1.0 }.map { ($0.1, $0.2) }
  }

  private func conclude(
    _ round: Round, _ machine: FenceAcquisition, fence: Fence, known: ServiceRecord?
  ) async throws -> Result<Taken, NotTaken> {
    var standing = false
    var inputs: [Input] = []
    var silent: [HostName] = []
    var copies: [CopySearch.Found] = []
    let passedOver = machine.passedOverHosts.map(\.failure) + machine.passedOverGateways.map(\.failure)
    for (host, answer) in round.hosts {
      switch answer {
      case .granted(let fact, let copy):
        inputs.append(.host(fact))
        standing = standing || !fact.instances.isEmpty
        if let copy { copies.append(CopySearch.Found(place: "\(host)", copy: copy)) }
      case .unreachable(let why):
        inputs.append(.hostUnreachable(host, why))
        silent.append(host)
      case .failed, .refused: break
      }
    }
    for (id, answer) in round.gateways {
      switch answer {
      case .granted(let fact, let copy):
        inputs.append(.gateway(fact))
        if let copy { copies.append(CopySearch.Found(place: "gateway \(id)", copy: copy)) }
      case .unreachable(let why): inputs.append(.gatewayUnreachable(id, why))
      // Those that count are among the machine's.
      case .failed(let failure) where !machine.passedOverGateways.contains { $0.place == id }:
        inputs.append(.gatewayUnreachable(id, failure.message))
      case .failed, .refused: break
      }
    }
    inputs += machine.inputs
    let trust = runner.ports.trust
    let search = CopySearch(fleet: runner.fleet.name, service: request.service, trust: trust, store: runner.ports.store)
    let found = await search.newest(of: copies, over: known?.revision)
    for event in found.events(of: request.service) { try runner.tell(event, of: request.service) }
    return judge(found, known, fence, foreignEpoch: machine.foreignEpoch, standing: standing).flatMap { record in
      // What runs on this machine is what this machine knows of, or was just given.
      let policies = (known?.policies ?? []) + [request.initial].compactMap(\.self)
      let whole = record.withLocalPrograms(of: policies) { trust.digest(of: $0) }
      if let verb = request.command?.verb, let unknown = whole.programNeeded(by: verb) {
        return .failure(NotTaken(outcome: .refused(unknown)))
      }
      return .success(Taken(fence: fence, record: whole, inputs: inputs, passedOver: passedOver, silent: silent))
    }
  }

  private func judge(
    _ found: CopySearch.Result, _ known: ServiceRecord?, _ fence: Fence, foreignEpoch: UInt64, standing: Bool
  ) -> Result<ServiceRecord, NotTaken> {
    switch RecordChoice.choose(
      service: request.service, known: known?.revision, copies: [found.believed].compactMap(\.self), foreignEpoch: foreignEpoch,
      standing: standing, takesOver: runner.options.takeOver)
    {
    case .stale(var failure):
      if let question = found.question {
        // Nobody holds it: whom to believe is for whoever has typed this.
        failure.kind = .host
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
    return .success(ServiceRecord(policy: policy, begunUnder: fence.epoch))
  }
}
