import Foundation
import NIOCore
import Testing

@testable import SluiceSSH

@Suite("Few sessions and slow logins", .enabled(if: SSHServer.isInstalled, "needs sshd"), .timeLimit(.minutes(2)))
struct SessionLimitTests {
  @Test("Commands wait for each other where sshd lets few sessions be open, and each gets its own answer", arguments: [1, 2, 3])
  func fewSessions(limit: Int) async throws {
    try await SSHServer.run(["MaxSessions \(limit)"]) { server in
      let connection = try await server.connect()
      for _ in 0..<2 {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for number in 0..<12 {
            group.addTask {
              let result = try await connection.execute("echo \(number); sleep 0.02; exit \(number)")
              #expect(result.output == "\(number)\n" && result.status == Int32(number))
            }
          }
          try await group.waitForAll()
        }
      }
      #expect(connection.sessionLimit == limit)
      #expect(connection.lastingCount == 0)
      await connection.close()
    }
  }

  @Test("A server that lets no session be open is named soon, and nothing is in doubt")
  func noSessions() async throws {
    try await SSHServer.run(["MaxSessions 0"]) { server in
      let connection = try await server.connect()
      let error = await sshError { try await connection.execute("true") }
      #expect(
        error?.code == .tooManySessions && error?.inDoubt == false && error?.description.contains("MaxSessions") == true, "\(error as Any)")
      await connection.close()
    }
  }

  @Test("What could only wait for streams fails by name, and goes on when one has ended")
  func heldByStreams() async throws {
    try await SSHServer.run(["MaxSessions 1"]) { server in
      let connection = try await server.connect()
      let stream = try await connection.stream("cat")
      #expect(connection.lastingCount == 1)
      for _ in 0..<2 {
        let error = await sshError { try await connection.execute("true") }
        #expect(error?.code == .tooManySessions && error?.inDoubt == false, "\(error as Any)")
      }
      await stream.close()
      try await eventually("the session is given back") { (try? await connection.execute("true"))?.succeeded == true }
      await connection.close()
    }
  }

  @Test("How many sessions a server lets be open is found out without running anything", arguments: [(0, 0), (2, 2), (10, 4)])
  func counting(limit: Int, found: Int) async throws {
    try await SSHServer.run(["MaxSessions \(limit)", "ForceCommand touch ran; exec sh -c \"$SSH_ORIGINAL_COMMAND\""]) { server in
      let connection = try await server.connect()
      #expect(try await connection.countSessions(upTo: 4) == found)
      #expect(!FileManager.default.fileExists(atPath: "\(server.directory)/ran"))
      if limit > 0 { #expect(try await connection.execute("echo on").output == "on\n") }
      await connection.close()
    }
  }

  @Test("A login that never gets to the command is named in bounded time, and the command is in doubt")
  func hangingLogin() async throws {
    try await SSHServer.run(["ForceCommand exec sleep 60"]) { server in
      let connection = try await server.connect()
      let error = await sshError { try await connection.execute("echo on", limits: SSHLimits(start: .milliseconds(300))) }
      #expect(error?.code == .noStart && error?.inDoubt == true && error?.remedy?.isEmpty == false, "\(error as Any)")
      await connection.close()
    }
  }

  @Test("An sshd that says nothing more after the login is given up by its silence")
  func stoppedServer() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect(SSHOptions(keepAlive: .milliseconds(200)))
      server.stopConnections()
      let error = await sshError { try await connection.execute("echo on") }
      #expect(error?.code == .lost && error?.description.contains("no sign of life") == true, "\(error as Any)")
      #expect(!connection.isOpen)
    }
  }

  @Test("A file goes up behind its head, from its offset, with progress in the file's own bytes")
  func head() async throws {
    try await SSHServer.run { server in
      let connection = try await server.connect()
      let file = "\(server.directory)/file"
      try Data("0123456789".utf8).write(to: URL(filePath: file))
      let last = Last()
      let result = try await connection.execute(
        "sh -c 'eval \"$(dd bs=10 count=1 iflag=fullblock 2>/dev/null)\"'", head: ByteBuffer(string: "echo a;cat"), inputFile: file,
        offset: 4, progress: { last.set($0) })
      #expect(result.output == "a\n456789")
      #expect(last.value == 10)
      await connection.close()
    }
  }
}
