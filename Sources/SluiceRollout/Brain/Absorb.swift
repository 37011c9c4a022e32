package import SluiceModel

/// Something that happened, to be taken into a record.
package enum Input: Hashable, Sendable {
  indirect case command(Command)
  case outcome(attempt: Int, AttemptResult)
  /// A look at a host that no attempt asked for: when a fence is taken.
  case host(HostFact)
  case hostUnreachable(HostName, String)
  /// What a gateway streams.
  case gateway(GatewayFact)
  case gatewayUnreachable(GatewayID, String)
  /// What users met, as a gateway streams it.
  case traffic(TrafficFact)
  /// A controller begins to look after the record: what was open is in doubt.
  case takenOver(Fence)
}

/// Takes one input into the record. Commands may be refused, with nothing changed; everything else is always taken, and counts once.
package func absorb(_ record: ServiceRecord, _ input: Input, view: FleetView) throws(Refusal) -> (
  record: ServiceRecord, events: [RecordEvent]
) {
  var absorber = Absorber(record: record, view: view)
  try absorber.absorb(input)
  return (absorber.record, absorber.events)
}

/// Takes several inputs in their order, as `absorb` takes each: commands are not among them, since one may be refused.
package func absorb(_ record: ServiceRecord, outcomes: [Input], view: FleetView) -> (record: ServiceRecord, events: [RecordEvent]) {
  var absorber = Absorber(record: record, view: view)
  for input in outcomes {
    if case .command = input { preconditionFailure("a command is absorbed by itself") }
    // Only commands are refused.
    try? absorber.absorb(input)
  }
  return (absorber.record, absorber.events)
}

struct Absorber {
  var record: ServiceRecord
  let view: FleetView
  var events: [RecordEvent] = []

  init(record: ServiceRecord, view: FleetView) {
    self.record = record
    self.view = view
  }

  mutating func absorb(_ input: Input) throws(Refusal) {
    if input.upsetsWaves { record.rollout?.staging = nil }
    switch input {
    case .command(let command):
      guard !record.commands.contains(command.id) else { return }
      try obey(command)
      record.commands.append(command.id)
      if record.commands.count > 64 { record.commands.removeFirst() }
    case .outcome(let id, let result):
      guard let index = record.attempts.index(of: id, by: \.id) else { return }  // Absorbed, or abandoned.
      let attempt = record.attempts.remove(at: index)
      conclude(attempt, result)
    case .host(let fact): see(fact, isNewest: true)
    case .hostUnreachable(let host, let why): changeHost(host) { $0.reach = .unreachable(why) }
    case .gateway(let fact): see(fact)
    case .gatewayUnreachable(let id, let why): changeGateway(id) { $0.reach = .unreachable(why) }
    case .traffic(let fact): take(fact)
    case .takenOver(let fence): takeOver(fence)
    }
  }

  // MARK: Outcomes

  private mutating func conclude(_ attempt: Attempt, _ result: AttemptResult) {
    switch result {
    case .succeeded(let seen):
      record.backoffs.removeAny { $0.object == attempt.action.object }
      if let host = attempt.action.host { reached(host) }
      succeed(attempt, seen)
    case .failed(let failure):
      if let host = attempt.action.host { reached(host) }
      fail(attempt, failure)
    case .unreachable(let why):
      let tries = backOff(attempt.action.object)
      // Connecting has been tried for seconds by then. One try more, so that a host that only drops one connection is not declared lost.
      if let host = attempt.action.host, tries >= 2 {
        changeHost(host) { $0.reach = .unreachable(why) }
        record.backoffs.removeAny { $0.object == attempt.action.object }
      }
      gatewayUnreachable(attempt, why)
    case .inDoubt(let why):
      backOff(attempt.action.object)
      if let host = attempt.action.host {
        changeHost(host) { $0.needsLook = true }
        // A connection that was lost counts as the first try of the look that follows.
        if attempt.action.object != .host(host) { backOff(.host(host)) }
      }
      gatewayUnreachable(attempt, why)
      mayHaveTable(attempt)
      note(.warning, "in-doubt", "\(describe(attempt.action)) is in doubt: \(why)", attempt)
    // Hooks are run again when interrupted (`onInterrupted: rerun`); everything else is looked at first.
    }
  }

  /// A gateway that was being given its first table may have it: it is not forgotten.
  mutating func mayHaveTable(_ attempt: Attempt) {
    guard case .setTable(let id, _) = attempt.action else { return }
    changeGateway(id) { $0.revision = $0.revision ?? .unknown }
  }

  private mutating func gatewayUnreachable(_ attempt: Attempt, _ why: String) {
    switch attempt.action {
    case .setTable(let id, _), .removeTable(let id): changeGateway(id) { $0.reach = .unreachable(why) }
    default: break
    }
  }

  private mutating func succeed(_ attempt: Attempt, _ seen: AttemptResult.Seen) {
    switch seen {
    case .host(let generation), .stopped(let generation, _):
      if let host = attempt.action.host { changeHost(host) { $0.generation = max($0.generation, generation) } }
    case .facts(let fact): see(fact)
    case .gateway(let fact): see(fact)
    case .nothing: break
    }
    switch attempt.action {
    case .observe(let host): changeHost(host) { $0.needsLook = false }
    case .stage(let host, let release):
      guard let digest = record.release(release)?.digest else { return }
      changeHost(host) { if !$0.releases.contains(digest) { $0.releases.append(digest) } }
      note(.info, "staged", "release \(release) is on \(host)", attempt)
      record.rollout?.progressAt = record.activeTime
    case .start(_, let number):
      move(number, from: [.starting], to: .checking)
      note(.info, "instance-started", "\(record.service)/\(number) runs", attempt)
      record.rollout?.progressAt = record.activeTime
    case .checkReady(_, let number):
      let routed = !view.processes(of: record.policy.route).isEmpty
      move(number, from: [.checking], to: routed ? .warming(acknowledged: nil) : .serving)
      if !routed, let index = record.instances.firstIndex(where: { $0.number == number }) {
        record.instances[index].healthySince = record.activeTime
      }
      note(.info, "instance-ready", "\(record.service)/\(number) is ready on its host", attempt)
      record.rollout?.progressAt = record.activeTime
    case .stop(_, let number):
      move(number, from: [.stopping], to: .retired)
      if case .stopped(_, killed: true) = seen {
        note(.warning, "instance-killed", "\(record.service)/\(number) did not end within killAfter and was killed", attempt)
      } else {
        note(.info, "instance-stopped", "\(record.service)/\(number) has stopped", attempt)
      }
      record.rollout?.progressAt = record.activeTime
    case .setTable(let id, let revision):
      changeGateway(id) {
        ($0.reach, $0.heard, $0.refusal) = (.reachable, true, nil)
        if $0.revision ?? revision <= revision { $0.revision = revision }
      }
    case .removeTable(let id):
      changeGateway(id) {
        $0.reach = .reachable
        $0.revision = nil
        $0.targets = []
      }
    case .hook(let point, let wave): hookEnded(HookCall(point, wave: wave))
    case .task(_, let release, let number): taskEnded(release, number: number)
    case .check(let name, let step): checked(name, step: step, failure: nil)
    case .replicate: recorded()
    }
  }

  /// Others know what was decided: it is acted upon.
  private mutating func recorded() {
    if record.rollout?.wave?.stage == .recording { return enterWave() }
    if record.dueTask?.run?.stage == .recording { return beginTask() }
    if record.rollout?.step?.stage == .recording { record.rollout?.step?.stage = .holding }
  }

  private mutating func hookEnded(_ call: HookCall) {
    guard record.rollout?.hooks.first == call else { return }
    record.rollout?.hooks.removeFirst()
    record.rollout?.progressAt = record.activeTime
  }

  private mutating func enterWave() {
    guard let wave = record.rollout?.wave else { return }
    if record.policy.hooks[.preWave] != nil { record.rollout?.hooks.append(HookCall(.preWave, wave: wave.number)) }
    record.rollout?.wave?.stage = .preWave
  }

  private mutating func fail(_ attempt: Attempt, _ failure: Failure) {
    switch attempt.action {
    case .start(let host, let number), .checkReady(let host, let number):
      guard let index = record.instances.firstIndex(where: { $0.number == number }) else { return }
      // A condemned one is on its way out already: its failure tells nothing new.
      guard record.instances[index].condemned == nil else {
        if record.instances[index].phase == .starting { record.instances[index].phase = .checking }
        return
      }
      if failure.kind == .cancelled { return }
      if case .starting = record.instances[index].phase { record.instances[index].phase = .checking }
      record.instances[index].condemned = .failed
      if failure.kind == .portTaken, triesAnotherPort(than: record.instances[index].port, on: host) {
        return note(.warning, "port-taken", "\(record.service)/\(number) on \(host): \(failure.message); another port is tried", attempt)
      }
      // Somebody has drained it since it was chosen: that speaks against nobody, and another host is.
      if failure.kind == .drained, view.cordons.contains(host) {
        return note(.warning, "host-drained", "\(record.service)/\(number) is not started on \(failure.message(on: host))", attempt)
      }
      if failure.kind == .slotsTaken, triesAnotherHost(than: host) {
        return note(.warning, "slots-taken", "\(record.service)/\(number) on \(failure.message(on: host)); another host is tried", attempt)
      }
      note(.failure, "instance-failed", "\(record.service)/\(number) on \(failure.message(on: host))", attempt)
      if record.isLeftover(number) { return }
      count(CountedFailure(record.instances[index], failure, of: record.rollout))
    case .stage(let host, _):
      note(.failure, "staging-failed", failure.message(on: host), attempt)
      if failure.kind != .cancelled { count(CountedFailure(instance: nil, host: host, failure: failure, condemnsRelease: false)) }
      backOff(attempt.action.object)
    case .stop:
      backOff(attempt.action.object)
      note(.failure, "stop-failed", failure.message, attempt)
      if let tries = record.backoffs.first(where: { $0.object == attempt.action.object })?.tries, tries >= 5 {
        record.rollout?.stoppedBy = failure
      }
    case .setTable(let id, let revision): refused(revision, by: id, failure, attempt)
    case .removeTable:
      backOff(attempt.action.object)
      note(.failure, "table-refused", failure.message, attempt)
    case .hook(let point, let wave):
      note(.failure, "hook-failed", "\(point.rawValue): \(failure.message)", attempt)
      hookEnded(HookCall(point, wave: wave))
      if HookCall(point, wave: wave).decides {
        count(CountedFailure(instance: nil, host: nil, failure: failure, condemnsRelease: false), always: true)
      }
    case .task(let host, let release, let number): taskFailed(release, number: number, on: host, failure)
    case .check(let name, let step): checked(name, step: step, failure: failure)
    case .observe: backOff(attempt.action.object)
    case .replicate:
      // One copy less is no reason to leave a service half-way; nor is it kept quiet.
      let tries = backOff(attempt.action.object)
      note(.warning, "not-replicated", failure.message, attempt)
      if tries >= 3 { recorded() }
    }
  }

  /// A gateway that does not take a table goes on with the one it has: that fails nothing and turns nothing round, and becomes a gate.
  private mutating func refused(_ revision: Revision, by id: GatewayID, _ failure: Failure, _ attempt: Attempt) {
    let former = record.gateway(id)?.refusal
    let isKnown = former.map { $0.failure.message == failure.message } ?? false
    let tries = (isKnown ? former?.tries ?? 0 : 0) + 1
    changeGateway(id) {
      $0.reach = .reachable
      $0.refusal = TableRefusal(revision: revision, tries: tries, failure: failure)
    }
    backOff(attempt.action.object)
    if tries <= TableRefusal.patience {
      note(.failure, "table-refused", failure.message, attempt)
    } else if let index = record.backoffs.firstIndex(where: { $0.object == attempt.action.object }) {
      // It may be upgraded meanwhile, and nothing is told anew.
      record.backoffs[index].notBefore = record.activeTime + .seconds(30)
    }
  }

  /// A port that something else has taken speaks against nobody, as long as there are others to try.
  private mutating func triesAnotherPort(than port: Int, on host: HostName) -> Bool {
    changeHost(host) { if !$0.listening.contains(port) { $0.listening.append(port) } }
    guard let tries = record.rollout?.portsTaken, tries < 5 else { return false }
    let ports = record.policy.ports
    let taken = record.host(host)?.listening ?? []
    guard ports.from < ports.to, (ports.from...ports.to).contains(where: { !taken.contains($0) }) else { return false }
    record.rollout?.portsTaken = tries + 1
    return true
  }

  /// Who has the slots is not known here: as many as are free for all that is known are taken, and the host is looked at again.
  private mutating func triesAnotherHost(than host: HostName) -> Bool {
    guard let index = view.map.index(of: host) else { return false }
    let own = record.instances.count { $0.host == host && $0.isExisting }
    let known = own + view.occupancy.count(ofOthersThan: record.service, on: index)
    let strangers = max(view.map.slots[index] - known, 0)
    changeHost(host) {
      $0.strangers = max($0.strangers ?? 0, strangers)
      $0.needsLook = true
    }
    guard let tries = record.rollout?.portsTaken, tries < 5 else { return false }
    record.rollout?.portsTaken = tries + 1
    return true
  }

  /// Counts by the same rule as `decide` does; `always` fails whatever the budget.
  mutating func count(_ failure: CountedFailure, always: Bool = false) {
    var decider = Decider(record: record, view: view, wall: WallTime(milliseconds: 0))
    if always { decider.turnRound(failure.failure, condemnsRelease: failure.condemnsRelease) } else { decider.count(failure) }
    record = decider.record
    events += decider.events
  }

  @discardableResult
  private mutating func backOff(_ object: AttemptObject) -> Int {
    let tries = (record.backoffs.first { $0.object == object }?.tries ?? 0) + 1
    record.backoffs.removeAny { $0.object == object }
    let wait = Milliseconds(min(500 << Int64(min(tries, 5) - 1), 5000))
    record.backoffs.append(Backoff(object: object, tries: tries, notBefore: record.activeTime + wait))
    return tries
  }

  private mutating func move(_ number: Int, from: [InstancePhase], to: InstancePhase) {
    guard let index = record.instances.index(of: number, by: \.number), from.contains(record.instances[index].phase) else {
      return
    }
    record.instances[index].phase = to
  }

  // MARK: Helpers

  private mutating func reached(_ host: HostName) {
    // Seldom news: a record's hosts are many, and a write would copy them.
    if record.hosts.index(of: host, by: \.name).map({ record.hosts[$0].reach.isReachable }) ?? false { return }
    changeHost(host) { $0.reach = .reachable }
  }

  mutating func changeHost(_ name: HostName, _ body: (inout HostState) -> Void) {
    let index = record.hosts.partitioningIndex { $0.name >= name }
    if index == record.hosts.count || record.hosts[index].name != name { record.hosts.insert(HostState(name: name), at: index) }
    body(&record.hosts[index])
  }

  mutating func changeGateway(_ id: GatewayID, _ body: (inout GatewayState) -> Void) {
    if let index = record.gateways.firstIndex(where: { $0.id == id }) {
      body(&record.gateways[index])
    } else {
      var state = GatewayState(id: id)
      body(&state)
      record.gateways.append(state)
      record.gateways.sort { $0.id < $1.id }
    }
  }

  mutating func note(_ level: RecordEvent.Level, _ kind: String, _ text: String, _ attempt: Attempt? = nil) {
    var number: Int?
    if case .instance(let instance)? = attempt?.action.object { number = instance }
    events.append(RecordEvent(level, kind, text, instance: number, host: attempt?.action.host))
  }

  func describe(_ action: Action) -> String { action.description(service: record.service) }
}

extension Input {
  /// Whether other waves than those foreseen may follow from it.
  fileprivate var upsetsWaves: Bool {
    switch self {
    case .outcome(_, .succeeded(.facts)), .outcome(_, .failed), .outcome(_, .unreachable), .outcome(_, .inDoubt): true
    case .command, .host, .hostUnreachable, .takenOver: true
    case .outcome(_, .succeeded), .gateway, .gatewayUnreachable, .traffic: false
    }
  }
}

extension Failure {
  /// `a1: what happened`, whether or not the message names its host already.
  fileprivate func message(on host: HostName) -> String { message.hasPrefix("\(host): ") ? message : "\(host): \(message)" }
}

extension Action {
  /// Whether it changes nothing where it is sent.
  package var looksOnly: Bool { if case .observe = self { true } else { false } }

  /// A word for counts.
  package var kind: String {
    switch self {
    case .observe: "look"
    case .stage: "stage"
    case .start: "start"
    case .checkReady: "check"
    case .stop: "stop"
    case .setTable: "table"
    case .hook: "hook"
    case .task: "task"
    case .check: "analysis check"
    case .removeTable: "remove table"
    case .replicate: "replicate"
    }
  }

  /// What is being done, for people: `start shop/3 on a1`.
  package func description(service: ServiceName) -> String {
    switch self {
    case .observe(let host): "look at \(host)"
    case .stage(let host, let release): "bring release \(release) to \(host)"
    case .start(let host, let instance): "start \(service)/\(instance) on \(host)"
    case .checkReady(let host, let instance): "check \(service)/\(instance) on \(host)"
    case .stop(let host, let instance): "stop \(service)/\(instance) on \(host)"
    case .setTable(let gateway, let revision): "give gateway \(gateway) table \(revision)"
    case .removeTable(let gateway): "remove \(service) from gateway \(gateway)"
    case .hook(let point, let wave): "run hook \(point.rawValue)\(wave.map { " of wave \($0)" } ?? "")"
    case .task(let host, let release, _): "run the task of release \(release) on \(host)"
    case .check(let name, _): "ask check \(name)"
    case .replicate: "replicate the record"
    }
  }
}
