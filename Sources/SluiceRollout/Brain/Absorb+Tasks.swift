import SluiceModel

extension Absorber {
  /// Others know where it runs: it is sent.
  mutating func beginTask() {
    guard let release = record.rollout?.goal.release, let due = record.dueTask else { return }
    if due.task.irreversible { record.noWayBack = max(record.noWayBack ?? release, release) }
    record.changeTask(of: release) { $0.stage = .running }
    record.rollout?.progressAt = record.activeTime
    note(.info, "task-begun", "the task of release \(release) begins\(due.run.map { " on \($0.host)" } ?? "")")
  }

  /// A copy from just before a task was sent does not tell whether it was: one that cannot be undone counts as begun.
  mutating func suspectTasks() {
    for release in record.releases where release.task?.stage == .recording && release.spec.task?.irreversible == true {
      record.noWayBack = max(record.noWayBack ?? release.number, release.number)
    }
  }

  mutating func taskEnded(_ release: ReleaseNumber, number: Int) {
    guard record.release(release)?.task?.number == number else { return }
    record.changeTask(of: release) { $0.stage = .done }
    record.rollout?.progressAt = record.activeTime
    note(.info, "task-done", "the task of release \(release) has ended well")
  }

  mutating func taskFailed(_ release: ReleaseNumber, number: Int, on host: HostName, _ failure: Failure) {
    guard let known = record.release(release), let task = known.spec.task, known.task?.number == number else { return }
    if failure.kind == .interrupted {
      note(.warning, "task-interrupted", failure.message)
      if task.onInterrupted == .rerun, number < 3 {
        return record.changeTask(of: release) {
          $0.number += 1
          $0.stage = .recording
        }
      }
      return record.changeTask(of: release) { $0.stage = .inDoubt(failure.message) }
    }
    note(.failure, "task-failed", "the task of release \(release) on \(failure.message)")
    record.changeTask(of: release) { $0.stage = .failed }
    count(CountedFailure(instance: nil, host: host, failure: failure, condemnsRelease: false), always: true)
  }

  /// The operator's word on a task in doubt: it is run again, or taken as done. False where none is.
  mutating func settleTask(isDone: Bool, by: String) -> Bool {
    guard let release = record.rollout?.goal.release, let run = record.dueTask?.run, case .inDoubt = run.stage else { return false }
    record.changeTask(of: release) {
      if !isDone { $0.number += 1 }
      $0.stage = isDone ? .done : .recording
    }
    record.rollout?.progressAt = record.activeTime
    note(.warning, "task-settled", "\(by) \(isDone ? "takes the task of release \(release) as done" : "runs it again")")
    return true
  }
}
