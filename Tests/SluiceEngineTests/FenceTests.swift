import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

/// Who may act, and from which record (DESIGN section 2).
@Suite struct FenceTests {
  let service: ServiceName = "shop"

  func acquisition(known: UInt64 = 0, takeOver: Bool = false, live: [String] = []) -> FenceAcquisition {
    FenceAcquisition(owner: "anna", machine: "laptop", known: known, takeOver: takeOver, isLive: { live.contains($0) })
  }

  func granted(_ host: HostName) -> (HostName, ClaimAnswer<HostFact>) { (host, .granted(HostFact(host: host, generation: 1), nil)) }

  func refused(
    _ host: HostName, _ owner: String, _ epoch: UInt64, machine: String = "other", released: Bool = false
  ) -> (HostName, ClaimAnswer<HostFact>) {
    let holder = FenceHolder(
      fence: Fence(owner: owner, epoch: epoch), machine: machine, since: WallTime(milliseconds: 5), released: released)
    return (host, .refused(holder))
  }

  @Test func `the first round asks with an epoch above the record's, and a majority is enough`() {
    var machine = acquisition(known: 4)
    #expect(machine.first() == .ask(Fence(owner: "anna", epoch: 5)))
    let step = machine.conclude(hosts: [granted("a"), granted("b"), ("c", .unreachable("no route"))], gateways: [], excluded: [])
    #expect(step == .acquired(Fence(owner: "anna", epoch: 5)))
  }

  @Test func `half of the hosts is no majority`() {
    var machine = acquisition()
    let step = machine.conclude(hosts: [granted("a"), ("b", .unreachable("no route"))], gateways: [], excluded: [])
    guard case .failed(let failure) = step else { Issue.record("\(step)"); return }
    #expect(failure.output == "b: no route")
  }

  @Test func `a fence that was let go of is gone over, whoever held it`() {
    var machine = acquisition(known: 2)
    let step = machine.conclude(hosts: [refused("a", "ben", 7, released: true), granted("b")], gateways: [], excluded: [])
    #expect(step == .ask(Fence(owner: "anna", epoch: 8)))
  }

  @Test func `one that is held is named, unless the operator takes it over`() {
    var machine = acquisition(known: 2)
    guard case .held(let holder) = machine.conclude(hosts: [refused("a", "ben", 7)], gateways: [], excluded: []) else {
      Issue.record("not held")
      return
    }
    #expect(holder.fence.owner == "ben")
    var bold = acquisition(known: 2, takeOver: true)
    #expect(bold.conclude(hosts: [refused("a", "ben", 7)], gateways: [], excluded: []) == .ask(Fence(owner: "anna", epoch: 8)))
  }

  @Test func `a dead one of the same machine is gone over, a live one is not`() {
    var machine = acquisition(known: 2)
    let mine = [refused("a", "anna-before", 7, machine: "laptop")]
    #expect(machine.conclude(hosts: mine, gateways: [], excluded: []) == .ask(Fence(owner: "anna", epoch: 8)))
    var other = acquisition(known: 2, live: ["anna-before"])
    guard case .held = other.conclude(hosts: mine, gateways: [], excluded: []) else {
      Issue.record("a live one was gone over")
      return
    }
  }

  @Test func `a host that missed the end of an old run does not hold up a majority`() {
    var machine = acquisition(known: 6)
    let round = [granted("a"), granted("b"), refused("c", "ben", 5)]
    #expect(machine.conclude(hosts: round, gateways: [], excluded: []) == .ask(Fence(owner: "anna", epoch: 7)))
    #expect(machine.overrules)
    let next = machine.conclude(hosts: [granted("a"), granted("b"), granted("c")], gateways: [], excluded: [])
    #expect(next == .acquired(Fence(owner: "anna", epoch: 7)))
  }

  @Test func `nor does it where nothing is known of the epoch that the majority has`() {
    var machine = acquisition()
    _ = machine.first()
    let old = refused("c", "ben", 1)
    let first = machine.conclude(
      hosts: [refused("a", "cleo", 3, released: true), refused("b", "cleo", 3, released: true), old], gateways: [], excluded: [])
    #expect(first == .ask(Fence(owner: "anna", epoch: 4)) && !machine.overrules)
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), old], gateways: [], excluded: []) == first && machine.overrules)
    // Half of them is no majority.
    var other = acquisition()
    let step = other.conclude(hosts: [refused("a", "cleo", 3, released: true), old], gateways: [], excluded: [])
    #expect(
      step == .held(FenceHolder(fence: Fence(owner: "ben", epoch: 1), machine: "other", since: WallTime(milliseconds: 5), released: false)))
  }

  @Test func `two that claim at once do not overrule each other`() {
    var machine = acquisition(known: 6)
    let round = [granted("a"), granted("b"), refused("c", "ben", 7)]
    guard case .held = machine.conclude(hosts: round, gateways: [], excluded: []) else {
      Issue.record("not held")
      return
    }
    #expect(!machine.overrules)
  }

  @Test func `an excluded gateway is not asked for its word, and a failing one is told`() {
    let id = GatewayID(gateway: "edge", host: "g1")
    let failure = Failure(.gateway, "it is not a gateway")
    var machine = acquisition()
    #expect(machine.conclude(hosts: [granted("a")], gateways: [(id, .failed(failure))], excluded: []) == .failed(failure))
    var other = acquisition()
    let step = other.conclude(hosts: [granted("a")], gateways: [(id, .failed(failure))], excluded: [id])
    #expect(step == .acquired(Fence(owner: "anna", epoch: 1)))
  }

  // MARK: The record

  /// A copy of that age which counts.
  func verified(_ revision: Revision) -> VerifiedRecord {
    var record = ServiceRecord(policy: ServicePolicy(name: service, fleet: "prod", replicas: 1))
    record.fence = Fence(owner: "ben", epoch: revision.epoch)
    record.version = revision.version
    let verifier = CopyVerifier(fleet: "prod", service: service, digest: { _ in "" }, hash: { _ in "" })
    let stated = OpenedCopy.Stated(fleet: "prod", service: service, revision: revision)
    guard case .success(let copy) = verifier.verify(OpenedCopy(claimed: revision, stated: stated, record: record, signer: nil)) else {
      preconditionFailure("an empty record is one")
    }
    return copy
  }

  func choose(
    _ known: Revision?, _ copies: [Revision], foreign: UInt64 = 0, standing: Bool = false, takesOver: Bool = false
  ) -> RecordChoice {
    RecordChoice.choose(
      service: service, known: known, copies: copies.map(verified), foreignEpoch: foreign, standing: standing, takesOver: takesOver)
  }

  @Test func `the newest by epoch, then by version, is gone on from`() {
    let old = Revision(epoch: 2, version: 90)
    let newer = Revision(epoch: 3, version: 1)
    #expect(choose(old, []) == .known)
    #expect(choose(old, [newer, Revision(epoch: 3, version: 4)]) == .copy(verified(Revision(epoch: 3, version: 4))))
    #expect(choose(newer, [old, newer]) == .known)
    #expect(choose(nil, [old]) == .copy(verified(old)))
    #expect(choose(nil, []) == RecordChoice.none)
  }

  @Test func `a database older than what others have acted with is not trusted without a copy of theirs`() {
    let old = Revision(epoch: 2, version: 90)
    guard case .stale(let failure) = choose(old, [old], foreign: 5) else {
      Issue.record("trusted")
      return
    }
    #expect(failure.remedy.contains("--take-over"))
    #expect(choose(old, [Revision(epoch: 5, version: 1)], foreign: 5) == .copy(verified(Revision(epoch: 5, version: 1))))
    #expect(choose(old, [], foreign: 5, takesOver: true) == .known)
  }

  @Test func `nobody begins anew where instances run`() {
    guard case .stale = choose(nil, [], standing: true) else {
      Issue.record("began anew")
      return
    }
    #expect(choose(nil, [], standing: true, takesOver: true) == RecordChoice.none)
  }
}
