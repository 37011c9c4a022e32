import ArgumentParser
import SluiceEngine
import SluiceGatewayControl
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice drain HOST|RACK|INSTANCE`
struct Drain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Take a host, a rack or one instance out: replacements first where slots allow, then what is there is drained and stopped.")

  @Argument(help: "A host, a rack, or one instance: shop/3.")
  var place: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions
  @Flag(help: "Go below the serving floor where there is no other way; this is recorded.")
  var overrideFloor = false

  func validate() throws {
    if overrideFloor, InstanceID(place) != nil { throw ValidationError("--override-floor is for hosts and racks") }
  }

  func run() async throws {
    if let instance = InstanceID(place) {
      // An instance keeps no place empty: the one that takes over its work is its end.
      let action = ServiceAction(service: instance.service, common: common, change: change, words: "drain \(place)")
      return try await action.run(.restart(instance: instance.number), question: "Drain \(place), once another has taken its place?")
    }
    if place.contains("/") {
      let console = Console()
      try KnownNames(Workspace.load(common, console)).require(service: place, console)
    }
    try await Cordoning(place: place, common: common, change: change).run(drains: true, overridesFloor: overrideFloor)
  }
}

/// `sluice undrain HOST|RACK`
struct Undrain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Let a drained host or rack have instances again.")

  @Argument(help: "A host or a rack.")
  var place: String
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    try await Cordoning(place: place, common: common, change: change).run(drains: false, overridesFloor: false)
  }
}

/// Sets or lifts the cordon of some hosts, and lets every service settle around it.
private struct Cordoning {
  let place: String
  let common: CommonOptions
  let change: ChangeOptions

  func run(drains: Bool, overridesFloor: Bool) async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let named = try hosts(workspace, console)
    try change.confirm("\(drains ? "Drain" : "Undrain") \(named.map(\.rawValue).joined(separator: ", "))?", console)
    let words = "\(drains ? "drain" : "undrain") \(place)"
    try await FleetSession.with(workspace, change, command: words, services: [], console: console) { session in
      let stored = try session.store.load(workspace.fleet.name)
      let cordons = cordons(stored.cordons, drains, named)
      let command = session.command(settle(drains, overridesFloor))
      let released = stored.records.filter { $0.stable?.release != nil || $0.rollout != nil }
      // What other processes of this machine act on is theirs to settle.
      let mine = try released.filter { try session.takeQuietly($0.service) }
      let others = released.filter { !session.holds($0.service) }
      let unfinished = mine.filter { $0.rollout != nil }
      let records = mine.filter { $0.rollout == nil }.sorted { ($0.policy.tier, $0.service) < ($1.policy.tier, $1.service) }
      if drains, !overridesFloor {
        // One after another, each on what the last would leave: they share the slots.
        var standing = stored.records
        for record in records { standing = try rehearse(record, standing, cordons, workspace, command) }
      }
      try session.store.changeCordons(fleet: workspace.fleet.name) { self.cordons($0, drains, named) }
      try await setDraining(drains, workspace, named, session)
      var ended: ExitCode? = try await handOver(others, drains, overridesFloor, workspace, console) ? nil : ExitStatus.waiting
      let requests = records.map { FleetRunner.Request(service: $0.service, initial: nil, command: command) }
      if !requests.isEmpty {
        do { try await session.perform(requests, askedToGoBack: false) } catch let code as ExitCode { ended = code }
      }
      try tell(drains, named, session)
      for record in unfinished {
        leftAsItStands(record.service, drains, console)
        ended = ended ?? ExitStatus.waiting
      }
      if let ended { throw ended }
    }
  }

  /// Services that processes of this machine drive: those in the middle of rollouts plan around the place from their next wave on. True when
  /// there is none, so that nothing is left to be waited for.
  private func handOver(
    _ records: [ServiceRecord], _ drains: Bool, _ overridesFloor: Bool, _ workspace: Workspace, _ console: Console
  ) async throws -> Bool {
    for record in records {
      let service = record.service
      var answer = Handover.Answer.withdrawn
      var description = "the process that acts on it"
      if let handover = try Handover(workspace, service), let command = try handover.leave(settle(drains, overridesFloor)) {
        description = handover.description
        answer = try await handover.answer(to: command)
      }
      if case .taken = answer {
        console.say(
          "\(service): handed to \(description): its rollout plans \(drains ? "around" : "with") \(place) from its next wave on")
      } else {
        leftAsItStands(service, drains, console)
      }
    }
    if records.isEmpty { return true }
    console.say("next: when that has ended (sluice status --watch), sluice \(drains ? "drain" : "undrain") \(place) settles what is left")
    return false
  }

  private func settle(_ drains: Bool, _ overridesFloor: Bool) -> Command.Verb {
    .settle(cause: drains ? "drain" : "undrain", overrideFloor: overridesFloor)
  }

  private func cordons(_ standing: [HostName], _ drains: Bool, _ named: [HostName]) -> [HostName] {
    drains ? standing + named.filter { !standing.contains($0) } : standing.filter { !named.contains($0) }
  }

  private func leftAsItStands(_ service: ServiceName, _ drains: Bool, _ console: Console) {
    console.complain(
      "the rollout of \(service) is unfinished: it was left as it stands",
      remedy: "sluice rollout resume \(service), or sluice rollout abort \(service): both \(drains ? "leave" : "may use") \(place)")
  }

  /// A gateway on a drained host is drained too, for what stands in front of it.
  private func setDraining(_ drains: Bool, _ workspace: Workspace, _ named: [HostName], _ session: FleetSession) async throws {
    for gateway in workspace.gateways.flatMap(\.processes) where named.contains(gateway.host) {
      do { try await session.gateways.setDraining(drains, gateway: gateway) } catch {
        throw Refusal("gateway \(gateway): \(error)", remedy: "sluice gateway status \(gateway.host)")
      }
    }
  }

  /// What has become of the hosts: what is still on them is named.
  private func tell(_ drains: Bool, _ named: [HostName], _ session: FleetSession) throws {
    let names = named.map(\.rawValue).joined(separator: ", ")
    let verb = named.count == 1 ? "is" : "are"
    guard drains else { return session.console.say("\(names) may have instances again") }
    let there = try session.store.load(session.workspace.fleet.name).records.flatMap { record in
      record.instances.filter { named.contains($0.host) }.map {
        (name: "\(record.service)/\($0.number) on \($0.host)", isLost: $0.phase == .lost)
      }
    }
    // What a dead host had is lost with it: there is nothing to wait for, and nothing to try again.
    let lost = there.filter(\.isLost).map(\.name)
    let left = there.filter { !$0.isLost }.map(\.name)
    let gets = verb == "is" ? "gets" : "get"
    let without = lost.isEmpty ? "" : " (lost with it, and stopped should it come back: \(lost.joined(separator: ", ")))"
    session.console.say(
      left.isEmpty
        ? "\(names) \(verb) drained and \(gets) nothing new\(without): sluice undrain \(place) lifts that"
        : "\(names) \(gets) nothing new, and \(left.joined(separator: ", ")) is still there: sluice drain \(place) tries again")
  }

  private func hosts(_ workspace: Workspace, _ console: Console) throws -> [HostName] {
    if let host = workspace.fleet.host(HostName(place)) { return [host.name] }
    if let rack = workspace.fleet.racks.first(where: { $0.name.rawValue == place }) { return rack.hosts.map(\.name) }
    console.complain("\(place) is neither a host nor a rack of fleet \(workspace.fleet.name)", remedy: "sluice hosts list shows them")
    throw ExitStatus.usage
  }

  /// Refuses before anything is touched when the floor would not hold; the records as they would stand afterwards.
  private func rehearse(
    _ record: ServiceRecord, _ standing: [ServiceRecord], _ cordons: [HostName], _ workspace: Workspace, _ command: Command
  ) throws -> [ServiceRecord] {
    let engine = Engine(fleet: workspace.fleet, gateways: workspace.gateways, records: standing, cordons: cordons)
    var rehearsal = Rehearsal(engine: engine, service: record.service)
    let plan = try rehearsal.run(command)
    // A dead host's instances stay lost until it is seen again: what can be moved has been moved, and the floor is kept.
    let after = rehearsal.records.first { $0.service == record.service }
    let stays = after?.instances.contains { cordons.contains($0.host) && $0.phase != .lost } ?? false
    guard let obstacle = plan.obstacle, stays || after?.rollout != nil else { return rehearsal.records }
    throw Refusal(
      "draining \(place) would break \(record.service): \(obstacle.message)",
      remedy: "\(obstacle.remedy.isEmpty ? "add slots or hosts" : obstacle.remedy); or say --override-floor, which is recorded")
  }
}
