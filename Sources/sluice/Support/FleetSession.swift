import ArgumentParser
import Foundation
import Glibc
import NIOCore
import NIOPosix
import SluiceEngine
import SluiceGatewayControl
import SluiceHosts
import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore
import Synchronization

/// A changing command's hold on services of the fleet: their locks on this machine, the store, the connections.
final class FleetSession: Sendable {
  let workspace: Workspace
  let store: SQLiteStore
  let hosts: FleetHosts
  let gateways: SluiceGatewayDriver
  let console: Console
  private let change: ChangeOptions
  private let identity: ControllerIdentity
  private let lock: MachineLock
  private let group: MultiThreadedEventLoopGroup
  private let interruptions = Interruptions()
  private let connecting = Mutex<[Task<Void, Never>]>([])
  private let trust: RecordTrust
  /// Another process of this machine changes one of the services that were wanted: that was told, and the others go on.
  private let hasMissed: Bool

  /// Opens a session, takes the services, gives it to `body`, and closes it whatever happens. Services that other processes of this machine
  /// change are told; the `held` code where none is left, and at the end where one was.
  static func with(
    _ workspace: Workspace, _ change: ChangeOptions, command: String, services: [ServiceName], console: Console,
    accepts: AcceptedCopies = AcceptedCopies(), _ body: (FleetSession) async throws -> Void
  ) async throws {
    let session: FleetSession
    do {
      session = try FleetSession(workspace, change, command: command, services: services, console: console, accepts: accepts)
    } catch let failure as MachineLock.Failure {
      throw Self.told(failure, workspace.fleet.name.rawValue, console)
    } catch let error as StoreError {
      console.complain(error.message, remedy: error.remedy)
      throw ExitStatus.failed
    }
    do {
      try session.takeDefinitions()
      session.connect()
      try await body(session)
    } catch {
      await session.close()
      let told = Self.told(error, console)
      if session.hasMissed, let code = told as? ExitCode { throw ExitStatus.worst([code, ExitStatus.held]) }
      throw told
    }
    await session.close()
    if session.hasMissed { throw ExitStatus.held }
  }

  /// Who has it, since when and what to do, or what is wrong with the lock; the code to leave with.
  private static func told(_ failure: MachineLock.Failure, _ what: String, _ console: Console) -> ExitCode {
    switch failure {
    case .unusable(let error):
      console.complain(error.message, remedy: error.remedy)
      return ExitStatus.failed
    case .heldBy(let holder):
      let since = holder.map { ", since \(TimeText.utc($0.since))" } ?? ""
      console.complain(
        "\(what): \(failure)\(since)", remedy: "wait for it, or sluice rollout abort takes its rollout back; sluice status shows it")
      return ExitStatus.held
    }
  }

  /// In the order of their names. Those that other processes change are told; true where there is one.
  private static func take(_ services: [ServiceName], _ lock: MachineLock, _ console: Console) throws -> Bool {
    var hasMissed = false
    for service in services.sorted() {
      do throws(MachineLock.Failure) { try lock.take(service) } catch {
        let code = told(error, service.rawValue, console)
        if code != ExitStatus.held { throw code }
        hasMissed = true
      }
    }
    if !services.isEmpty, services.allSatisfy({ !lock.holds($0) }) { throw ExitStatus.held }
    return hasMissed
  }

  /// False: another process of this machine changes it. Nothing is told.
  func takeQuietly(_ service: ServiceName) throws -> Bool {
    do throws(MachineLock.Failure) { try lock.take(service) } catch {
      if case .unusable(let problem) = error { throw problem }
      return false
    }
    return true
  }

  /// Whether this process may change the service.
  func holds(_ service: ServiceName) -> Bool { lock.holds(service) }

  /// Errors of the modules below become words and an exit code; everything else goes on as it is.
  private static func told(_ error: any Error, _ console: Console) -> any Error {
    switch error {
    case let error as LocalError: console.complain(error.message, output: error.output, remedy: error.remedy)
    case let error as StoreError: console.complain(error.message, remedy: error.remedy)
    case let error as Refusal: console.complain(error.message, remedy: error.remedy)
    case let error as HostFailure:
      console.complain(error.failure.message, output: error.failure.output, remedy: error.failure.remedy)
    default: return error
    }
    return ExitStatus.failed
  }

  private init(
    _ workspace: Workspace, _ change: ChangeOptions, command: String, services: [ServiceName], console: Console,
    accepts: AcceptedCopies
  ) throws {
    self.workspace = workspace
    self.change = change
    self.console = console
    let identity = ControllerIdentity.current()
    self.identity = identity
    let time = SystemTimekeeper()
    let holder = MachineLock.Holder(who: identity.who, command: "sluice \(command)", pid: getpid(), since: time.wall())
    Descriptors.raiseLimit()
    lock = try MachineLock.acquire(directory: workspace.directory.path, fleet: workspace.fleet.name, holder: holder)
    hasMissed = try Self.take(services, lock, console)
    let store = try SQLiteStore(directory: workspace.directory.path, fleet: workspace.fleet.name)
    self.store = store
    // SSH handshakes take milliseconds of a loop: two loops of their own are enough for hundreds of hosts.
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    self.group = group
    let packer = ArtifactPacker(cacheDirectory: workspace.directory.artifacts)
    let directory = workspace.directory
    let fleet = workspace.fleet.name
    let hosts = FleetHosts(
      fleet: workspace.fleet, group: group, artifacts: { packer.path(of: $0) },
      secrets: { service, _ in
        let record = try store.load(fleet).records.first { $0.service == service }
        guard let policy = record?.policy else { return [:] }
        return try await Secrets(directory: directory).read(policy).values
      })
    self.hosts = hosts
    gateways = GatewayAccess.driver(workspace: workspace, hosts: hosts)
    trust = try RecordTrust(workspace: workspace, hosts: hosts, group: group, console: console, accepts: accepts)
  }

  /// What the manifests say of the fleet is what the state knows from now on.
  private func takeDefinitions() throws {
    guard workspace.hasManifests else { return }
    if let refusal = FleetCheck.refusal(workspace, try store.load(workspace.fleet.name).records) { throw refusal }
    if let known = try store.definitions(), let gone = FleetCheck.gone(workspace, known), !lock.isAlone {
      throw Refusal(
        "\(gone) is in these manifests no more, and another sluice of this machine still works with it",
        remedy: "wait until that has ended (sluice status shows it), or leave \(gone) in the manifests until then")
    }
    try store.saveDefinitions(fleet: workspace.fleet, gateways: workspace.gateways)
  }

  /// Begins to connect to every host that will be asked, while this machine packs files and reads secrets. Whoever needs a connection waits for
  /// it, and is told what is wrong with it.
  private func connect() {
    let gatewayHosts = workspace.gateways.flatMap(\.hosts)
    for host in workspace.fleet.hosts where host.slots > 0 || gatewayHosts.contains(host.name) {
      let hosts = hosts
      let task = Task { _ = try? await hosts.connection(to: host) }
      connecting.withLock { $0.append(task) }
    }
  }

  private func close() async {
    await gateways.close()
    await hosts.close()
    // Nothing may use an event loop any more, nor OpenSSL while the process exits.
    for task in connecting.withLock({ $0 }) { await task.value }
    try? await group.shutdownGracefully()
  }

  func record(_ service: ServiceName) throws -> ServiceRecord? {
    try store.load(workspace.fleet.name).records.first { $0.service == service }
  }

  /// A command of this process' user, with an id of its own.
  func command(_ verb: Command.Verb) -> Command { Self.command(verb, identity) }

  static func command(_ verb: Command.Verb, _ identity: ControllerIdentity = .current()) -> Command {
    Command(id: UUID().uuidString.lowercased(), by: identity.who, at: SystemTimekeeper().wall(), verb: verb)
  }

  /// Puts Sluice's gateway on the gateways' hosts where it is not running yet; one process of this machine at a time.
  func installGateways(only chosen: [GatewayID]? = nil, restarts: Bool = false) async throws {
    // No service is called so: it is no name.
    let gate = ServiceName("@gateways")
    for _ in 0..<600 where !(try takeQuietly(gate)) { try await Task.sleep(for: .milliseconds(100)) }
    guard holds(gate) else {
      throw Refusal("another sluice of this machine has been installing gateways for a minute", remedy: "wait for it, then try again")
    }
    defer { lock.letGo(gate) }
    try await GatewayAccess.install(workspace: workspace, hosts: hosts, console: console, only: chosen, restarts: restarts)
  }

  /// Takes each service's fence, and with it the newest copy of its record. What is under way there is left as it stands.
  func adopt(_ manifests: [ServiceManifest]) async throws {
    let requests = manifests.filter { holds($0.policy.name) }.map {
      FleetRunner.Request(service: $0.policy.name, initial: ReleaseBuilder.policy(of: $0), command: nil, createsRecord: false)
    }
    let printer = ProgressPrinter(console: console, fleet: workspace.fleet, verbose: change.verbose)
    let text = OutcomeText(console: console)
    let found = try await runner { news in
      printer.show(news)
      if case .passedOver(let service, let failure) = news { text.tellPassedOver(service, failure) }
    }.adopt(requests)
    printer.finish()
    for (service, result) in found.sorted(by: { $0.key < $1.key }) {
      switch result {
      case .success(let record): StatusText.lines(ServiceNow(record: record)).forEach(console.result)
      case .failure(let outcome): OutcomeText(console: console).tell(service, outcome.outcome)
      }
    }
    if found.values.contains(where: { if case .failure = $0 { true } else { false } }) { throw ExitStatus.failed }
  }

  private func runner(_ observe: @escaping @Sendable (FleetRunner.News) -> Void) -> FleetRunner {
    let ports = FleetRunner.Ports(
      hosts: hosts, gateways: gateways, hooks: HookRunner(), checks: CheckRunner(), store: store, trust: trust, time: SystemTimekeeper())
    let options = FleetRunner.Options(
      owner: identity.owner, machine: identity.machine, takeOver: change.takeOver,
      gatePatience: .seconds(Int64(change.patience)),
      isLive: ControllerIdentity.isLive)
    return FleetRunner(fleet: workspace.fleet, gateways: workspace.gateways, ports: ports, options: options, observe: observe)
  }

  /// Runs the requests to their end, tells each outcome, and throws the exit code unless all is well. `tellsDrained`: also which hosts are drained.
  func perform(
    _ requests: [FleetRunner.Request], askedToGoBack: Bool, idle: String? = nil, tellsDrained: Bool = true
  ) async throws {
    let inbox = try InboxListener(lock: lock)
    defer { inbox.stop() }
    let printer = ProgressPrinter(console: console, fleet: workspace.fleet, verbose: change.verbose, tellsDoubt: idle == nil)
    let testKill = TestKill()
    let passedOver = Mutex<[(ServiceName, Failure)]>([])
    let runner = runner { news in
      testKill?.see(news)
      printer.show(news)
      switch news {
      case .passedOver(let service, let failure): passedOver.withLock { $0.append((service, failure)) }
      case .left(let service):
        self.lock.letGo(service)
        self.store.wakeAll()
      default: break
      }
    }
    interruptions.stopSafely()
    let outcomes = try await runner.run(requests, interruptions: interruptions.stream, inbox: inbox.wakes)
    printer.finish()
    let text = OutcomeText(console: console)
    let stored = try store.load(workspace.fleet.name)
    for (service, outcome) in outcomes.sorted(by: { $0.key < $1.key }) {
      let record = stored.records.first { $0.service == service }
      text.tell(service, outcome, next: record?.nextStep, idle: idle, besides: record?.notAsAsked(in: workspace.fleet) ?? [])
    }
    for (service, failure) in passedOver.withLock({ $0 }) { text.tellPassedOver(service, failure) }
    if tellsDrained { for line in CordonText.lines(stored.cordons, workspace.fleet) { console.say(line) } }
    if change.verbose { console.say(ExecText.summary(hosts.statistics, events: requests.count)) }
    let worst = ExitStatus.worst(outcomes.values.map { ExitStatus.of($0, askedToGoBack: askedToGoBack) })
    if worst != .success { throw worst }
  }
}

/// File descriptors: each host's connection takes one, and each service's lock.
enum Descriptors {
  /// Raises the limit as far as this user may.
  static func raiseLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// The SSH commands that a run has needed: `apply --verbose`.
enum ExecText {
  static func summary(_ counts: ExecCounts, events: Int) -> String {
    func list(_ kinds: [ExecKind]) -> String { kinds.map { "\($0.rawValue) \(counts.total($0))" }.joined(separator: ", ") }
    return "SSH commands: for instances \(counts.perInstanceWork) (\(list([.start, .stop, .observe, .replicate]))); "
      + "for files \(counts.total(.stage) + counts.total(.upload)); "
      + "once a run and host \(counts.total(.claim) + counts.total(.release)) (\(list([.claim, .release]))); "
      + "apart: \(list([.probe, .gateway, .inspect, .logs]))"
  }
}
