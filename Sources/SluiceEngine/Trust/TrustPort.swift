package import SluiceModel

/// Whose signature a copy bears.
package struct Signer: Hashable, Sendable {
  /// `SHA256:…`, as `ssh-keygen -l` shows it.
  package var fingerprint: String
  /// The public key, as a line of `authorized_keys`.
  package var key: String

  package init(fingerprint: String, key: String) {
    self.fingerprint = fingerprint
    self.key = key
  }
}

/// What the engine asks about keys: signs what it leaves on hosts and gateways, and knows whose copies count.
package protocol TrustPort: Sendable {
  /// Signs a statement with the key that logs in.
  func sign(_ statement: [UInt8]) async -> SigningOutcome
  /// Whose signature of exactly this statement it is.
  func seal(of statement: [UInt8], signature: String) -> SealCheck
  /// Whether copies that this key signed are believed. A person is asked about a key that is new, where there is one.
  func believes(_ signer: Signer, copy: FoundCopy) async -> Belief
  /// The same for a copy that Sluice 0.1 left, which signed nothing.
  func believesUnsigned(_ copy: FoundCopy) async -> Belief
  /// SHA-256 over the spec's canonical form. Throws where the spec cannot be written.
  func digest(of spec: ReleaseSpec) throws -> Digest
  /// SHA-256.
  func digest(of bytes: [UInt8]) -> Digest
}

package enum SigningOutcome: Hashable, Sendable {
  /// The armoured signature.
  case signed(String)
  /// No key here can sign, and whoever runs this has been told. A copy without a signature is not left anywhere: nobody could believe it.
  case unable
}

package enum SealCheck: Hashable, Sendable {
  case signed(Signer)
  /// Why it is nobody's.
  case broken(String)
}

package enum Belief: Hashable, Sendable {
  case believed
  /// What to type to have it believed.
  case refused(remedy: String)
}

/// Where a copy was found, for a question about it.
package struct FoundCopy: Hashable, Sendable {
  package var service: ServiceName
  /// `a1`, `gateway edge/g1`.
  package var place: String
  package var revision: Revision

  package init(service: ServiceName, place: String, revision: Revision) {
    self.service = service
    self.place = place
    self.revision = revision
  }
}
