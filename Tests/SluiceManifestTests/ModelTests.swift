import Foundation
import SluiceManifest
import SluiceModel
import Testing

@Suite struct ModelTests {
  @Test func `The full example becomes the model it describes`() throws {
    let file = GoldenTests.folder.appendingPathComponent("full-example/input.yaml")
    let text = try String(contentsOf: file, encoding: .utf8)
    let result = ManifestReader.read(sources: [ManifestSource(name: "full.yaml", text: text, baseDirectory: "/base")])
    #expect(result.diagnostics == [])
    let manifests = try #require(result.manifests)
    #expect(manifests.fleets == [Self.fleet])
    #expect(manifests.gateways == [Self.gateway])
    #expect(manifests.services == [Self.service])
  }

  @Test func `What a manifest leaves out has the model's defaults`() throws {
    let result = ManifestReader.read(sources: [
      ManifestSource(name: "a.yaml", text: Self.small, baseDirectory: "/base")
    ])
    #expect(result.diagnostics == [])
    let manifests = try #require(result.manifests)
    let host = Host(name: "a1", rack: "r", address: "10.0.0.1")
    #expect(manifests.fleets == [Fleet(name: "f", racks: [Rack(name: "r", hosts: [host])])])
    #expect(manifests.gateways == [Gateway(name: "g", fleet: "f", hosts: ["a1"], listen: [ListenAddress(address: "::", port: 80)])])
    let expected = ServiceManifest(
      policy: ServicePolicy(name: "s", fleet: "f", replicas: 2, route: Route(gateway: "g")), artifact: .directory("."),
      run: RunSpec(command: ["run"]), readiness: ReadinessCheck(probe: .tcp), baseDirectory: "/base")
    #expect(manifests.services == [expected])
  }

  @Test(arguments: [
    ("rolling:", Strategy.rolling(Rolling())),
    ("rolling: { maxUnavailable: 50% }", .rolling(Rolling(maxUnavailable: .share(BasisPoints(5000))))),
    ("recreate: {}", .recreate(Recreate())),
    ("recreate: { queue: 1m }", .recreate(Recreate(queue: .minutes(1)))),
  ])
  func `A strategy is read`(_ text: String, _ strategy: Strategy) throws {
    let result = Self.read("\(Self.small)  strategy: { \(text) }\n")
    #expect(try #require(result.manifests).services.first?.policy.strategy == strategy)
  }

  @Test(arguments: [
    ("tcp:", ReadinessCheck.Probe.tcp), ("tcp: {}", .tcp), ("interval: 2s", .tcp),
    ("http: { path: /ok }", .http(path: "/ok", status: 200)),
    ("http: { path: \"/ok?a=b\", status: 204 }", .http(path: "/ok?a=b", status: 204)),
    ("exec: { command: [bin/check, \"${PORT}\"] }", .exec(command: ["bin/check", "${PORT}"])),
  ])
  func `A probe is read`(_ text: String, _ probe: ReadinessCheck.Probe) throws {
    let result = Self.read("\(Self.small)  health: { readiness: { \(text) } }\n")
    #expect(try #require(result.manifests).services.first?.readiness.probe == probe)
  }

  @Test func `Placement without a spread and a single port are read`() throws {
    let manifests = try #require(Self.read("\(Self.small)  placement: { spreadBy: none }\n  port: 8080\n").manifests)
    #expect(manifests.services.first?.policy.placement == Placement(maxSkew: nil))
    #expect(manifests.services.first?.policy.ports == PortRange(from: 8080, to: 8080))
  }

  private static func read(_ text: String) -> ManifestResult {
    ManifestReader.read(sources: [ManifestSource(name: "a.yaml", text: text, baseDirectory: "/base")])
  }

  private static let small = """
    apiVersion: sluice/v1
    kind: Fleet
    metadata: { name: f }
    spec: { racks: [{ name: r, hosts: [{ name: a1, address: 10.0.0.1 }] }] }
    ---
    apiVersion: sluice/v1
    kind: Gateway
    metadata: { name: g }
    spec: { fleet: f, hosts: [a1], listen: [{ address: "::", port: 80 }] }
    ---
    apiVersion: sluice/v1
    kind: Service
    metadata: { name: s }
    spec:
      fleet: f
      replicas: 2
      artifact: { directory: . }
      run: { command: [run] }
      route: { gateway: g }

    """

  private static var ssh: SSHSettings {
    SSHSettings(
      user: "deploy", port: 22, identity: "~/.ssh/id_ed25519", knownHosts: "~/.ssh/known_hosts", hostKeys: .strict,
      jump: "bastion.example.com", become: .sudo)
  }

  private static var fleet: Fleet {
    var other = ssh
    (other.port, other.become, other.hostKeys) = (2222, .none, .acceptNew)
    return Fleet(
      name: "prod",
      racks: [
        Rack(
          name: "rack-a",
          hosts: [
            Host(
              name: "a1", rack: "rack-a", address: "10.0.1.11", serviceAddress: "192.168.1.11", slots: 4, labels: ["disk": "ssd"], ssh: ssh),
            Host(name: "a2", rack: "rack-a", address: "2001:db8::12", labels: ["disk": "ssd"], ssh: other, root: "/srv/sluice"),
          ]),
        Rack(
          name: "rack-b",
          hosts: [
            Host(name: "b1", rack: "rack-b", address: "10.0.2.11", labels: ["disk": "ssd"], ssh: ssh),
            Host(name: "g1", rack: "rack-b", address: "g1.example.com", slots: 0, ssh: ssh),
            Host(name: "g2", rack: "rack-b", address: "g2.example.com", slots: 0, ssh: ssh),
          ]),
      ])
  }

  private static var gateway: Gateway {
    Gateway(
      name: "edge", fleet: "prod", hosts: ["g1", "g2"],
      listen: [ListenAddress(address: "0.0.0.0", port: 80), ListenAddress(address: "::", port: 80)],
      trustedProxies: ["10.0.0.0/8", "2001:db8::/32"], health: ListenAddress(address: "127.0.0.1", port: 8081))
  }

  private static var service: ServiceManifest {
    let route = Route(
      gateway: "edge", hosts: ["shop.example.com"], path: "/", balance: .roundRobin,
      timeouts: RouteTimeouts(connect: .seconds(2), response: .seconds(30), idle: .minutes(1)))
    let rolling = Rolling(
      maxUnavailable: .count(1), maxSurge: .share(BasisPoints(2500)), rackOrder: true, rackLossFloor: .share(BasisPoints(5000)),
      pauseBetween: Milliseconds(500))
    let policy = ServicePolicy(
      name: "shop", fleet: "prod", tier: 1, replicas: 6, placement: Placement(maxSkew: 1, require: ["disk": "ssd"]),
      ports: PortRange(from: 20_000, to: 20_999), startTimeout: .seconds(30), minHealthyTime: .seconds(5),
      drain: DrainPolicy(timeout: .seconds(30), longLived: .seconds(10)), route: route, strategy: .rolling(rolling), onFailure: .pause,
      failureBudget: .share(BasisPoints(1250)), progressDeadline: .minutes(10),
      hooks: [
        .preDeploy: "hooks/pre-deploy", .preWave: "a", .postWave: "b", .postDeploy: "c", .failed: "d", .rolledBack: "hooks/notify",
      ])
    let run = RunSpec(
      runtime: .auto, command: ["bin/shop", "--listen", "${ADDRESS}:${PORT}"], env: ["LOG_LEVEL": "info", "WORKERS": "4"],
      secrets: ["API_TOKEN", "DATABASE_URL", "TLS_KEY"], limits: Limits(memoryBytes: 512 << 20, cpuBasisPoints: 5000), user: "shop")
    return ServiceManifest(
      policy: policy, artifact: .path("build/shop.tar.gz"), run: run,
      secretSources: [
        "DATABASE_URL": .env("SHOP_DATABASE_URL"), "TLS_KEY": .file("keys/shop.pem"), "API_TOKEN": .command(["pass", "show", "shop"]),
      ],
      readiness: ReadinessCheck(probe: .http(path: "/healthz", status: 200), interval: .seconds(1), timeout: .seconds(1), rise: 2, fall: 3),
      stop: StopSpec(preStop: ["bin/leave"], signal: "TERM", killAfter: .seconds(10)), baseDirectory: "/base")
  }
}
