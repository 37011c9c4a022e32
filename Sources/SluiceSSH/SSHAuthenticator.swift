internal import CLibSSH2
internal import NIOCore

/// Gets the user in: tries each key that may fit, in order, and remembers what became of each for the error.
struct SSHAuthenticator {
  let endpoint: SSHEndpoint
  let options: SSHOptions
  let session: SSHSession
  private var tried: [String] = []
  private var sawRSA = false
  /// Key files that nobody has opened.
  private var locked: [String] = []

  init(endpoint: SSHEndpoint, options: SSHOptions, session: SSHSession) {
    self.endpoint = endpoint
    self.options = options
    self.session = session
  }

  /// sshd hangs up after MaxAuthTries (6 unless set) refusals.
  private static let mostTries = 5

  /// The key that got the user in; nil where none was asked for.
  mutating func authenticate() async throws -> SSHIdentity? {
    let user = endpoint.user
    let rejected = rejection
    guard let methods = try await session.perform({ $0.authMethods(user: user) }, rejected: rejected).get() else { return nil }
    guard methods.contains("publickey") else {
      throw SSHError(
        .auth, .authRefused, host: endpoint.name,
        cause: "the server takes no public keys for \(user), only \(methods.joined(separator: ", "))",
        remedy: "Set PubkeyAuthentication yes in sshd_config: Sluice speaks nothing else.")
    }
    let files = await keyFiles()
    let agent = await agentIdentities(wantedBy: files)
    var tries = 0
    for candidate in Self.order(files: files, agent: agent.identities, identitiesOnly: endpoint.identitiesOnly) {
      guard tries < Self.mostTries else {
        tried.append("further keys were not tried: sshd hangs up after 6")
        break
      }
      let isIn: Bool?
      switch candidate {
      case .agent(let identity): isIn = try await offer(identity, by: agent.agent)
      case .file(let file): isIn = try await offer(file)
      }
      if isIn == true {
        agent.agent?.close()
        return identity(candidate)
      }
      if isIn == false { tries += 1 }
    }
    agent.agent?.close()
    throw refused(tries: tries)
  }

  private func identity(_ candidate: Candidate) -> SSHIdentity {
    switch candidate {
    case .agent(let key): SSHIdentity(origin: .agent(socket: endpoint.agentSocket ?? ""), type: key.type, publicKey: key.publicKey)
    case .file(let file): SSHIdentity(origin: .file(file.path), type: file.type ?? "", publicKey: file.publicKey)
    }
  }

  private enum Candidate {
    case agent(SSHAgent.Identity)
    case file(SSHKeyFile)
  }

  /// The files in their order, each by the agent where that holds it; then the agent's other keys, unless only the named ones are wanted.
  private static func order(files: [SSHKeyFile], agent: [SSHAgent.Identity], identitiesOnly: Bool) -> [Candidate] {
    var left = agent
    var order: [Candidate] = []
    for file in files {
      if let index = left.firstIndex(where: { $0.publicKey == file.publicKey }) {
        order.append(.agent(left.remove(at: index)))
      } else {
        order.append(.file(file))
      }
    }
    return identitiesOnly ? order : order + left.map { .agent($0) }
  }

  private mutating func keyFiles() async -> [SSHKeyFile] {
    var files: [SSHKeyFile] = []
    for path in endpoint.identityFiles {
      switch await SSHKeyFile.load(path) {
      case .success(let file?): files.append(file)
      case .success(nil): tried.append("\(path): no such file")
      case .failure(let error): tried.append("\(path): \(error)")
      }
    }
    return files
  }

  private mutating func agentIdentities(wantedBy files: [SSHKeyFile]) async -> (agent: SSHAgent?, identities: [SSHAgent.Identity]) {
    guard let socket = endpoint.agentSocket else {
      tried.append("no agent (SSH_AUTH_SOCK is not set)")
      return (nil, [])
    }
    do {
      let agent = try await SSHAgent.connect(socket, on: session.eventLoop)
      let identities = try await agent.identities()
      if identities.isEmpty { tried.append("the agent at \(socket) holds no key") }
      return (agent, identities)
    } catch {
      tried.append("the agent at \(socket): \(error)")
      return (nil, [])
    }
  }

  /// True: in. False: the server refused the key. Nil: it was not offered.
  private mutating func offer(_ identity: SSHAgent.Identity, by agent: SSHAgent?) async throws -> Bool? {
    guard let agent else { return nil }
    let name = "\(identity.type) \(identity.comment) from the agent"
    guard isUsable(identity.type, name) else { return nil }
    let session = session
    let user = endpoint.user
    let signer = NIOLoopBoundBox<LibSSH2Signer?>.makeEmptyBox(valueType: LibSSH2Signer.self, eventLoop: session.eventLoop)
    return try await attempt(name) { library in
      let current =
        signer.value
        ?? LibSSH2Signer { data in
          agent.sign(data, publicKey: identity.publicKey).hop(to: session.eventLoop).whenComplete { result in
            switch result {
            case .success(let bytes): signer.value?.state = .answered(bytes)
            case .failure: signer.value?.state = .failed
            }
            session.pump()
          }
        }
      signer.value = current
      return library.authenticate(user: user, publicKey: identity.publicKey, signer: current)
    }
  }

  private mutating func offer(_ file: SSHKeyFile) async throws -> Bool? {
    let name = "\(file.type ?? "key") \(file.path)"
    guard isUsable(file.type ?? "", name) else { return nil }
    var passphrase: String?
    if file.isEncrypted {
      passphrase = await options.passphrase?(SystemEnvironment.expandingTilde(file.path))
      guard passphrase != nil else {
        tried.append("\(name): encrypted, and no agent holds it")
        locked.append(file.path)
        return nil
      }
    }
    let user = endpoint.user
    let content = file.content
    let secret = passphrase
    return try await attempt(name) { $0.authenticate(user: user, privateKey: content, passphrase: secret) }
  }

  private mutating func attempt(_ name: String, _ call: @escaping @Sendable (LibSSH2Session) -> LibSSH2Outcome<Void>) async throws -> Bool?
  {
    do {
      try await session.perform(call, rejected: rejection).get()
      return true
    } catch let error as SSHError where error.code == .authRefused {
      tried.append("\(name): \(error.cause)")
      return false
    } catch let error as SSHError where error.code == .agentFailed {
      tried.append("\(name): \(error.cause)")
      return nil
    }
  }

  private mutating func isUsable(_ type: String, _ name: String) -> Bool {
    guard type == "ssh-rsa" || type == "ssh-dss" else { return true }
    sawRSA = sawRSA || type == "ssh-rsa"
    tried.append("\(name): not offered, libssh2 1.10 cannot make the signatures that servers take of such keys (rsa-sha2)")
    return false
  }

  private var rejection: @Sendable (LibSSH2Failure) -> SSHError {
    let session = session
    return { failure in
      if failure.endsSession { return session.lostError(session.library.wire.disconnectReason ?? failure.message) }
      switch failure.code {
      case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
        return SSHError(.auth, .authRefused, host: session.host, cause: "refused by the server")
      case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED where failure.message.contains("Callback"):
        return SSHError(.auth, .agentFailed, host: session.host, cause: "the agent refused to sign")
      default:
        return SSHError(.auth, .agentFailed, host: session.host, cause: "unusable (\(failure.message))")
      }
    }
  }

  private func refused(tries: Int) -> SSHError {
    let what = tried.isEmpty ? "no key was configured" : tried.joined(separator: "; ")
    let rsa = "make an ed25519 key: ssh-keygen -t ed25519, and add its .pub file to ~/.ssh/authorized_keys of \(endpoint.user) on the host"
    let open = "\(endpoint.agentSocket == nil ? "eval \"$(ssh-agent)\"; " : "")ssh-add \(locked.joined(separator: " "))"
    let remedy =
      !locked.isEmpty
      ? "Give the encrypted key to an agent, as Sluice asks for no passphrase: \(open)"
      : sawRSA || tries == 0
        ? "\(sawRSA ? "RSA keys do not work with libssh2 1.10: " : "If there is none, ")\(rsa)."
        : "Add one of these keys to ~/.ssh/authorized_keys of \(endpoint.user) on the host (its log tells why it refused), or name another identity."
    return SSHError(
      .auth, tries == 0 ? .noIdentity : .authRefused, host: endpoint.name, cause: "no key got \(endpoint.user) in; tried: \(what)",
      remedy: remedy)
  }
}
