import ArgumentParser
import SluiceEngine
import SluiceGatewayControl
import SluiceHosts
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
  /// What one host says to a word, or why it says nothing.
  private struct Answer: Sendable {
    let host: HostName
    let standing: Cordon?
    let trouble: String?
  }

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
      try session.store.hear(await CordonSurvey.ask(session.hosts, workspace.fleet), fleet: workspace.fleet.name)
      let stored = try session.store.load(workspace.fleet.name)
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
        for record in records { standing = try rehearse(record, standing, stored.cordons, named, workspace, command) }
      }
      let said = named.map { Cordon($0, isDrained: drains, by: command.by, at: command.at, after: stored.cordons.word(on: $0)) }
      let untold = try await say(said, session)
      var ended: ExitCode? = await setDraining(drains, workspace, named, untold, session) ? nil : ExitStatus.failed
      if !(try await handOver(others, drains, overridesFloor, workspace, console)) { ended = ended ?? ExitStatus.waiting }
      let requests = records.map { FleetRunner.Request(service: $0.service, initial: nil, command: command) }
      if !requests.isEmpty {
        do { try await session.perform(requests, askedToGoBack: false, tellsDrained: false) } catch let code as ExitCode {
          ended = ended ?? code
        }
      }
      try tell(drains, named, untold, session)
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

  /// Keeps the words here, and leaves each on its host, for everybody to see: at those that come back it could not be left, and why.
  private func say(_ words: [Cordon], _ session: FleetSession) async throws -> [HostName: String] {
    let fleet = session.workspace.fleet
    try session.store.hear(words, fleet: fleet.name)
    let hosts = session.hosts
    // No pair with a result: what a group gives as one came out wrong in optimised code (Swift 6.3).
    let answers = await withTaskGroup(of: Answer.self) { group in
      for word in words {
        guard let host = fleet.host(word.host) else { continue }
        group.addTask {
          do { return Answer(host: host.name, standing: try await hosts.say(word, on: host), trouble: nil) } catch {
            return Answer(host: host.name, standing: nil, trouble: FleetHosts.words(error))
          }
        }
      }
      var answers: [Answer] = []
      for await answer in group { answers.append(answer) }
      return answers
    }
    try session.store.hear(answers.compactMap(\.standing), fleet: fleet.name)
    var untold: [HostName: String] = [:]
    for answer in answers { if let trouble = answer.trouble { untold[answer.host] = trouble } }
    return untold
  }

  private func leftAsItStands(_ service: ServiceName, _ drains: Bool, _ console: Console) {
    console.complain(
      "the rollout of \(service) is unfinished: it was left as it stands",
      remedy: "sluice rollout resume \(service), or sluice rollout abort \(service): both \(drains ? "leave" : "may use") \(place)")
  }

  /// A gateway on a drained host is drained too, for what stands in front of it.
  ///
  /// One that cannot be told keeps nothing else from going on: false, unless its host is away, when it takes no requests.
  private func setDraining(
    _ drains: Bool, _ workspace: Workspace, _ named: [HostName], _ untold: [HostName: String], _ session: FleetSession
  ) async -> Bool {
    let verb = drains ? "drain" : "undrain"
    var isDone = true
    for gateway in workspace.gateways.flatMap(\.processes) where named.contains(gateway.host) {
      do { try await session.gateways.setDraining(drains, gateway: gateway) } catch {
        isDone = isDone && untold[gateway.host] != nil
        session.console.complain(
          "gateway \(gateway) could not be \(verb)ed: \(error)",
          remedy: "sluice gateway status \(gateway.host); once it answers, sluice gateway \(verb) \(gateway.host)")
      }
    }
    return isDone
  }

  /// What has become of the hosts: what is still on them is named.
  private func tell(_ drains: Bool, _ named: [HostName], _ untold: [HostName: String], _ session: FleetSession) throws {
    for host in named {
      guard let why = untold[host] else { continue }
      session.console.say(
        "\(host) could not be told that it is \(drains ? "drained" : "undrained") (\(why)): this machine keeps to it, and tells it when it answers again; until then other machines do not know"
      )
    }
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
    _ record: ServiceRecord, _ standing: [ServiceRecord], _ known: Cordons, _ named: [HostName], _ workspace: Workspace,
    _ command: Command
  ) throws -> [ServiceRecord] {
    var cordons = known
    for host in named { cordons.hear(Cordon(host, isDrained: true, by: command.by, at: command.at, after: known.word(on: host))) }
    let engine = Engine(fleet: workspace.fleet, gateways: workspace.gateways, records: standing, cordons: cordons)
    var rehearsal = Rehearsal(engine: engine, service: record.service)
    let plan = try rehearsal.run(command)
    // A dead host's instances stay lost until it is seen again: what can be moved has been moved, and the floor is kept.
    let after = rehearsal.records.first { $0.service == record.service }
    let stays = after?.instances.contains { cordons.hosts.contains($0.host) && $0.phase != .lost } ?? false
    guard let obstacle = plan.obstacle, stays || after?.rollout != nil else { return rehearsal.records }
    throw Refusal(
      "draining \(place) would break \(record.service): \(obstacle.message)",
      remedy: "\(obstacle.remedy.isEmpty ? "add slots or hosts" : obstacle.remedy); or say --override-floor, which is recorded")
  }
}
