import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic

/// All that an event loop must know of one service. Always sent whole; the loop finds out what changed.
struct ServiceUpdate: Sendable {
  var service: ServiceName
  /// Nil: the service has no route here any more.
  var table: RouteTable?
  /// What the table asks for and another service has: requests for it go there.
  var lost: Set<RouteKey> = []
  /// The table's split; nil: it has none.
  var plan: SplitPlan?
  /// Everybody goes to the serving pools, because no controller was heard.
  var fallenBack: Bool
  /// By target in table order.
  var eligible: [Bool]
  var undecided: Bool
  var switchState: SwitchMachine.State
  /// Rises when the switch moves: counts begin anew.
  var switchMoves: Int
  var bound: SharedBound
}

/// What a loop tells of a service when asked.
struct ServiceTally: Sendable {
  var total = LoopCounts()
  /// Since the switch moved.
  var since = LoopCounts()
  var waiting = 0
  var targets: [TargetTally] = []
  /// Nil: there has been no split.
  var splits: SplitTally?

  struct TargetTally: Sendable {
    var instance: InstanceID
    var release: ReleaseNumber
    var authority: String
    var counts: LoopCounts
  }
}
