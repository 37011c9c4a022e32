import SluiceModel

extension Absorber {
  /// The number of the release of that digest, known or new. Refused where it is marked bad, or where nothing before a later one can be gone
  /// back to, unless `force` says otherwise.
  mutating func admit(_ digest: Digest, _ spec: ReleaseSpec, force: Bool) throws(Refusal) -> ReleaseNumber {
    let known = record.releases.last { $0.digest == digest }
    let past = record.past?.last { $0.digest == digest }
    let number = known?.number ?? past?.number
    if let number, !force, let why = record.badReleases.first(where: { $0.number == number })?.why {
      throw Refusal(
        "release \(record.service)\(number) (\(digest.short)) is marked bad: \(why)",
        remedy: "build a new release, or, where what was wrong is put right outside of it, say --force to try this one again")
    }
    if !force, let obstacle = record.obstacle(backTo: number) {
      throw Refusal(
        obstacle.message,
        remedy: "\(obstacle.remedy), or say --force to bring \(record.service)\(number ?? ReleaseNumber(0)) all the same")
    }
    if let known {
      if case .bad = known.status, let index = record.releases.firstIndex(where: { $0.number == known.number }) {
        record.releases[index].status = .candidate
      }
      return known.number
    }
    if let again = record.recall(digest, spec: spec) { return again }
    let release = record.takeReleaseNumber()
    record.releases.append(Release(number: release, digest: digest, spec: spec))
    return release
  }

  /// Back to the release before, or to the one that is named; while a rollout is under way, to where that came from.
  mutating func rollback(to wanted: ReleaseNumber?, marksBad: Bool, _ command: Command) throws(Refusal) {
    if let rollout = record.rollout {
      guard wanted == nil || wanted == rollout.origin.release else {
        throw Refusal("a rollout of \(record.service) is under way", remedy: "sluice rollout abort \(record.service), then rollback --to")
      }
      let left = rollout.direction.isForward ? rollout.goal.release : rollout.wanted
      try abort("rolled back by \(command.by)")
      if marksBad, left != rollout.origin.release { markBad(left, by: command.by) }
      return
    }
    guard let target = wanted ?? record.before else {
      let former =
        record.policy.formerly.map { ", and \($0) is what it was called before: apply its manifest of then under the new name" } ?? ""
      throw Refusal(
        "\(record.service) has no earlier release that succeeded", remedy: "sluice history \(record.service) lists its releases\(former)")
    }
    if target == reached.release, reached.replicas > 0 { throw Refusal("\(record.service)\(target) is what runs") }
    if let why = record.badReleases.first(where: { $0.number == target })?.why {
      throw Refusal(
        "\(record.service)\(target) is marked bad: \(why)", remedy: "sluice apply --force with its manifest tries it again")
    }
    guard let release = record.release(target), release.status == .succeeded else {
      throw Refusal(
        "\(record.service)\(target) never succeeded or is no longer kept", remedy: "sluice history \(record.service) lists its releases")
    }
    if let obstacle = record.obstacle(backTo: target) { throw Refusal(obstacle.message, remedy: obstacle.remedy) }
    var goal = reached
    goal.release = target
    goal.replicas = record.scale ?? record.policy.replicas
    if goal == reached { throw Refusal("\(record.service)\(target) is what runs") }
    try takeRouteAgain()
    let left = reached.release
    begin("rollback", goal: goal, command)
    if marksBad, left != target { markBad(left, by: command.by) }
  }

  /// Whoever applies it again is told, and must say `--force`.
  private mutating func markBad(_ release: ReleaseNumber?, by: String) {
    guard let release, let index = record.releases.firstIndex(where: { $0.number == release }) else { return }
    record.releases[index].status = .bad("rolled back by \(by)")
    note(.warning, "marked-bad", "release \(release) is marked bad by \(by): applying it again needs --force")
  }
}
