import SluiceModel

extension Decider {
  /// Brings the release's task to its end; true when there is none, or it is done.
  mutating func runTask(_ rollout: Rollout) -> Bool {
    guard let due = record.dueTask, let release = rollout.goal.release else { return true }
    guard let run = due.run else {
      if let by = rollout.pausedBy { record.rollout?.gate = .paused(by: by) } else { begin(due.task, of: release, rollout) }
      progress()
      return false
    }
    switch run.stage {
    case .recording: open(.replicate)
    case .running: follow(run, due.task, of: release)
    case .inDoubt(let why):
      record.rollout?.gate = .task(release, run.host, why)
      progress()
    case .failed:
      // It was mended and is tried again.
      record.changeTask(of: release) {
        $0.number += 1
        $0.stage = .recording
      }
    case .done: return true
    }
    return false
  }

  /// On the host of the first instance to come: its files are there, and it is the kind of host that the release is for.
  private mutating func begin(_ task: ReleaseTask, of release: ReleaseNumber, _ rollout: Rollout) {
    let projection = planner(rollout).projection()
    // After faults as much is done as can be; but what cannot be undone is not begun for a release that would not get to its end.
    if task.irreversible, let failure = projection.blocked { return turnRound(failure, condemnsRelease: false) }
    let places = projection.waves.flatMap { $0 }.map(\.host)
    guard let host = places.first(where: { record.host($0)?.reach.isReachable ?? false }) ?? places.first else {
      let failure = Failure(
        .task, "the task of release \(release) has no host to run on: no instance of \(record.service) is to come",
        remedy: "apply with at least one replica (sluice scale \(record.service) 1 where it was scaled by hand)")
      return turnRound(failure, condemnsRelease: false)
    }
    guard let index = record.releases.firstIndex(where: { $0.number == release }) else { return }
    record.releases[index].task = TaskRun(host: host)
  }

  private mutating func follow(_ run: TaskRun, _ task: ReleaseTask, of release: ReleaseNumber) {
    if case .unreachable(let why)? = record.host(run.host)?.reach {
      let reason = "\(run.host) does not answer (\(why)), so that nobody knows whether it has ended"
      record.changeTask(of: release) { $0.stage = .inDoubt(reason) }
      return note(.warning, "task-in-doubt", "the task of release \(release) is in doubt: \(reason)")
    }
    open(.task(run.host, release, number: run.number))
    // It has a time limit of its own.
    guard let attempt = record.openAttempt(on: .task) else { return }
    if now < attempt.openedAt + task.timeout + .minutes(1) { progress() }
  }
}
