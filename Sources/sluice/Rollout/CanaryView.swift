import SluiceModel
import SluiceRollout
import SluiceTraffic

/// A rollout by steps so that a tired person sees in two seconds: which step, what share, both error rates, and what its analysis lacks.
struct CanaryView {
  private let record: ServiceRecord
  private let rollout: Rollout
  private let audience: Audience
  /// Gateways that send all users to stable by themselves.
  private let fallenBack: [GatewayID]
  private let since: Milliseconds

  /// Nil while no two releases are kept apart. `since`: how long a controller has looked after the record since it was written.
  init?(_ record: ServiceRecord, fallenBack: [GatewayID] = [], since: Milliseconds = .zero) {
    guard let rollout = record.rollout, let audience = rollout.audience else { return nil }
    self.fallenBack = fallenBack
    self.since = since
    self.record = record
    self.rollout = rollout
    self.audience = audience
  }

  var lines: [String] {
    var lines = ["\(place): \(audience.share) on \(audience.release)\(rest)\(timeLeft.map { ", \($0)" } ?? "")"]
    if !fallenBack.isEmpty {
      let names = fallenBack.map(\.description).joined(separator: ", ")
      lines.append("  NO CONTROLLER WAS HEARD: \(names) \(fallenBack.count == 1 ? "sends" : "send") all users to stable meanwhile")
    }
    if let words = record.stableIsDown { lines.append("  STABLE IS DOWN: \(words): sluice rollout promote \(record.service) --full") }
    if let analysis = rollout.analysis {
      lines.append("  new \(audience.release): \(Self.text(analysis.step.canary))")
      lines.append("  stable \(rollout.origin.release ?? ReleaseNumber(0)): \(Self.text(analysis.step.stable))")
    }
    if let judgement = record.judgement { lines.append("  analysis: \(Self.text(judgement))") }
    return lines
  }

  private var place: String {
    if !rollout.direction.isForward { return "users go back" }
    guard let step = rollout.step else { return "after the last step, users follow the new instances" }
    return "step \(step.index + 1) of \(record.steps.count)\(step.byHand == nil ? "" : ", by hand")"
  }

  private var rest: String {
    guard let stable = rollout.origin.release, case .users = audience.share else { return "" }
    return ", the others on \(stable)"
  }

  private var timeLeft: String? {
    let now = record.activeTime + since
    return switch rollout.gate {
    case .holding(_, _, let until)?: "\(Self.span(until - now)) left"
    case .analysis(_, _, let until)?: "at most \(Self.span(until - now)) more for a verdict"
    default: nil
    }
  }

  private static func span(_ time: Milliseconds) -> String {
    let seconds = max(0, (time.value + 999) / 1000)
    return seconds < 120 ? "\(seconds)s" : "\(seconds / 60)m \(seconds % 60)s"
  }

  /// `0.12 % failed (3 of 2 480), p99 41 ms`
  static func text(_ traffic: ReleaseTraffic) -> String {
    guard traffic.requests > 0 else { return "no requests yet in this step" }
    let share = Double(traffic.failures) / Double(traffic.requests)
    var text = "\(Figures.percent(share)) failed (\(Figures.count(traffic.failures)) of \(Figures.count(traffic.requests)))"
    if traffic.spilled > 0 { text += ", \(Figures.count(traffic.spilled)) answered by stable" }
    if let slow = traffic.latency.quantile(0.99), slow != .max { text += ", p99 ≤ \(Figures.decimal(Double(slow) / 1000, places: 1)) ms" }
    return text
  }

  /// The verdict, and the finding that keeps it from a pass.
  static func text(_ judgement: Judgement) -> String {
    let reason = judgement.findings.first { $0.verdict == judgement.verdict && judgement.verdict != .pass }
    switch judgement.verdict {
    case .pass: return "passes"
    case .fail: return "FAILS, \(reason.map { "\($0.rule): \($0.text)" } ?? "")"
    case .inconclusive: return "no verdict yet, \(reason.map { "\($0.rule): \($0.text)" } ?? "")"
    }
  }
}

/// `sluice rollout why`, and a part of `sluice status --output json`: stable names.
struct CanaryReport: Codable {
  struct Side: Codable {
    var requests: Int
    var failures: Int
    var spilled: Int
    var p99Microseconds: Int?

    init(_ traffic: ReleaseTraffic) {
      requests = traffic.requests
      failures = traffic.failures
      spilled = traffic.spilled
      p99Microseconds = traffic.latency.quantile(0.99).flatMap { $0 == .max ? nil : $0 }
    }
  }

  struct FindingReport: Codable {
    var rule: String
    var verdict: String
    var text: String
  }

  /// From 1; nil after the last step and on the way back.
  var step: Int?
  var steps: Int
  /// `10% of users`
  var share: String
  /// In basis points; nil where it is no share of users.
  var users: Int?
  /// Gateways that send all users to stable by themselves, because no controller was heard.
  var fallenBack: [String]
  var release: Int
  var stable: Int?
  var canary: Side?
  var stableSide: Side?
  var verdict: String?
  var findings: [FindingReport]

  init?(_ record: ServiceRecord, fallenBack: [GatewayID] = []) {
    guard let rollout = record.rollout, let audience = rollout.audience else { return nil }
    self.fallenBack = fallenBack.map(\.description)
    step = rollout.step.map { $0.index + 1 }
    steps = record.steps.count
    share = audience.share.description
    users = if case .users(let share) = audience.share { share.value } else { nil }
    release = audience.release.number
    stable = rollout.origin.release?.number
    canary = rollout.analysis.map { Side($0.step.canary) }
    stableSide = rollout.analysis.map { Side($0.step.stable) }
    verdict = record.judgement?.verdict.rawValue
    findings = record.judgement.map(Self.findings) ?? []
  }

  static func findings(_ judgement: Judgement) -> [FindingReport] {
    judgement.findings.map { FindingReport(rule: $0.rule.description, verdict: $0.verdict.rawValue, text: $0.text) }
  }
}
