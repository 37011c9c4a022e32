import SluiceRollout

/// How often each kind of action was sent, by the fault that stood and the phase that its rollout was in.
package struct Coverage: Hashable, Sendable {
  /// Where a rollout is.
  package enum Phase: String, CaseIterable, Sendable {
    case preparing, step, waves, goingBack = "going back", closing, rest

    init(_ rollout: Rollout?) {
      guard let rollout else {
        self = .rest
        return
      }
      if !rollout.direction.isForward {
        self = .goingBack
        return
      }
      switch rollout.stage {
      case .preparing, .preDeploy: self = .preparing
      case .waves: self = rollout.step == nil ? .waves : .step
      case .postDeploy, .closing: self = .closing
      }
    }
  }

  package static let actions = [
    "look", "stage", "start", "check", "stop", "table", "remove table", "hook", "task", "analysis check", "replicate",
  ]
  /// The first: none of them.
  package static let faults: [Scenario.Fault.Kind.Name?] = [nil] + Scenario.Fault.Kind.Name.allCases.map(\.self)

  private var counts = Array(repeating: 0, count: actions.count * faults.count * Phase.allCases.count)

  package init() {}

  /// An action is sent while these faults stand.
  mutating func count(_ action: Action, _ standing: [Scenario.Fault.Kind.Name], _ rollout: Rollout?) {
    guard let row = Self.actions.firstIndex(of: action.kind), let phase = Phase.allCases.firstIndex(of: Phase(rollout)) else { return }
    if standing.isEmpty { counts[place(row, 0, phase)] += 1 }
    for fault in standing { counts[place(row, 1 + (Scenario.Fault.Kind.Name.allCases.firstIndex(of: fault) ?? 0), phase)] += 1 }
  }

  package static func += (left: inout Self, right: Self) {
    for index in left.counts.indices { left.counts[index] += right.counts[index] }
  }

  private func place(_ action: Int, _ fault: Int, _ phase: Int) -> Int {
    (action * Self.faults.count + fault) * Phase.allCases.count + phase
  }

  /// Cells that cannot be filled, whatever is drawn, and why.
  private static func isImpossible(_ action: String, _ phase: Phase) -> Bool {
    switch (action, phase) {
    // No scenario takes a service away from its gateway.
    case ("remove table", _): true
    // No hook is due where no rollout runs; files stay where they are, so that what is started again where it was finds them.
    case ("stage", .rest), ("stage", .closing), ("hook", .rest): true
    // A task comes between the files and the first wave, and is given up when the rollout goes back; checks belong to a step.
    case ("task", .preparing), ("analysis check", .step): false
    case ("task", _), ("analysis check", _): true
    // A rollout closes when nothing is left to stop.
    case ("stop", .closing): true
    case ("replicate", .preparing), ("replicate", .closing), ("replicate", .rest): true
    default: false
    }
  }

  /// The table: a row for each action and fault, a column for each phase; then the cells that are empty and need not be.
  package var text: [String] {
    func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
    var lines = [pad("action × fault", 42) + Phase.allCases.map { pad($0.rawValue, 12) }.joined()]
    for (row, action) in Self.actions.enumerated() {
      for (column, fault) in Self.faults.enumerated() {
        let cells = Phase.allCases.enumerated().map { phase, word in
          let count = counts[place(row, column, phase)]
          return pad(count == 0 && Self.isImpossible(action, word) ? "-" : "\(count)", 12)
        }
        lines.append(pad("\(action) × \(fault?.rawValue ?? "no fault")", 42) + cells.joined())
      }
    }
    return lines + empty
  }

  /// What is empty, by action and phase.
  private var empty: [String] {
    var lines: [String] = []
    for (row, action) in Self.actions.enumerated() {
      for (phase, word) in Phase.allCases.enumerated() where !Self.isImpossible(action, word) {
        let faults = Self.faults.indices.filter { counts[place(row, $0, phase)] == 0 }.map { Self.faults[$0]?.rawValue ?? "no fault" }
        if faults.isEmpty { continue }
        let which = faults.count == Self.faults.count ? "every fault" : faults.joined(separator: ", ")
        lines.append("empty: \(action) × \(word.rawValue) × \(which)")
      }
    }
    return lines
  }
}
