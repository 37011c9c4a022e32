import ArgumentParser
import Dispatch
import Foundation
import NIOCore
import SluiceLoad

/// Sends requests and knows what became of each.
@main
struct LoadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice-load",
    abstract: "Sends requests to the sample service, usually through gateways, and tells the fate of each.",
    discussion: "Nothing is tried again. Exit status: 0 when no request was lost, 1 when some were, 64 for bad usage.")

  @Option(help: "Where to send to, as http://HOST:PORT. Several are taken in turn by each client.")
  var target: [Endpoint]

  @Option(help: "The Host header; standard: the target.")
  var hostHeader: String?

  @Option(help: "How many clients send at a time, each on a keep-alive connection per target.")
  var clients = 200

  @Option(help: "So many of the clients send only slow, stream, upload and ws, the others only get and post; 0: all send of everything.")
  var longClients = 0

  @Option(help: "The share of requests that are sent on a new connection, as 10%.")
  var newConnectionsShare = Share(basisPoints: 1000)

  @Option(help: "The most requests a second in all; 0: as fast as answers come.")
  var rate = 0

  @Option(help: "Start requests for so long, at most: 500ms, 30s, 5m.")
  var duration = Span(.seconds(30))

  @Option(help: "Start at most so many requests.")
  var requests: Int?

  @Option(help: "Start requests until this file exists, but no longer than --duration.")
  var untilFile: String?

  @Option(help: "Weights of the kinds of requests: get, post, slow, stream, upload, ws.")
  var mix = MixOption(text: "get=70,post=10,slow=5,stream=5,upload=5,ws=5", mix: .standard)

  @Option(help: "How long a slow request takes at the service, in milliseconds.")
  var slowMs = 3000

  @Option(help: "Chunks of a stream.")
  var streamChunks = 20

  @Option(help: "Time between two chunks of a stream, in milliseconds.")
  var streamMs = 100

  @Option(help: "Bytes of a post.")
  var postBytes = 512

  @Option(help: "Bytes of an upload.")
  var uploadBytes = 65_536

  @Option(help: "Time from the first to the last piece of an upload, about, in milliseconds.")
  var uploadMs = 400

  @Option(help: "Frames that a WebSocket exchanges.")
  var wsFrames = 10

  @Option(help: "Time between two frames of a WebSocket, in milliseconds.")
  var wsMs = 200

  @Option(help: "How many user ids there are (cookie uid=u0, u1, …); each always comes from the same client.")
  var users = 1000

  @Option(help: "The cookie that carries the user id.")
  var cookie = "uid"

  @Option(help: "What the kinds, connections and bodies are drawn from.")
  var seed: UInt64 = 1

  @Option(help: "How long an answer may take beyond what the request asks for.")
  var timeout = Span(.seconds(30))

  @Option(help: "How long making a connection may take.")
  var connectTimeout = Span(.seconds(5))

  @Flag(help: "Take answers without X-Sample-Version for the service's own.")
  var anyRelease = false

  @Option(help: "Event loops.")
  var loops = 2

  @Option(help: "Write one JSON line per request to this file.")
  var record: String?

  @Option(help: "The summary on stdout: json or text.")
  var output = OutputFormat.text

  @Flag(help: "One line per second on stderr.")
  var progress = false

  /// What the options say, before the library looks at the numbers.
  private var plan: LoadPlan {
    var plan = LoadPlan(targets: target.map(\.target))
    plan.hostHeader = hostHeader
    plan.clients = clients
    plan.longClients = longClients
    plan.newConnectionShare = newConnectionsShare.basisPoints
    plan.rate = rate
    plan.duration = duration.amount
    plan.requests = requests
    plan.untilFile = untilFile
    plan.mix = mix.mix
    plan.slow = .milliseconds(Int64(slowMs))
    plan.streamChunks = streamChunks
    plan.streamEvery = .milliseconds(Int64(streamMs))
    plan.postBytes = postBytes
    plan.uploadBytes = uploadBytes
    plan.uploadEvery = .milliseconds(Int64(uploadMs) / Int64(plan.uploadPieces))
    plan.frames = wsFrames
    plan.framesEvery = .milliseconds(Int64(wsMs))
    plan.users = users
    plan.cookie = cookie
    plan.seed = seed
    plan.timeout = timeout.amount
    plan.connectTimeout = connectTimeout.amount
    plan.acceptsAnyRelease = anyRelease
    plan.loops = loops
    plan.record = record
    return plan
  }

  func validate() throws {
    do {
      try plan.validate()
    } catch {
      throw ValidationError(error.description)
    }
  }

  func run() async throws {
    try Descriptors.reserve(connections: clients * target.count)
    let run = try LoadRun(plan)
    let signals = stopOnSignals(run)
    defer { for signal in signals { signal.cancel() } }
    let tell: (@Sendable (LoadProgress) -> Void)? = progress ? { @Sendable in Report.progress($0) } : nil
    let summary = try await run.run(progress: tell)
    print(try Report.text(summary, output))
    // A summary that nobody can read is no proof of anything.
    guard fflush(nil) == 0 else { throw Unwritten(number: errno) }
    if summary.lost > 0 { throw ExitCode(1) }
  }

  /// Ctrl-C and SIGTERM end the run early, with its summary.
  private func stopOnSignals(_ run: LoadRun) -> [any DispatchSourceSignal] {
    var sources: [any DispatchSourceSignal] = []
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { run.stop() }
      source.resume()
      sources.append(source)
    }
    return sources
  }
}

/// Standard output did not take the summary.
private struct Unwritten: Error, CustomStringConvertible {
  var number: Int32
  var description: String { "the summary could not be written: \(String(cString: strerror(number)))" }
}
