import Foundation
import NIOPosix
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceSSH
import Synchronization
import Testing

@testable import SluiceHosts

/// A host, a controller's hands, and releases of a small service written for these tests.
struct Bench: Sendable {
  let host: SluiceModel.Host
  let directory: String
  let hands: FleetHosts
  private let loopback: LoopbackHost?
  var fence = Fence(owner: "me@here:boot:1", epoch: 1)
  var policy: ServicePolicy
  private let secrets: SecretBox

  /// The sshd of this process; only where there is one.
  var at: LoopbackHost {
    guard let loopback else { preconditionFailure("the host of this bench is not on this machine") }
    return loopback
  }
  var root: String { host.root }

  static func run<Value>(
    _ config: [String] = [], shell: LoopbackHost.RemoteShell? = nil, options: HostOptions = HostOptions(),
    change: (inout SluiceModel.Host) -> Void = { _ in }, _ body: (Bench) async throws -> Value
  ) async throws -> Value {
    try await LoopbackHost.run(config, shell: shell, change: change) { at in
      let bench = Bench(at.host, directory: at.directory, loopback: at, options: options)
      do {
        let value = try await body(bench)
        await bench.hands.close()
        return value
      } catch {
        await bench.hands.close()
        throw error
      }
    }
  }

  /// `directory` is for what the controller has.
  init(
    _ host: SluiceModel.Host, directory: String, loopback: LoopbackHost? = nil, options: HostOptions = HostOptions(),
    fleet: FleetName = "test"
  ) {
    self.host = host
    self.directory = directory
    self.loopback = loopback
    let box = SecretBox()
    secrets = box
    hands = FleetHosts(
      fleet: Fleet(name: fleet, racks: [Rack(name: "rack-a", hosts: [host])]), group: MultiThreadedEventLoopGroup.singleton,
      artifacts: { "\(directory)/artifacts/\($0).tar.gz" }, secrets: { _, _ in try box.values() }, options: options)
    policy = ServicePolicy(name: "shop", fleet: fleet, replicas: 1, ports: PortRange(from: 1024, to: 65_535), startTimeout: .seconds(5))
  }

  final class SecretBox: Sendable {
    struct Missing: Error {}
    private let held = Mutex<[String: String]?>([:])
    func set(_ values: [String: String]?) { held.withLock { $0 = values } }
    func values() throws -> [String: String] {
      guard let values = held.withLock({ $0 }) else { throw Missing() }
      return values
    }
  }

  /// A copy of that version, as a controller leaves it.
  func copy(_ version: UInt64, _ record: String) -> SignedCopy {
    let revision = Revision(epoch: 1, version: version)
    let statement = CopyStatement(fleet: "test", service: "shop", revision: revision, record: Array(record.utf8))
    return SignedCopy(statement, signature: "-----BEGIN\nsigned\n-----END")
  }

  func setSecrets(_ values: [String: String]?) { secrets.set(values) }

  func claim(_ fence: Fence? = nil, machine: String = "here", takeOver: Bool = false) async -> ClaimAnswer<HostFact> {
    await hands.claim(
      FenceClaim(service: "shop", fence: fence ?? self.fence, machine: machine, since: WallTime(milliseconds: 7), takeOver: takeOver),
      on: host,
      ports: policy.ports)
  }

  func perform(_ kind: HostOrder.Kind, fence: Fence? = nil) async -> AttemptResult {
    await hands.perform(HostOrder(service: "shop", fence: fence ?? self.fence, attempt: 1, policy: policy, kind: kind), on: host)
  }

  /// Claims, stages, and hands out an instance.
  func staged(
    _ number: Int = 1, files: [String: String] = [:], secrets: String = "", change: (inout ReleaseSpec) -> Void = { _ in }
  ) async throws -> (Instance, Release) {
    let claimed = await claim()
    guard case .granted = claimed else { throw Unexpected(what: "\(claimed)") }
    let release = try await release(number, files: files, change: change)
    let staged = await perform(.stage(release))
    guard staged.generation != nil else { throw Unexpected(what: "\(staged)") }
    return (try await instance(number, of: release, secrets: secrets), release)
  }

  /// As `staged`, started and ready.
  func running(
    _ number: Int = 1, files: [String: String] = [:], secrets: String = "", change: (inout ReleaseSpec) -> Void = { _ in }
  ) async throws -> (Instance, Release) {
    let (instance, release) = try await staged(number, files: files, secrets: secrets, change: change)
    for kind in [HostOrder.Kind.start(instance, release), .checkReady(instance, release)] {
      let result = await perform(kind)
      guard case .succeeded = result else { throw Unexpected(what: "\(result)") }
    }
    return (instance, release)
  }

  /// What the instance answers to GET, over a plain connection.
  func get(_ instance: Instance, _ path: String = "/") async throws -> String {
    try await tool(
      "/usr/bin/python3",
      [
        "-c", "import sys,urllib.request as u; sys.stderr=None; print(u.urlopen(sys.argv[1],timeout=5).read().decode())",
        "http://\(host.serviceAddress):\(instance.port)\(path)",
      ])
  }

  func facts() async throws -> HostFact {
    guard case .succeeded(.facts(let fact)) = await perform(.observe) else { throw NotInTime(what: "facts") }
    return fact
  }

  /// Packs a release whose `bin/serve` is the test service; `change` may make it another.
  func release(_ number: Int = 1, files: [String: String] = [:], change: (inout ReleaseSpec) -> Void = { _ in }) async throws -> Release {
    let content = "\(directory)/content-\(number)-\(UUID().uuidString)"
    var all = files
    all["bin/serve"] = all["bin/serve"] ?? Self.service
    for (path, text) in all {
      let file = URL(filePath: "\(content)/\(path)")
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
    }
    let packed = "\(content).tar.gz"
    try await tool("/bin/tar", ["-czf", packed, "-C", content, "."])
    let digest = Digest(String(try await tool("/usr/bin/sha256sum", [packed]).prefix(64)))
    try FileManager.default.createDirectory(atPath: "\(directory)/artifacts", withIntermediateDirectories: true)
    _ = rename(packed, "\(directory)/artifacts/\(digest).tar.gz")
    var spec = ReleaseSpec(
      artifact: digest, run: RunSpec(runtime: .process, command: ["bin/serve", "${ADDRESS}", "${PORT}"]),
      readiness: ReadinessCheck(probe: .http(path: "/healthz", status: 200), interval: .init(50), timeout: .seconds(1), rise: 2),
      stop: StopSpec(killAfter: .seconds(2)))
    change(&spec)
    let own = try await tool("/usr/bin/sha256sum", ["-"], input: "\(spec)\(number)")
    return Release(number: ReleaseNumber(number), digest: Digest(String(own.prefix(64))), spec: spec)
  }

  func instance(_ number: Int, of release: Release, port: Int? = nil, secrets: String = "") async throws -> Instance {
    Instance(
      number: number, release: release.number, host: host.name, address: host.serviceAddress, port: try await own(port),
      secrets: secrets)
  }

  private func own(_ port: Int?) async throws -> Int {
    if let port { return port }
    return loopback == nil ? Int.random(in: 20_000...30_000) : try LoopbackHost.freePort()
  }

  /// Answers with what it was given; told by its environment to misbehave.
  static let service = #"""
    #!/usr/bin/python3
    import http.server, os, signal, sys, time
    fault = os.environ.get("FAULT", "")
    if fault == "exit": print("cannot go on", flush=True); sys.exit(3)
    if fault == "late-exit": time.sleep(2); print("no database", flush=True); sys.exit(4)
    if fault == "ignore-term": signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if fault == "slow": time.sleep(1)
    if fault == "down" and os.path.exists(os.environ["DOWN"]): print("no database", flush=True); sys.exit(1)
    if fault.startswith("daemon-"):
        if os.fork() != 0: time.sleep(float(fault[7:])); os._exit(0)
    if fault == "fork" and os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status = 500 if fault == "unhealthy" and self.path == "/healthz" else 200
            body = ("broken" if status == 500 else repr(dict(os.environ))).encode()
            self.send_response(status); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
            if self.path == "/crash": os._exit(9)
            if self.path == "/quit": os._exit(0)
        def log_message(self, *words): pass
    print("listening", flush=True)
    http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
    """#
}

struct Unexpected: Error { var what: String }

extension AttemptResult {
  var generation: UInt64? {
    switch self {
    case .succeeded(.host(let generation)), .succeeded(.stopped(let generation, _)): generation
    default: nil
    }
  }
  var failure: Failure? { if case .failed(let failure) = self { failure } else { nil } }
}
