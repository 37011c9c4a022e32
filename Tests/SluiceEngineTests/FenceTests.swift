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

  func failing(_ host: HostName) -> (HostName, ClaimAnswer<HostFact>) {
    (host, .failed(Failure(.host, "\(host): the disk is full", remedy: "make room")))
  }

  func silent(_ host: HostName) -> (HostName, ClaimAnswer<HostFact>) { (host, .unreachable("no route")) }

  let g1 = GatewayID(gateway: "edge", host: "g1")
  let g2 = GatewayID(gateway: "edge", host: "g2")

  func held(_ id: GatewayID, _ owner: String, _ epoch: UInt64) -> (GatewayID, ClaimAnswer<GatewayFact>) {
    let fence = Fence(owner: owner, epoch: epoch)
    return (id, .refused(FenceHolder(fence: fence, machine: "other", since: WallTime(milliseconds: 0), released: true)))
  }

  func open(_ id: GatewayID) -> (GatewayID, ClaimAnswer<GatewayFact>) { (id, .granted(GatewayFact(gateway: id, revision: nil), nil)) }

  func mine(_ epoch: UInt64) -> Fence { Fence(owner: "anna", epoch: epoch) }

  /// `.askHosts` where nobody is overruled.
  func again(_ epoch: UInt64, over hosts: [HostName] = []) -> FenceAcquisition.Step { .askHosts(mine(epoch), overruling: hosts) }

  @Test func `the first round asks the hosts with an epoch above the record's, and a majority is enough to ask the gateways`() {
    var machine = acquisition(known: 4)
    #expect(machine.first() == again(5))
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), silent("c")]) == .askGateways(mine(5)))
    #expect(machine.conclude(gateways: [open(g1), (g2, .unreachable("no route"))], excluded: []) == .acquired(mine(5)))
    #expect(machine.passedOverHosts.isEmpty && machine.passedOverGateways.isEmpty)
  }

  @Test func `half of the hosts is no majority, and no gateway is asked`() {
    var machine = acquisition()
    let step = machine.conclude(hosts: [granted("a"), silent("b")])
    guard case .failed(let failure) = step else { Issue.record("\(step)"); return }
    #expect(failure.output == "b: no route")
  }

  @Test func `a service that may use no host is decided at its gateways`() {
    var machine = acquisition(known: 2)
    #expect(machine.conclude(hosts: []) == .askGateways(mine(3)))
    #expect(machine.conclude(gateways: [open(g1)], excluded: []) == .acquired(mine(3)))
  }

  /// What three hosts can answer, and what comes of it: every combination of granted, failing, silent, and an older or a newer holder.
  enum Word: CaseIterable { case grants, fails, silent, older, newer }

  func answer(_ host: HostName, _ word: Word) -> (HostName, ClaimAnswer<HostFact>) {
    switch word {
    case .grants: granted(host)
    case .fails: failing(host)
    case .silent: silent(host)
    case .older: refused(host, "ben", 5)
    case .newer: refused(host, "cleo", 9)
    }
  }

  @Test(arguments: Word.allCases, Word.allCases)
  func `two of three that grant decide, whatever the third says`(_ first: Word, _ second: Word) {
    for third in Word.allCases {
      var machine = acquisition(known: 6)
      let words: [(HostName, Word)] = [("a", first), ("b", second), ("c", third)]
      let step = machine.conclude(hosts: words.map { answer($0.0, $0.1) })
      let grants = words.count { $0.1 == .grants }
      let refusing = words.filter { $0.1 == .older || $0.1 == .newer }
      let failing = words.filter { $0.1 == .fails }.map(\.0)
      switch (grants, refusing.isEmpty) {
      case (2..., true):
        #expect(step == .askGateways(mine(7)), "\(words)")
        #expect(machine.passedOverHosts.map(\.place) == failing)
      case (2..., false):
        let epoch: UInt64 = refusing.contains { $0.1 == .newer } ? 10 : 7
        #expect(step == again(epoch, over: refusing.map(\.0)), "\(words)")
        #expect(machine.foreignEpoch == 0)
      case (_, false):
        // The older one is overtaken where most hosts name the newer.
        guard case .held(let holder) = step else { Issue.record("\(words): \(step)"); continue }
        #expect(refusing.contains { $0.1 == (holder.fence.epoch == 9 ? .newer : .older) })
        #expect(machine.foreignEpoch == (refusing.contains { $0.1 == .newer } ? 9 : 5))
      case (_, true):
        guard case .failed(let failure) = step else { Issue.record("\(words): \(step)"); continue }
        #expect(failure.remedy == (failing.isEmpty ? failure.remedy : "make room"))
      }
    }
  }

  @Test func `a host that fails is passed over by a majority, and told to the record as one that cannot be reached`() {
    var machine = acquisition(known: 4)
    #expect(machine.conclude(hosts: [failing("a"), granted("b"), granted("c")]) == .askGateways(mine(5)))
    #expect(machine.conclude(gateways: [], excluded: []) == .acquired(mine(5)))
    #expect(machine.inputs == [.hostUnreachable("a", "a: the disk is full")])
    #expect(machine.passedOverHosts.map(\.failure.remedy) == ["make room"])
    var alone = acquisition(known: 4)
    guard case .failed(let failure) = alone.conclude(hosts: [failing("a"), failing("b"), granted("c")]) else {
      Issue.record("a minority has sufficed")
      return
    }
    #expect(failure.message == "a: the disk is full (and 1 more like it)")
  }

  @Test func `those that nobody holds any more count for the majority that overrules the few`() {
    var machine = acquisition(known: 3)
    // A claim of this machine that was cut off has reached b, and an old run's end was missed at a.
    let left = refused("b", "anna-before", 4, machine: "laptop")
    let step = machine.conclude(hosts: [refused("a", "ben", 2), left, granted("c"), granted("d")])
    #expect(step == again(5))
    #expect(machine.conclude(hosts: [refused("a", "ben", 2), granted("b"), granted("c"), granted("d")]) == again(5, over: ["a"]))
    // Where they are too few, it is held.
    var other = acquisition(known: 3)
    guard case .held(let holder) = other.conclude(hosts: [refused("a", "ben", 6), refused("b", "ben", 6), left, granted("d")]) else {
      Issue.record("not held")
      return
    }
    #expect(holder.fence.epoch == 6)
  }

  @Test func `a fence that was let go of is gone over, whoever held it`() {
    var machine = acquisition(known: 2)
    let step = machine.conclude(hosts: [refused("a", "ben", 7, released: true), granted("b")])
    #expect(step == again(8))
  }

  @Test func `one that is held is named, unless the operator takes it over`() {
    var machine = acquisition(known: 2)
    guard case .held(let holder) = machine.conclude(hosts: [refused("a", "ben", 7)]) else {
      Issue.record("not held")
      return
    }
    #expect(holder.fence.owner == "ben")
    var bold = acquisition(known: 2, takeOver: true)
    #expect(bold.conclude(hosts: [refused("a", "ben", 7)]) == again(8))
  }

  @Test func `a dead one of the same machine is gone over, a live one is not`() {
    var machine = acquisition(known: 2)
    let mine = [refused("a", "anna-before", 7, machine: "laptop")]
    #expect(machine.conclude(hosts: mine) == again(8))
    var other = acquisition(known: 2, live: ["anna-before"])
    guard case .held = other.conclude(hosts: mine) else {
      Issue.record("a live one was gone over")
      return
    }
  }

  @Test func `a host that missed the end of an old run does not hold up a majority`() {
    var machine = acquisition(known: 6)
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), refused("c", "ben", 5)]) == again(7, over: ["c"]))
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), granted("c")]) == .askGateways(mine(7)))
  }

  @Test func `nor does one that a newer claim has reached alone, which came to nothing`() {
    var machine = acquisition(known: 6)
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), refused("c", "ben", 9)]) == again(10, over: ["c"]))
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), granted("c")]) == .askGateways(mine(10)))
    // What that one never acted with is nothing that a record is missed of.
    #expect(machine.foreignEpoch == 0)
  }

  @Test func `one that refuses what it was told to give up is passed over`() {
    var machine = acquisition(known: 6)
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), refused("c", "ben", 9)]) == again(10, over: ["c"]))
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), refused("c", "ben", 11)]) == .askGateways(mine(10)))
    #expect(machine.passedOverHosts.map(\.place) == ["c"])
    #expect(machine.passedOverHosts.first?.failure.remedy.contains("--reset-fence SERVICE") == true)
  }

  @Test func `where nothing is known of the epoch that the majority has, an old holder is overruled once it is`() {
    var machine = acquisition()
    _ = machine.first()
    let old = refused("c", "ben", 1)
    let first = machine.conclude(hosts: [refused("a", "cleo", 3, released: true), refused("b", "cleo", 3, released: true), old])
    #expect(first == again(4))
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), old]) == again(4, over: ["c"]))
    // Half of them is no majority.
    var other = acquisition()
    let step = other.conclude(hosts: [refused("a", "cleo", 3, released: true), old])
    #expect(
      step == .held(FenceHolder(fence: Fence(owner: "ben", epoch: 1), machine: "other", since: WallTime(milliseconds: 5), released: false)))
  }

  @Test func `who knows nothing of the service believes the one host that does`() {
    var machine = acquisition()
    guard case .held(let holder) = machine.conclude(hosts: [granted("a"), granted("b"), refused("c", "ben", 7)]) else {
      Issue.record("a live one was gone over")
      return
    }
    #expect(holder.fence.epoch == 7)
    var bold = acquisition(takeOver: true)
    #expect(bold.conclude(hosts: [granted("a"), granted("b"), refused("c", "ben", 7)]) == again(8, over: ["c"]))
  }

  @Test func `of two that claim at once the one with the majority wins, and the other is held`() {
    var machine = acquisition(known: 6)
    #expect(machine.conclude(hosts: [granted("a"), granted("b"), refused("c", "ben", 7)]) == again(8, over: ["c"]))
    var other = acquisition(known: 6)
    guard case .held = other.conclude(hosts: [refused("a", "ben", 7), refused("b", "ben", 7), granted("c")]) else {
      Issue.record("not held")
      return
    }
    var half = acquisition(known: 6)
    guard case .held = half.conclude(hosts: [granted("a"), refused("b", "ben", 7)]) else {
      Issue.record("not held")
      return
    }
  }

  @Test(arguments: [UInt64(1) << 40, (1 << 62) - 1, 1 << 62, .max - 2, .max])
  func `an epoch far beyond everybody else's is one host's word: it locks nothing and is not taken on`(_ absurd: UInt64) {
    for (known, takeOver) in [(UInt64(6), false), (0, false), (6, true)] {
      var machine = acquisition(known: known, takeOver: takeOver)
      let step = machine.conclude(hosts: [granted("a"), refused("b", "mallory", absurd), granted("c")])
      #expect(step == .askGateways(mine(known + 1)))
      #expect(machine.passedOverHosts.map(\.place) == ["b"] && machine.foreignEpoch == 0)
      // A gateway's word counts no more.
      #expect(machine.conclude(gateways: [open(g1), held(g2, "mallory", absurd)], excluded: []) == .acquired(mine(known + 1)))
      #expect(machine.passedOverGateways.map(\.place) == [g2])
      #expect(machine.inputs.count == 2)
    }
    // Neither with others that refuse.
    var machine = acquisition(known: 2)
    let step = machine.conclude(
      hosts: [refused("a", "ben", 7, released: true), refused("b", "mallory", absurd), refused("c", "ben", 7, released: true)])
    #expect(step == again(8))
  }

  @Test func `nor where the others say nothing: the word of those that answer is not the majority's`() {
    var machine = acquisition(known: 6)
    guard case .failed = machine.conclude(hosts: [refused("a", "mallory", 1 << 40), silent("b")]) else {
      Issue.record("went over it")
      return
    }
    #expect(machine.passedOverHosts.map(\.place) == ["a"])
    // What controllers reach is gone over, whoever is silent: here the record is the old one.
    var late = acquisition(known: 6)
    #expect(late.conclude(hosts: [refused("a", "ben", 90, released: true), silent("b"), silent("c")]) == again(91))
  }

  @Test func `a fleet whose every host names an epoch that no number goes beyond is told the way out`() {
    var machine = acquisition(known: 2, takeOver: true)
    guard case .failed(let failure) = machine.conclude(hosts: [refused("a", "mallory", .max - 1)]) else {
      Issue.record("went over it")
      return
    }
    #expect(failure.remedy.contains("--reset-fence SERVICE"))
  }

  @Test func `a gateway with a newer fence is gone over with the hosts first, once`() {
    var machine = acquisition(known: 6)
    _ = machine.conclude(hosts: [granted("a")])
    #expect(machine.conclude(gateways: [open(g1), held(g2, "ben", 9)], excluded: []) == again(10))
    // Whoever acts has had a majority of the hosts: what a gateway alone names has no record that could be missed.
    #expect(machine.foreignEpoch == 0)
    #expect(machine.conclude(hosts: [granted("a")]) == .askGateways(mine(10)))
    #expect(machine.conclude(gateways: [open(g1), held(g2, "ben", 12)], excluded: []) == .acquired(mine(10)))
    #expect(machine.passedOverGateways.map(\.place) == [g2])
  }

  @Test func `an excluded gateway is not asked for its word, one that fails is worked around, and where none works that is told`() {
    let failure = Failure(.gateway, "it is not a gateway")
    func conclude(_ gateways: [(GatewayID, ClaimAnswer<GatewayFact>)], _ excluded: [GatewayID] = []) -> FenceAcquisition.Step {
      var machine = acquisition()
      _ = machine.conclude(hosts: [granted("a")])
      return machine.conclude(gateways: gateways, excluded: excluded)
    }
    #expect(conclude([(g1, .failed(failure))]) == .failed(failure))
    #expect(conclude([(g1, .failed(failure))], [g1]) == .acquired(mine(1)))
    #expect(conclude([(g1, .failed(failure)), open(g2)]) == .acquired(mine(1)))
    #expect(conclude([held(g1, "ben", 9)], [g1]) == .acquired(mine(1)))
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
