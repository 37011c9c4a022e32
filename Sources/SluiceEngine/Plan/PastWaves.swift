package import SluiceModel
import SluiceRollout

/// How long the waves of a service have taken, from its history: what a plan cannot know by itself.
package struct PastWaves: Hashable, Codable, Sendable {
  /// From a rollout's beginning to its first wave: files are brought meanwhile. The median.
  package private(set) var preparation: Milliseconds?
  /// From a wave's beginning to its end. The median.
  package private(set) var wave: Milliseconds?
  /// How many waves that is known from.
  package private(set) var count = 0

  package init() {}

  /// From events of one service, in their order; those of waves that did not end are of no use.
  package init(_ events: [StoredEvent]) {
    var begun: [Int: WallTime] = [:]
    var waveBegun: [Int: WallTime] = [:]
    var preparations: [Milliseconds] = []
    var waves: [Milliseconds] = []
    for stored in events {
      guard let rollout = stored.rollout else { continue }
      switch stored.event.kind {
      case "rollout-begun": begun[rollout] = stored.at
      case "wave-begun":
        if let from = begun.removeValue(forKey: rollout), from <= stored.at { preparations.append(stored.at.since(from)) }
        waveBegun[rollout] = stored.at
      case "wave-ended": if let from = waveBegun.removeValue(forKey: rollout), from <= stored.at { waves.append(stored.at.since(from)) }
      // Going back is another matter, and so is what waited for a person.
      case "rollout-back", "rollout-paused": waveBegun[rollout] = nil
      default: break
      }
    }
    preparation = Self.median(preparations)
    wave = Self.median(waves)
    count = waves.count
  }

  private static func median(_ values: [Milliseconds]) -> Milliseconds? {
    values.isEmpty ? nil : values.sorted()[values.count / 2]
  }
}

extension WallTime {
  fileprivate func since(_ earlier: WallTime) -> Milliseconds { Milliseconds(milliseconds - earlier.milliseconds) }
}

/// How long a plan will take: what its own waits come to, with the waves as long as past ones were.
package struct ExpectedTime: Hashable, Codable, Sendable {
  /// Of each wave, in their order.
  package let waves: [Milliseconds]
  package let preparation: Milliseconds
  package let total: Milliseconds
  /// What the total comes from: `4 waves of about 20s, as 12 before`.
  package let parts: [String]
  /// What may make it longer, and by how much at most where that is known.
  package let atMost: [String]
  /// Whether past waves were counted: without them the total is the least time.
  package let isMeasured: Bool

  init(_ plan: Rehearsal.Plan) {
    let past = plan.past
    isMeasured = past.wave != nil || plan.waves.isEmpty
    waves = plan.waves.map { max($0.leastTime, past.wave ?? .zero) }
    preparation = plan.waves.isEmpty ? .zero : past.preparation ?? .zero
    let waits = plan.leastTime - plan.waves.reduce(.zero) { $0 + $1.leastTime }
    total = preparation + waits + waves.reduce(.zero, +)
    var parts: [String] = []
    if preparation > .zero { parts.append("\(preparation.rounded) of preparation") }
    if let longest = waves.max(), longest > .zero {
      let count = "\(waves.count) wave\(waves.count == 1 ? "" : "s") of \(longest.rounded)"
      parts.append(
        past.wave == nil ? "\(count), of which minHealthyTime is all that is known" : "\(count), as the \(past.count) before took")
    }
    let holds = plan.steps.reduce(Milliseconds.zero) { $0 + $1.hold }
    if holds > .zero { parts.append("\(holds.rounded) of holding steps") }
    if waits - holds > .zero { parts.append("\((waits - holds).rounded) between waves") }
    self.parts = parts
    var atMost: [String] = []
    let draining = plan.waves.count { $0.replacements.contains { $0.old != nil } }
    if plan.drainTimeout > .zero, draining > 0 { atMost.append("drains up to \(plan.drainTimeout) a wave") }
    for step in plan.steps where step.isJudged && step.maxHold > step.hold {
      atMost.append("step \(step.number) up to \((step.maxHold - step.hold).rounded) until its analysis is sure")
    }
    let asks = plan.steps.filter(\.asks).map { "step \($0.number)" }
    if !asks.isEmpty { atMost.append("\(asks.joined(separator: ", ")) until you say so") }
    self.atMost = atMost
  }

  /// `about 7m: 4 waves of 20s, as the 12 before took; longer by: drains up to 30s a wave`.
  package var text: String {
    var text = "\(isMeasured ? "about" : "at least") \(total.rounded)"
    if !parts.isEmpty { text += ": \(parts.joined(separator: ", "))" }
    if !atMost.isEmpty { text += "; longer by \(atMost.joined(separator: ", "))" }
    return text
  }
}

extension Milliseconds {
  /// For people: `7m 20s`, to the second, and below ten seconds to the tenth.
  package var rounded: String {
    if value < 10_000 { return value % 1_000 == 0 ? "\(value / 1_000)s" : "\(value / 1_000).\(value % 1_000 / 100)s" }
    let seconds = (value + 500) / 1_000
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")].filter { $0.0 > 0 }
    return parts.map { "\($0.0)\($0.1)" }.joined(separator: " ")
  }
}
