package import SluiceModel
package import SluiceRollout

/// A record from elsewhere that is believed: only `CopyVerifier` makes one.
package struct VerifiedRecord: Hashable, Sendable {
  /// Without any program of the machine that wrote it: see `ServiceRecord.withoutLocalPrograms`.
  package let record: ServiceRecord
  /// nil: a copy without a signature, which was accepted all the same.
  package let signer: Signer?

  fileprivate init(record: ServiceRecord, signer: Signer?) {
    self.record = record
    self.signer = signer
  }

  package var revision: Revision { record.revision }
}

/// Why a copy does not count.
package struct CopyRefusal: Error, Hashable, Sendable {
  package enum Reason: String, Hashable, Sendable {
    /// The signature is none, or of other content.
    case broken
    /// It was signed once, and its signature is gone.
    case stripped
    /// Sluice 0.1 left it, and nobody has accepted that.
    case unsigned
    /// Its signer is not one whose copies are believed.
    case unknownSigner
    /// It is of another fleet or service.
    case foreign
    /// It is older than it was said to be.
    case replayed
    /// It is cut short, or otherwise not a record.
    case damaged
    /// A release's digest is not that of its spec.
    case digest
    /// A number is beyond all bounds.
    case numbers
  }

  package var reason: Reason
  /// Follows "the copy of shop's record at a1 is not believed: ".
  package var text: String
  /// What to do; may be empty.
  package var remedy: String

  package init(_ reason: Reason, _ text: String, remedy: String = "") {
    self.reason = reason
    self.text = text
    self.remedy = remedy
  }

  /// Whether a person could have it believed.
  package var isQuestionOfTrust: Bool { reason == .unknownSigner || reason == .unsigned }
}

/// What a copy turns out to be once it is read: who has signed exactly that, and what it says.
package struct OpenedCopy: Hashable, Sendable {
  /// How old the place that kept it says that it is.
  package var claimed: Revision
  /// What its signed first line says; nil: there is none (Sluice 0.1).
  package var stated: Stated?
  package var record: ServiceRecord
  package var signer: Signer?

  package struct Stated: Hashable, Sendable {
    package var fleet: FleetName
    package var service: ServiceName
    package var revision: Revision

    package init(fleet: FleetName, service: ServiceName, revision: Revision) {
      self.fleet = fleet
      self.service = service
      self.revision = revision
    }
  }

  package init(claimed: Revision, stated: Stated?, record: ServiceRecord, signer: Signer?) {
    self.claimed = claimed
    self.stated = stated
    self.record = record
    self.signer = signer
  }
}

/// Says which copies of one service's record count (DESIGN section 2, "Who is believed").
package struct CopyVerifier: Sendable {
  package let fleet: FleetName
  package let service: ServiceName
  /// SHA-256 of a release's spec.
  let digest: @Sendable (ReleaseSpec) throws -> Digest
  /// SHA-256 of bytes.
  let hash: @Sendable ([UInt8]) -> Digest

  package init(
    fleet: FleetName, service: ServiceName, digest: @escaping @Sendable (ReleaseSpec) throws -> Digest,
    hash: @escaping @Sendable ([UInt8]) -> Digest
  ) {
    self.fleet = fleet
    self.service = service
    self.digest = digest
    self.hash = hash
  }

  /// Reads a copy that was found at `place` and says whether it counts. The signature comes first: what nobody has signed is not even decoded.
  package func verify(
    _ copy: SignedCopy, at place: String, trust: any TrustPort, decode: ([UInt8]) throws -> ServiceRecord
  ) async -> Result<VerifiedRecord, CopyRefusal> {
    let found = FoundCopy(service: service, place: place, revision: copy.revision)
    guard let signature = copy.signature else {
      guard CopyStatement(copy.bytes) == nil else {
        return .failure(CopyRefusal(.stripped, "its signature is missing"))
      }
      return await verifyUnsigned(copy, found, trust, decode)
    }
    guard let statement = CopyStatement(copy.bytes) else {
      return .failure(CopyRefusal(.damaged, "it does not say of which fleet and service it is"))
    }
    let signer: Signer
    switch trust.seal(of: copy.bytes, signature: signature) {
    case .signed(let found): signer = found
    case .broken(let why): return .failure(CopyRefusal(.broken, why))
    }
    let stated = OpenedCopy.Stated(fleet: statement.fleet, service: statement.service, revision: statement.revision)
    if let refusal = refusal(stated, claimed: copy.revision) { return .failure(refusal) }
    if case .refused(let remedy) = await trust.believes(signer, copy: found) {
      return .failure(CopyRefusal(.unknownSigner, "it is signed with a key that is not known here, \(signer.fingerprint)", remedy: remedy))
    }
    return read(statement.record, decode).flatMap {
      verify(OpenedCopy(claimed: copy.revision, stated: stated, record: $0, signer: signer))
    }
  }

  private func verifyUnsigned(
    _ copy: SignedCopy, _ found: FoundCopy, _ trust: any TrustPort, _ decode: ([UInt8]) throws -> ServiceRecord
  ) async -> Result<VerifiedRecord, CopyRefusal> {
    // What is none in any case is not asked about.
    switch read(copy.bytes, decode).flatMap({ verify(OpenedCopy(claimed: copy.revision, stated: nil, record: $0, signer: nil)) }) {
    case .failure(let refusal): return .failure(refusal)
    case .success(let verified):
      if case .refused(let remedy) = await trust.believesUnsigned(found) {
        return .failure(CopyRefusal(.unsigned, "it bears no signature (Sluice 0.1 made none)", remedy: remedy))
      }
      return .success(verified)
    }
  }

  private func read(_ bytes: [UInt8], _ decode: ([UInt8]) throws -> ServiceRecord) -> Result<ServiceRecord, CopyRefusal> {
    if let number = NumberScan.excess(in: bytes) {
      return .failure(CopyRefusal(.numbers, "it holds the number \(number), which no record reaches"))
    }
    do { return .success(try decode(bytes)) } catch { return .failure(CopyRefusal(.damaged, "\(error)")) }
  }

  /// Whether what was opened counts, its signer being one that is believed.
  package func verify(_ copy: OpenedCopy) -> Result<VerifiedRecord, CopyRefusal> {
    let record = copy.record
    if let stated = copy.stated, let refusal = refusal(stated, claimed: copy.claimed) { return .failure(refusal) }
    guard record.service == service, record.policy.fleet == fleet else {
      return .failure(foreign(record.policy.fleet, record.service))
    }
    guard record.revision == copy.stated?.revision ?? copy.claimed else {
      return .failure(CopyRefusal(.replayed, "it is said to be \(copy.claimed), and the record in it is \(record.revision)"))
    }
    if let fault = record.limitFault { return .failure(CopyRefusal(.numbers, fault)) }
    for release in record.releases where (try? digest(release.spec)) != release.digest {
      return .failure(
        CopyRefusal(
          .digest, "the digest of release \(service)\(release.number) is not that of what it would run",
          remedy: "if a newer Sluice wrote it, use that version"))
    }
    return .success(VerifiedRecord(record: record.withoutLocalPrograms(hash), signer: copy.signer))
  }

  private func refusal(_ stated: OpenedCopy.Stated, claimed: Revision) -> CopyRefusal? {
    guard stated.fleet == fleet, stated.service == service else { return foreign(stated.fleet, stated.service) }
    guard stated.revision == claimed else {
      return CopyRefusal(.replayed, "it is said to be \(claimed), and its signed text says \(stated.revision)")
    }
    return nil
  }

  private func foreign(_ fleet: FleetName, _ service: ServiceName) -> CopyRefusal {
    CopyRefusal(.foreign, "it is of service \(service) of fleet \(fleet)")
  }
}
