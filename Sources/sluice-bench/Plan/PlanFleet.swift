import SluiceEngine
import SluiceModel
import SluiceRollout

/// A fleet of so many hosts with a tenth as many services of 100 instances, all of release 1, behind one gateway of two processes.
struct PlanFleet {
  static let hostsPerRack = 20
  static let replicas = 100
  /// How many hosts it may have: more would have no addresses of their own.
  static let sizes = 100...1_000_000

  let services: [ServiceName]
  private(set) var engine: Engine

  /// Everything is put where the brain itself puts it: each service is released for the first time on what stands already.
  init(hosts: Int) throws {
    let racks = (0..<hosts / Self.hostsPerRack).map { rack in
      let name = RackName("rack-\(rack)")
      return Rack(
        name: name,
        hosts: (0..<Self.hostsPerRack).map { host in
          Host(name: HostName("h\(rack)-\(host)"), rack: name, address: "10.\(rack >> 8).\(rack & 255).\(host + 1)", slots: 16)
        })
    }
    let doors = ["g1", "g2"].enumerated().map { Host(name: HostName($1), rack: "edge", address: "10.255.0.\($0 + 1)", slots: 0) }
    let fleet = Fleet(name: "bench", racks: racks + [Rack(name: "edge", hosts: doors)])
    let gateway = Gateway(name: "edge", fleet: "bench", hosts: doors.map(\.name), listen: [ListenAddress(address: "0.0.0.0", port: 80)])
    services = (0..<hosts / 10).map { ServiceName("service-\($0)") }
    engine = Engine(
      fleet: fleet, gateways: [gateway], records: services.map { ServiceRecord(policy: Self.policy(of: $0)) }, cordons: [])
    for service in services {
      var rehearsal = Rehearsal(engine: engine, service: service)
      let plan = try rehearsal.run(Self.release(1, of: service))
      guard plan.end == .succeeded, let record = rehearsal.record else { throw PlanBench.Unfit("\(service) found no place") }
      engine.install(record)
    }
  }

  private static func policy(of service: ServiceName) -> ServicePolicy {
    ServicePolicy(
      name: service, fleet: "bench", replicas: replicas, route: Route(gateway: "edge", hosts: ["\(service).example.com"]),
      strategy: .rolling(Rolling(maxSurge: .share(BasisPoints(2_500)))))
  }

  /// What `apply` asks for.
  static func release(_ number: Int, of service: ServiceName) -> Command {
    let spec = ReleaseSpec(
      artifact: Digest("artifact-\(number)"), run: RunSpec(command: ["bin/server"], env: ["RELEASE": "\(number)"]),
      readiness: ReadinessCheck(probe: .http(path: "/healthz", status: 200)))
    return Command(
      id: "apply-\(number)", by: "bench", at: WallTime(milliseconds: 0),
      verb: .apply(policy: policy(of: service), digest: Digest("release-\(number)"), spec: spec, secrets: "", force: false))
  }
}
