import NIOCore
import SluiceModel
import SluiceTraffic

/// Where a split has put one request, and what its end adds to the counts. Made when it is admitted, and true to that moment's generation.
struct Placement {
  let traffic: SplitTraffic
  var side: SplitRule.Side
  /// The salted hash of the user's key; nil: it has none.
  let user: UInt32?
  /// The line that gives the client its key, for the service's answer; nil: it has one, or gets none.
  var cookie: [UInt8]?
  /// It is of the canary's side, and answered from the stable one because no target of the canary could.
  var spilled = false
  private let admitted = NIODeadline.now()
  private var microseconds: Int?
  private var failed = false

  init(traffic: SplitTraffic, side: SplitRule.Side, user: UInt32?) {
    self.traffic = traffic
    self.side = side
    self.user = user
  }

  /// The service's final head has come.
  mutating func answered(_ status: Int) {
    microseconds = elapsed
    failed = status >= 500
  }

  private var elapsed: Int { Int((NIODeadline.now() - admitted).nanoseconds / 1_000) }

  /// The request has ended; one whose client left is not counted. Without a head of the service's the gateway's own answer is the answer.
  func ended(_ outcome: Outcome, tick: Int) {
    if case .gone = outcome { return }
    var failed = failed || spilled
    if case .completed = outcome {} else { failed = true }
    let end = SideTraffic.End(user: user, failed: failed, spilled: spilled, microseconds: microseconds ?? elapsed)
    traffic.ended(side, end, tick: tick)
  }
}
