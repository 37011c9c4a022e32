import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceTraffic

/// Rules 5 and 6 as users meet them.
extension Simulation {
  /// Where a gateway last sent a user, and under what share.
  struct Sighting {
    var share: Int
    var isCanary: Bool
  }

  /// What was seen under another rollout's split says nothing of this one.
  mutating func expect(_ split: TableSplit, at id: GatewayID) {
    guard let number = scene.gateways[id]?.rollout, !scene.stateWasLost else { return }
    let rollout = "\(number) \(split.release)"
    guard scene.seenIn[id] != rollout || scene.sightings[id] == nil else { return }
    scene.seenIn[id] = rollout
    scene.sightings[id] = Array(repeating: nil, count: SimulatedUsers.count)
  }

  /// While the share grows no user moves back, and nobody moves on while it falls. `sightings` are those of the gateway.
  mutating func follow(_ user: Int, isCanary: Bool, _ split: TableSplit, _ id: GatewayID, _ sightings: inout [Sighting?]) {
    guard user < sightings.count else { return }
    if let last = sightings[user], last.isCanary != isCanary {
      let wasMoved = isCanary ? split.share.value > last.share : split.share.value < last.share
      if !wasMoved {
        let shares = "\(BasisPoints(last.share)), now it is \(split.share)"
        violate("5", "\(SimulatedUsers.name(user)) \(isCanary ? "joins" : "leaves") the canary at \(id): the share was \(shares)")
      }
    }
    sightings[user] = Sighting(share: split.share.value, isCanary: isCanary)
  }

  /// One request, held against what was decided.
  mutating func check(
    _ user: Int, isCanary: Bool, spills: Bool, servedBy target: TableTarget?, _ split: TableSplit?, _ id: GatewayID
  ) {
    if let target, faultsSoFar == 0, !runs(target) {
      violate("3", "a request of \(SimulatedUsers.name(user)) is lost: \(id) sends it to \(target.instance), which does not run")
    }
    if let target, scene.withdrawn.contains(target.release) {
      violate("5", "\(SimulatedUsers.name(user)) meets release \(target.release) at \(id) after it was taken back")
    }
    guard let split else { return }
    if let target, target.release == split.release, !isEntitled(user, split) {
      violate(
        spills ? "6" : "5",
        "\(SimulatedUsers.name(user)) of the stable release meets release \(split.release) at \(id)\(spills ? ": stable spills" : "")")
    }
    if isCanary, spills, faultsSoFar == 0 {
      violate("6", "\(SimulatedUsers.name(user)) belongs to release \(split.release), of which nothing is healthy at \(id)")
    }
  }

  /// By the definition of DESIGN section 4, not by the gateway's code: lists first, then the bucket.
  private func isEntitled(_ user: Int, _ split: TableSplit) -> Bool {
    let name = SimulatedUsers.name(user)
    if split.deny.contains(name) { return false }
    if split.allow.contains(name) { return true }
    let hash = SimulatedUsers.keys[user].withUnsafeBytes { UserSalt(split.salt).hash($0) }
    return Int(hash % 10_000) < split.share.value
  }

  /// Rule 7 on a step's end: an analysis lets nothing pass of which its users have had enough. Rule 9: a step lasts as long as it says.
  mutating func checkStep(_ before: ServiceRecord, _ after: ServiceRecord, byHand: Bool) {
    if let since = after.rollout?.step?.since, since != before.rollout?.step?.since, let rollout = after.rollout {
      scene.stepsBegan.append(StepBegan(rollout: rollout.number, index: rollout.step?.index ?? 0, since: since, at: time))
    }
    guard let former = before.rollout, let step = former.step, let plan = before.stepPlan, let now = after.rollout, !byHand, !step.promoted,
      now.number == former.number, now.direction.isForward
    else { return }
    let isOver = now.step?.index != step.index
    let isAsked = now.step?.asks != nil && step.asks == nil
    let began = scene.stepsBegan.first { $0.rollout == former.number && $0.index == step.index && $0.since == step.since }?.at ?? time
    if isOver || isAsked, time - began < plan.hold.value {
      violate("9", "step \(step.index + 1) ends after \(time - began) ms of a hold of \(plan.hold)")
    }
    guard isOver, let analysis = plan.analysis, step.byHand == nil, let release = former.goal.release else { return }
    if flaw(of: release, in: after)?.isSeen(by: analysis) == true {
      violate("7", "the analysis lets release \(release) pass, which fails its users")
    }
    checkPasses(former, step, analysis)
  }

  struct StepBegan {
    var rollout: Int
    var index: Int
    var since: Milliseconds
    var at: Int64
  }

  /// What is wrong with a release that is ready.
  func flaw(of release: ReleaseNumber, in record: ServiceRecord) -> Scenario.Flaw? {
    scenarioRelease(release, in: record).flatMap { scene.plan.flaws[$0] }
  }

  /// The number that the scenario knows a release by.
  func scenarioRelease(_ release: ReleaseNumber, in record: ServiceRecord) -> Int? {
    guard let digest = record.release(release)?.digest else { return nil }
    let mending = (0..<scene.mendings).map { Scenario.mending + 1 + $0 }
    return (scene.plan.releases + [Scenario.superseding] + mending).first { Scenario.digest($0) == digest }
  }
}
