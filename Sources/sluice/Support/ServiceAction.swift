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
    try await FleetSession.with(workspace, change, command: words, services: [service], console: console) { session in
      let request = FleetRunner.Request(
        service: service, initial: workspace.services.first { $0.policy.name == service }.map(ReleaseBuilder.policy),
        command: session.command(verb),
        createsRecord: false)
      try await session.perform([request], askedToGoBack: goesBack, idle: idle)
    }
  }

  /// True when a running process has taken the command.
  private func leave(_ verb: Command.Verb, _ workspace: Workspace, _ console: Console) async throws -> Bool {
    guard let handover = try Handover(workspace, service) else { return false }
    guard let command = try handover.leave(verb) else { return false }
    switch try await handover.answer(to: command) {
    case .taken:
      console.say("\(service): handed to \(handover.description); sluice status \(service) shows what it makes of it")
      return true
    case .refused(let refusal):
      console.complain(
        "\(service): refused: \(refusal.message)", remedy: refusal.remedy.isEmpty ? "sluice status \(service)" : refusal.remedy)
      throw ExitStatus.failed
    case .withdrawn: return false
    case .lost:
      console.complain(
        "\(service): \(handover.description) was given the command and ended before it counted", remedy: "type it again")
      throw ExitStatus.failed
    case .silent:
      console.complain(
        "\(service): \(handover.description) was given the command and has not said that it counts",
        remedy: "sluice status \(service) shows whether it does")
      throw ExitStatus.waiting
    }
  }
}
