import ArgumentParser
import SluiceEngine
import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice apply -f PATH…`
struct Apply: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Bring the services to what the manifests say, with live progress.")

  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  @Flag(help: "Try a release again that is marked bad.")
  var force = false

  @Flag(help: "Where sluice scale has set another number of replicas: take the manifest's.")
  var replicasFromManifest = false

  func validate() throws {
    if common.files.isEmpty { throw ValidationError("Say which manifests: -f PATH…") }
  }

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    let planner = try Planner(
      workspace, seen: change.yes ? [:] : try await Planner.look(workspace, common),
      heard: change.yes ? [] : await CordonSurvey.ask(workspace))
    let manifests = try startable(workspace.services.sorted(by: Planner.order), workspace, console)
    try planner.requirePlaces(for: manifests, console)
    if manifests.isEmpty, !workspace.services.isEmpty { return console.say("nothing was done") }
    let rescaled = try replicasOfManifest(manifests, workspace, console)
    for line in FleetCheck.unnamed(workspace, try workspace.reader()?.load(workspace.fleet.name).records ?? []) { console.say(line) }
    if !change.yes {
      var changes = false
      for manifest in manifests {
        changes = try await preview(manifest, planner, console, dropsScale: rescaled.contains(manifest.policy.name)) || changes
      }
      if !changes, console.asksPeople {
        if try stands(manifests, workspace) {
          return console.say("everything is as asked, as far as this machine knows; sluice apply --yes asks the hosts themselves")
        }
        console.say("settings have changed, no instance does")
      }
      try change.confirm("Apply this to fleet \(workspace.fleet.name)?", console)
    }
    let formers = FleetCheck.renamed(workspace, try workspace.reader()?.load(workspace.fleet.name).records ?? []).map(\.service)
    let services = manifests.map(\.policy.name) + formers
    try await FleetSession.with(workspace, change, command: "apply", services: services, console: console) { session in
      var requests: [FleetRunner.Request] = []
      for manifest in manifests where session.holds(manifest.policy.name) {
        let record = try session.record(manifest.policy.name)
        let built: ReleaseBuilder.Built
        do {
          built = try await ReleaseBuilder(directory: workspace.directory).build(manifest, record: record)
        } catch let error as LocalError {
          throw LocalError("\(manifest.policy.name): \(error.message)", output: error.output, remedy: error.remedy)
        }
        let command = session.command(
          .apply(
            policy: built.policy, digest: built.digest, spec: built.spec, secrets: built.secrets, force: force,
            dropsScale: rescaled.contains(manifest.policy.name)))
        requests.append(FleetRunner.Request(service: manifest.policy.name, initial: built.policy, command: command))
      }
      for (service, successor) in FleetCheck.renamed(workspace, try session.store.load(workspace.fleet.name).records)
      where session.holds(service) && session.holds(successor) {
        requests.append(
          FleetRunner.Request(service: service, initial: nil, command: session.command(.remove(successor: successor)), createsRecord: false)
        )
      }
      // Not before everything that this machine has to give is known to be there.
      try await session.installGateways()
      do { try await session.perform(requests, askedToGoBack: false) } catch {
        // Whoever interrupts does not want to wait for anything more.
        if (error as? ExitCode) != ExitStatus.interrupted { await warnOfSwitches(requests.map(\.service), session) }
        throw error
      }
      await warnOfSwitches(requests.map(\.service), session)
      workspace.pruneArtifacts()
    }
  }

  /// A release reopens no switch, so whoever releases is told where users are kept out.
  private func warnOfSwitches(_ services: [ServiceName], _ session: FleetSession) async {
    let reader = ServiceReader(workspace: session.workspace, service: nil, files: common.files)
    guard let records = try? reader.records().filter({ services.contains($0.service) }) else { return }
    let answers = await GatewaySurvey(driver: session.gateways).ask(ServiceReader.gateways(records))
    for now in (try? reader.services(answers)) ?? [] where services.contains(now.service) {
      guard let words = now.switchWords else { continue }
      session.console.say(session.console.styled("warning: \(now.service): \(words)", .yellow))
    }
  }

  /// Whether the state holds these settings already, and every gateway has had its tables: then an apply would change nothing that is known of.
  private func stands(_ manifests: [ServiceManifest], _ workspace: Workspace) throws -> Bool {
    guard let store = try workspace.reader(), let known = try store.definitions(), known.fleet == workspace.fleet,
      known.gateways == workspace.gateways
    else { return false }
    let records = try store.load(workspace.fleet.name).records
    let served = Set(records.flatMap(\.gateways).map(\.id))
    return workspace.gateways.flatMap(\.processes).allSatisfy(served.contains)
      && manifests.allSatisfy { manifest in
        records.contains {
          $0.service == manifest.policy.name && $0.rollout == nil && $0.policy.asDeclared == ReleaseBuilder.policy(of: manifest)
        }
      }
  }

  /// Without the services that an operator has stopped on purpose and is not to see started by this.
  private func startable(
    _ manifests: [ServiceManifest], _ workspace: Workspace, _ console: Console
  ) throws -> [ServiceManifest] {
    let records = try workspace.reader()?.load(workspace.fleet.name).records ?? []
    return manifests.filter { manifest in
      let service = manifest.policy.name
      guard manifest.policy.replicas > 0, let record = records.first(where: { $0.service == service }), record.isStoppedOnPurpose else {
        return true
      }
      let stop = record.ended.flatMap { $0.cause == "stop" ? " by \($0.by) at \(TimeText.utc($0.endedAt))" : nil } ?? ""
      let what = "\(service) was stopped on purpose\(stop)"
      if change.yes || !console.asksPeople {
        console.say("\(what): this apply starts it")
        return true
      }
      return console.confirms("\(what). Start it with this apply? Otherwise it is left out.")
    }
  }

  /// The services whose number of replicas is the manifest's again, although an operator has set another by `sluice scale`.
  private func replicasOfManifest(
    _ manifests: [ServiceManifest], _ workspace: Workspace, _ console: Console
  ) throws -> Set<ServiceName> {
    let records = try workspace.reader()?.load(workspace.fleet.name).records ?? []
    var chosen: Set<ServiceName> = []
    for manifest in manifests {
      let service = manifest.policy.name
      let wanted = manifest.policy.replicas
      guard let scale = records.first(where: { $0.service == service })?.scale, scale != wanted else { continue }
      let what = "\(service): sluice scale has set \(scale) replicas, and the manifest says \(wanted)"
      if replicasFromManifest {
        console.say("\(what): \(wanted) it is")
        chosen.insert(service)
      } else if change.yes || !console.asksPeople {
        console.say("\(what): \(scale) are kept (--replicas-from-manifest takes the manifest's)")
      } else if console.confirms("\(what). Take the manifest's \(wanted)? Otherwise \(scale) are kept.") {
        chosen.insert(service)
      }
    }
    return chosen
  }

  /// Shows the plan. Says whether it changes anything.
  private func preview(
    _ manifest: ServiceManifest, _ planner: Planner, _ console: Console, dropsScale: Bool
  ) async throws -> Bool {
    do {
      let plan = try await planner.plan(manifest, force: force, dropsScale: dropsScale)
      for line in PlanText(plan).lines { console.say(line) }
      return plan.changes || plan.obstacle != nil
    } catch let refusal as Refusal {
      console.complain("\(manifest.policy.name): \(refusal.message)", remedy: refusal.remedy)
      throw ExitStatus.failed
    } catch let error as LocalError {
      console.complain("\(manifest.policy.name): \(error.message)", output: error.output, remedy: error.remedy)
      throw ExitStatus.failed
    }
  }
}
