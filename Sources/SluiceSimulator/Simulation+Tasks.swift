import SluiceEngine
import SluiceModel
import SluiceRollout

/// One run of a release's command on a host, as it really went.
struct SimulatedTask {
  let release: ReleaseNumber
  let host: HostName
  let number: Int
  /// When nothing of the service's runs there any more before it.
  let begins: Int64
  let ends: Int64
  let fails: Bool
  /// Its host has gone down meanwhile: no exit status was left.
  var isCutOff = false

  func hasEndedWell(by time: Int64) -> Bool { !fails && !isCutOff && ends <= time }
}

/// Tasks: what hosts do with them, and what must be true of them.
extension Simulation {
  /// The run has begun, or begins now; whoever asked is told when it has ended.
  mutating func beginTask(_ of: Int, _ attempt: Attempt, _ host: HostName, _ release: ReleaseNumber, _ number: Int, _ record: ServiceRecord)
  {
    guard let planned = scenarioRelease(release, in: record).flatMap({ scene.plan.tasks[$0] }) else {
      return after(1...2_000, .answers(of, attempt, .succeeded(.nothing), host))
    }
    if !scene.tasks.contains(where: { $0.release == release && $0.host == host && $0.number == number }) {
      checkTask(release, planned.task, host)
      let former = scene.tasks.count { $0.release == release && !$0.isCutOff }
      let begins = max(time, scene.tasks.filter { $0.host == host && !$0.isCutOff }.map(\.ends).max() ?? time)
      let isLate = planned.takes > planned.task.timeout.value
      scene.tasks.append(
        SimulatedTask(
          release: release, host: host, number: number, begins: begins, ends: begins + min(planned.takes, planned.task.timeout.value),
          fails: isLate || former < planned.failures || standingFaults.contains(.taskFails)))
      note("the task of release \(release) begins on \(host), run \(number)")
      if standingFaults.contains(.taskCutOff) { cutOff(host, within: planned.takes) }
    }
    askTask(of, attempt, host)
  }

  /// The host loses power while the task runs.
  private mutating func cutOff(_ host: HostName, within takes: Int64) {
    let fault = Scenario.Fault(
      at: time + Int64(random.integer(in: 1...Int(max(takes, 1)))), lasts: Int64(random.integer(in: 500...20_000)), kind: .hostCrash(host))
    strikesUntil = max(strikesUntil, fault.at + fault.lasts)
    push(fault.at, .fault(fault))
  }

  /// Every five seconds, as the real one does: a host that went down meanwhile is noticed then.
  mutating func askTask(_ of: Int, _ attempt: Attempt, _ host: HostName) {
    guard case .task(_, let release, let number) = attempt.action,
      let run = scene.tasks.first(where: { $0.release == release && $0.host == host && $0.number == number })
    else { return }
    let answer: AttemptResult
    if scene.hosts[host]?.answers != true {
      answer = .inDoubt("the connection was lost")
    } else if run.isCutOff {
      answer = .failed(Failure(.interrupted, "\(host): the task was cut off: no exit status was left"))
    } else if run.ends <= time || sabotage == .taskNotAwaited {
      answer = run.fails ? .failed(Failure(.task, "\(host): the task exited with status 1")) : .succeeded(.nothing)
    } else {
      return push(min(run.ends, time + 5_000), .taskIsAsked(of, attempt, host))
    }
    after(1...200, .answers(of, attempt, answer, host))
  }

  /// What a host's loss of power does to the tasks on it.
  mutating func cutOffTasks(on host: HostName) {
    for index in scene.tasks.indices where scene.tasks[index].host == host && scene.tasks[index].ends > time {
      scene.tasks[index].isCutOff = true
    }
  }

  // MARK: Rules

  /// It is run once for a release, unless it has failed, may be run again when it was cut off, or an operator has said so.
  private mutating func checkTask(_ release: ReleaseNumber, _ task: ReleaseTask, _ host: HostName) {
    defer { scene.mayRunAgain = false }
    // Of what ran before the record was begun anew nobody knows.
    let runs = scene.tasks.filter { $0.release == release && $0.begins >= scene.forgottenAt }
    guard !scene.mayRunAgain, let last = runs.last else { return }
    let isDone = runs.contains { $0.hasEndedWell(by: time) }
    let isFailed = last.fails && !last.isCutOff && last.ends <= time
    if !isDone, isFailed || last.isCutOff && task.onInterrupted == .rerun { return }
    let state = isDone ? "has ended well" : last.isCutOff ? "was cut off" : "runs"
    violate("task", "the task of release \(release) begins on \(host); run \(last.number) of it on \(last.host) \(state)")
  }

  /// Waves begin when it has ended well; nothing goes back to what is before one that cannot be undone.
  mutating func checkTask(_ before: ServiceRecord, _ after: ServiceRecord) {
    guard !scene.plan.tasks.isEmpty, let rollout = after.rollout, let release = rollout.goal.release else { return }
    let former = before.rollout
    if former?.goal.release != release || former?.number != rollout.number {
      for run in scene.tasks where run.release > release && run.begins <= time && run.begins >= scene.forgottenAt {
        guard planned(run.release, after)?.task.irreversible == true else { continue }
        violate("7", "\(rollout.cause) goes to release \(release), and the task of release \(run.release) cannot be undone")
      }
    }
    guard rollout.direction.isForward, rollout.waves > 0, former?.number != rollout.number || former?.waves == 0,
      release != rollout.origin.release, planned(release, after) != nil, !scene.isTakenAsDone
    else { return }
    if !scene.tasks.contains(where: { $0.release == release && $0.hasEndedWell(by: time) }) {
      violate("task", "a wave of release \(release) begins before its task has ended well")
    }
  }

  private func planned(_ release: ReleaseNumber, _ record: ServiceRecord) -> Scenario.PlannedTask? {
    scenarioRelease(release, in: record).flatMap { scene.plan.tasks[$0] }
  }
}
