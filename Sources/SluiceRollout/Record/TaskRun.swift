package import SluiceModel

/// What has become of a release's task. It stays with the release: the task runs once, however often the release is rolled out.
package struct TaskRun: Hashable, Codable, Sendable {
  /// Fixed when it begins: its outcome can be read back there and nowhere else.
  package let host: HostName
  /// From 1; another try is another run of the command.
  package var number: Int
  package var stage: Stage

  package enum Stage: Hashable, Codable, Sendable {
    /// Its place is being made known before it begins, so that whoever goes on from a copy does not run it elsewhere.
    case recording
    case running
    case done
    /// It ended with an error, which has turned the rollout round or stopped it.
    case failed
    /// How it ended cannot be known, for this reason: an operator decides.
    case inDoubt(String)
  }

  package init(host: HostName) {
    self.host = host
    number = 1
    stage = .recording
  }

  /// Whether the command may have changed something.
  package var mayHaveRun: Bool { number > 1 || stage != .recording }
}

extension ServiceRecord {
  /// The task that stands between a rollout and its first wave, and what has become of it; nil where there is none, or it is done.
  package var dueTask: (task: ReleaseTask, run: TaskRun?)? {
    guard let rollout, rollout.direction.isForward, let number = rollout.goal.release, number != rollout.origin.release,
      let release = release(number), let task = release.spec.task, release.task?.stage != .done
    else { return nil }
    return (task, release.task)
  }

  mutating func changeTask(of number: ReleaseNumber, _ body: (inout TaskRun) -> Void) {
    guard let index = releases.firstIndex(where: { $0.number == number }), var run = releases[index].task else { return }
    body(&run)
    releases[index].task = run
  }

  /// What an operator can type at the gate that the rollout stands at; nil at none.
  package var nextStep: String? {
    guard let rollout, let gate = rollout.gate else { return nil }
    let remedy = gate.remedy(
      service: service, canGoBack: !rollout.direction.isForward || obstacle(backTo: rollout.origin.release) == nil)
    guard case .servingFloor = gate, rollout.step != nil, rollout.direction.isForward else { return remedy }
    return "\(remedy); sluice rollout promote \(service) --full replaces what is down without more steps"
  }

  /// Why `release` cannot be gone back to; nil where it can.
  package func obstacle(backTo release: ReleaseNumber?) -> Failure? {
    guard let release, let barrier = noWayBack, release < barrier else { return nil }
    return Failure(
      .task,
      "\(service)\(barrier) has run a task that cannot be undone (task.irreversible): \(service)\(release) would meet what it has changed",
      remedy: "mend it with a newer release: sluice apply")
  }
}
