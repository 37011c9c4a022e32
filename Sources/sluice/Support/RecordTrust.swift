import NIOCore
import SluiceEngine
import SluiceHosts
import SluiceLocal
import SluiceModel
import SluiceSSH
import SluiceStore
import Synchronization

/// What an operator has said in advance of copies that would else be asked about.
struct AcceptedCopies {
  /// Fingerprints.
  var signers: [String] = []
  var unsigned = false
}

/// Keys as the engine asks about them: signs with the key that logs in, believes the fleet's `signers` or those accepted here before, and asks
/// a person about a new one.
final class RecordTrust: TrustPort {
  private struct State {
    var list: SignerList
    /// The key that signs, once it is known; nil inside: none can.
    var signing: SSHIdentity??
    /// The public keys of this machine's own.
    var own: Set<String> = []
    var declined: Set<String> = []
    /// What was said of unsigned copies in this run.
    var takesUnsigned: Bool?
    var complained = false
  }

  private let fleet: Fleet
  private let hosts: FleetHosts
  private let group: any EventLoopGroup
  private let console: Console
  private let accepts: AcceptedCopies
  private let declared: [SSHPublicKey]?
  private let state: Mutex<State>

  /// Throws `StoreError` where the list of accepted keys cannot be read.
  init(workspace: Workspace, hosts: FleetHosts, group: any EventLoopGroup, console: Console, accepts: AcceptedCopies) throws {
    fleet = workspace.fleet
    self.hosts = hosts
    self.group = group
    self.console = console
    self.accepts = accepts
    declared = workspace.fleet.signers?.compactMap { SSHPublicKey(line: $0) }
    state = Mutex(State(list: try SignerList(directory: workspace.directory, fleet: workspace.fleet.name)))
  }

  // MARK: Signing

  func sign(_ statement: [UInt8]) async -> SigningOutcome {
    var trouble: SSHIdentity.Unable?
    for identity in await candidates() {
      do throws(SSHIdentity.Unable) {
        let signed = try await identity.sign(statement, namespace: CopyStatement.namespace, on: group)
        note(identity, signed.key)
        return .signed(signed.signature)
      } catch { trouble = trouble ?? error }
    }
    complain(trouble ?? SSHIdentity.Unable(cause: "no key has logged in anywhere", remedy: "sluice hosts check"))
    return .unable
  }

  /// The key that signed before; else those that have logged in, and then what could.
  private func candidates() async -> [SSHIdentity] {
    if let known = state.withLock({ $0.signing }) { return [known].compactMap(\.self) }
    let loggedIn = await hosts.identities()
    var others: [SSHIdentity] = []
    if let host = fleet.hosts.first, let endpoint = try? await HostEndpoint.resolve(host) {
      others = await SSHIdentity.usable(for: endpoint, on: group)
    }
    return loggedIn + others.filter { !loggedIn.contains($0) }
  }

  private func note(_ identity: SSHIdentity, _ key: SSHPublicKey) {
    let isNew = state.withLock { state in
      state.signing = .some(identity)
      try? state.list.accept(key.line, comment: "this machine's own")
      return state.own.insert(key.line).inserted
    }
    guard isNew, let declared, !declared.contains(key) else { return }
    console.say(
      console.styled(
        "the key that logs in, \(key), is not among the signers of fleet \(fleet.name): nobody will believe the copies of records that it signs",
        .yellow))
    console.say("  next: add its .pub file to spec.signers of the fleet, or log in with a key that is there")
  }

  private func complain(_ trouble: SSHIdentity.Unable) {
    // What was called off has not been tried to its end.
    if Task.isCancelled { return }
    let isFirst = state.withLock { state in
      defer { state.complained = true }
      return !state.complained
    }
    guard isFirst else { return }
    console.say(
      console.styled(
        "records are not copied to hosts and gateways, because no key here can sign them (\(trouble.cause)): "
          + "without this machine's state nobody could go on from where it stops", .yellow))
    console.say("  next: \(trouble.remedy)")
  }

  // MARK: Believing

  func seal(of statement: [UInt8], signature: String) -> SealCheck {
    do throws(SSHSignature.Problem) {
      let key = try SSHSignature.signer(of: statement, signature: signature, namespace: CopyStatement.namespace)
      return .signed(Signer(fingerprint: key.fingerprint, key: key.line))
    } catch { return .broken(error.description) }
  }

  func believes(_ signer: Signer, copy: FoundCopy) async -> Belief {
    if let declared {
      if declared.contains(where: { $0.line == signer.key }) { return .believed }
      return .refused(remedy: "add the key to spec.signers of fleet \(fleet.name), if it is a colleague's")
    }
    if state.withLock({ $0.list.keys.contains(signer.key) || $0.own.contains(signer.key) }) { return .believed }
    if await isOwn(signer.key) { return .believed }
    let remedy = "sluice adopt -f PATH --accept-signer \(signer.fingerprint)"
    if accepts.signers.contains(signer.fingerprint) { return accept(signer, "accepted by --accept-signer") }
    guard console.asksPeople, !state.withLock({ $0.declined.contains(signer.key) }) else { return .refused(remedy: remedy) }
    let kind = signer.key.prefix { $0 != " " }
    console.say("The copy of \(copy.service)'s record at \(copy.place) is signed with a key that is not known here:")
    console.say("  \(kind) \(signer.fingerprint)")
    console.say(
      "Whoever holds it can decide what runs in fleet \(fleet.name). Compare it with the colleague's: ssh-keygen -lf ~/.ssh/ID.pub")
    if console.confirms("Believe this key from now on?") { return accept(signer, "accepted on a terminal") }
    state.withLock { _ = $0.declined.insert(signer.key) }
    return .refused(remedy: remedy)
  }

  private func accept(_ signer: Signer, _ how: String) -> Belief {
    do throws(StoreError) {
      try state.withLock { state throws(StoreError) in try state.list.accept(signer.key, comment: how) }
      return .believed
    } catch {
      console.complain(error.message, remedy: error.remedy)
      return .refused(remedy: error.remedy)
    }
  }

  /// A key that this machine logs in with, or could.
  private func isOwn(_ key: String) async -> Bool {
    var keys = await hosts.identities().compactMap(\.publicKey)
    if let host = fleet.hosts.first, let endpoint = try? await HostEndpoint.resolve(host) {
      keys += await SSHIdentity.usable(for: endpoint, on: group).compactMap(\.publicKey)
    }
    let lines = keys.compactMap { SSHPublicKey(blob: $0)?.line }
    state.withLock { $0.own.formUnion(lines) }
    return lines.contains(key)
  }

  func believesUnsigned(_ copy: FoundCopy) async -> Belief {
    let remedy = "sluice adopt -f PATH --accept-unsigned"
    if accepts.unsigned { return noteUnsigned(copy.service) }
    let (said, wasBefore) = state.withLock { ($0.takesUnsigned, $0.list.unsigned.contains(copy.service.rawValue)) }
    guard declared == nil, console.asksPeople, said != false, !wasBefore else { return .refused(remedy: remedy) }
    if said == true { return noteUnsigned(copy.service) }
    console.say("The copy of \(copy.service)'s record at \(copy.place) bears no signature: Sluice 0.1 left it, or whoever can write there.")
    let isAgreed = console.confirms("Go on from it, and from others like it, this once? (From now on copies are signed.)")
    state.withLock { $0.takesUnsigned = isAgreed }
    return isAgreed ? noteUnsigned(copy.service) : .refused(remedy: remedy)
  }

  private func noteUnsigned(_ service: ServiceName) -> Belief {
    do throws(StoreError) {
      try state.withLock { state throws(StoreError) in try state.list.noteUnsigned(service) }
    } catch { console.complain(error.message, remedy: error.remedy) }
    return .believed
  }

  // MARK: Digests

  func digest(of spec: ReleaseSpec) throws -> Digest { try ReleaseDigest.of(spec) }
  func digest(of bytes: [UInt8]) -> Digest { ReleaseDigest.of(bytes) }
}
