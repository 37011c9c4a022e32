package import SluiceModel
package import SluiceRollout

/// Takes the fence of one service on its hosts and gateways, and finds the newest copy of its record: a machine, driven round by round.
///
/// A round asks every host and gateway at once. Whoever knows a higher epoch says so, and the next round goes over it.
package struct FenceAcquisition: Sendable {
  package enum Step: Hashable, Sendable {
    /// Ask everyone with this fence.
    case ask(Fence)
    /// The fence stands. The record is the newest that was found, or nil when there is none.
    case acquired(Fence)
    /// A controller holds it: who, since when.
    case held(FenceHolder)
    /// Too few could be reached: why.
    case failed(Failure)
  }

  private let owner: String
  private let machine: String
  private let takeOver: Bool
  /// Whether an owner on this machine still runs; of another machine's nobody here knows.
  private let isLive: @Sendable (String) -> Bool
  private var epoch: UInt64
  private var rounds = 0
  /// The highest epoch that a controller of another machine was found to hold, 0 without one.
  package private(set) var foreignEpoch: UInt64 = 0
  /// A majority of the hosts has granted the fence, and the few that refuse it name an older one: its holder cannot act any more, and has not
  /// been able to let go of them (they were cut off when it ended). The next round takes them from it.
  package private(set) var overrules = false

  /// `known` is the epoch of the record at hand, 0 without one.
  package init(
    owner: String, machine: String, known: UInt64, takeOver: Bool, isLive: @escaping @Sendable (String) -> Bool = { _ in false }
  ) {
    self.isLive = isLive
    self.owner = owner
    self.machine = machine
    self.takeOver = takeOver
    epoch = known + 1
  }

  package func first() -> Step { .ask(Fence(owner: owner, epoch: epoch)) }

  /// Judges one round. `hosts` counts those that the service may use.
  package mutating func conclude(
    hosts: [(HostName, ClaimAnswer<HostFact>)], gateways: [(GatewayID, ClaimAnswer<GatewayFact>)], excluded: [GatewayID]
  ) -> Step {
    rounds += 1
    var holders: [FenceHolder] = []
    var granted = 0
    var reached = 0
    var trouble: [Failure] = []
    func judge<Seen>(_ answer: ClaimAnswer<Seen>) -> Bool {
      switch answer {
      case .granted:
        return true
      case .refused(let holder):
        holders.append(holder)
      case .failed(let failure):
        trouble.append(failure)
      case .unreachable: break
      }
      return false
    }
    for (_, answer) in hosts {
      if case .unreachable = answer {} else { reached += 1 }
      if judge(answer) { granted += 1 }
    }
    for (id, answer) in gateways where !excluded.contains(id) { _ = judge(answer) }
    for holder in holders where holder.machine != machine { foreignEpoch = max(foreignEpoch, holder.fence.epoch) }
    if let highest = holders.max(by: { $0.fence.epoch < $1.fence.epoch }) {
      if !takeOver, !overrules, granted * 2 > hosts.count, holders.allSatisfy({ $0.fence.epoch < epoch }) {
        overrules = true
        return .ask(Fence(owner: owner, epoch: epoch))
      }
      // One that most hosts have forgotten for a newer fence cannot act any more: it missed its end at a host that was cut off.
      func isOvertaken(_ holder: FenceHolder) -> Bool {
        let newer = hosts.count { if case .refused(let other) = $0.1 { other.fence.epoch > holder.fence.epoch } else { false } }
        return newer * 2 > hosts.count
      }
      let live = holders.first { !$0.released && ($0.machine != machine || isLive($0.fence.owner)) && !isOvertaken($0) }
      if !takeOver, let live {
        return .held(live)
      }
      guard rounds < 5 else { return .held(highest) }
      epoch = max(epoch, highest.fence.epoch) + 1
      return .ask(Fence(owner: owner, epoch: epoch))
    }
    if var failure = trouble.first {
      if trouble.count > 1 {
        failure.message += " (and \(trouble.count - 1) more like it)"
        failure.output = ([failure.output] + trouble.dropFirst().map(\.message)).filter { !$0.isEmpty }.joined(separator: "\n")
      }
      return .failed(failure)
    }
    guard hosts.isEmpty || granted * 2 > hosts.count else {
      return .failed(
        Failure(
          .host, "only \(reached) of \(hosts.count) hosts could be reached, and acting needs a majority", output: unreachable(hosts),
          remedy: "sluice hosts check shows why; take hosts that are gone for good out of the manifest"))
    }
    return .acquired(Fence(owner: owner, epoch: epoch))
  }

  private func unreachable(_ hosts: [(HostName, ClaimAnswer<HostFact>)]) -> String {
    hosts.compactMap { host, answer in
      if case .unreachable(let why) = answer { return "\(host): \(why)" }
      return nil
    }.joined(separator: "\n")
  }
}
