import Foundation
import NIOPosix
import Testing

@testable import SluiceSSH

/// Signatures in OpenSSH's format: `ssh-keygen` takes ours, and we take its.
@Suite(.serialized) struct SignatureTests {
  static let kinds = [("ed25519", 256), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521)]
  let namespace = "sluice-record"
  let message = Array("{\"revision\":\"3.41\",\"fleet\":\"prod\",\"service\":\"shop\"}\n{\"a\":\"ü\"}".utf8)

  /// Runs `body` with a folder that holds a key `id` of that kind.
  private func withKey(_ kind: (String, Int), _ options: [String] = [], _ body: (String) async throws -> Void) async throws {
    let folder = NSTemporaryDirectory() + "sluice-signature-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let made = try run(
      ["ssh-keygen", "-q", "-t", kind.0, "-b", "\(kind.1)", "-N", "", "-C", "ann@laptop", "-f", "\(folder)/id"] + options)
    #expect(made.status == 0, "\(made.output)")
    try Data(message).write(to: URL(fileURLWithPath: "\(folder)/message"))
    let key = try String(contentsOfFile: "\(folder)/id.pub", encoding: .utf8)
    try "ann namespaces=\"\(namespace)\" \(key)".write(toFile: "\(folder)/allowed", atomically: true, encoding: .utf8)
    try await body(folder)
  }

  private func run(_ command: [String], input: String? = nil, environment: [String: String] = [:]) throws -> (
    status: Int32, output: String
  ) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = input.flatMap { FileHandle(forReadingAtPath: $0) } ?? FileHandle.nullDevice
    // A file and no pipe: an agent that another test starts meanwhile could inherit a pipe's end, and hold it.
    let path = NSTemporaryDirectory() + "sluice-output-\(UUID().uuidString)"
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let file = try #require(FileHandle(forWritingAtPath: path))
    process.standardOutput = file
    process.standardError = file
    try process.run()
    process.waitUntilExit()
    try file.close()
    return (process.terminationStatus, try String(contentsOfFile: path, encoding: .utf8))
  }

  private func expectKeygenTakes(_ signature: String, in folder: String) throws {
    try "\(signature)\n".write(toFile: "\(folder)/message.sig", atomically: true, encoding: .utf8)
    let verified = try run(
      ["ssh-keygen", "-Y", "verify", "-n", namespace, "-f", "\(folder)/allowed", "-I", "ann", "-s", "\(folder)/message.sig"],
      input: "\(folder)/message")
    #expect(verified.status == 0, "\(verified.output)")
  }

  @Test(arguments: kinds) func `ssh-keygen takes what a key file signs here`(_ kind: (String, Int)) async throws {
    for options in [[], ["-m", "PEM"]] where kind.0 != "ed25519" || options.isEmpty {
      try await withKey(kind, options) { folder in
        let identity = SSHIdentity(origin: .file("\(folder)/id"), type: "", publicKey: nil)
        let signed = try await identity.sign(message, namespace: namespace, on: MultiThreadedEventLoopGroup.singleton)
        try expectKeygenTakes(signed.signature, in: folder)
        #expect(try run(["ssh-keygen", "-lf", "\(folder)/id.pub"]).output.contains(signed.key.fingerprint))
        #expect(try String(contentsOfFile: "\(folder)/id.pub", encoding: .utf8).hasPrefix(signed.key.line))
      }
    }
  }

  @Test(arguments: kinds) func `ssh-keygen takes what an agent signs for us`(_ kind: (String, Int)) async throws {
    try await withKey(kind) { folder in
      let socket = "\(folder)/agent"
      let agent = Process()
      agent.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      agent.arguments = ["ssh-agent", "-D", "-a", socket]
      agent.standardOutput = FileHandle.nullDevice
      try agent.run()
      defer {
        kill(agent.processIdentifier, SIGKILL)
        agent.waitUntilExit()
      }
      try await eventually("the agent listens") { FileManager.default.fileExists(atPath: socket) }
      let added = try run(["ssh-add", "-q", "\(folder)/id"], environment: ["SSH_AUTH_SOCK": socket])
      #expect(added.status == 0, "\(added.output)")
      let endpoint = SSHEndpoint(address: "127.0.0.1", user: "ann", identityFiles: [], agentSocket: socket)
      let found = await SSHIdentity.usable(for: endpoint, on: MultiThreadedEventLoopGroup.singleton)
      let identity = try #require(found.first)
      let signed = try await identity.sign(message, namespace: namespace, on: MultiThreadedEventLoopGroup.singleton)
      try expectKeygenTakes(signed.signature, in: folder)
    }
  }

  @Test(arguments: kinds) func `what ssh-keygen signs is taken, and nothing else for it`(_ kind: (String, Int)) async throws {
    try await withKey(kind) { folder in
      let signing = try run(["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", "\(folder)/id", "\(folder)/message"])
      #expect(signing.status == 0, "\(signing.output)")
      let signature = try String(contentsOfFile: "\(folder)/message.sig", encoding: .utf8)
      let key = try SSHSignature.signer(of: message, signature: signature, namespace: namespace)
      #expect(try String(contentsOfFile: "\(folder)/id.pub", encoding: .utf8).hasPrefix(key.line))
      func refused(_ message: [UInt8], _ signature: String, _ namespace: String, line: Int = #line) {
        #expect(throws: SSHSignature.Problem.self, "line \(line)") {
          try SSHSignature.signer(of: message, signature: signature, namespace: namespace)
        }
      }
      refused(message + [1], signature, namespace)
      refused(Array(message.dropLast()), signature, namespace)
      refused(message, signature, "file")
      refused(message, "", namespace)
      let lines = signature.split(separator: "\n")
      refused(message, lines.dropLast().joined(separator: "\n"), namespace)
      refused(message, (lines.prefix(2) + lines.suffix(1)).joined(separator: "\n"), namespace)
      // Every octet of it counts.
      let body = try #require(Base64.decode(lines[1..<(lines.count - 1)].joined()))
      for place in stride(from: 0, to: body.count, by: 7) {
        var other = body
        other[place] ^= 4
        let text = "\(lines[0])\n\(Base64.encode(other))\n\(lines[lines.count - 1])"
        if let taken = try? SSHSignature.signer(of: message, signature: text, namespace: namespace) { #expect(taken != key) }
      }
    }
  }

  @Test func `a signature made long ago by ssh-keygen is taken as long as nothing is changed`() throws {
    let key = try SSHSignature.signer(of: Array("sluice\n".utf8), signature: Self.vector, namespace: namespace)
    #expect(key.line == Self.vectorKey)
  }

  @Test func `a key that cannot sign says so, and what to do`() async throws {
    try await withKey(("rsa", 2048)) { folder in
      let identity = SSHIdentity(origin: .file("\(folder)/id"), type: "ssh-rsa", publicKey: nil)
      let error = await #expect(throws: SSHIdentity.Unable.self) {
        try await identity.sign(message, namespace: namespace, on: MultiThreadedEventLoopGroup.singleton)
      }
      #expect(error?.cause.contains("neither an ed25519 nor an ECDSA key") == true)
      #expect(error?.remedy.contains("ssh-keygen -t ed25519") == true)
    }
    try await withKey(("ed25519", 256)) { folder in
      let locked = try run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", "\(folder)/id"])
      #expect(locked.status == 0, "\(locked.output)")
      let identity = SSHIdentity(origin: .file("\(folder)/id"), type: "", publicKey: nil)
      let error = await #expect(throws: SSHIdentity.Unable.self) {
        try await identity.sign(message, namespace: namespace, on: MultiThreadedEventLoopGroup.singleton)
      }
      #expect(error?.remedy == "give it to an agent: ssh-add \(folder)/id")
    }
  }

  private static let vectorKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmkrrlNRbc/BUdpStkP4voSS/wO+tOXby81/IlINiza"
  private static let vector = """
    -----BEGIN SSH SIGNATURE-----
    U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg6aSuuU1Ftz8FR2lK2Q/i+hJL/A
    7605dvLzX8iUg2LNoAAAANc2x1aWNlLXJlY29yZAAAAAAAAAAGc2hhNTEyAAAAUwAAAAtz
    c2gtZWQyNTUxOQAAAECxTAaj/2Mwd+NcP/43p21Ekihtgz8D4YoZ25QW1X43F3BUfTxP8c
    +VrRbEh3j8IaR/Zr+KRDN964iymvDBfrEK
    -----END SSH SIGNATURE-----
    """
}
