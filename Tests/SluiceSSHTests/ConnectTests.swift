import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import SluiceSSH

@Suite("Connecting: keys, agents, jumps and losses", .enabled(if: SSHServer.isInstalled, "needs sshd"), .timeLimit(.minutes(2)))
struct ConnectTests {
  @Test("A lost connection fails what is pending at once, as in doubt")
  func lost() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let stream = try await connection.stream("cat")
      let pending = Task { await sshError { try await connection.execute("touch \(server.directory)/began; sleep 30") } }
      let reading = Task { await sshError { try await stream.read() } }
      try await eventually("the command runs") { FileManager.default.fileExists(atPath: "\(server.directory)/began") }
      let before = ContinuousClock.now
      server.killConnections()
      let error = await pending.value
      #expect(error?.code == .lost)
      #expect(error?.inDoubt == true)
      #expect(await reading.value?.code == .lost)
      #expect(ContinuousClock.now - before < .seconds(15))
      #expect(await connection.ended().code == .lost)
      #expect(!connection.isOpen)
      let after = await sshError { try await connection.execute("true") }
      #expect(after?.code == .lost)
      #expect(after?.inDoubt == false)
    }
  }

  @Test("Closing fails what is pending as closed")
  func closing() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let pending = Task { await sshError { try await connection.execute("touch \(server.directory)/began; sleep 30") } }
      try await eventually("the command runs") { FileManager.default.fileExists(atPath: "\(server.directory)/began") }
      await connection.close()
      await connection.close()
      #expect(await pending.value?.code == .closed)
      #expect(await pending.value?.inDoubt == true)
    }
  }

  @Test("A server that stops answering is noticed by its silence, and one that asks for a sign of life gets it")
  func keepAlive() async throws {
    try await SSHServer.run(["ClientAliveInterval 1", "ClientAliveCountMax 1"]) { server in
      let idle = try await server.connect(SSHOptions(keepAlive: nil))
      try await Task.sleep(for: .seconds(4))
      #expect(idle.isOpen)
      #expect(try await idle.execute("echo on").output == "on\n")
      await idle.close()
      let watched = try await server.connect(SSHOptions(keepAlive: .milliseconds(200)))
      try await Task.sleep(for: .milliseconds(900))
      #expect(watched.isOpen)
      server.stopConnections()
      let error = await watched.ended()
      #expect(error.code == .lost)
      #expect(error.cause.contains("sign of life"))
    }
  }

  @Test("An unknown key is refused with fingerprint and remedy, or learnt under accept-new, hashed if asked")
  func unknownKey() async throws {
    try await SSHServer.run { server in
      let file = "\(server.directory)/empty_known_hosts"
      let error = await sshError { try await server.connect { $0.knownHostsFiles = [file] } }
      #expect(error?.code == .hostKeyUnknown)
      let text = error?.description ?? ""
      let fingerprint = try SSHServer.tool("/usr/bin/ssh-keygen", ["-lf", "\(server.directory)/host_ed25519.pub"]).split(separator: " ")[1]
      #expect(text.contains(fingerprint))
      #expect(text.contains(file))
      #expect(text.contains("sluice hosts trust host-a"))
      await
        (try await server.connect(SSHOptions(hashKnownHosts: true)) {
          $0.knownHostsFiles = [file]
          $0.hostKeys = .acceptNew
        }).close()
      let written = try String(contentsOfFile: file, encoding: .utf8)
      #expect(written.hasPrefix("|1|"))
      // OpenSSH finds what was written, and so does a strict connect.
      #expect(try SSHServer.tool("/usr/bin/ssh-keygen", ["-F", "[127.0.0.1]:\(server.port)", "-f", file]).contains("ssh-ed25519"))
      await (try await server.connect { $0.knownHostsFiles = [file] }).close()
    }
  }

  @Test("A changed and a revoked key are refused under either policy; trust replaces the changed one")
  func changedKey() async throws {
    try await SSHServer.run { server in
      try SSHServer.makeKey("\(server.directory)/other", type: "ed25519")
      let other = try String(contentsOfFile: "\(server.directory)/other.pub", encoding: .utf8)
      let file = "\(server.directory)/wrong"
      try "# first\n[127.0.0.1]:\(server.port) \(other)".write(toFile: file, atomically: true, encoding: .utf8)
      for policy in [SSHHostKeyPolicy.strict, .acceptNew] {
        let error = await sshError {
          try await server.connect {
            $0.knownHostsFiles = [file]
            $0.hostKeys = policy
          }
        }
        #expect(error?.code == .hostKeyChanged)
        #expect(error?.description.contains("\(file) line 2") == true)
      }
      let endpoint = try server.endpoint { $0.knownHostsFiles = [file] }
      let keys = try await SSHConnection.scanHostKeys(of: endpoint, group: MultiThreadedEventLoopGroup.singleton)
      #expect(keys.map(\.type) == ["ssh-ed25519"])
      try await SSHConnection.trust(keys, of: endpoint, replacing: true)
      let content = try String(contentsOfFile: file, encoding: .utf8)
      #expect(content.hasPrefix("# first\n[127.0.0.1]:\(server.port) ssh-ed25519"))
      #expect(content.split(separator: "\n").count == 2)
      await (try await server.connect { $0.knownHostsFiles = [file] }).close()
      try "@revoked * \(keys[0].line)\n[127.0.0.1]:\(server.port) \(keys[0].line)\n".write(toFile: file, atomically: true, encoding: .utf8)
      let revoked = await sshError { try await server.connect { $0.knownHostsFiles = [file] } }
      #expect(revoked?.code == .hostKeyRevoked)
    }
  }

  @Test("A host that is known by its ECDSA key is asked for that one first", arguments: ["ecdsa", "ed25519"])
  func preferredType(type: String) async throws {
    try await SSHServer.run(hostKeys: ["ed25519", "ecdsa"]) { server in
      let file = "\(server.directory)/one"
      let key = try String(contentsOfFile: "\(server.directory)/host_\(type).pub", encoding: .utf8)
      try "[127.0.0.1]:\(server.port) \(key)".write(toFile: file, atomically: true, encoding: .utf8)
      let connection = try await server.connect { $0.knownHostsFiles = [file] }
      #expect(connection.hostKey.type.contains(type))
      await connection.close()
      let scanned = try await SSHConnection.scanHostKeys(of: server.endpoint(), group: MultiThreadedEventLoopGroup.singleton)
      #expect(scanned.map(\.type) == ["ssh-ed25519", "ecdsa-sha2-nistp256"])
    }
  }

  @Test("ECDSA and encrypted key files get in; wrong, RSA and missing ones are listed in the error")
  func keyFiles() async throws {
    try await SSHServer.run { server in
      let directory = server.directory
      try SSHServer.makeKey("\(directory)/ec", type: "ecdsa")
      try SSHServer.makeKey("\(directory)/locked", type: "ed25519", passphrase: "open sesame")
      try SSHServer.makeKey("\(directory)/stranger", type: "ed25519")
      try SSHServer.makeKey("\(directory)/old", type: "rsa")
      let allowed = try ["id", "ec", "locked"].map { try String(contentsOfFile: "\(directory)/\($0).pub", encoding: .utf8) }
      try allowed.joined().write(toFile: "\(directory)/authorized_keys", atomically: true, encoding: .utf8)
      for name in ["ec", "id"] { await (try await server.connect { $0.identityFiles = ["\(directory)/\(name)"] }).close() }
      let options = SSHOptions(passphrase: { $0.hasSuffix("/locked") ? "open sesame" : nil })
      await (try await server.connect(options) { $0.identityFiles = ["\(directory)/locked"] }).close()
      let error = await sshError {
        try await server.connect(SSHOptions(passphrase: { _ in "wrong" })) {
          $0.identityFiles = ["old", "none", "stranger", "locked"].map { "\(directory)/\($0)" }
        }
      }
      #expect(error?.code == .authRefused)
      let text = error?.description ?? ""
      for part in [
        "old: not offered", "none: no such file", "stranger: refused by the server", "locked: unusable", "ssh-keygen -t ed25519",
        "no agent",
      ] {
        #expect(text.contains(part), "\(part) in \(text)")
      }
      let none = await sshError { try await server.connect { $0.identityFiles = ["\(directory)/locked"] } }
      #expect(none?.code == .noIdentity)
      #expect(none?.description.contains("ssh-add") == true)
    }
  }

  @Test("Keys in an agent sign, for an encrypted file too, and IdentitiesOnly keeps the others back")
  func agent() async throws {
    try await SSHServer.run { server in
      let directory = server.directory
      let socket = "\(directory)/agent"
      let agent = try SSHServer.spawn(["/usr/bin/ssh-agent", "-D", "-a", socket], output: "\(directory)/agent.log")
      defer {
        kill(agent, SIGKILL)
        waitpid(agent, nil, 0)
      }
      try await eventually("the agent listens") { FileManager.default.fileExists(atPath: socket) }
      try SSHServer.makeKey("\(directory)/ec", type: "ecdsa")
      try SSHServer.tool("/usr/bin/env", ["SSH_AUTH_SOCK=\(socket)", "ssh-add", "\(directory)/ec"])
      let ec = try String(contentsOfFile: "\(directory)/ec.pub", encoding: .utf8)
      let refused = await sshError {
        try await server.connect {
          $0.identityFiles = []
          $0.agentSocket = socket
        }
      }
      #expect(refused?.code == .authRefused)
      #expect(refused?.description.contains("from the agent: refused by the server") == true)
      try ec.write(toFile: "\(directory)/authorized_keys", atomically: true, encoding: .utf8)
      await
        (try await server.connect {
          $0.identityFiles = []
          $0.agentSocket = socket
        }).close()
      let kept = await sshError {
        try await server.connect {
          $0.agentSocket = socket
          $0.identitiesOnly = true
        }
      }
      #expect(kept?.code == .authRefused)
      try SSHServer.tool("/usr/bin/env", ["SSH_AUTH_SOCK=\(socket)", "ssh-add", "-D"])
      try SSHServer.tool("/usr/bin/env", ["SSH_AUTH_SOCK=\(socket)", "ssh-add", "\(directory)/id"])
      try SSHServer.tool("/usr/bin/ssh-keygen", ["-q", "-p", "-N", "secret", "-f", "\(directory)/id"])
      try FileManager.default.removeItem(atPath: "\(directory)/authorized_keys")
      try FileManager.default.copyItem(atPath: "\(directory)/id.pub", toPath: "\(directory)/authorized_keys")
      await
        (try await server.connect {
          $0.agentSocket = socket
          $0.identitiesOnly = true
        }).close()
      let dead = await sshError {
        try await server.connect {
          $0.identityFiles = []
          $0.agentSocket = "\(directory)/nobody"
        }
      }
      #expect(dead?.code == .noIdentity)
    }
  }

  @Test("A host behind a jump host is reached through it, and lost with it")
  func jump() async throws {
    try await SSHServer.run(["MaxStartups 50"]) { inner in
      try await SSHServer.run(["MaxSessions 2"]) { outer in
        let outerEndpoint = try outer.endpoint { $0.name = "bastion" }
        let connection = try await inner.connect { $0.jumps = [outerEndpoint] }
        #expect(try await connection.execute("echo through").output == "through\n")
        let bytes = ExecTests.pattern(8 << 20)
        #expect(try await connection.execute("cat", input: bytes).stdout == bytes)
        #expect(inner.log.contains("Accepted publickey"))
        let shared = try await outer.connect()
        let behind = try await withThrowingTaskGroup(of: SSHConnection.self) { group in
          for _ in 0..<12 { group.addTask { try await shared.connect(onTo: try inner.endpoint()) } }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        for next in behind { #expect(try await next.execute("echo too").output == "too\n") }
        for next in behind { await next.close() }
        #expect(try await shared.execute("echo on").output == "on\n")
        await shared.close()
        outer.killConnections()
        let error = await connection.ended()
        #expect(error.code == .lost)
        #expect(error.host == "host-a")
      }
      try await SSHServer.run(["AllowTcpForwarding no"]) { outer in
        let outerEndpoint = try outer.endpoint { $0.name = "bastion" }
        let error = await sshError { try await inner.connect { $0.jumps = [outerEndpoint] } }
        #expect(error?.code == .forwardingForbidden)
        #expect(error?.host == "bastion")
      }
    }
  }

  @Test("What is not there, not SSH, silent or too busy is named")
  func unreachable() async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    let once = SSHOptions(connectTimeout: .milliseconds(500), authTimeout: .milliseconds(500), connectAttempts: 1)
    let dead = SSHEndpoint(address: "127.0.0.1", port: try SSHServer.freePort(), user: "x", agentSocket: nil, knownHostsFiles: [])
    #expect(await sshError { try await SSHConnection.connect(to: dead, options: once, group: group) }?.code == .refused)
    let nobody = SSHEndpoint(address: "no-such-host.invalid", user: "x", agentSocket: nil, knownHostsFiles: [])
    #expect(await sshError { try await SSHConnection.connect(to: nobody, options: once, group: group) }?.code == .nameNotFound)
    for (greeting, code) in [
      ("HTTP/1.1 400 no\r\n\r\n", SSHError.Code.notSSH), ("Exceeded MaxStartups\r\n", .tooManyStartups), ("", .tooManyStartups),
    ] {
      let socket = try await Self.greeter(greeting, closes: true)
      let endpoint = SSHEndpoint(
        address: "127.0.0.1", port: socket.localAddress?.port ?? 0, user: "x", agentSocket: nil, knownHostsFiles: [])
      let error = await sshError { try await SSHConnection.connect(to: endpoint, options: once, group: group) }
      #expect(error?.code == code, "\(greeting): \(String(describing: error))")
      try await socket.close()
    }
    let silent = try await Self.greeter("SSH-2.0-Silent\r\n", closes: false)
    let endpoint = SSHEndpoint(address: "127.0.0.1", port: silent.localAddress?.port ?? 0, user: "x", agentSocket: nil, knownHostsFiles: [])
    #expect(await sshError { try await SSHConnection.connect(to: endpoint, options: once, group: group) }?.code == .authTimeout)
    try await silent.close()
  }

  @Test("A refused connect is tried again until the server is there")
  func retry() async throws {
    let port = try SSHServer.freePort()
    let options = SSHOptions(connectAttempts: 30, retryDelay: .milliseconds(100))
    try await SSHServer.run(port: port) { server in
      let endpoint = try server.endpoint()
      server.pauseListening()
      let connecting = Task {
        try await SSHConnection.connect(to: endpoint, options: options, group: MultiThreadedEventLoopGroup.singleton)
      }
      try await Task.sleep(for: .milliseconds(150))
      try await server.resumeListening()
      await (try await connecting.value).close()
    }
  }

  @Test("A connect to a host that does not answer is given up as soon as it is cancelled")
  func cancelled() async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    // A listener that accepts nothing and whose queue is full: the kernel lets further callers wait (listen(2)).
    let full = try await ServerBootstrap(group: group).serverChannelOption(.backlog, value: 0).serverChannelOption(.autoRead, value: false)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(full.localAddress?.port)
    let fillers = (0..<4).map { _ in ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port) }
    try await Task.sleep(for: .milliseconds(200))
    let endpoint = SSHEndpoint(address: "127.0.0.1", port: port, user: "x", agentSocket: nil, knownHostsFiles: [])
    let connecting = Task {
      try await SSHConnection.connect(to: endpoint, options: SSHOptions(connectTimeout: .seconds(60)), group: group)
    }
    try await Task.sleep(for: .milliseconds(300))
    let began = ContinuousClock.now
    connecting.cancel()
    await #expect(throws: CancellationError.self) { try await connecting.value }
    #expect(ContinuousClock.now - began < .seconds(20))
    try await full.close()
    for filler in fillers { try? await filler.get().close() }
  }

  private static func greeter(_ text: String, closes: Bool) async throws -> any Channel {
    try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Greeter(text: text, closes: closes)) }
      }
      .bind(host: "127.0.0.1", port: 0).get()
  }
}

private final class Greeter: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let text: String
  private let closes: Bool

  init(text: String, closes: Bool) {
    self.text = text
    self.closes = closes
  }

  func channelActive(context: ChannelHandlerContext) {
    if !text.isEmpty { context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil) }
    if closes { context.close(mode: .output, promise: nil) }
  }
}
