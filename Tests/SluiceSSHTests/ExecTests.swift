import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import SluiceSSH

@Suite("Commands over a real sshd", .enabled(if: SSHServer.isInstalled, "needs sshd"), .timeLimit(.minutes(2)))
struct ExecTests {
  @Test("stdout, stderr, exit status and signal come back apart")
  func results() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let ok = try await connection.execute("echo out; echo err >&2")
      #expect(ok.output == "out\n")
      #expect(ok.errorOutput == "err\n")
      #expect(ok.exit == .status(0))
      #expect(try await connection.execute("exit 7").exit == .status(7))
      #expect(try await connection.execute("exit 255").exit == .status(255))
      #expect(try await connection.execute("kill -TERM $$").exit == .signal("TERM"))
      #expect(try await connection.execute("kill -KILL $$").signal == "KILL")
      #expect(try await connection.execute("/does/not/exist").status == 127)
      #expect(try await connection.execute("cat", input: ByteBuffer(string: "hello")).output == "hello")
      #expect(try await connection.execute("cat").stdout.readableBytes == 0)
      await connection.close()
      #expect(!connection.isOpen)
    }
  }

  @Test("20 MB go in and come out as they were")
  func bulk() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let bytes = Self.pattern(20 << 20)
      let echoed = try await connection.execute("cat", input: bytes)
      #expect(echoed.stdout == bytes)
      #expect(echoed.succeeded)
      await connection.close()
    }
  }

  @Test("Keys are exchanged anew under transfers both ways", arguments: ["1M", "256K"])
  func rekey(limit: String) async throws {
    try await SSHServer.run(["RekeyLimit \(limit)", "LogLevel DEBUG1"]) { server in
      let connection = try await server.connect()
      let bytes = Self.pattern(12 << 20)
      async let first = connection.execute("cat", input: bytes)
      async let second = connection.execute("cat", input: bytes)
      async let small = Self.many(40, on: connection)
      #expect(try await first.stdout == bytes)
      #expect(try await second.stdout == bytes)
      try await small
      await connection.close()
      #expect(server.log.ranges(of: "SSH2_MSG_KEXINIT sent").count > 10)
    }
  }

  @Test("Eight and twenty commands at once each get their own answer", arguments: [8, 20])
  func parallel(count: Int) async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<count {
          group.addTask {
            let result = try await connection.execute("sleep 0.05; echo \(number); echo e\(number) >&2; exit \(number)")
            #expect(result.output == "\(number)\n")
            #expect(result.errorOutput == "e\(number)\n")
            #expect(result.status == Int32(number))
          }
        }
        try await group.waitForAll()
      }
      await connection.close()
    }
  }

  @Test("Two files go up at once from their offsets, with progress")
  func uploads() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let files = try (0..<2).map { index in
        let path = "\(server.directory)/file\(index)"
        try Data(Self.pattern(6 << 20, seed: index).readableBytesView).write(to: URL(filePath: path))
        return path
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, path) in files.enumerated() {
          group.addTask {
            let offset = Int64(index * 1_000_003)
            let last = Last()
            let result = try await connection.execute(
              "cat > \(path).copy", inputFile: path, offset: offset, progress: { last.set($0) })
            #expect(result.succeeded)
            #expect(last.value == 6 << 20)
            let copy = try Data(contentsOf: URL(filePath: "\(path).copy"))
            #expect(copy == (try Data(contentsOf: URL(filePath: path))).dropFirst(Int(offset)))
          }
        }
        try await group.waitForAll()
      }
      let error = await sshError { try await connection.execute("cat", inputFile: "\(server.directory)/missing") }
      #expect(error?.code == .inputUnreadable)
      await connection.close()
    }
  }

  @Test("A command that closes its input early does not hang a large upload")
  func earlyEnd() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let result = try await connection.execute("head -c 5; exit 3", input: Self.pattern(8 << 20))
      #expect(result.stdout.readableBytes == 5)
      #expect(result.status == 3)
      await connection.close()
    }
  }

  @Test("Too much output, too long a command and two kinds of time-out are named, and the connection goes on")
  func limits() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let much = await sshError { try await connection.execute("head -c 100000 /dev/zero", limits: SSHLimits(maxOutput: 5000)) }
      #expect(much?.code == .outputTooLarge)
      let long = await sshError { try await connection.execute("sleep 3", limits: SSHLimits(timeout: .milliseconds(300))) }
      #expect(long?.step == .timeout)
      #expect(long?.code == .commandTimeout)
      #expect(long?.inDoubt == true)
      let silent = await sshError {
        try await connection.execute("echo a; sleep 3; echo b", limits: SSHLimits(silence: .milliseconds(400)))
      }
      #expect(silent?.code == .silence)
      #expect(silent?.inDoubt == true)
      let huge = await sshError { try await connection.execute(String(repeating: "x", count: 40_000)) }
      #expect(huge?.code == .commandTooLong)
      let fits = try await connection.execute("echo " + String(repeating: "x", count: 31_990))
      #expect(fits.stdout.readableBytes == 31_991)
      #expect(try await connection.execute("echo still here").output == "still here\n")
      await connection.close()
    }
  }

  @Test("A cancelled task gives its channel back")
  func cancellation() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      for _ in 0..<12 {
        let task = Task { try await connection.execute("sleep 1") }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
      }
      #expect(try await connection.execute("echo after").output == "after\n")
      await connection.close()
    }
  }

  static func many(_ count: Int, on connection: SSHConnection) async throws {
    for number in 0..<count {
      let result = try await connection.execute("echo \(number)")
      #expect(result.output == "\(number)\n")
    }
  }

  /// Bytes in which every position tells itself, so that loss, doubling and swapping show.
  static func pattern(_ count: Int, seed: Int = 0) -> ByteBuffer {
    var state = UInt64(seed) &+ 0x9E37_79B9_7F4A_7C15
    let words = [UInt64](unsafeUninitializedCapacity: count / 8 + 1) { words, initialized in
      for index in 0..<count / 8 + 1 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        words[index] = state
      }
      initialized = count / 8 + 1
    }
    let buffer = words.withUnsafeBytes { ByteBuffer(bytes: $0) }
    return buffer.getSlice(at: 0, length: count) ?? buffer
  }
}

/// The last value a callback was given.
final class Last: @unchecked Sendable {
  private let lock = NSLock()
  private var stored: Int64 = 0
  var value: Int64 { lock.withLock { stored } }
  func set(_ value: Int64) { lock.withLock { stored = value } }
}
