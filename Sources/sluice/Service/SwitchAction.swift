import ArgumentParser
import SluiceEngine
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceHosts
import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore
import SluiceTraffic

/// What the three verbs of `sluice switch` share.
struct SwitchOptions: ParsableArguments {
  @Option(help: "When: 2026-11-21T04:00:00Z, with an offset or in local time; 04:00 is today's.")
  var at: String?
  @Flag(help: "Wait until nothing that was admitted before is left, and report.")
  var wait = false
  @Flag(help: "Take back an order of this action that waits for its time.")
  var cancel = false
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if cancel, at != nil || wait { throw ValidationError("--cancel goes with neither --at nor --wait") }
    if let at, case .notATime = TimeText.read(at) {
      throw ValidationError("--at \(at) is no time: 2026-11-21T04:00:00Z, or 04:00 for today")
    }
  }
}

/// Moves the switch of a service at all of its gateways, beside whatever rollout runs: it needs the fence, not the lock.
struct SwitchAction {
  struct Row: Codable {
    var gateway: String
    var `switch`: SwitchReport
  }

  let service: String
  let options: SwitchOptions

  func run(_ state: SwitchMachine.State) async throws {
    let console = Console()
    if let text = options.at, case .refused(let message, let remedy) = TimeText.read(text) {
      console.complain("--at \(message)", remedy: remedy)
      throw ExitStatus.usage
    }
    let workspace = try Workspace.load(options.common, console)
    let name = ServiceName(service)
    try KnownNames(workspace).require(service: service, console)
    guard let record = try workspace.reader()?.load(workspace.fleet.name).records.first(where: { $0.service == name }),
      let fence = record.fence
    else {
      console.complain("\(service) has never been released in fleet \(workspace.fleet.name)", remedy: "sluice apply -f PATH")
      throw ExitStatus.failed
    }
    let gateways = record.gateways.filter { !$0.excluded }.map(\.id)
    guard !gateways.isEmpty else {
      console.complain("\(service) is behind no gateway", remedy: "give it a route")
      throw ExitStatus.failed
    }
    let at = options.at.flatMap { TimeText.parse($0) }
    if let at { try refusePast(at, console) }
    try options.change.confirm(
      options.cancel
        ? "Take back what waits to switch \(service) to \(state.rawValue)?"
        : "Switch \(service) to \(state.rawValue)\(at.map { " at \(TimeText.both($0))" } ?? "") on \(gateways.map(\.description).joined(separator: ", "))?",
      console)
    try await HostReader.with(workspace) { hosts, _ in
      let driver = GatewayAccess.driver(workspace: workspace, hosts: hosts)
      do { try await carryOut(state, at, name, fence, gateways, driver, workspace, console) } catch {
        await driver.close()
        throw error
      }
      await driver.close()
    }
  }

  private func carryOut(
    _ state: SwitchMachine.State, _ at: WallTime?, _ name: ServiceName, _ fence: Fence, _ gateways: [GatewayID],
    _ driver: SluiceGatewayDriver, _ workspace: Workspace, _ console: Console
  ) async throws {
    if options.cancel { return try await cancel(state, name, fence, gateways, driver, workspace, console) }
    if let at { try await checkClocks(at, gateways, driver, console) }
    var refused: [(gateway: GatewayID, why: String)] = []
    var rows: [Row] = []
    let now = SystemTimekeeper().wall()
    for id in gateways {
      do {
        let status = try await underFence(fence, name, workspace) { fence in
          try await driver.order(SwitchOrder(fence: fence, state: state, at: at), service: name, gateway: id)
        }
        rows.append(Row(gateway: id.description, switch: status.switch))
      } catch {
        refused.append((id, "\(error)"))
        console.complain("gateway \(id): \(error)", remedy: "sluice gateway status \(id.host)")
      }
    }
    let taken = gateways.filter { id in !refused.contains { $0.gateway == id } }
    record(state, at: at, taken: taken, refused: refused, now, name, workspace, console)
    let failed = !refused.isEmpty
    if options.wait, !failed { rows = try await settled(name, gateways, state, driver) }
    if options.output.output == .json { try options.output.printJSON(rows) } else { rows.forEach { show($0, console) } }
    if failed { throw ExitStatus.failed }
  }

  /// Who ordered what and when is told by `sluice events`, beside whatever rollout runs.
  private func record(
    _ state: SwitchMachine.State?, at: WallTime?, taken: [GatewayID], refused: [(gateway: GatewayID, why: String)], _ now: WallTime,
    _ name: ServiceName, _ workspace: Workspace, _ console: Console
  ) {
    let event = SwitchOrders.event(state, at: at, by: ControllerIdentity.current().who, taken: taken, refused: refused)
    do {
      let store = try SQLiteStore(directory: workspace.directory.path, fleet: workspace.fleet.name)
      let rollout = try store.load(workspace.fleet.name).records.first { $0.service == name }?.rollout?.number
      try store.commit([], events: [StoredEvent(service: name, at: now, rollout: rollout, event: event)], fleet: workspace.fleet.name)
    } catch {
      console.complain("\(event.text); that could not be recorded: \(error)", remedy: "sluice gateway status shows how the switch stands")
    }
  }

  /// A time that has gone by is refused before anybody is asked.
  private func refusePast(_ at: WallTime, _ console: Console) throws {
    let now = SystemTimekeeper().wall()
    guard now.milliseconds - at.milliseconds > SwitchMachine.tolerance.value else { return }
    let text = options.at ?? ""
    let isTimeOfDay = !text.contains("-")
    console.complain(
      "--at \(text) is \(TimeText.both(at)), which is past: it is \(TimeText.both(now))",
      remedy: isTimeOfDay
        ? "give a time ahead; tomorrow's is --at \(TimeText.tomorrow(at))" : "give a time ahead, or none for now")
    throw ExitStatus.failed
  }

  /// Takes back what is scheduled, where that is what was named.
  private func cancel(
    _ state: SwitchMachine.State, _ name: ServiceName, _ fence: Fence, _ gateways: [GatewayID], _ driver: SluiceGatewayDriver,
    _ workspace: Workspace, _ console: Console
  ) async throws {
    var rows: [Row] = []
    var failed = false
    var found = false
    var taken: [GatewayID] = []
    var refused: [(gateway: GatewayID, why: String)] = []
    let now = SystemTimekeeper().wall()
    for id in gateways {
      do {
        guard let pending = try await driver.status(of: name, id).switch.pending else { continue }
        found = true
        let what = "\(Self.verb(pending.state)) at \(TimeText.both(pending.at))"
        guard pending.state == state else {
          failed = true
          console.complain(
            "\(id): what is scheduled is \(what)", remedy: "sluice switch \(Self.verb(pending.state)) \(name) --cancel takes it back")
          continue
        }
        let status = try await underFence(fence, name, workspace) { try await driver.cancelSwitch(name, fence: $0, gateway: id) }
        taken.append(id)
        rows.append(Row(gateway: id.description, switch: status.switch))
        if options.output.output == .text { console.result("\(id): cancelled: \(what)") }
      } catch {
        failed = true
        refused.append((id, "\(error)"))
        console.complain("gateway \(id): \(error)", remedy: "sluice gateway status \(id.host)")
      }
    }
    if !taken.isEmpty { record(nil, at: nil, taken: taken, refused: refused, now, name, workspace, console) }
    if options.output.output == .json { try options.output.printJSON(rows) }
    if !found, !failed { console.complain("\(name): nothing is scheduled", remedy: "sluice gateway status shows how its switch stands") }
    if failed || !found { throw ExitStatus.failed }
  }

  /// What is typed to bring a switch there.
  private static func verb(_ state: SwitchMachine.State) -> String {
    switch state {
    case .open: "open"
    case .queue: "queue"
    case .closed: "close"
    }
  }

  /// A run that begins just now raises the fence at the gateways a moment before the state tells of it: then the new one is used.
  private func underFence(
    _ known: Fence, _ name: ServiceName, _ workspace: Workspace, _ body: (Fence) async throws -> ServiceStatus
  ) async throws -> ServiceStatus {
    var fence = known
    for _ in 0..<50 {
      do { return try await body(fence) } catch let error as AdminError where error.reason == .fenceHeld {
        guard MachineLock.holder(directory: workspace.directory.path, fleet: workspace.fleet.name, service: name) != nil else {
          // Another machine has acted since. An order to the switch stands beside whatever that did: it is given in its name.
          guard let holder = error.holder else { throw error }
          return try await body(holder)
        }
        try await Task.sleep(for: .milliseconds(100))
        fence = try workspace.reader()?.load(workspace.fleet.name).records.first { $0.service == name }?.fence ?? fence
      }
    }
    return try await body(fence)
  }

  /// A switch at a time is only as good as the clocks are.
  private func checkClocks(_ at: WallTime, _ gateways: [GatewayID], _ driver: SluiceGatewayDriver, _ console: Console) async throws {
    for id in gateways {
      let before = SystemTimekeeper().wall()
      let status: GatewayStatus
      do { status = try await driver.status(id) } catch {
        console.complain(
          "gateway \(id) does not tell its clock: \(error)",
          remedy: "bring it back, or, when no user reaches it, sluice gateway exclude \(id.host)")
        throw ExitStatus.failed
      }
      let after = SystemTimekeeper().wall()
      // A gateway's number is not to be trusted with arithmetic.
      let clock = min(max(status.clock.milliseconds, 0), 1 << 52)
      let difference = clock - (before.milliseconds + after.milliseconds) / 2
      console.say(
        "\(id): its clock is \(ClockWords.text(abs(difference))) \(difference < 0 ? "behind" : "ahead"); it will switch at \(TimeText.utc(at))"
      )
      if abs(difference) > 500 {
        console.complain(
          "the clock of \(id) is \(ClockWords.text(abs(difference))) \(difference < 0 ? "behind" : "ahead of") this machine's, which is more than 500 ms",
          remedy: "set the clock (NTP), or switch without --at")
        throw ExitStatus.failed
      }
    }
  }

  /// The reports once nothing that was admitted is left; with an order for later, once that has fired too.
  private func settled(
    _ name: ServiceName, _ gateways: [GatewayID], _ state: SwitchMachine.State, _ driver: SluiceGatewayDriver
  ) async throws -> [Row] {
    while true {
      var rows: [Row] = []
      var open = 0
      for id in gateways {
        let status = try await driver.status(of: name, id)
        if status.switch.pending != nil || status.switch.state != state { open += 1 }
        if state != .open { open += status.switch.since.inFlight + status.switch.since.longLived }
        if state == .open { open += status.switch.since.waiting }
        rows.append(Row(gateway: id.description, switch: status.switch))
      }
      if open == 0 { return rows }
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  private func show(_ row: Row, _ console: Console) {
    let since = row.switch.since
    let pending = row.switch.pending.map { ", \($0.state.rawValue) at \(TimeText.utc($0.at))" } ?? ""
    console.result(
      "\(row.gateway): \(row.switch.state.rawValue)\(pending): admitted \(since.admitted), completed \(since.completed), refused \(since.refused), "
        + "cut off \(since.cutOff), gone \(since.gone), failed \(since.failed), in flight \(since.inFlight + since.longLived), waiting \(since.waiting)"
    )
  }
}
