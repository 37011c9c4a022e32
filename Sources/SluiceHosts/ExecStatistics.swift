package import SluiceModel
internal import Synchronization

/// What an exec was for. Readiness probes are counted apart from the work (DESIGN section 9).
package enum ExecKind: String, Hashable, Sendable, CaseIterable, Comparable {
  case claim, observe, stage, upload, start, stop, replicate, release, probe, task, inspect, logs, gateway

  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// How many commands were run on each host, by kind. One exec is one round trip.
package struct ExecCounts: Hashable, Sendable {
  package var byHost: [HostName: [ExecKind: Int]] = [:]

  package init() {}

  /// Over all hosts.
  package func total(_ kind: ExecKind) -> Int { byHost.values.reduce(0) { $0 + ($1[kind] ?? 0) } }
  /// On one host.
  package func count(_ kind: ExecKind, on host: HostName) -> Int { byHost[host]?[kind] ?? 0 }
  /// What replacing instances costs: starts, stops, looks and records; without staging, probes, claims and the clean end.
  package var perInstanceWork: Int { [.observe, .start, .stop, .replicate].reduce(0) { $0 + total($1) } }
}

/// Counts from any task.
final class ExecCounter: Sendable {
  private let counts = Mutex(ExecCounts())

  func count(_ kind: ExecKind, on host: HostName) { counts.withLock { $0.byHost[host, default: [:]][kind, default: 0] += 1 } }
  var snapshot: ExecCounts { counts.withLock { $0 } }
}
