import SluiceModel
import SluiceRollout

/// Looks through the copies that were found for the newest one that counts, and names those that do not.
struct CopySearch: Sendable {
  struct Found: Sendable {
    var place: String
    var copy: SignedCopy
  }

  struct Result: Sendable {
    /// In the order of what they say they are, the newest first: the first one that counts is the last that was looked at.
    var believed: VerifiedRecord?
    var refused: [(found: Found, why: CopyRefusal)] = []

    /// What the history and the operator are told.
    func events(of service: ServiceName) -> [RecordEvent] {
      refused.map { found, why in
        RecordEvent(
          .warning, "copy-refused",
          "the copy of \(service)'s record at \(found.place) (\(found.copy.revision)) is not used: \(why.text)"
            + (why.remedy.isEmpty ? "" : "; to use it: \(why.remedy)"))
      }
    }

    /// The first that a person could have believed.
    var question: (found: Found, why: CopyRefusal)? { refused.first { $0.why.isQuestionOfTrust } }
  }

  let verifier: CopyVerifier
  let trust: any TrustPort
  let store: any StorePort

  init(fleet: FleetName, service: ServiceName, trust: any TrustPort, store: any StorePort) {
    verifier = CopyVerifier(
      fleet: fleet, service: service, digest: { try trust.digest(of: $0) }, hash: { trust.digest(of: $0) })
    self.trust = trust
    self.store = store
  }

  /// `known` is the record at hand: what is no newer is not needed, and nobody is asked about it. What says nothing of its age is none.
  func newest(of copies: [Found], over known: Revision?) async -> Result {
    var result = Result()
    let order = copies.enumerated().sorted { ($1.element.copy.revision, $0.offset) < ($0.element.copy.revision, $1.offset) }
    for (_, found) in order {
      if let known, found.copy.revision <= known {
        if found.copy.isReadable { continue }
      } else if result.believed.map({ found.copy.revision <= $0.revision }) ?? false {
        continue
      }
      switch await verifier.verify(found.copy, at: found.place, trust: trust, decode: store.decode) {
      case .success(let record): if result.believed.map({ record.revision > $0.revision }) ?? true { result.believed = record }
      case .failure(let why): result.refused.append((found, why))
      }
    }
    return result
  }
}

extension SignedCopy {
  /// Whether it says whose record it is, and how old.
  fileprivate var isReadable: Bool { revision.epoch > 0 && (signature == nil || CopyStatement(bytes) != nil) }
}
