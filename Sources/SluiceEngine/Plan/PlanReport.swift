package import SluiceModel
import SluiceRollout

/// `sluice plan --output json`, one object a service: stable names.
package struct PlanReport: Codable, Sendable {
  package struct Added: Codable {
    package var instance: String
    package var host: String
    package var port: Int
  }

  package struct Wave: Codable {
    package var number: Int
    package var text: String
    /// Instances that go.
    package var removed: [String]
    package var added: [Added]
    package var leastServing: Int
    package var mostExisting: Int
    package var leastAfterRackLoss: Int
    /// What is sent in this wave, in the words of `apply --verbose`: the same set, and for each object in the same order.
    package var attempts: [String]
    package var expectedMilliseconds: Int64
  }

  package struct Step: Codable {
    package var number: Int
    /// How many waves begin before it.
    package var afterWaves: Int
    /// Whom the new release gets: `10% of users`.
    package var share: String
    /// In basis points; nil where it is no share of users.
    package var users: Int?
    package var holdMilliseconds: Int64
    /// The most that an analysis without a verdict may extend it to.
    package var maxHoldMilliseconds: Int64
    package var approve: Bool
    package var analysis: Bool
  }

  package struct Time: Codable, Sendable {
    package var expectedMilliseconds: Int64
    /// Whether past waves were counted; if not, it takes at least so long.
    package var isMeasured: Bool
    package var pastWaves: Int
    package var parts: [String]
    package var longerBy: [String]
  }

  package var service: String
  package var changes: Bool
  package var floor: Int
  package var cap: Int
  /// What it waits for before it begins: `after db`.
  package var waits: [String]
  /// What is sent before the first wave.
  package var before: [String]
  package var time: Time
  /// Fields of the release that differ from the one that stands; nil: none stands.
  package var releaseChanges: [FieldChange]?
  package var secretsChange: Bool
  package var settingChanges: [FieldChange]
  /// Gateways that the service leaves, and those that it comes to; nil: none.
  package var leaves: [String]?
  package var comesTo: [String]?
  package var waves: [Wave]
  package var steps: [Step]
  /// What an operator is to know besides: what is down, what was stopped on purpose, what follows later only. Left out where there is nothing.
  package var notes: [String]?
  /// Why it would stop, or would not begin.
  package var obstacle: String?
  /// What to do about that.
  package var next: String?

  package init(_ plan: Rehearsal.Plan) {
    let service = plan.service
    func words(_ actions: some Sequence<Action>) -> [String] { actions.map { $0.description(service: service) } }
    self.service = service.rawValue
    changes = plan.changes
    floor = plan.floor
    cap = plan.cap
    waits = plan.waits
    before = words(plan.actionsBefore)
    let expected = plan.expectedTime
    time = Time(
      expectedMilliseconds: expected.total.value, isMeasured: expected.isMeasured, pastWaves: plan.past.count, parts: expected.parts,
      longerBy: expected.atMost)
    releaseChanges = plan.releaseChanges
    secretsChange = plan.secretsChange
    settingChanges = plan.settingChanges
    leaves = plan.leaves.isEmpty ? nil : plan.leaves.map(\.description)
    comesTo = plan.comesTo.isEmpty ? nil : plan.comesTo.map(\.description)
    waves = plan.waves.enumerated().map { index, wave in
      Wave(
        number: wave.number, text: wave.text, removed: wave.replacements.compactMap { $0.old.map { "\(service)/\($0)" } },
        added: wave.added.map { Added(instance: "\(service)/\($0.number)", host: $0.host.rawValue, port: $0.port) },
        leastServing: wave.leastServing == .max ? 0 : wave.leastServing, mostExisting: wave.mostExisting,
        leastAfterRackLoss: wave.leastAfterRackLoss == .max ? 0 : wave.leastAfterRackLoss, attempts: words(plan.actions(ofWaveAt: index)),
        expectedMilliseconds: expected.waves[index].value)
    }
    steps = plan.steps.map { step in
      let users: Int? = if case .users(let share) = step.share { share.value } else { nil }
      return Step(
        number: step.number, afterWaves: step.afterWaves, share: step.share.description, users: users, holdMilliseconds: step.hold.value,
        maxHoldMilliseconds: step.maxHold.value,
        approve: step.asks, analysis: step.isJudged)
    }
    notes = plan.notes.isEmpty ? nil : plan.notes
    obstacle = plan.obstacle?.message
    next = plan.obstacle.flatMap { $0.remedy.isEmpty ? nil : $0.remedy }
  }
}
