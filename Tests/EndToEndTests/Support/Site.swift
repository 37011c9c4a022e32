import Foundation

/// A test's own working folder: manifests, releases of the sample service, state; and the commands on them.
final class Site {
  let directory: String
  let rig: Rig
  /// What the service's manifest says beyond the fixed parts; tests change what they are about.
  struct Shop {
    var name = "shop"
    /// What it was called before.
    var formerly: String?
    var gateway = "edge"
    var replicas = 6
    var strategy = "rolling: { maxUnavailable: 0, maxSurge: 1 }"
    var startTimeout = "10s"
    var minHealthyTime = "500ms"
    var readiness = "http: { path: /healthz, status: 200 }"
    var drain = "{ timeout: 20s, longLived: 3s, signal: TERM, killAfter: 5s }"
    var ports = "{ from: 20000, to: 20099 }"
    var run = ""
    var arguments: [String] = []
    var host = "shop.example.com"
    /// Follows the route's timeouts.
    var routeMore = ""
    var more: [String] = []
  }

  init(rig: Rig) throws {
    self.rig = rig
    directory = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-site-\(UUID().uuidString)").path
    for folder in ["manifests", "releases"] {
      try FileManager.default.createDirectory(atPath: "\(directory)/\(folder)", withIntermediateDirectories: true)
    }
    try write("manifests/fleet.yaml", rig.fleet)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func write(_ path: String, _ text: String) throws {
    try text.write(toFile: "\(directory)/\(path)", atomically: true, encoding: .utf8)
  }

  /// A release of the sample service; `fault` as `sluice-sample` names them.
  func release(_ version: String, fault: String = "") throws {
    let folder = "\(directory)/releases/\(version)"
    try FileManager.default.createDirectory(atPath: "\(folder)/bin", withIntermediateDirectories: true)
    if !FileManager.default.fileExists(atPath: "\(folder)/bin/sluice-sample") {
      try FileManager.default.copyItem(atPath: Place.program("sluice-sample"), toPath: "\(folder)/bin/sluice-sample")
    }
    try version.write(toFile: "\(folder)/VERSION", atomically: true, encoding: .utf8)
    try fault.write(toFile: "\(folder)/FAULT", atomically: true, encoding: .utf8)
  }

  func gateway(_ name: String = "edge", hosts: [String] = ["g1"], port: Int = 80) throws {
    try write(
      "manifests/gateway-\(name).yaml",
      """
      apiVersion: sluice/v1
      kind: Gateway
      metadata: { name: \(name) }
      spec: { fleet: rig, driver: sluice, hosts: [\(hosts.joined(separator: ", "))], listen: [{ address: 0.0.0.0, port: \(port) }] }
      """)
  }

  /// Writes the service's manifest for a release.
  func service(_ version: String, _ shop: Shop = Shop()) throws {
    let arguments = ["bin/sluice-sample", "--listen", "\"${ADDRESS}:${PORT}\"", "--fault-file", "FAULT"] + shop.arguments
    try write(
      "manifests/\(shop.name).yaml",
      """
      apiVersion: sluice/v1
      kind: Service
      metadata: { name: \(shop.name)\(shop.formerly.map { ", formerly: \($0)" } ?? "") }
      spec:
        fleet: rig
        replicas: \(shop.replicas)
        placement: { spreadBy: rack, maxSkew: 1 }
        artifact: { directory: ../releases/\(version) }
        run: { command: [\(arguments.joined(separator: ", "))]\(shop.run.isEmpty ? "" : ", \(shop.run)") }
        ports: \(shop.ports)
        health:
          readiness: { \(shop.readiness), interval: 250ms, timeout: 700ms, rise: 2, fall: 3 }
          startTimeout: \(shop.startTimeout)
          minHealthyTime: \(shop.minHealthyTime)
        drain: \(shop.drain)
        route: { gateway: \(shop.gateway), hosts: [\(shop.host)], path: /, balance: leastConnections, timeouts: { connect: 2s, response: 15s, idle: 60s }\(shop.routeMore) }
        strategy: { \(shop.strategy) }
      \(shop.more.map { "  \($0)" }.joined(separator: "\n"))
      """)
  }

  private func words(_ arguments: [String]) -> [String] { [Place.program("sluice")] + arguments + ["--state", "\(directory)/state"] }

  /// `sluice ARGUMENTS --state …`, to its end.
  @discardableResult
  func sluice(_ arguments: String..., environment: [String: String] = [:], limit: Duration = .seconds(180)) async throws -> Program.Output {
    try await Program.run(words(arguments), environment: environment, in: directory, limit: limit)
  }

  /// `sluice apply -f manifests --yes`, to its end.
  @discardableResult
  func apply(_ more: String..., limit: Duration = .seconds(240)) async throws -> Program.Output {
    try await Program.run(words(["apply", "-f", "manifests", "--yes"] + more), in: directory, limit: limit)
  }

  /// The same, still running.
  func start(_ arguments: String..., environment: [String: String] = [:]) throws -> Program {
    try Program(words(arguments), environment: environment, in: directory)
  }

  /// A `sluice` of another state directory, and, with `laptop`, of another machine: its own machine id and host name.
  func start(_ arguments: [String], state: String, laptop: String? = nil, environment: [String: String] = [:]) throws -> Program {
    var prefix: [String] = []
    if let laptop {
      try write("machine-\(laptop)", "\(laptop.utf8.map { String($0, radix: 16) }.joined())0123456789abcdef\n")
      let script = """
        hostname \(laptop) && { [ ! -e /etc/machine-id ] || mount --bind \(directory)/machine-\(laptop) /etc/machine-id; } && exec "$@"
        """
      prefix = ["unshare", "--mount", "--uts", "sh", "-c", script, "sh"]
    }
    return try Program(
      prefix + [Place.program("sluice")] + arguments + ["--state", "\(directory)/\(state)"], environment: environment, in: directory)
  }

  /// What release of the sample service answers, by its own word.
  func version(host: String, at target: String, headers: [String] = []) async throws -> String {
    let lines = (["Host: \(host)"] + headers).flatMap { ["--header", $0] }
    let output = try await Program.run(["curl", "--silent", "--max-time", "10", "--head"] + lines + ["http://\(target)/"])
    for line in output.out.split(whereSeparator: \.isNewline) where line.lowercased().hasPrefix("x-sample-version:") {
      return line.dropFirst("x-sample-version:".count).trimmingCharacters(in: .whitespaces)
    }
    throw ProgramError("no version: \(output.all)")
  }

  /// `sluice status --output json`, decoded.
  func status(state: String? = nil) async throws -> [Status] {
    let output = try await start(["status", "--output", "json"], state: state ?? "state").wait(.seconds(60))
    guard output.status == 0 else { throw ProgramError("status: \(output.all)") }
    return try JSONDecoder().decode([Status].self, from: Data(output.out.utf8))
  }
}

/// The part of `sluice status --output json` that tests read.
struct Status: Codable {
  struct Instance: Codable, Equatable {
    var instance: String
    var release: Int
    var host: String
    var phase: String
    var serving: Bool
    var port: Int
  }
  struct Rollout: Codable {
    var direction: String
    var stage: String
    var wave: Int?
    var waits: String?
    var next: String?
  }
  var service: String
  var release: Int?
  var replicas: Int
  var serving: Int
  var floor: Int
  var rollout: Rollout?
  var lastResult: String?
  var lastReason: String?
  var instances: [Instance]
  var badReleases: [Int]
}
