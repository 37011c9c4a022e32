import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// A command given to the process of this machine that acts on the service already.
struct Handover {
  /// What has become of a command that was left.
  enum Answer: Equatable {
    /// It counts.
    case taken
    case refused(Refusal)
    /// It was taken back, since that process has let go of the service or does not listen: whoever left it may carry it out himself.
    case withdrawn
    /// It was handed out, and the process has ended before it counted.
    case lost
    /// It was handed out, and nothing was heard of it for ten seconds.
    case silent
  }

  let service: ServiceName
  let holder: MachineLock.Holder
  let store: SQLiteStore
  private let directory: String
  private let fleet: FleetName

  /// Nil: no such process runs.
  init?(_ workspace: Workspace, _ service: ServiceName) throws {
    self.service = service
    directory = workspace.directory.path
    fleet = workspace.fleet.name
    guard let holder = MachineLock.holder(directory: directory, fleet: fleet, service: service) else { return nil }
    self.holder = holder
    store = try SQLiteStore(directory: directory, fleet: fleet)
  }

  /// Who it is, for people.
  var description: String { "\(holder.who) (\(holder.command), pid \(holder.pid))" }

  /// Leaves the command, about the rollout that runs now. Nil: nobody listens, and none is left.
  func leave(_ verb: Command.Verb) throws -> StoredCommand? {
    var command = FleetSession.command(verb)
    if verb.isAboutRollout {
      let about = try store.load(fleet).records.first { $0.service == service }?.rollout?.number ?? 0
      command = Command(id: command.id, by: command.by, at: command.at, verb: verb, about: about)
    }
    let stored = StoredCommand(service: service, command: command)
    if try store.leaveCommand(stored, for: holder) { return stored }
    return try store.withdrawCommand(command.id) ? nil : stored
  }

  /// A command is told to its user once it counts, not when it was sent. Waits ten seconds at most.
  func answer(to stored: StoredCommand) async throws -> Answer {
    let id = stored.command.id
    for _ in 0..<200 {
      if let answer = try answered(id) { return answer }
      if MachineLock.holder(directory: directory, fleet: fleet, service: service) != holder {
        if try store.withdrawCommand(id) { return .withdrawn }
        // It may have been answered between the two looks.
        return try answered(id) ?? .lost
      }
      try await Task.sleep(for: .milliseconds(50))
    }
    return try store.withdrawCommand(id) ? .withdrawn : try answered(id) ?? .silent
  }

  private func answered(_ id: String) throws -> Answer? {
    switch try store.answer(to: id) {
    case .taken?: .taken
    case .refused(let refusal)?: .refused(refusal)
    case .expired?: .refused(Refusal("it was not taken in time", remedy: "type it again if it is still meant"))
    case nil: nil
    }
  }
}

extension Command.Verb {
  /// Whether it means the rollout that its user sees, and not whichever comes next.
  fileprivate var isAboutRollout: Bool {
    switch self {
    case .abort, .promote, .pause, .resume, .retry, .split, .rollback: true
    default: false
    }
  }
}
