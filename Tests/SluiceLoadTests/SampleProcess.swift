import Foundation
import NIOCore
import NIOPosix
import Testing

/// The built sample service as a process of its own, on a port of its choice.
final class SampleProcess {
  let process = Process()
  private(set) var port: Int
  private let errors = Pipe()
  private(set) var log = ""

  /// Starts it and waits for its first line.
  init(_ arguments: [String] = [], environment: [String: String] = [:]) throws {
    process.executableURL = try Self.executable()
    process.arguments = ["--listen", "127.0.0.1:0"] + arguments
    process.environment = environment
    process.standardError = errors
    try process.run()
    port = 0
    read(until: "\n")
    port = log.firstMatch(of: /listen=127\.0\.0\.1:(\d+)/).flatMap { Int($0.output.1) } ?? 0
  }

  /// `swift test` builds all executables beside the tests.
  private static func executable() throws -> URL {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    var folder = URL(fileURLWithPath: tests).deletingLastPathComponent()
    while folder.path != "/" {
      let sample = folder.appendingPathComponent("sluice-sample")
      if FileManager.default.isExecutableFile(atPath: sample.path) { return sample }
      folder.deleteLastPathComponent()
    }
    throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: "sluice-sample beside \(tests)"])
  }

  /// Reads its log until it contains `text`, or the process has ended.
  func read(until text: String) {
    while !log.contains(text) {
      let data = errors.fileHandleForReading.availableData
      if data.isEmpty { return }
      log += String(decoding: data, as: UTF8.self)
    }
  }

  func terminate() { process.terminate() }

  /// Waits for its end; its status and all it said. Killed by a test's time limit at the latest.
  func end() -> Int32 {
    log += String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// A number of its last line.
  func count(_ name: String) throws -> Int {
    let matches = log.matches(of: try Regex(" \(name)=(\\d+)", as: (Substring, Substring).self))
    return try #require(matches.last.flatMap { Int($0.output.1) }, "\(log)")
  }

  /// Sends one request on a connection of its own; its status and all that came back.
  func ask(_ method: String, _ path: String) async throws -> (status: Int, text: String) {
    let answer = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: String.self)
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Collector(answer)) }
      }
      .connect(host: "127.0.0.1", port: port).get()
    try await channel.writeAndFlush(ByteBuffer(string: "\(method) \(path) HTTP/1.1\r\nHost: sample\r\nConnection: close\r\n\r\n"))
    let text = try await answer.futureResult.get()
    return (Int(text.dropFirst(9).prefix(3)) ?? 0, text)
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
}

/// Collects what comes until the connection ends.
private final class Collector: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let answer: EventLoopPromise<String>
  private var text = ""

  init(_ answer: EventLoopPromise<String>) { self.answer = answer }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { text += String(buffer: unwrapInboundIn(data)) }
  func channelInactive(context: ChannelHandlerContext) { answer.succeed(text) }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
