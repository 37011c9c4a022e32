package import NIOCore
internal import NIOPosix

/// The key that has got its user in somewhere: what else is signed, is signed with it.
package struct SSHIdentity: Hashable, Sendable, CustomStringConvertible {
  package enum Origin: Hashable, Sendable {
    /// Held by the agent at that socket.
    case agent(socket: String)
    /// A private key file.
    case file(String)
  }

  package var origin: Origin
  /// `ssh-ed25519` and so on; empty where the file does not tell.
  package var type: String
  /// The public key as `authorized_keys` has it, decoded; nil where a file does not hold it in the clear.
  package var publicKey: [UInt8]?

  package init(origin: Origin, type: String, publicKey: [UInt8]?) {
    self.origin = origin
    self.type = type
    self.publicKey = publicKey
  }

  package var description: String {
    switch origin {
    case .agent: "\(type) key of the agent"
    case .file(let path): "\(type.isEmpty ? "" : "\(type) ")key \(path)"
    }
  }

  /// Why a message was not signed, and what to do.
  package struct Unable: Error, Hashable, Sendable {
    package var cause: String
    package var remedy: String

    package init(cause: String, remedy: String) {
      self.cause = cause
      self.remedy = remedy
    }
  }

  private static let makeOne = "log in with an ed25519 key: ssh-keygen -t ed25519, and add its .pub file to authorized_keys on the hosts"

  /// The armoured signature of the message, and the key it is checked with. Throws `Unable`.
  package func sign(_ message: [UInt8], namespace: String, on group: any EventLoopGroup) async throws(Unable)
    -> (signature: String, key: SSHPublicKey)
  {
    switch origin {
    case .file(let path): return try await sign(message, namespace: namespace, file: path)
    case .agent(let socket): return try await sign(message, namespace: namespace, agent: socket, on: group.next())
    }
  }

  private func sign(_ message: [UInt8], namespace: String, file path: String) async throws(Unable) -> (String, SSHPublicKey) {
    guard case .success(let file?) = await SSHKeyFile.load(path) else {
      throw Unable(cause: "\(path) cannot be read any more", remedy: "put the key back")
    }
    guard let secret = file.signingKey, let key = SSHPublicKey(blob: secret.publicKey) else {
      throw Unable(
        cause: file.isEncrypted ? "\(path) is encrypted" : "\(path) is neither an ed25519 nor an ECDSA key",
        remedy: file.isEncrypted ? "give it to an agent: ssh-add \(path)" : Self.makeOne)
    }
    do {
      return (try await SSHSignature.make(of: message, namespace: namespace, publicKey: key.blob) { try secret.sign($0) }, key)
    } catch {
      throw Unable(cause: "\(path) does not sign (\(error))", remedy: Self.makeOne)
    }
  }

  private func sign(
    _ message: [UInt8], namespace: String, agent socket: String, on eventLoop: any EventLoop
  ) async throws(Unable) -> (String, SSHPublicKey) {
    guard let publicKey, let key = SSHPublicKey(blob: publicKey) else {
      throw Unable(cause: "the \(self) cannot sign copies (only ed25519 and ECDSA keys can)", remedy: Self.makeOne)
    }
    do {
      let agent = try await SSHAgent.connect(socket, on: eventLoop)
      defer { agent.close() }
      let signature = try await SSHSignature.make(of: message, namespace: namespace, publicKey: publicKey) { data in
        var blob = ByteBuffer()
        blob.writeSSHString(key.type.utf8)
        blob.writeSSHString(try await agent.sign(data, publicKey: publicKey).get())
        return Array(blob.readableBytesView)
      }
      // An agent that answers with something else is found out here, not by whoever reads the copy.
      _ = try SSHSignature.signer(of: message, signature: signature, namespace: namespace)
      return (signature, key)
    } catch {
      throw Unable(cause: "the agent at \(socket) does not sign with the \(self) (\(error))", remedy: "ssh-add -l shows what it holds")
    }
  }
}

extension SSHIdentity {
  /// Every key that an endpoint could log in with, in the order in which they are tried: files first, then the agent's.
  package static func usable(for endpoint: SSHEndpoint, on group: any EventLoopGroup) async -> [SSHIdentity] {
    var found: [SSHIdentity] = []
    for path in endpoint.identityFiles {
      guard case .success(let file?) = await SSHKeyFile.load(path), let key = file.signingKey else { continue }
      found.append(SSHIdentity(origin: .file(path), type: key.type, publicKey: key.publicKey))
    }
    guard !endpoint.identitiesOnly, let socket = endpoint.agentSocket, let agent = try? await SSHAgent.connect(socket, on: group.next())
    else { return found }
    defer { agent.close() }
    for identity in (try? await agent.identities()) ?? [] where SSHPublicKey(blob: identity.publicKey) != nil {
      found.append(SSHIdentity(origin: .agent(socket: socket), type: identity.type, publicKey: identity.publicKey))
    }
    return found
  }
}
