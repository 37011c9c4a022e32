package import SluiceModel
package import SluiceRollout

/// One simulated story: the fleet, its services, what goes wrong and what the operator asks. Drawn from a seed.
package struct Scenario: Sendable {
  package var fleet: Fleet
  package var gateway: Gateway
  /// Another one, to which services move.
  package var rim: Gateway?
  package var plan: Plan
  /// Another service on the same hosts, behind the same gateways, driven by the same controller.
  package var second: Plan?
  /// The second one is the first under another name (`formerly`): it begins when the first has had all its releases.
  package var isRenamed = false
  package var faults: [Fault] = []
  /// How many of 10 000 steps that ask for approval the operator aborts.
  package var rejections = 0
  /// How many of 10 000 orders are long on their way.
  package var delays = 0
  /// The controller dies when this many attempts have been dispatched; then it starts again.
  package var crashes: [Int] = []
  /// It dies while it writes its commit of this number: that is lost, and nothing of what it decided was sent.
  package var lostCommits: [Int] = []
  /// When a controller begins for that time, what it was asked is refused, and it ends at once.
  package var refusedStarts: [Int] = []
  /// Hosts on which nothing is started again when they come back.
  package var forgetful: [HostName] = []
  /// It dies in the middle of taking its fences, when it starts for that time.
  package var claimDeaths: [Int] = []
  /// From when on the next process runs on another machine, in milliseconds.
  package var turns: [Int64] = []
  /// Operator commands at moments of the run.
  package var commands: [Typed] = []

  /// Instances of another service, `cart`, which this controller knows and does not act upon.
  package var neighbours: [Reservation] = []

  /// What an operator types, and when, in milliseconds.
  package struct Typed: Hashable, Sendable {
    package var at: Int64
    package var verb: String
    /// Of which service: its place in `plans`.
    package var service = 0
  }

  /// One service: its manifest, and what becomes of its releases.
  package struct Plan: Sendable {
    package var policy: ServicePolicy
    /// What is applied, one after another, each once the last has come to rest.
    package var releases: [Int]
    /// Which releases never become ready, from which instance start on (counted over the release's starts).
    package var badReleases: [Int: Int] = [:]
    /// Which releases become ready, and then fail their users.
    package var flaws: [Int: Flaw] = [:]
    /// Which releases bring a task.
    package var tasks: [Int: PlannedTask] = [:]
    /// What the manifests of later releases say otherwise than the first one.
    package var changes: [Int: Change] = [:]
    /// Which releases' tables gateways refuse for reasons of their own.
    package var refusals: [Int: TableRefusal] = [:]
    /// Which minutes of the day lie outside the policy's windows, in UTC.
    package var closed = 0..<0

    package init(policy: ServicePolicy, releases: [Int]) {
      self.policy = policy
      self.releases = releases
    }
  }

  var gateways: [Gateway] { [gateway] + [rim].compactMap(\.self) }

  /// Of all gateways.
  var processes: [GatewayID] { gateways.flatMap(\.processes) }

  /// In the order in which they are counted.
  var plans: [Plan] {
    get { [plan] + [second].compactMap(\.self) }
    set { (plan, second) = (newValue[0], newValue.dropFirst().first) }
  }

  /// A release's task, and how it goes.
  package struct PlannedTask: Hashable, Sendable {
    package var task: ReleaseTask
    /// How long a run takes, in milliseconds.
    package var takes: Int64
    /// How many of its runs end with an error first.
    package var failures = 0

    package init(_ task: ReleaseTask, takes: Int64) {
      self.task = task
      self.takes = takes
    }
  }

  /// What users of a release meet that is ready and yet no good.
  package enum Flaw: Hashable, Sendable {
    /// So many of 10 000 requests fail.
    case errors(Int)
    /// Every other request takes a second.
    case slow
    /// The checks of its analysis fail.
    case checks
  }

  static func spec(_ release: Int, readiness: ReadinessCheck = ReadinessCheck(probe: .tcp)) -> ReleaseSpec {
    ReleaseSpec(artifact: Digest("artifact-\(release)"), run: RunSpec(command: ["shop"]), readiness: readiness)
  }

  /// The order to apply a release.
  package static func apply(
    _ release: Int, policy: ServicePolicy, task: ReleaseTask? = nil, readiness: ReadinessCheck = ReadinessCheck(probe: .tcp)
  ) -> Command.Verb {
    var spec = spec(release, readiness: readiness)
    spec.task = task
    return .apply(policy: policy, digest: digest(release), spec: spec, secrets: "s\(release / 3)", force: false)
  }

  /// The time zone that windows name, five hours ahead.
  static let zone = ZoneOffset(zone: "Sim/East", offset: .minutes(300))

  /// The release that an operator applies in mid-rollout.
  static let superseding = 90
  /// Those that mend what cannot be gone back from come after this one.
  static let mending = 91

  /// What the service's record knows a release by.
  static func digest(_ release: Int) -> Digest { Digest("digest-\(release)") }
  /// Of the spec that `apply` makes: by its artifact.
  static func digest(of spec: ReleaseSpec) -> Digest { Digest("digest-\(spec.artifact.rawValue.dropFirst("artifact-".count))") }

  /// What stands in a version of the service's secrets: nothing that Sluice keeps or tells may hold it.
  static func secret(_ version: String) -> String { "tiger-\(version)" }

  /// Hosts `a1 a2 b1 …` with service slots, and `g1 g2` for gateways.
  package static func fleet(racks: Int, perRack: Int, slots: Int) -> Fleet {
    var list: [Rack] = []
    for rack in 0..<racks {
      let letter = String(UnicodeScalar(UInt8(97 + rack)))
      let name = RackName("rack-\(letter)")
      list.append(
        Rack(
          name: name,
          hosts: (1...perRack).map { Host(name: HostName("\(letter)\($0)"), rack: name, address: "10.0.\(rack + 1).\($0)", slots: slots) }))
    }
    list.append(
      Rack(name: "edge", hosts: (1...4).map { Host(name: HostName("g\($0)"), rack: "edge", address: "10.0.9.\($0)", slots: 0) }))
    return Fleet(name: "sim", racks: list)
  }

  /// The gateway `edge` on `g1`, `g2` …
  package static func gateway(processes: Int) -> Gateway {
    Gateway(
      name: "edge", fleet: "sim", hosts: (1...processes).map { HostName("g\($0)") },
      listen: [ListenAddress(address: "10.0.0.1", port: 80)])
  }

  /// The gateway `rim` on `g3`, `g4`.
  package static func rim(processes: Int) -> Gateway {
    Gateway(
      name: "rim", fleet: "sim", hosts: (1...processes).map { HostName("g\($0 + 2)") },
      listen: [ListenAddress(address: "10.0.0.2", port: 80)])
  }

  /// What the controller's database has of the other service.
  var neighbour: ServiceRecord {
    var record = ServiceRecord(policy: ServicePolicy(name: "cart", fleet: "sim", replicas: neighbours.count))
    record.instances = neighbours.map { place in
      Instance(
        number: place.instance.number, release: ReleaseNumber(1), host: place.host,
        address: fleet.host(place.host)?.serviceAddress ?? "", port: place.port, secrets: "", phase: .serving)
    }
    return record
  }
}

/// What is said of the first service, for the stories of one.
extension Scenario {
  package var policy: ServicePolicy {
    get { plan.policy }
    set { plan.policy = newValue }
  }
  package var releases: [Int] {
    get { plan.releases }
    set { plan.releases = newValue }
  }
  package var badReleases: [Int: Int] {
    get { plan.badReleases }
    set { plan.badReleases = newValue }
  }
  package var flaws: [Int: Flaw] {
    get { plan.flaws }
    set { plan.flaws = newValue }
  }
}
