import ArgumentParser
import SluiceEngine
import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore

/// One command to one service: given to the process of this machine that runs already, or carried out here.
struct ServiceAction {
  let service: ServiceName
  let common: CommonOptions
  let change: ChangeOptions
  /// What was typed, for the lock.
  let words: String
  /// Going back is what is asked for.
  var goesBack = false
  /// A running process may take it over the inbox.
  var reachesRunning = false
  /// What to say when it needed no rollout, in the place of that there was nothing to do; then what was in doubt before is not told first.
  var idle: String?

  func run(_ verb: Command.Verb, question: String? = nil) async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    try KnownNames(workspace).refuseMistaken(service: service.rawValue, console)
    if let question { try change.confirm(question, console) }
    if reachesRunning, try await leave(verb, workspace, console) { return }
    try await FleetSession.with(workspace, change, command: words, console: console) { session in
      let request = FleetRunner.Request(
        service: service, initial: workspace.services.first { $0.policy.name == service }?.policy, command: session.command(verb),
        createsRecord: false)
      try await session.perform([request], askedToGoBack: goesBack, idle: idle)
    }
  }

  /// True when a running process has taken the command.
  private func leave(_ verb: Command.Verb, _ workspace: Workspace, _ console: Console) async throws -> Bool {
    guard let holder = MachineLock.holder(directory: workspace.directory.path, fleet: workspace.fleet.name) else { return false }
    let store = try SQLiteStore(directory: workspace.directory.path, fleet: workspace.fleet.name)
    let command = FleetSession.command(verb)
    guard try store.leaveCommand(StoredCommand(service: service, command: command)) else {
      _ = try store.withdrawCommand(command.id)
      return false
    }
    console.say(
      "\(service): handed to \(holder.who) (\(holder.command), pid \(holder.pid)); sluice status \(service) shows what it makes of it")
    // It is told to the user once it counts, not when it was sent.
    for _ in 0..<50 {
      let record = try store.load(workspace.fleet.name).records.first { $0.service == service }
      if record?.commands.contains(command.id) ?? false { return true }
      let events = try store.lastEvents(service: service, limit: 20).map(\.stored)
      if let refused = events.last(where: { $0.event.kind == "command-refused" && $0.at >= command.at }) {
        console.complain("\(service): \(refused.event.text)", remedy: "sluice status \(service)")
        throw ExitStatus.failed
      }
      try await Task.sleep(for: .milliseconds(100))
    }
    if try store.withdrawCommand(command.id) { return false }
    return true
  }
}
