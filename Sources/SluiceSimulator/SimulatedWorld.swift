import SluiceEngine
import SluiceModel
import SluiceRollout

/// A host as it really is for one service.
struct SimulatedHost {
  struct Running {
    var release: ReleaseNumber
    var port: Int
    /// When it starts to answer its probes; nil: never.
    var readyAt: Int64?
    /// Its program has ended by itself, and nothing starts it again.
    var hasEnded = false
    /// Its program has ended by itself, and is started again sooner or later.
    var isDown = false
    /// Until when it is sick with all that is as old.
    var sickUntil: Int64 = 0
    /// What its release promises to answer.
    var readiness = ReadinessCheck(probe: .tcp)

    /// From when on it answers its probes; nil: never.
    var readyFrom: Int64? { hasEnded || isDown ? nil : readyAt.map { max($0, sickUntil) } }
  }

  var powered = true
  var linked = true
  /// What it says is lost on the way; what it is asked arrives.
  var mute = false
  var flapping = false
  var generation: UInt64 = 0
  var holders: [ServiceName: FenceHolder] = [:]
  /// Who held the fence before the claim that stands.
  var formers: [ServiceName: FenceHolder] = [:]
  var instances: [Int: Running] = [:]
  var releases: Set<Digest> = []
  var copy: SimulatedCopy?
  /// No room for another release.
  var full = false
  /// Nothing can be written there at all.
  var isUnwritable = false
  /// Whoever logs in gets no answer.
  var hangs = false
  /// Its answers take long.
  var slow = false
  /// What it says that is not so.
  var lie: Scenario.Lie?
  /// The ports of instances of services that no controller of the story knows.
  var strangers: [Int] = []
  /// Ports that something else listens on.
  var foreign: [Int] = []
  /// Those of another service's instances.
  var neighbours: [Int] = []

  /// What it is asked arrives.
  var hears: Bool { powered && linked && !hangs }
  var answers: Bool { hears && !mute }

  func facts(_ name: HostName) -> HostFact {
    HostFact(
      host: name, generation: generation, instances: instances.keys.sorted().compactMap(fact), releases: releases.sorted(),
      listening: foreign + neighbours, held: strangers.isEmpty ? nil : strangers)
  }

  private func fact(of number: Int) -> InstanceFact? {
    guard let instance = instances[number] else { return nil }
    let ended = EndedFact(.exited, exitStatus: 0)
    let isUp = !instance.hasEnded && !instance.isDown
    return InstanceFact(number: number, port: instance.port, running: !instance.hasEnded, ended: isUp ? nil : ended)
  }

  func isReady(_ number: Int, at time: Int64) -> Bool {
    guard powered, !flapping, let readyFrom = instances[number]?.readyFrom else { return false }
    return readyFrom <= time
  }

  /// The same rule as the claim script's.
  mutating func claim(_ claim: FenceClaim, _ sabotage: Sabotage?) -> FenceHolder? {
    if let holder = holders[claim.service] {
      let same = holder.fence == claim.fence
      let free = holder.released || holder.machine == claim.machine || claim.takeOver
      let isNewer = claim.fence.epoch > holder.fence.epoch
      guard same || (free && (isNewer || sabotage == .fenceBelowOnly && claim.fence.epoch == holder.fence.epoch)) else { return holder }
      if holder.fence.owner != claim.fence.owner { formers[claim.service] = holder }
    } else {
      formers[claim.service] = nil
    }
    holders[claim.service] = FenceHolder(fence: claim.fence, machine: claim.machine, since: claim.since, released: false)
    return nil
  }

  /// The same as the withdrawal's script.
  mutating func withdraw(_ service: ServiceName, owner: String) {
    if holders[service]?.fence.owner == owner { holders[service] = formers[service] }
  }

  /// The same as the release's script: a clean end.
  mutating func release(_ service: ServiceName, _ fence: Fence) {
    if holders[service]?.fence == fence { holders[service]?.released = true }
  }

  /// Leaves the record's copy, unless a newer one is there; false where the fence is not the one that stands.
  mutating func keep(_ record: ServiceRecord, _ fence: Fence, _ sabotage: Sabotage?) -> Bool {
    guard admits(fence, record.service, sabotage) else { return false }
    if copy.map({ $0.claimed <= record.revision }) ?? true { copy = SimulatedCopy(record) }
    return true
  }

  func admits(_ fence: Fence, _ service: ServiceName, _ sabotage: Sabotage?) -> Bool {
    guard let holder = holders[service], sabotage != .anyFence else { return true }
    return holder.fence == fence || (sabotage == .fenceBelowOnly && fence.epoch == holder.fence.epoch)
  }
}

/// A gateway as it really is for one service.
struct SimulatedGateway {
  var running = true
  var linked = true
  var mute = false
  /// Nothing can be written there.
  var isUnwritable = false
  /// Some of its news is lost or comes late.
  var stale = false
  /// How often it has started.
  var starts = 1
  /// How many facts this start has told.
  var told: UInt64 = 0
  /// It has sent all users to the stable release on its own.
  var fellBack = false
  var fence: Fence?
  /// What stood before the claim that stands, as long as nothing was ordered with it.
  var former: Fence?? = .none
  @Boxed var content: TableContent? = nil
  var revision: Revision?
  var copy: SimulatedCopy?
  var healthy: Set<Int> = []
  var inFlight: [Int: Int] = [:]
  /// When a target's draining became known here.
  var drainingSince: [Int: Int64] = [:]
  /// The rollout that its table is of.
  var rollout: Int?
  /// Since when the route there has had a target that is well; nil: it has none, or had none since it came.
  var servesSince: Int64?
  /// It has had one since the route came.
  var hasServed = false
  /// Which users the split sends to the canary.
  var sides: [Bool] = []
  /// What it has counted of this split and the one before it.
  var counts: [SplitCount] = []
  var hasUsers = false
  var usersUntil: Int64 = 0
  var nextUser = 0

  var hears: Bool { running && linked }
  var answers: Bool { hears && !mute }

  mutating func facts(_ id: GatewayID, _ sabotage: Sabotage?) -> GatewayFact {
    told += 1
    let targets = (content?.targets ?? []).map { target in
      TargetFact(
        instance: target.instance,
        healthy: !target.draining && healthy.contains(target.instance) || sabotage == .sickIsHealthy,
        inFlight: inFlight[target.instance] ?? 0)
    }
    return GatewayFact(gateway: id, revision: revision, targets: targets, boot: "\(starts)", sequence: told, fellBack: fellBack)
  }

  /// Whether what carries this fence may have an effect, and the one it says no for.
  func refusing(_ other: Fence, _ sabotage: Sabotage?) -> Fence? {
    guard let fence, !fence.admits(other), sabotage != .anyFence else { return nil }
    return sabotage == .fenceBelowOnly && other.epoch == fence.epoch ? nil : fence
  }

  /// Raises the fence, or gives the one that stands against it.
  mutating func claim(_ fence: Fence, _ sabotage: Sabotage?) -> Fence? {
    if let standing = refusing(fence, sabotage) { return standing }
    if self.fence?.owner != fence.owner { former = .some(self.fence) }
    self.fence = fence
    return nil
  }

  /// The claim came to nothing elsewhere.
  mutating func withdraw(owner: String) {
    guard fence?.owner == owner, let former else { return }
    (fence, self.former) = (former, .none)
  }

  /// Leaves the record's copy, unless a newer one is there; false where a newer fence stands.
  mutating func keep(_ record: ServiceRecord, _ fence: Fence, _ sabotage: Sabotage?) -> Bool {
    if isUnwritable || refusing(fence, sabotage) != nil { return false }
    former = .none
    if copy.map({ $0.claimed <= record.revision }) ?? true { copy = SimulatedCopy(record) }
    return true
  }

  func routes(_ number: Int) -> Bool {
    guard let content, let target = content.targets.first(where: { $0.instance == number && !$0.draining }) else { return false }
    return !(content.idle?.contains(target.release) ?? false)
  }
}

/// A rule of DESIGN section 4 that did not hold, and when.
package struct Violation: Hashable, Sendable {
  package var rule: String
  package var at: Int64
  package var text: String
}

/// FNV-1a over the trace: two runs of one seed must agree.
package struct TraceHash: Sendable {
  package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ number: Int64) { value = (value ^ UInt64(bitPattern: number)) &* 0x100_0000_01b3 }

  mutating func add(_ text: String) {
    for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    value = (value ^ 10) &* 0x100_0000_01b3
  }
}
