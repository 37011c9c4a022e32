/// What an analysis says of the canary.
package enum Verdict: String, Codable, Sendable {
  case pass, fail, inconclusive

  /// One failed rule fails the canary, and it passes only when every rule does.
  init(of verdicts: [Verdict]) {
    self = verdicts.contains(.fail) ? .fail : verdicts.allSatisfy { $0 == .pass } ? .pass : .inconclusive
  }
}

/// All that the rules found at one look, and the verdict that follows.
package struct Judgement: Hashable, Codable, Sendable {
  /// One for each rule that is asked, in a fixed order.
  package let findings: [Finding]

  package init(_ findings: [Finding]) { self.findings = findings }

  package var verdict: Verdict { Verdict(of: findings.map(\.verdict)) }
}

/// What one rule found.
package struct Finding: Hashable, Codable, Sendable {
  package enum Rule: Hashable, Codable, Sendable, CustomStringConvertible {
    case minRequests
    case versusStable
    case maxErrorRate
    case p99Max
    case p99VersusStable
    case check(String)

    /// As the manifest names it.
    package var description: String {
      switch self {
      case .minRequests: "minRequests"
      case .versusStable: "versusStable"
      case .maxErrorRate: "maxErrorRate"
      case .p99Max: "p99.max"
      case .p99VersusStable: "p99.versusStable"
      case .check(let name): "check \(name)"
      }
    }
  }

  package let rule: Rule
  package let verdict: Verdict
  /// What the rule counted of the canary: failed, slow or passed, of how many.
  package let canary: Tally
  /// The same of the stable release, where the rule compares.
  package let stable: Tally?
  /// ln of the evidence against the canary, where the rule weighs one.
  package let logEvidence: Double?
  /// One plain sentence; for an inconclusive finding it says what is missing.
  package let text: String

  init(_ rule: Rule, _ verdict: Verdict, canary: Tally, stable: Tally? = nil, logEvidence: Double? = nil, text: String) {
    self.rule = rule
    self.verdict = verdict
    self.canary = canary
    self.stable = stable
    self.logEvidence = logEvidence
    self.text = text
  }
}
