import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import SluiceSSH

@Suite("Streams, bridges and forwarding", .enabled(if: SSHServer.isInstalled, "needs sshd"), .timeLimit(.minutes(2)))
struct ChannelTests {
  @Test("A stream talks in both directions and tells how it ended")
  func stream() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let channel = try await connection.stream("while read line; do echo \"got $line\"; echo e >&2; done; exit 4")
      try await channel.write(ByteBuffer(string: "one\n"))
      #expect(try await Self.line(of: channel) == "got one\n")
      try await channel.write(ByteBuffer(string: "two\n"))
      #expect(try await Self.line(of: channel) == "got two\n")
      try await channel.closeInput()
      for try await chunk in channel where chunk.stream == .stdout { Issue.record("unexpected \(chunk)") }
      #expect(try await channel.exit() == .status(4))
      let error = await sshError { try await channel.write(ByteBuffer(string: "late")) }
      #expect(error?.code == .closed)
      await connection.close()
    }
  }

  @Test("A slow reader holds the command back instead of filling memory")
  func backPressure() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let progress = "\(server.directory)/progress"
      let channel = try await connection.stream(
        "i=0; while [ $i -lt 400 ]; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > \(progress); done")
      let started = { FileManager.default.fileExists(atPath: progress) }
      try await eventually("the command writes") { started() }
      // Other commands go on meanwhile; by their end the stream has had time to run ahead, and has not.
      try await ExecTests.many(20, on: connection)
      let written = Int((try String(contentsOfFile: progress, encoding: .utf8)).trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
      #expect(written < 100)
      var total = 0
      for try await chunk in channel { total += chunk.bytes.readableBytes }
      #expect(total == 400 << 16)
      #expect(try await channel.exit() == .status(0))
      await connection.close()
    }
  }

  @Test("Writes wait for a command that does not read")
  func writersWait() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let go = "\(server.directory)/go"
      let channel = try await connection.stream("while [ ! -e \(go) ]; do sleep 0.02; done; wc -c")
      let written = Last()
      let writer = Task {
        for index in 1...160 {
          try await channel.write(ExecTests.pattern(64 << 10))
          written.set(Int64(index))
        }
        try await channel.closeInput()
      }
      try await ExecTests.many(20, on: connection)
      #expect(written.value < 100)
      try Data().write(to: URL(filePath: go))
      try await writer.value
      #expect(try await Self.line(of: channel).trimmingCharacters(in: .whitespacesAndNewlines) == "\(160 << 16)")
      await connection.close()
    }
  }

  @Test("A bridge puts NIO handlers in front of a command")
  func bridge() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let received = Received()
      let bridge = try await connection.bridge("cat; echo gone >&2") { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Collect(received)) }
      }
      let bytes = ExecTests.pattern(3 << 20)
      try await bridge.channel.writeAndFlush(bytes)
      try await eventually("all came back") { received.count == 3 << 20 }
      #expect(received.bytes == bytes)
      let silent = try await connection.bridge("echo why >&2; exit 9") { $0.eventLoop.makeSucceededVoidFuture() }
      try await silent.channel.closeFuture.get()
      #expect(try await silent.exit() == .status(9))
      #expect(try await silent.stderrTail() == "why\n")
      try await bridge.channel.close()
      await #expect(throws: SSHError.self) { try await bridge.exit() }
      #expect(try await connection.execute("echo on").output == "on\n")
      await connection.close()
    }
  }

  @Test("Forwarding works, is refused where nothing listens, and is named where sshd forbids it")
  func forwarding() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      // sshd itself is something that listens: its banner comes through.
      let channel = try await connection.openDirectTCPIP(host: "127.0.0.1", port: server.port)
      #expect(try await Self.line(of: channel).hasPrefix("SSH-2.0-OpenSSH"))
      await channel.close()
      let dead = try SSHServer.freePort()
      let refused = await sshError { try await connection.openDirectTCPIP(host: "127.0.0.1", port: dead) }
      #expect(refused?.code == .forwardRefused)
      #expect(refused?.step == .forward)
      #expect(try await connection.execute("echo on").output == "on\n")
      await connection.close()
    }
    try await SSHServer.run(["AllowTcpForwarding no"]) { server in
      let connection = try await server.connect()
      let forbidden = await sshError { try await connection.openDirectTCPIP(host: "127.0.0.1", port: server.port) }
      #expect(forbidden?.code == .forwardingForbidden)
      #expect(forbidden?.description.contains("AllowTcpForwarding") == true)
      #expect(try await connection.execute("echo on").output == "on\n")
      await connection.close()
    }
  }

  @Test("More sessions than sshd allows are refused by name, and the others go on")
  func maxSessions() async throws {
    try await SSHServer.run(["MaxSessions 3"]) { server in
      let connection = try await server.connect()
      var streams: [SSHByteChannel] = []
      for _ in 0..<3 { streams.append(try await connection.stream("cat")) }
      let error = await sshError { try await connection.execute("true") }
      #expect(error?.code == .tooManySessions)
      #expect(error?.inDoubt == false)
      #expect(error?.description.contains("MaxSessions") == true)
      try await streams[1].write(ByteBuffer(string: "x\n"))
      #expect(try await Self.line(of: streams[1]) == "x\n")
      await streams[0].close()
      try await eventually("a session is free again") { (try? await connection.execute("true"))?.succeeded == true }
      await connection.close()
    }
  }

  @Test("The ninth channel waits for one of eight")
  func channelLimit() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      var streams: [SSHByteChannel] = []
      for _ in 0..<8 { streams.append(try await connection.stream("cat")) }
      let limited = await sshError { try await connection.execute("true", limits: SSHLimits(timeout: .milliseconds(200))) }
      #expect(limited?.code == .commandTimeout)
      #expect(limited?.inDoubt == false)
      async let ninth = connection.execute("echo ninth")
      await streams[3].close()
      #expect(try await ninth.output == "ninth\n")
      await connection.close()
    }
  }

  static func line(of channel: SSHByteChannel) async throws -> String {
    var text = ""
    while text.utf8.last != UInt8(ascii: "\n"), let chunk = try await channel.read() {
      if chunk.stream == .stdout { text += String(buffer: chunk.bytes) }
    }
    return text
  }
}

/// What a handler was given, for any thread.
final class Received: @unchecked Sendable {
  private let lock = NSLock()
  private var buffer = ByteBuffer()
  var count: Int { lock.withLock { buffer.readableBytes } }
  var bytes: ByteBuffer { lock.withLock { buffer } }
  func add(_ bytes: ByteBuffer) { lock.withLock { _ = buffer.writeImmutableBuffer(bytes) } }
}

private final class Collect: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let received: Received

  init(_ received: Received) { self.received = received }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { received.add(unwrapInboundIn(data)) }
}
