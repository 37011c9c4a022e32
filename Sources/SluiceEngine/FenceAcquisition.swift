package import SluiceModel
package import SluiceRollout

/// Takes the fence of one service on its hosts and gateways, and finds the newest copy of its record: a machine, driven round by round.
///
/// A round asks every host at once, and once a majority of them has granted the fence, every gateway: a claim that cannot come to anything
/// touches no gateway. Whoever knows a higher epoch says so, and the next round goes over it.
///
/// A majority of the hosts decides, since whoever acts has had one. What the few others say is a word of theirs alone: one that fails counts as
/// unreachable and is named, one that tells of another holder is asked to give it up, and an epoch far beyond everybody else's is never taken on.
package struct FenceAcquisition: Sendable {
  package enum Step: Hashable, Sendable {
    /// Ask every host with this fence; those in `overruling` are to give it up, whoever holds it there.
    case askHosts(Fence, overruling: [HostName])
    /// A majority of the hosts has granted this fence: ask every gateway with it.
    case askGateways(Fence)
    case acquired(Fence)
    /// A controller holds it: who, since when.
    case held(FenceHolder)
    /// Too few could be reached: why.
    case failed(Failure)
  }

  /// A host or gateway that was reached and took no part: it is worked around as if it could not be reached.
  package struct PassedOver<Place: Hashable & Sendable>: Hashable, Sendable {
    package var place: Place
    package var failure: Failure
  }

  private let owner: String
  private let machine: String
  private let takeOver: Bool
  /// Nothing is known of the service here: then the word of one host may be the only one that tells of it.
  private let isStranger: Bool
  /// Whether an owner on this machine still runs: of another machine's nobody here knows.
  private let isLive: @Sendable (String) -> Bool
  private var epoch: UInt64
  private var rounds = 0
  /// The highest epoch that a controller of another machine was found to have acted with, 0 without one.
  package private(set) var foreignEpoch: UInt64 = 0
  /// A majority of the hosts has granted the fence, and these few refused it: they are to give it up in the next round.
  private var overruled: [HostName] = []
  /// Gateways that were gone over once.
  private var raisedOver: [GatewayID] = []
  /// Of the last round.
  package private(set) var passedOverHosts: [PassedOver<HostName>] = []
  package private(set) var passedOverGateways: [PassedOver<GatewayID>] = []

  /// `known` is the epoch of the record at hand, 0 without one.
  package init(
    owner: String, machine: String, known: UInt64, takeOver: Bool, isLive: @escaping @Sendable (String) -> Bool = { _ in false }
  ) {
    self.isLive = isLive
    self.owner = owner
    self.machine = machine
    self.takeOver = takeOver
    isStranger = known == 0
    epoch = min(known, Bounds.epoch) + 1
  }

  package func first() -> Step { ask() }

  /// What the record is told of those that were passed over in the last round.
  package var inputs: [Input] {
    passedOverHosts.map { .hostUnreachable($0.place, $0.failure.message) }
      + passedOverGateways.map { .gatewayUnreachable($0.place, $0.failure.message) }
  }

  private func ask() -> Step { .askHosts(Fence(owner: owner, epoch: epoch), overruling: overruled) }

  // MARK: Hosts

  /// Judges what the hosts answered, all those that the service may use.
  package mutating func conclude(hosts: [(HostName, ClaimAnswer<HostFact>)]) -> Step {
    rounds += 1
    passedOverHosts = []
    let granted = hosts.count { if case .granted = $0.1 { true } else { false } }
    let hasMajority = hosts.isEmpty || granted * 2 > hosts.count
    let limit = furthestBelieved(hosts)
    var holders: [(host: HostName, holder: FenceHolder)] = []
    for (host, answer) in hosts {
      switch answer {
      case .granted, .unreachable: break
      case .failed(let failure): passedOverHosts.append(PassedOver(place: host, failure: failure))
      case .refused(let holder) where holder.fence.epoch > limit: pass(over: host, holder)
      case .refused(let holder): holders.append((host, holder))
      }
    }
    if hasMajority, overrules(holders.map(\.holder)) {
      // A host that refuses what it was asked to give up is not asked for ever.
      for (host, holder) in holders where overruled.contains(host) || rounds >= 5 { pass(over: host, holder) }
      holders.removeAll { overruled.contains($0.host) || rounds >= 5 }
      overruled += holders.map(\.host)
      if let highest = highest(holders.map(\.holder)) {
        if highest.fence.epoch >= epoch { return raise(over: highest) }
        return ask()
      }
    } else if let highest = highest(holders.map(\.holder)) {
      note(foreign: holders.map(\.holder))
      if !takeOver, let live = live(holders.map(\.holder), hosts) {
        // With those that nobody holds any more it may be a majority, and the live one only a word of a few.
        let free = holders.map(\.holder).filter(isFree)
        guard (granted + free.count) * 2 > hosts.count, let next = self.highest(free), rounds < 5 else { return .held(live) }
        return raise(over: next)
      }
      return rounds < 5 ? raise(over: highest) : .held(highest)
    }
    if hasMajority { return .askGateways(Fence(owner: owner, epoch: epoch)) }
    return .failed(tooFew(hosts, granted: granted))
  }

  /// Whether those few that refuse what a majority has granted cannot hold it: they name an older fence, so that they have missed its end; or
  /// it is known here what the service's epoch was, and that majority has seen none above it.
  private func overrules(_ holders: [FenceHolder]) -> Bool { !isStranger || takeOver || holders.allSatisfy { $0.fence.epoch < epoch } }

  /// Whether its holder has let go of it, or was of this machine and is dead.
  private func isFree(_ holder: FenceHolder) -> Bool {
    holder.released || (holder.machine == machine && !isLive(holder.fence.owner))
  }

  /// The first that lives as far as can be known. One that most hosts have forgotten for a newer fence cannot act any more: it missed its end at
  /// a host that was cut off.
  private func live(_ holders: [FenceHolder], _ hosts: [(HostName, ClaimAnswer<HostFact>)]) -> FenceHolder? {
    holders.first { holder in
      let newer = hosts.count { if case .refused(let other) = $0.1 { other.fence.epoch > holder.fence.epoch } else { false } }
      return !isFree(holder) && newer * 2 <= hosts.count
    }
  }

  /// The epoch that a majority of the hosts has seen, and as much more as anybody could have gone on since. Those that say nothing have seen none
  /// that is above the one at hand, as far as can be known: the word of the others is not the majority's.
  private func furthestBelieved(_ hosts: [(HostName, ClaimAnswer<HostFact>)]) -> UInt64 {
    let seen = hosts.map { answer -> UInt64 in
      if case .refused(let holder) = answer.1 { holder.fence.epoch } else { epoch }
    }.sorted(by: >)
    let common = seen.isEmpty ? 0 : seen[seen.count / 2]
    return min(max(common, epoch), Bounds.epoch) + Bounds.epochLeap
  }

  private mutating func pass(over host: HostName, _ holder: FenceHolder) {
    passedOverHosts.append(PassedOver(place: host, failure: disbelieved("\(host)", holder)))
  }

  private func disbelieved(_ place: String, _ holder: FenceHolder) -> Failure {
    let what = holder.fence.epoch > Bounds.epoch ? "an epoch that no run of Sluice reaches" : "a holder that nobody else knows"
    return Failure(
      .host, "\(place) tells of \(what): \(holder.fence.owner.prefix { $0 != ":" }) (epoch \(holder.fence.epoch))",
      remedy: "look who writes there; sluice adopt -f PATH --reset-fence SERVICE sets the fence anew, once nobody acts on the service",
      holder: holder.fence)
  }

  private func tooFew(_ hosts: [(HostName, ClaimAnswer<HostFact>)], granted: Int) -> Failure {
    if var failure = passedOverHosts.first?.failure {
      let more = passedOverHosts.dropFirst().map(\.failure.message)
      if !more.isEmpty {
        failure.message += " (and \(more.count) more like it)"
        failure.output = ([failure.output] + more).filter { !$0.isEmpty }.joined(separator: "\n")
      }
      return failure
    }
    return Failure(
      .host, "only \(granted) of \(hosts.count) hosts could be reached, and acting needs a majority", output: unreachable(hosts),
      remedy: "sluice hosts check shows why; take hosts that are gone for good out of the manifest")
  }

  private func unreachable(_ hosts: [(HostName, ClaimAnswer<HostFact>)]) -> String {
    hosts.compactMap { host, answer in
      if case .unreachable(let why) = answer { return "\(host): \(why)" }
      return nil
    }.joined(separator: "\n")
  }

  // MARK: Gateways

  /// Judges what the gateways answered. An excluded one is not asked for its word.
  package mutating func conclude(gateways: [(GatewayID, ClaimAnswer<GatewayFact>)], excluded: [GatewayID]) -> Step {
    passedOverGateways = []
    var holders: [FenceHolder] = []
    var isWorking = gateways.isEmpty
    for (id, answer) in gateways {
      if excluded.contains(id) {
        isWorking = true
        continue
      }
      switch answer {
      case .granted, .unreachable: isWorking = true
      case .failed(let failure): passedOverGateways.append(PassedOver(place: id, failure: failure))
      case .refused(let holder) where holder.fence.epoch > epoch + Bounds.epochLeap || raisedOver.contains(id) || rounds >= 5:
        passedOverGateways.append(PassedOver(place: id, failure: disbelieved("gateway \(id)", holder)))
        isWorking = true
      case .refused(let holder):
        holders.append(holder)
        raisedOver.append(id)
      }
    }
    if let highest = highest(holders) { return raise(over: highest) }
    // Where not one of them works there is nobody to move users; what is wrong with it is told at once.
    if !isWorking, let failure = passedOverGateways.first?.failure { return .failed(failure) }
    return .acquired(Fence(owner: owner, epoch: epoch))
  }

  // MARK: Epochs

  private func highest(_ holders: [FenceHolder]) -> FenceHolder? { holders.max { $0.fence.epoch < $1.fence.epoch } }

  private mutating func note(foreign holders: [FenceHolder]) {
    for holder in holders where holder.machine != machine { foreignEpoch = max(foreignEpoch, holder.fence.epoch) }
  }

  private mutating func raise(over holder: FenceHolder) -> Step {
    guard holder.fence.epoch < Bounds.epoch else { return .failed(disbelieved("a majority of the hosts", holder)) }
    epoch = max(epoch, holder.fence.epoch) + 1
    return ask()
  }
}

extension Fleet {
  /// The hosts whose majority gives the fence of a service: every one that it may use or has used.
  func voters(on known: ServiceRecord?, policy: ServicePolicy?) -> [Host] {
    let labels = policy?.placement.require ?? [:]
    return hosts.filter { host in
      if known?.instances.contains(where: { $0.host == host.name }) ?? false { return true }
      return host.slots > 0 && labels.allSatisfy { host.labels[$0.key] == $0.value }
    }
  }
}
