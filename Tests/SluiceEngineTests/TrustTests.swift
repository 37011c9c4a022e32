import SluiceModel
import SluiceRollout
import Synchronization
import Testing

@testable import SluiceEngine

/// Which copies of a record count (DESIGN section 2, "Who is believed").
@Suite struct TrustTests {
  static let hosts = ["a", "b", "c"].map { Host(name: HostName($0), rack: "r", address: "10.0.0.1") }
  let fleet = Fleet(name: "prod", racks: [Rack(name: "r", hosts: TrustTests.hosts)])
  let policy = ServicePolicy(name: "shop", fleet: "prod", replicas: 3, hooks: [.preDeploy: "/home/anna/shop/hooks/migrate"])

  func record(_ epoch: UInt64, _ version: UInt64 = 1, _ change: (inout ServiceRecord) -> Void = { _ in }) -> ServiceRecord {
    var record = ServiceRecord(policy: policy)
    record.fence = Fence(owner: "ben@pc:1:2:3", epoch: epoch)
    record.version = version
    let spec = ReleaseSpec(artifact: "abc", run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp))
    record.releases = [Release(number: ReleaseNumber(1), digest: "of abc", spec: spec, status: .succeeded)]
    record.stable = Goal(release: ReleaseNumber(1), replicas: 3)
    // Copies are left on these.
    record.hosts = ["a", "b"].map { name in
      var host = HostState(name: HostName(name))
      host.reach = .reachable
      return host
    }
    change(&record)
    return record
  }

  func copy(_ record: ServiceRecord, by name: String = "anna", _ change: (inout CopyStatement) -> Void = { _ in }) throws -> SignedCopy {
    let copied = record.withoutLocalPrograms(NamedKeys.sum)
    var statement = CopyStatement(
      fleet: record.policy.fleet, service: record.service, revision: record.revision, record: try CopyPlacesWorld.bytes(copied))
    change(&statement)
    return SignedCopy(statement, signature: NamedKeys.signature(of: statement.message, by: name))
  }

  /// What a controller makes of these copies.
  func adopt(
    _ world: CopyPlacesWorld, keys: NamedKeys = NamedKeys(), initial: ServicePolicy? = nil, takeOver: Bool = false
  ) async throws -> Result<ServiceRecord, NotTaken> {
    let ports = FleetRunner.Ports(hosts: world, gateways: world, hooks: world, checks: world, store: world, trust: keys, time: world)
    let runner = FleetRunner(
      fleet: fleet, gateways: [], ports: ports, options: .init(owner: "anna@laptop:1:2:4", machine: "laptop", takeOver: takeOver),
      observe: { _ in })
    let found = try await runner.adopt([.init(service: "shop", initial: initial ?? policy, command: nil, createsRecord: false)])
    return try #require(found["shop"])
  }

  func events(_ world: CopyPlacesWorld) -> [RecordEvent] { world.state.withLock { $0.events } }

  @Test func `the newest genuine copy is gone on from`() async throws {
    let world = CopyPlacesWorld(["a": try copy(record(3)), "b": try copy(record(4, 7) { $0.scale = 5 })], stored: [record(2)])
    let taken = try await adopt(world).get()
    #expect(taken.scale == 5)
    #expect(events(world).isEmpty)
    // What is left is signed, says whose it is, and holds no path of this machine.
    for place in ["a", "b"] {
      let left = try #require(world.state.withLock { $0.left[place] })
      let statement = try #require(CopyStatement(left.bytes))
      #expect(statement.fleet == "prod" && statement.service == "shop" && statement.revision == taken.revision)
      #expect(left.signature == NamedKeys.signature(of: left.bytes, by: "anna"))
      #expect(!String(decoding: left.bytes, as: UTF8.self).contains("migrate"))
    }
  }

  /// Copies that nobody may go on from, each with a word of why.
  func attacks() throws -> [(name: String, copy: SignedCopy, word: String)] {
    let genuine = try copy(record(9))
    var forged = genuine
    let other = record(9) { $0.policy.hooks = [.preDeploy: "/bin/rm"] }
    forged.bytes = CopyStatement(fleet: "prod", service: "shop", revision: other.revision, record: try CopyPlacesWorld.bytes(other)).message
    var raised = try copy(record(3))
    raised.revision = Revision(epoch: 9, version: 9)
    var rewritten = try copy(record(3))
    rewritten.bytes = Array(String(decoding: rewritten.bytes, as: UTF8.self).replacing("\"3.1\"", with: "\"9.1\"").utf8)
    rewritten.revision = Revision(epoch: 9, version: 1)
    var cut = genuine
    cut.bytes.removeLast(20)
    var headless = genuine
    headless.bytes = Array("garbage\n".utf8)
    var bare = genuine
    bare.signature = nil
    let digest = try copy(
      record(9) { record in
        let spec = ReleaseSpec(artifact: "evil", run: RunSpec(command: ["shop"]), readiness: ReadinessCheck(probe: .tcp))
        record.releases[0] = Release(number: ReleaseNumber(1), digest: "of abc", spec: spec)
      })
    return [
      ("forged", forged, "does not fit"), ("raised", raised, "is said to be 9.9"), ("rewritten", rewritten, "does not fit"),
      ("truncated", cut, "does not fit"), ("headless", headless, "does not say of which fleet"),
      ("of another service", try copy(record(9)) { $0.service = "bank" }, "it is of service bank"),
      ("of another fleet", try copy(record(9)) { $0.fleet = "test" }, "of fleet test"),
      ("another service inside", try copy(record(9) { $0.policy.name = "bank" }) { $0.service = "shop" }, "it is of service bank"),
      ("another fleet inside", try copy(record(9) { $0.policy.fleet = "test" }) { $0.fleet = "prod" }, "of fleet test"),
      ("another age inside", try copy(record(3)) { $0.revision = Revision(epoch: 9, version: 1) }, "the record in it is 3.1"),
      ("stripped", bare, "its signature is missing"), ("a wrong digest", digest, "the digest of release shop@1"),
      ("a stranger's", try copy(record(9), by: "mallory"), "not known here, SHA256:mallory"),
      ("numbers", try copy(record(9) { $0.nextInstance = Int.max }), "9223372036854775807"),
      ("an epoch beyond all", try copy(record(UInt64.max)), "18446744073709551615"),
    ]
  }

  @Test func `what is not genuine is ignored and named, and the record at hand counts`() async throws {
    for attack in try attacks() {
      let world = CopyPlacesWorld(["b": attack.copy], stored: [record(2) { $0.scale = 2 }])
      let taken = try await adopt(world).get()
      #expect(taken.scale == 2 && taken.releases.map(\.spec.artifact) == ["abc"], "\(attack.name)")
      #expect(taken.policy.hooks == policy.hooks, "\(attack.name)")
      let told = events(world)
      #expect(told.map(\.kind) == ["copy-refused"] && told[0].level == .warning, "\(attack.name): \(told)")
      #expect(told[0].text.contains("at b") && told[0].text.contains(attack.word), "\(attack.name): \(told[0].text)")
      // A genuine one takes its place.
      #expect(world.state.withLock { $0.left["b"] }?.signature?.hasPrefix("anna ") == true, "\(attack.name)")
    }
  }

  @Test func `a genuine older copy counts where a newer one is none`() async throws {
    for attack in try attacks() {
      let world = CopyPlacesWorld(["a": attack.copy, "c": try copy(record(5) { $0.scale = 7 })], stored: [record(2)])
      let taken = try await adopt(world).get()
      #expect(taken.scale == 7, "\(attack.name)")
      #expect(events(world).contains { $0.kind == "copy-refused" && $0.text.contains(attack.word) }, "\(attack.name)")
    }
  }

  @Test func `without a record at hand nothing begins from what is not genuine`() async throws {
    for attack in try attacks() {
      let world = CopyPlacesWorld(["b": attack.copy], standing: true)
      guard case .failure(let outcome) = try await adopt(world), case .failed(let failure) = outcome.outcome else {
        Issue.record("\(attack.name) was believed")
        continue
      }
      // One whom nobody here knows is asked about; nobody holds the service for it.
      #expect(failure.kind == (attack.name == "a stranger's" ? .host : .fenced), "\(attack.name)")
      #expect(world.state.withLock { $0.stored.isEmpty }, "\(attack.name)")
      #expect(Set(world.state.withLock { $0.withdrawn }).count == 3, "\(attack.name)")
    }
  }

  @Test func `an unknown signer is named with what to type, and counts once accepted`() async throws {
    let world = CopyPlacesWorld(["b": try copy(record(9) { $0.scale = 4 }, by: "ben")])
    guard case .failure(let outcome) = try await adopt(world), case .refused(let refusal) = outcome.outcome else {
      Issue.record("believed")
      return
    }
    #expect(refusal.message.contains("SHA256:ben") && refusal.message.contains("at b"))
    #expect(refusal.remedy == "sluice adopt -f PATH --accept-signer SHA256:ben")
    let taken = try await adopt(world, keys: NamedKeys(believed: ["anna", "ben"])).get()
    #expect(taken.scale == 4)
  }

  @Test func `a stale database says which copy would do`() async throws {
    let former = FenceHolder(
      fence: Fence(owner: "ben@pc:1:2:3", epoch: 9), machine: "pc", since: WallTime(milliseconds: 0), released: true)
    let world = CopyPlacesWorld(["b": try copy(record(9), by: "ben")], stored: [record(2)], former: former)
    guard case .failure(let outcome) = try await adopt(world), case .failed(let failure) = outcome.outcome else {
      Issue.record("gone on from an older record")
      return
    }
    #expect(failure.kind == .host && failure.remedy == "sluice adopt -f PATH --accept-signer SHA256:ben")
  }

  @Test func `a copy of Sluice 0.1 is gone on from only where that is accepted`() async throws {
    let old = record(9) { $0.scale = 4 }
    let file = Array("{\"revision\":\"9.1\"}\n".utf8) + (try CopyPlacesWorld.bytes(old))
    let world = CopyPlacesWorld(["b": SignedCopy(file: file, signature: nil)])
    guard case .failure(let outcome) = try await adopt(world), case .refused(let refusal) = outcome.outcome else {
      Issue.record("believed")
      return
    }
    #expect(refusal.remedy == "sluice adopt -f PATH --accept-unsigned")
    let taken = try await adopt(world, keys: NamedKeys(takesUnsigned: true)).get()
    #expect(taken.scale == 4 && taken.policy.hooks == policy.hooks)
    // What is left now is signed.
    let left = world.state.withLock { $0.left.values.map(\.signature) }
    #expect(left.count == 2 && left.allSatisfy { $0?.hasPrefix("anna ") ?? false })
  }

  @Test func `a machine that cannot sign leaves no copy, and is no failure`() async throws {
    let world = CopyPlacesWorld(stored: [record(2)])
    _ = try await adopt(world, keys: NamedKeys(own: nil)).get()
    #expect(world.state.withLock { $0.left.isEmpty })
  }

  // MARK: Forms

  @Test func `a copy comes back from a host's files and from a gateway's envelope`() throws {
    let copy = try copy(record(9))
    #expect(SignedCopy(file: copy.bytes, signature: copy.signature) == copy)
    var wrapped = copy
    wrapped.signature = "-----BEGIN\nx\n-----END"
    #expect(SignedCopy(envelope: wrapped.envelope, revision: wrapped.revision) == wrapped)
    let bare = SignedCopy(envelope: Array("{\"format\":1}".utf8), revision: Revision(epoch: 1, version: 2))
    #expect(bare.signature == nil && bare.bytes == Array("{\"format\":1}".utf8))
    #expect(SignedCopy(file: [], signature: nil).revision == Revision(epoch: 0, version: 0))
  }

  @Test func `a statement is read back only from what it makes`() throws {
    let statement = CopyStatement(fleet: "prod", service: "shop", revision: Revision(epoch: 3, version: 41), record: Array("{}\n".utf8))
    #expect(CopyStatement(statement.message) == statement)
    let text = String(decoding: statement.message, as: UTF8.self)
    for wrong in [
      text.replacing("3.41", with: "03.41"), text.replacing("3.41", with: "3.-41"), text.replacing("\"fleet\"", with: "\"Fleet\""),
      text.replacing("shop", with: "sh\\u006fp\",\"x\":\""), text.replacing("{\"revision", with: " {\"revision"), "", "\n", "{}\n{}",
    ] { #expect(CopyStatement(Array(wrong.utf8)) == nil, "\(wrong)") }
  }

  @Test func `numbers that arithmetic could not carry are found wherever they stand`() {
    for number in ["281474976710657", "9223372036854775807", "18446744073709551615", "99999999999999999999999"] {
      for json in ["{\"a\":\(number)}", "[1,-\(number)]", "{\"a\":{\"b\":[\(number)]}}"] {
        #expect(NumberScan.excess(in: Array(json.utf8)) == number, "\(json)")
      }
      #expect(NumberScan.excess(in: Array("{\"a\":\"\(number)\",\"b\\\"\(number)\":1}".utf8)) == nil)
    }
    for json in ["281474976710656", "[0,1.5,-3,1e10,2.5e-7]", "{\"a\":12345678901234.5}", ""] {
      #expect(NumberScan.excess(in: Array(json.utf8)) == nil, "\(json)")
    }
  }
}
