import SluiceEngine
import SluiceModel
import SluiceRollout

/// A copy of a record as simulated hosts and gateways keep it: the record itself in the place of its bytes, and in the place of a signature
/// whether it is one.
struct SimulatedCopy {
  @Boxed var record: ServiceRecord
  /// How old the place says that it is.
  var claimed: Revision
  var stated: OpenedCopy.Stated
  /// Whether a key that is believed has signed exactly what it says.
  var isSigned = true
  /// Whether it is not as a controller has left it: nobody in the story knows.
  var isTampered = false

  /// As the controller leaves it.
  init(_ record: ServiceRecord) {
    self.record = record
    claimed = record.revision
    stated = OpenedCopy.Stated(fleet: record.policy.fleet, service: record.service, revision: record.revision)
  }

  /// Somebody who can write there, and has no key, has changed it and says that it is newer.
  func forged(_ change: (inout ServiceRecord) -> Void) -> SimulatedCopy {
    var record = record
    change(&record)
    record.version += 1_000
    var copy = SimulatedCopy(record)
    copy.isSigned = false
    return copy
  }

  /// A genuine one that is said to be newer than it is.
  func replayed(as revision: Revision) -> SimulatedCopy {
    var copy = self
    copy.claimed = revision
    return copy
  }

  /// The disk was full, or the power went: the bytes are not those that were signed.
  var torn: SimulatedCopy {
    var copy = self
    copy.isSigned = false
    return copy
  }

  /// The product's own judgement of it, but for the cryptography.
  func verified(by verifier: CopyVerifier) -> VerifiedRecord? {
    guard isSigned else { return nil }
    let signer = Signer(fingerprint: "SHA256:simulated", key: "simulated")
    return try? verifier.verify(OpenedCopy(claimed: claimed, stated: stated, record: record, signer: signer)).get()
  }
}

extension CopyVerifier {
  /// With stand-ins for SHA-256.
  static func simulated(fleet: FleetName, service: ServiceName) -> CopyVerifier {
    CopyVerifier(
      fleet: fleet, service: service, digest: { Scenario.digest(of: $0) }, hash: { Simulation.hash($0) })
  }
}

extension Simulation {
  /// FNV-1a, 64 bits: differs where what it is of does, as far as a simulation goes.
  static func hash(_ bytes: [UInt8]) -> Digest {
    Digest("fnv-\(bytes.reduce(14_695_981_039_346_656_037 as UInt64) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 })")
  }
}
