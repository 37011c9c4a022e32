import ArgumentParser
import Foundation
import SluiceEngine
import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice plan -f PATH…`: what apply would do, wave by wave. It plans on what the state knows; gateways are asked what is healthy, and hosts
/// whether they are drained, and of what is not healthy.
struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "What apply would do, wave by wave: exit 0 nothing, 2 changes, 1 cannot be done.")

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions
  @Flag(help: "Plan a release that is marked bad all the same.")
  var force = false
  @Flag(help: "Plan on what the state of this machine says, and ask nobody.")
  var recorded = false

  func validate() throws {
    if common.files.isEmpty { throw ValidationError("Say which manifests: -f PATH…") }
  }

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    var plans: [Rehearsal.Plan] = []
    var impossible = false
    let store = try workspace.reader()
    let gateways = FleetCheck.gatewayChanges(workspace, known: try store?.definitions()?.gateways ?? [])
    let unnamed = FleetCheck.unnamed(workspace, try store?.load(workspace.fleet.name).records ?? [])
    for line in gateways + unnamed { console.say(line) }
    if !workspace.services.isEmpty, try store?.load(workspace.fleet.name).records.isEmpty ?? true {
      console.say(
        "nothing is known here of fleet \(workspace.fleet.name): this is planned as if nothing ran; what another machine has released is taken up by sluice adopt -f PATH"
      )
    }
    let manifests = workspace.services.sorted(by: Planner.order)
    let heard = recorded ? [] : await CordonSurvey.ask(workspace)
    let planner = try Planner(workspace, seen: recorded ? [:] : try await Planner.look(workspace, common), heard: heard)
    for line in CordonText.lines(planner.cordons, workspace.fleet) { console.say(line) }
    for (manifest, plan) in zip(manifests, await planner.plans(manifests, force: force)) {
      do {
        plans.append(try plan.get())
      } catch let refusal as Refusal {
        impossible = true
        console.complain("\(manifest.policy.name): \(refusal.message)", remedy: refusal.remedy)
      } catch let error as LocalError {
        impossible = true
        console.complain("\(manifest.policy.name): \(error.message)", output: error.output, remedy: error.remedy)
      }
    }
    if output.output == .json {
      try output.printJSON(plans.map(PlanReport.init))
    } else {
      for plan in plans { PlanText(plan).lines.forEach(console.result) }
    }
    if impossible || plans.contains(where: { $0.obstacle != nil }) { throw ExitStatus.failed }
    if plans.contains(where: \.changes) || !gateways.isEmpty { throw ExitStatus.changesPending }
  }
}

/// Rehearses services' manifests on what the state knows.
struct Planner {
  private let workspace: Workspace
  private let records: [ServiceRecord]
  private let engine: Engine
  private let store: SQLiteStore?
  private let seen: [ServiceName: [Input]]

  /// What is known of drained hosts.
  var cordons: Cordons { engine.cordons }

  /// `seen` is what hosts and gateways show of services that have something down, `heard` what hosts say of being drained.
  init(_ workspace: Workspace, seen: [ServiceName: [Input]], heard: [Cordon]) throws {
    self.workspace = workspace
    self.seen = seen
    store = try workspace.reader()
    let stored = try store?.load(workspace.fleet.name) ?? StoredFleet()
    records = stored.records
    var engine = Engine(fleet: workspace.fleet, gateways: workspace.gateways, records: stored.records, cordons: stored.cordons)
    for word in heard { engine.cordons.hear(word) }
    self.engine = engine
  }

  /// What is down of the services in these manifests. Who does not answer within 2 seconds is taken to be as recorded.
  static func look(_ workspace: Workspace, _ common: CommonOptions) async throws -> [ServiceName: [Input]] {
    let reader = ServiceReader(workspace: workspace, service: nil, files: common.files)
    let names = Set(workspace.services.map(\.policy.name))
    let records = try reader.records().filter { names.contains($0.service) }
    if records.allSatisfy(\.instances.isEmpty) { return [:] }
    let ids = ServiceReader.gateways(records)
    let answers = ids.isEmpty ? [:] : try await GatewaySurvey.with(workspace) { survey in await survey.ask(ids) }
    let services = try reader.services(answers).filter { names.contains($0.service) }
    let facts = await InstanceSurvey(workspace: workspace).look(services)
    var seen: [ServiceName: [Input]] = [:]
    for now in services {
      guard let facts = facts[now.service] else { continue }
      // Their generation is not asked for, and they are the newest there is.
      seen[now.service] = facts.map { .host($0) } + now.seen
    }
    return seen
  }

  /// The most important tier first, then by name.
  static func order(_ left: ServiceManifest, _ right: ServiceManifest) -> Bool {
    (left.policy.tier, left.policy.name) < (right.policy.tier, right.policy.name)
  }

  /// Refuses what could not be applied now, before anything is done about any service.
  func requirePlaces(for manifests: [ServiceManifest], _ console: Console) throws {
    var isRefused = false
    for manifest in manifests {
      do { try engine.requirePlace(for: manifest.policy) } catch {
        isRefused = true
        console.complain("\(manifest.policy.name): \(error.message)", remedy: error.remedy)
      }
    }
    if isRefused { throw ExitStatus.failed }
  }

  func plan(_ manifest: ServiceManifest, force: Bool, dropsScale: Bool = false) async throws -> Rehearsal.Plan {
    var (rehearsal, command) = try await rehearsal(manifest, force: force, dropsScale: dropsScale)
    return try rehearsal.run(command)
  }

  /// The plans of several services, in their order; each is made on what stands, whatever the others' are.
  func plans(_ manifests: [ServiceManifest], force: Bool) async -> [Result<Rehearsal.Plan, any Error>] {
    var prepared: [Result<(Rehearsal, Command), any Error>] = []
    for manifest in manifests {
      do { prepared.append(.success(try await rehearsal(manifest, force: force, dropsScale: false))) } catch {
        prepared.append(.failure(error))
      }
    }
    var plans = await Rehearsal.run(prepared.compactMap { try? $0.get() })[...]
    return prepared.map { prepared in prepared.flatMap { _ in plans.removeFirst().mapError { $0 } } }
  }

  private func rehearsal(_ manifest: ServiceManifest, force: Bool, dropsScale: Bool) async throws -> (Rehearsal, Command) {
    if let refusal = FleetCheck.refusal(workspace, records) { throw refusal }
    try engine.requirePlace(for: manifest.policy)
    let service = manifest.policy.name
    let record = engine.record(service)
    let built = try await ReleaseBuilder(directory: workspace.directory).build(manifest, record: record)
    var engine = engine
    if record == nil { engine.install(ServiceRecord(policy: built.policy)) }
    // The last few rollouts: older ones may have been of another strategy.
    let events = try store?.lastEvents(service: service, limit: 2_000).map(\.stored) ?? []
    let command = Command(
      id: "plan", by: "plan", at: WallTime(milliseconds: 0),
      verb: .apply(
        policy: built.policy, digest: built.digest, spec: built.spec, secrets: built.secrets, force: force, dropsScale: dropsScale))
    return (Rehearsal(engine: engine, service: service, past: PastWaves(events), seen: seen[service] ?? []), command)
  }
}
