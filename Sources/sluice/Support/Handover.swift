import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// Commands given to the process of this machine that acts on the fleet already.
struct Handover {
  /// What has become of a command that was left.
  enum Answer: Equatable {
    /// It counts.
    case taken
    case refused(String)
    /// It was taken back: whoever left it may carry it out himself.
    case withdrawn
    /// It was handed out, and nothing was heard of it in five seconds.
    case silent
  }

  let holder: MachineLock.Holder
  let store: SQLiteStore
  private let fleet: FleetName

  /// Nil: no such process runs.
  init?(_ workspace: Workspace) throws {
    let directory = workspace.directory.path
    fleet = workspace.fleet.name
    guard let holder = MachineLock.holder(directory: directory, fleet: fleet) else { return nil }
    self.holder = holder
    store = try SQLiteStore(directory: directory, fleet: fleet)
  }

  /// Who it is, for people.
  var description: String { "\(holder.who) (\(holder.command), pid \(holder.pid))" }

  func records() throws -> [ServiceRecord] { try store.load(fleet).records }

  /// False: nobody listens, and none is left.
  func leave(_ commands: [StoredCommand]) throws -> Bool {
    for command in commands where try !store.leaveCommand(command) {
      for left in commands { _ = try store.withdrawCommand(left.command.id) }
      return false
    }
    return true
  }

  /// A command is told to its user once it counts, not when it was sent. Waits five seconds at most.
  func answer(to stored: StoredCommand) async throws -> Answer {
    let command = stored.command
    for _ in 0..<50 {
      let record = try records().first { $0.service == stored.service }
      if record?.commands.contains(command.id) ?? false { return .taken }
      let events = try store.lastEvents(service: stored.service, limit: 20).map(\.stored)
      if let refused = events.last(where: { $0.event.kind == "command-refused" && $0.at >= command.at }) {
        return .refused(refused.event.text)
      }
      try await Task.sleep(for: .milliseconds(100))
    }
    return try store.withdrawCommand(command.id) ? .withdrawn : .silent
  }
}
