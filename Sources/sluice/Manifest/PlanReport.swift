import SluiceEngine
import SluiceModel
import SluiceRollout

/// `sluice plan --output json`, one object a service: stable names.
struct PlanReport: Codable {
  struct Added: Codable {
    var instance: String
    var host: String
    var port: Int
  }

  struct Wave: Codable {
    var number: Int
    var text: String
    /// Instances that go.
    var removed: [String]
    var added: [Added]
    var leastServing: Int
    var mostExisting: Int
    var leastAfterRackLoss: Int
    /// What is sent in this wave, in the words of `apply --verbose`: the same set, and for each object in the same order.
    var attempts: [String]
  }

  struct Step: Codable {
    var number: Int
    /// How many waves begin before it.
    var afterWaves: Int
    /// Whom the new release gets: `10% of users`.
    var share: String
    /// In basis points; nil where it is no share of users.
    var users: Int?
    var holdMilliseconds: Int64
    var approve: Bool
    var analysis: Bool
  }

  var service: String
  var changes: Bool
  var floor: Int
  var cap: Int
  /// What it waits for before it begins: `after db`.
  var waits: [String]
  /// What is sent before the first wave.
  var before: [String]
  var waves: [Wave]
  var steps: [Step]
  /// Why it would stop, or would not begin.
  var obstacle: String?
  /// What to do about that.
  var next: String?

  init(_ plan: Rehearsal.Plan) {
    let service = plan.service
    func words(_ actions: some Sequence<Action>) -> [String] { actions.map { $0.description(service: service) } }
    self.service = service.rawValue
    changes = plan.changes
    floor = plan.floor
    cap = plan.cap
    waits = plan.waits
    before = words(plan.actionsBefore)
    waves = plan.waves.enumerated().map { index, wave in
      Wave(
        number: wave.number, text: wave.text, removed: wave.replacements.compactMap { $0.old.map { "\(service)/\($0)" } },
        added: wave.added.map { Added(instance: "\(service)/\($0.number)", host: $0.host.rawValue, port: $0.port) },
        leastServing: wave.leastServing == .max ? 0 : wave.leastServing, mostExisting: wave.mostExisting,
        leastAfterRackLoss: wave.leastAfterRackLoss == .max ? 0 : wave.leastAfterRackLoss, attempts: words(plan.actions(ofWaveAt: index)))
    }
    steps = plan.steps.map { step in
      let users: Int? = if case .users(let share) = step.share { share.value } else { nil }
      return Step(
        number: step.number, afterWaves: step.afterWaves, share: step.share.description, users: users, holdMilliseconds: step.hold.value,
        approve: step.asks, analysis: step.isJudged)
    }
    obstacle = plan.obstacle?.message
    next = plan.obstacle.flatMap { $0.remedy.isEmpty ? nil : $0.remedy }
  }
}
