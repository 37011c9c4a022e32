package import SluiceModel
import SluiceRollout

/// A plan as people read it.
package struct PlanText {
  package let lines: [String]

  package init(_ plan: Rehearsal.Plan) {
    var lines: [String] = []
    let notes = plan.notes.map { "  \($0)" }
    guard plan.changes || !notes.isEmpty else {
      self.lines = ["\(plan.service): nothing to do"]
      return
    }
    guard !plan.waves.isEmpty || !plan.steps.isEmpty || plan.obstacle != nil else {
      self.lines = ["\(plan.service): no instance changes"] + Self.differences(plan) + notes
      return
    }
    lines.append("\(plan.service): \(plan.waves.count) wave\(plan.waves.count == 1 ? "" : "s"), floor \(plan.floor), cap \(plan.cap)")
    lines += Self.differences(plan) + notes
    if plan.obstacle == nil { lines.append("  \(plan.expectedTime.text)") }
    if !plan.staged.isEmpty { lines.append("  files to \(plan.staged.map(\.rawValue).joined(separator: ", "))") }
    if !plan.waits.isEmpty { lines.append("  begins \(plan.waits.joined(separator: ", "))") }
    for case .task(let host, let release, _) in plan.actions { lines.append("  the task of release \(release), once, on \(host)") }
    func steps(after waves: Int) { for step in plan.steps where step.afterWaves == waves { lines.append("  \(Self.text(step))") } }
    let times = plan.expectedTime.waves
    steps(after: 0)
    for (index, wave) in plan.waves.enumerated() {
      let least = wave.leastServing == Int.max ? 0 : wave.leastServing
      let rack = wave.leastAfterRackLoss == Int.max ? 0 : wave.leastAfterRackLoss
      let time = times[index]
      lines.append("  \(wave.text)\(time > .zero ? ", about \(time.rounded)" : "")")
      lines.append(
        "    serving at least \(least), existing at most \(wave.mostExisting); \(rack) would be left if the worst rack were lost")
      steps(after: index + 1)
    }
    if let obstacle = plan.obstacle {
      lines.append("  \(plan.end == .degraded ? "would end degraded" : "cannot be done"): \(obstacle.message)")
      if !obstacle.remedy.isEmpty { lines.append("    \(obstacle.remedy)") }
    }
    self.lines = lines
  }

  /// One line for each field in which one release differs from another.
  package static func changes(of fields: [FieldChange]) -> [String] { fields.map { "  release: \(text($0))" } }

  /// What differs from what stands, the release first.
  private static func differences(_ plan: Rehearsal.Plan) -> [String] {
    var lines = changes(of: plan.releaseChanges ?? [])
    if plan.secretsChange { lines.append("  release: secrets changed") }
    for change in plan.settingChanges { lines.append("  setting: \(text(change))") }
    if !plan.leaves.isEmpty {
      let left = plan.leaves.map(\.description).joined(separator: ", ")
      let others = plan.comesTo.isEmpty ? "the others" : plan.comesTo.map(\.description).joined(separator: ", ")
      lines.append(
        "  leaves gateway \(left): its route stays there until \(others) have it and find its targets healthy, and for \(plan.drainTimeout) more, for users to follow"
      )
    } else if !plan.comesTo.isEmpty {
      lines.append("  comes to gateway \(plan.comesTo.map(\.description).joined(separator: ", "))")
    }
    return lines
  }

  /// `run.env.LOG_LEVEL: info → debug`
  private static func text(_ change: FieldChange) -> String {
    if change.isSecret { return "\(change.field) changed (not shown)" }
    switch (change.before, change.after) {
    case (let before?, let after?): return "\(change.field): \(before) → \(after)"
    case (nil, let after?): return "\(change.field): + \(after)"
    case (let before?, nil): return "\(change.field): − \(before)"
    case (nil, nil): return "\(change.field) changed"
    }
  }

  /// `step 2: 10% of users on the new release, for at least 5m, judged by what they meet, then until you say so`
  private static func text(_ step: Rehearsal.StepMark) -> String {
    var words = ["step \(step.number): \(step.share) on the new release"]
    if step.hold > .zero { words.append("for \(step.isJudged ? "at least " : "")\(step.hold)") }
    if step.isJudged { words.append("judged by what they meet") }
    if step.asks { words.append("then until you say `sluice rollout promote`") }
    return words.joined(separator: ", ")
  }
}
