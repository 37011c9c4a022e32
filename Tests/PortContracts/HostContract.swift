internal import Foundation
package import SluiceEngine
package import SluiceModel
package import SluiceRollout

/// A fresh host that nobody has claimed yet, and what is needed to have instances on it.
package protocol HostSubject: Sendable {
  var hosts: any HostPort { get }
  var host: SluiceModel.Host { get }
  var policy: ServicePolicy { get }
  /// A release that can be brought; the instances of a sick one run and never become ready.
  func release(_ number: Int, sick: Bool) async throws -> Release
  /// An instance on a port that nothing has.
  func instance(_ number: Int, of release: Release) async throws -> Instance
  /// An instance on a port that something else listens on.
  func crowded(_ number: Int, of release: Release) async throws -> Instance
}

/// Claims with standard values, for one service.
struct Claimer {
  let subject: any HostSubject

  func claim(_ fence: Fence, machine: String = "here", takeOver: Bool = false) async -> ClaimAnswer<HostFact> {
    let claim = FenceClaim(
      service: subject.policy.name, fence: fence, machine: machine, since: WallTime(milliseconds: 7), takeOver: takeOver)
    return await subject.hosts.claim(claim, on: subject.host, ports: subject.policy.ports)
  }

  func perform(_ kind: HostOrder.Kind, _ fence: Fence) async -> AttemptResult {
    let order = HostOrder(service: subject.policy.name, fence: fence, attempt: 1, policy: subject.policy, kind: kind)
    return await subject.hosts.perform(order, on: subject.host)
  }

  func succeeds(_ kind: HostOrder.Kind, _ fence: Fence) async throws -> AttemptResult.Seen {
    let result = await perform(kind, fence)
    guard case .succeeded(let seen) = result else { throw BrokenLaw(description: "\(kind): \(result)") }
    return seen
  }

  func facts(_ fence: Fence) async throws -> HostFact {
    guard case .facts(let fact) = try await succeeds(.observe, fence) else { throw BrokenLaw(description: "no facts") }
    return fact
  }

  /// An instance that was brought and started.
  func started(_ fence: Fence, sick: Bool = false) async throws -> (Instance, Release) {
    try await granted(fence)
    let release = try await subject.release(1, sick: sick)
    let instance = try await subject.instance(1, of: release)
    _ = try await succeeds(.stage(release), fence)
    _ = try await succeeds(.start(instance, release), fence)
    return (instance, release)
  }

  @discardableResult
  func granted(_ fence: Fence, machine: String = "here", takeOver: Bool = false) async throws -> SignedCopy? {
    let answer = await claim(fence, machine: machine, takeOver: takeOver)
    guard case .granted(_, let copy) = answer else { throw BrokenLaw(description: "claim of \(fence): \(answer)") }
    return copy
  }

  func refused(_ fence: Fence, machine: String = "here", takeOver: Bool = false) async throws -> FenceHolder {
    let answer = await claim(fence, machine: machine, takeOver: takeOver)
    guard case .refused(let holder) = answer else { throw BrokenLaw(description: "claim of \(fence): \(answer)") }
    return holder
  }
}

/// What every host does (DESIGN section 4, rules 6 and 7).
package enum HostContract {
  private static let mine = Fence(owner: "me@here:boot:1", epoch: 3)
  private static let other = Fence(owner: "you@there:boot:2", epoch: 4)

  package static let laws: [Law<any HostSubject>] = ownership + work

  private static let ownership: [Law<any HostSubject>] = [
    Law("the fence is granted to the first, again to its holder, and to a higher epoch of the same machine; to no other machine") {
      subject in
      let at = Claimer(subject: subject)
      try await at.granted(mine)
      try await at.granted(mine)
      let holder = try await at.refused(other, machine: "there")
      try demand(holder.fence == mine && holder.machine == "here" && !holder.released, "\(holder)")
      try await at.granted(Fence(owner: "later", epoch: 4))
    },
    Law("an epoch that is not above the holder's is refused, whoever takes over") { subject in
      let at = Claimer(subject: subject)
      try await at.granted(other)
      for epoch: UInt64 in [3, 4] {
        let holder = try await at.refused(Fence(owner: "late", epoch: epoch), takeOver: true)
        try demand(holder.fence == other, "\(holder)")
      }
      try await at.granted(Fence(owner: "late", epoch: 5), machine: "there", takeOver: true)
    },
    Law("after a clean end anyone may have it with a higher epoch, and nobody with a lower one") { subject in
      let at = Claimer(subject: subject)
      try await at.granted(other)
      await subject.hosts.release(subject.policy.name, fence: other, keep: [], on: subject.host)
      let holder = try await at.refused(mine, machine: "elsewhere")
      try demand(holder.released && holder.fence == other, "\(holder)")
      try await at.granted(Fence(owner: "third", epoch: 5), machine: "elsewhere")
    },
    Law("a claim that is withdrawn gives the fence back to who held it") { subject in
      let at = Claimer(subject: subject)
      try await at.granted(mine)
      try await at.granted(other, machine: "there", takeOver: true)
      await subject.hosts.withdraw(subject.policy.name, fence: other, on: subject.host)
      let holder = try await at.refused(Fence(owner: "x", epoch: 9), machine: "elsewhere")
      try demand(holder.fence == mine, "\(holder)")
      _ = try await at.facts(mine)
    },
    Law("who holds no fence, or an older one, changes nothing, and learns who holds it") { subject in
      let at = Claimer(subject: subject)
      let (instance, release) = try await at.started(mine)
      try await at.granted(other, takeOver: true)
      let before = try await at.facts(other)
      let second = try await subject.instance(2, of: release)
      let orders: [HostOrder.Kind] = [.observe, .stage(release), .start(second, release), .stop(instance, release)]
      for order in orders {
        let result = await at.perform(order, mine)
        guard case .failed(let failure) = result, failure.kind == .fenced else { throw BrokenLaw(description: "\(order): \(result)") }
        try demand(failure.holder == other, "\(failure)")
      }
      try demand(await !keep(1, mine, subject), "an older fence has left a copy")
      let after = try await at.facts(other)
      try demand(after.instances == before.instances && after.releases == before.releases, "\(before) became \(after)")
    },
    Law("an operator's word is told to whoever claims or looks; the newer one counts, and a drained host starts nothing") { subject in
      let at = Claimer(subject: subject)
      try await at.granted(mine)
      let none = try await at.facts(mine).cordon
      try demand(none == nil, "\(String(describing: none))")
      let release = try await subject.release(1, sick: false)
      let instance = try await subject.instance(1, of: release)
      _ = try await at.succeeds(.stage(release), mine)
      func word(_ number: UInt64, _ isDrained: Bool) -> Cordon {
        Cordon(host: subject.host.name, number: number, isDrained: isDrained, by: "bob@the attic", at: WallTime(milliseconds: 9))
      }
      // What was said, and what lies there then.
      for (said, lies) in [(word(5, true), word(5, true)), (word(4, false), word(5, true)), (word(5, false), word(5, true))] {
        let left = await subject.hosts.leave(said, on: subject.host)
        try demand(left == lies, "\(said) left \(String(describing: left))")
        try demand(try await at.facts(mine).cordon == lies, "a look tells something else")
        guard case .granted(let fact, _) = await at.claim(mine), fact.cordon == lies else {
          throw BrokenLaw(description: "a claim tells something else")
        }
      }
      let result = await at.perform(.start(instance, release), mine)
      guard case .failed(let failure) = result, failure.kind == .drained else { throw BrokenLaw(description: "\(result)") }
      try demand(failure.cordon == word(5, true), "\(failure)")
      try demand(await subject.hosts.leave(word(6, false), on: subject.host) == word(6, false), "a newer one does not count")
      _ = try await at.succeeds(.start(instance, release), mine)
    },
    Law("the record's copy comes back with the next claim; an older one does not go over a newer") { subject in
      let at = Claimer(subject: subject)
      let none = try await at.granted(mine)
      try demand(none == nil, "a copy of nothing")
      for version: UInt64 in [9, 10] { try demand(await keep(version, mine, subject), "version \(version) was not kept") }
      // Whether an older one counts as kept where a newer one lies is left to the adapter.
      _ = await keep(8, mine, subject)
      let copy = try await at.granted(mine)
      try demand(copy == Self.copy(10, mine, subject.policy), "\(String(describing: copy?.revision)) came back")
    },
  ]

  private static let work: [Law<any HostSubject>] = [
    Law("a release that was brought is there, brought twice too, and the host's generation rises with what changes it") { subject in
      let at = Claimer(subject: subject)
      try await at.granted(mine)
      let empty = try await at.facts(mine)
      try demand(empty.instances.isEmpty && empty.releases.isEmpty, "\(empty)")
      let release = try await subject.release(1, sick: false)
      for _ in 0..<2 { _ = try await at.succeeds(.stage(release), mine) }
      let fact = try await at.facts(mine)
      try demand(fact.releases == [release.digest] && fact.generation > empty.generation, "\(fact)")
    },
    Law("an instance is started once, however often that is asked, and its port and number are told") { subject in
      let at = Claimer(subject: subject)
      let (instance, release) = try await at.started(mine)
      guard case .host(let generation) = try await at.succeeds(.start(instance, release), mine) else {
        throw BrokenLaw(description: "a start tells no generation")
      }
      let fact = try await at.facts(mine)
      try demand(fact.instances.map(\.number) == [1] && fact.instances.first?.port == instance.port, "\(fact)")
      try demand(fact.instances.first?.running == true && fact.generation >= generation, "\(fact)")
      _ = try await at.succeeds(.checkReady(instance, release), mine)
    },
    Law("what never becomes ready is told as that, within startTimeout and a little, and goes on running") { subject in
      let at = Claimer(subject: subject)
      let (instance, release) = try await at.started(mine, sick: true)
      let result = await at.perform(.checkReady(instance, release), mine)
      guard case .failed(let failure) = result, failure.kind == .readiness else { throw BrokenLaw(description: "\(result)") }
      try demand(try await at.facts(mine).instances.map(\.number) == [1], "it is gone")
    },
    Law("a stop is a stop, also of what has stopped") { subject in
      let at = Claimer(subject: subject)
      let (instance, release) = try await at.started(mine)
      for _ in 0..<2 {
        guard case .stopped = try await at.succeeds(.stop(instance, release), mine) else { throw BrokenLaw(description: "no stop") }
        try demand(try await at.facts(mine).instances.isEmpty, "it is still there")
      }
      // Its release is in no record any more.
      guard case .stopped = try await at.succeeds(.stop(instance, nil), mine) else { throw BrokenLaw(description: "no stop") }
    },
    Law("a port that something else has is told as taken, and nothing is started") { subject in
      let at = Claimer(subject: subject)
      try await at.granted(mine)
      let release = try await subject.release(1, sick: false)
      _ = try await at.succeeds(.stage(release), mine)
      let crowded = try await subject.crowded(1, of: release)
      let result = await at.perform(.start(crowded, release), mine)
      guard case .failed(let failure) = result, failure.kind == .portTaken else { throw BrokenLaw(description: "\(result)") }
      let fact = try await at.facts(mine)
      try demand(fact.instances.isEmpty && fact.listening.contains(crowded.port), "\(fact)")
    },
  ]

  private static func keep(_ version: UInt64, _ fence: Fence, _ subject: any HostSubject) async -> Bool {
    await subject.hosts.replicate(copy(version, fence, subject.policy), service: subject.policy.name, fence: fence, to: subject.host)
  }

  /// A record of that version, as the store writes it.
  static func copy(_ version: UInt64, _ fence: Fence, _ policy: ServicePolicy) -> SignedCopy {
    var record = ServiceRecord(policy: policy)
    record.fence = fence
    record.version = version
    return copy(of: record)
  }

  /// Signed with a word: adapters look no closer.
  package static func copy(of record: ServiceRecord) -> SignedCopy {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let data = try? encoder.encode(record) else { preconditionFailure("a record is always written") }
    let statement = CopyStatement(
      fleet: record.policy.fleet, service: record.service, revision: record.revision, record: Array(data))
    return SignedCopy(statement, signature: "signed")
  }
}
