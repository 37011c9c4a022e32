package import SluiceGatewayAPI
import SluiceModel
package import SluiceTraffic

/// Which of a route's targets may get requests, judged for each side of a split by itself (DESIGN section 4, rule 6).
///
/// Only the serving pools, together, may panic: they are the last resort. The canary's users have the serving pools to go to, and a preview
/// shows what is.
package struct RouteEligibility: Hashable, Sendable {
  /// By target in table order.
  package private(set) var eligible: [Bool] = []
  /// Whether nearly all targets of the serving pools fail together, so that all of them are used.
  package private(set) var panicking = false
  /// Whether some active target of the serving pools has not been judged yet.
  package private(set) var undecided = false
  /// How many targets of the serving pools are healthy: what they can do without panic.
  package private(set) var healthyServing = 0
  /// Whether some target of the serving pools can take requests, in panic too.
  package private(set) var canServe = false

  /// Of a service without a table.
  package init() {}

  /// Decides over a table's targets. `known` tells of each; one it does not know is left out of every decision.
  package init(_ table: RouteTable, known: (RouteTable.Target) -> Eligibility.Candidate?) {
    let unknown = Eligibility.Candidate(state: .drained, health: .unknown, wasHealthy: false)
    let candidates = table.pools.map { pool in (role: pool.role, targets: pool.targets.map { known($0) ?? unknown }) }
    let serving = Eligibility(candidates.filter { $0.role == .serving }.flatMap(\.targets), threshold: table.panicThreshold)
    panicking = serving.panicking
    undecided = serving.undecided
    canServe = serving.eligible.contains(true)
    var ofServing = serving.eligible[...]
    for pool in candidates {
      if pool.role == .serving {
        eligible += ofServing.prefix(pool.targets.count)
        ofServing = ofServing.dropFirst(pool.targets.count)
        healthyServing += pool.targets.count { $0.state == .serving && $0.health == .healthy }
      } else {
        eligible += Eligibility(pool.targets, threshold: .zero).eligible
      }
    }
  }
}
