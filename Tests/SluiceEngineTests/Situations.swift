import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceEngine

/// A fleet, what stands on it, and what is asked for: the name tells it, and is the golden file's.
struct Situation: Sendable, CustomTestStringConvertible {
  var name: String
  var policy: ServicePolicy
  /// Hosts in each rack: a1, a2 …, b1 …
  var racks = [1, 1, 1]
  var slots = 3
  var labels: [HostName: [String: String]] = [:]
  /// What was done before, each brought to its end.
  var before: [Command.Verb]
  /// What was begun before and interrupted after so many events.
  var begun: (verb: Command.Verb, events: Int)?
  var change: @Sendable (inout Engine) -> Void = { _ in }
  var past: [StoredEvent] = []
  var verb: Command.Verb

  var testDescription: String { name }

  init(
    _ name: String, _ policy: ServicePolicy, racks: [Int] = [1, 1, 1], slots: Int = 3, labels: [HostName: [String: String]] = [:],
    before: [Command.Verb]? = nil, begun: (Command.Verb, Int)? = nil, change: @escaping @Sendable (inout Engine) -> Void = { _ in },
    past: [StoredEvent] = [], asks verb: Command.Verb? = nil
  ) {
    self.name = name
    self.policy = policy
    self.racks = racks
    self.slots = slots
    self.labels = labels
    self.before = before ?? [apply(1, policy)]
    self.begun = begun.map { (verb: $0.0, events: $0.1) }
    self.change = change
    self.past = past
    self.verb = verb ?? apply(2, policy)
  }
}

func shop(_ replicas: Int, _ strategy: Strategy = .rolling(Rolling()), _ change: (inout ServicePolicy) -> Void = { _ in }) -> ServicePolicy
{
  var policy = ServicePolicy(
    name: "shop", fleet: "test", replicas: replicas, minHealthyTime: .seconds(1), route: Route(gateway: "edge", user: .standard),
    strategy: strategy)
  change(&policy)
  return policy
}

func rolling(_ maxUnavailable: Int, _ maxSurge: Int, _ change: (inout Rolling) -> Void = { _ in }) -> Strategy {
  var rolling = Rolling(maxUnavailable: .count(maxUnavailable), maxSurge: .count(maxSurge))
  change(&rolling)
  return .rolling(rolling)
}

func canary(_ steps: CanaryStep..., change: (inout Canary) -> Void = { _ in }) -> Strategy {
  var canary = Canary(steps: steps)
  change(&canary)
  return .canary(canary)
}

func percent(_ share: Int) -> BasisPoints { BasisPoints(share * 100) }

func spec(_ release: Int, _ change: (inout ReleaseSpec) -> Void = { _ in }) -> ReleaseSpec {
  var spec = ReleaseSpec(
    artifact: Digest("artifact-\(release)"), run: RunSpec(command: ["bin/shop"]), readiness: ReadinessCheck(probe: .tcp))
  change(&spec)
  return spec
}

func apply(
  _ release: Int, _ policy: ServicePolicy, secrets: String = "", force: Bool = false, _ change: (inout ReleaseSpec) -> Void = { _ in }
) -> Command.Verb {
  .apply(policy: policy, digest: Digest("digest-\(release)"), spec: spec(release, change), secrets: secrets, force: force)
}

/// `count` instances of another service, from `a1` on, on hosts of one slot more each.
private func neighbour(_ hosts: [HostName]) -> ServiceRecord {
  var policy = shop(hosts.count)
  policy.name = "other"
  var record = ServiceRecord(policy: policy)
  record.instances = hosts.enumerated().map { index, host in
    Instance(
      number: index + 1, release: ReleaseNumber(1), host: host, address: "10.0.0.1", port: 20_000 + index, secrets: "", phase: .serving)
  }
  record.nextInstance = hosts.count + 1
  return record
}

private func isUnreachable(_ host: HostName) -> @Sendable (inout Engine) -> Void {
  { engine in
    guard var record = engine.record("shop"), let index = record.hosts.firstIndex(where: { $0.name == host }) else { return }
    record.hosts[index].reach = .unreachable("no route to host")
    engine.install(record)
  }
}

/// Its program has ended: for good, or until its supervisor starts it again. The gateway calls it unhealthy.
private func hasEnded(_ number: Int, isTriedAgain: Bool = false) -> @Sendable (inout Engine) -> Void {
  { engine in
    guard var record = engine.record("shop"), let index = record.instances.firstIndex(where: { $0.number == number }) else { return }
    let end = EndedFact(.exited, since: WallTime(milliseconds: 1_000), exitStatus: 3, restarts: isTriedAgain ? 4 : 0)
    record.instances[index].down = Downtime(isTriedAgain: isTriedAgain, end: end)
    record.instances[index].healthySince = nil
    for gateway in record.gateways.indices {
      for target in record.gateways[gateway].targets.indices where record.gateways[gateway].targets[target].instance == number {
        record.gateways[gateway].targets[target].healthy = false
      }
    }
    engine.install(record)
  }
}

private func pastWaves(_ seconds: [Int64]) -> [StoredEvent] {
  func event(_ kind: String, _ at: Int64) -> StoredEvent {
    StoredEvent(
      service: "shop", at: WallTime(milliseconds: at * 1_000), rollout: 1, event: RecordEvent(.info, kind, ""))
  }
  var events = [event("rollout-begun", 0)]
  var now: Int64 = 12
  for length in seconds {
    events += [event("wave-begun", now), event("wave-ended", now + length)]
    now += length
  }
  return events
}

extension Situation {
  static let all: [Situation] = plain + placed + byStages + underWay + told

  private static let plain = [
    Situation("first release", shop(3), before: [], asks: apply(1, shop(3))),
    Situation("nothing to do", shop(3), asks: apply(1, shop(3))),
    Situation("rolling, one more at a time", shop(3)),
    Situation("rolling, two fewer at a time", shop(6, rolling(2, 0))),
    Situation(
      "rolling by shares", shop(8, .rolling(Rolling(maxUnavailable: .share(percent(25)), maxSurge: .share(percent(25))))), racks: [2, 2, 2]),
    Situation("rack by rack", shop(6, rolling(0, 2) { $0.rackOrder = true }), racks: [2, 2, 2]),
    Situation("rack by rack over uneven racks", shop(5, rolling(1, 1) { $0.rackOrder = true }), racks: [3, 1, 1]),
    Situation("a pause between waves", shop(3, rolling(0, 1) { $0.pauseBetween = .seconds(90) })),
    Situation("a worker without a route", shop(3) { $0.route = nil }),
    Situation("scale up", shop(3), asks: .scale(5)),
    Situation("scale down", shop(3), asks: .scale(1)),
    Situation("more replicas with the new release", shop(3), asks: apply(2, shop(5))),
    Situation("fewer replicas with the new release", shop(5), racks: [2, 2, 2], asks: apply(2, shop(3))),
    Situation("restart", shop(2), asks: .restart(instance: nil)),
    Situation("restart one instance", shop(3), asks: .restart(instance: 2)),
    Situation("stop", shop(2), asks: .stop),
    Situation("start again", shop(2), before: [apply(1, shop(2)), .stop], asks: .start),
    Situation("roll back", shop(3), before: [apply(1, shop(3)), apply(2, shop(3))], asks: .rollback(to: nil)),
    Situation("nowhere to roll back to", shop(3), asks: .rollback(to: nil)),
    Situation("hooks before and after each wave", shop(3) { $0.hooks = [.preDeploy: "check", .preWave: "before", .postWave: "after"] }),
  ]

  private static let placed = [
    Situation("drain a host", shop(3), change: { $0.cordons = ["a1"] }, asks: .settle(cause: "drain a1", overrideFloor: false)),
    Situation(
      "drain a rack", shop(4), racks: [2, 2, 2], change: { $0.cordons = ["a1", "a2"] },
      asks: .settle(cause: "drain rack-a", overrideFloor: false)),
    Situation("a new release while a host is cordoned", shop(3), racks: [2, 1, 1], change: { $0.cordons = ["a1"] }),
    Situation("a host that cannot be reached", shop(3), change: isUnreachable("a1")),
    Situation("a host that cannot be reached, within the budget", shop(3) { $0.failureBudget = .count(1) }, change: isUnreachable("a1")),
    Situation("no free slot", shop(3), slots: 1),
    Situation("no free slot, one fewer at a time", shop(3, rolling(1, 0)), slots: 1),
    Situation("no free port", shop(3) { $0.ports = PortRange(from: 8_080, to: 8_080) }),
    Situation("one port, one fewer at a time", shop(3, rolling(1, 0)) { $0.ports = PortRange(from: 8_080, to: 8_080) }),
    Situation(
      "a rack-loss floor that cannot be kept", shop(3, rolling(1, 0) { $0.rackLossFloor = .count(2) }), slots: 2),
    Situation("a rack-loss floor that is kept", shop(6, rolling(0, 2) { $0.rackLossFloor = .share(percent(50)) }), racks: [2, 2, 2]),
    Situation(
      "labels required", shop(2) { $0.placement.require = ["disk": "ssd"] }, racks: [2, 2, 2],
      labels: ["a2": ["disk": "ssd"], "b1": ["disk": "ssd"], "c1": ["disk": "hdd"]], before: [],
      asks: apply(1, shop(2) { $0.placement.require = ["disk": "ssd"] })),
    Situation(
      "labels that no host has", shop(2) { $0.placement.require = ["disk": "tape"] }, before: [],
      asks: apply(1, shop(2) { $0.placement.require = ["disk": "tape"] })),
    Situation("spread over uneven racks", shop(7), racks: [3, 1, 1], slots: 2, before: [], asks: apply(1, shop(7))),
    Situation(
      "hosts shared with another service", shop(3), slots: 2, change: { $0.install(neighbour(["a1", "b1"])) }),
    Situation("another service has the last slots", shop(3), slots: 2, change: { $0.install(neighbour(["a1", "b1", "c1"])) }),
  ]

  private static let byStages = [
    Situation("recreate", shop(2, .recreate(Recreate()))),
    Situation(
      "recreate with a queue, a single replica on a single slot", shop(1, .recreate(Recreate(queue: .seconds(30)))), racks: [1], slots: 1),
    Situation("blue-green", shop(3, .blueGreen(BlueGreen(keepOld: .minutes(10))))),
    Situation(
      "blue-green with a preview and approval",
      shop(2, .blueGreen(BlueGreen(preview: ["preview.example.com"], approve: true, keepOld: .minutes(5))))),
    Situation("blue-green without slots for a second pool", shop(3, .blueGreen(BlueGreen())), slots: 1),
    Situation("blue-green, first release", shop(2, .blueGreen(BlueGreen())), before: [], asks: apply(1, shop(2, .blueGreen(BlueGreen())))),
    Situation(
      "canary by users",
      shop(10, canary(CanaryStep(users: percent(1), hold: .minutes(2)), CanaryStep(users: percent(50), hold: .minutes(5)))),
      racks: [2, 2, 2], slots: 6),
    Situation(
      "canary with instances and approval",
      shop(
        6, canary(CanaryStep(users: percent(5), instances: .count(2), hold: .minutes(1)), CanaryStep(users: percent(50), approve: true))),
      racks: [2, 2, 2]),
    Situation(
      "canary judged by analysis",
      shop(
        6,
        canary(CanaryStep(users: percent(10), hold: .minutes(5), maxHold: .minutes(30)), CanaryStep(users: percent(30), hold: .minutes(5)))
        {
          $0.analysis = Analysis()
        }), racks: [2, 2, 2]),
    Situation("canary without a slot", shop(3, canary(CanaryStep(users: percent(10), hold: .minutes(1)))), slots: 1),
    Situation(
      "a rollback needs no canary", shop(3, canary(CanaryStep(users: percent(10), hold: .minutes(1)))),
      before: (1...2).map { apply($0, shop(3, canary(CanaryStep(users: percent(10), hold: .minutes(1))))) }, asks: .rollback(to: nil)),
  ]

  private static let underWay = [
    Situation("superseded in mid-rollout", shop(4), racks: [2, 2, 2], begun: (apply(2, shop(4)), 16), asks: apply(3, shop(4))),
    Situation("gone on with in mid-rollout", shop(4), racks: [2, 2, 2], begun: (apply(2, shop(4)), 16), asks: apply(2, shop(4))),
    Situation("aborted in mid-rollout", shop(4), racks: [2, 2, 2], begun: (apply(2, shop(4)), 16), asks: .abort),
    Situation("scaled in mid-rollout", shop(4), racks: [2, 2, 2], begun: (apply(2, shop(4)), 16), asks: .scale(6)),
    Situation(
      "a canary superseded", shop(4, canary(CanaryStep(users: percent(25), hold: .minutes(10)))), racks: [2, 2, 2],
      begun: (apply(2, shop(4, canary(CanaryStep(users: percent(25), hold: .minutes(10))))), 18),
      asks: apply(3, shop(4, canary(CanaryStep(users: percent(25), hold: .minutes(10)))))),
    Situation(
      "a judged canary gone on with after its controller was lost", judged, racks: [2, 2, 2], begun: (apply(2, judged), 18),
      asks: apply(2, judged)),
  ]

  /// What its gateways counted while no controller ran is part of the verdict.
  private static let judged = shop(4, canary(CanaryStep(users: percent(25), hold: .minutes(10))) { $0.analysis = Analysis() })

  private static let told = [
    Situation("waves as long as they were", shop(3), past: pastWaves([20, 31, 22])),
    Situation(
      "fields of the release",
      shop(2),
      asks: apply(2, shop(2)) { spec in
        spec.run.command = ["bin/shop", "--fast", "two words"]
        spec.run.env = ["LOG_LEVEL": "debug", "API_TOKEN": "hush", "DATABASE": "postgres://shop:hush@db/shop"]
        spec.run.limits = Limits(memoryBytes: 512 << 20, cpuBasisPoints: 5_000)
        spec.run.user = "shop"
        spec.readiness = ReadinessCheck(probe: .http(path: "/healthz", status: 200), interval: .seconds(2))
        spec.stop.killAfter = .seconds(20)
      }),
    Situation("secrets have changed", shop(2), asks: apply(1, shop(2), secrets: "salt-2")),
    Situation("settings only", shop(2), asks: apply(1, shop(2) { $0.progressDeadline = .minutes(20) })),
    Situation("another drain timeout", shop(2), asks: apply(1, shop(2) { $0.drain.timeout = .seconds(60) })),
    Situation("a program has ended", shop(3), change: hasEnded(2), asks: apply(1, shop(3))),
    Situation("a program is about to be started again", shop(3), change: hasEnded(2, isTriedAgain: true), asks: apply(1, shop(3))),
    Situation("stopped on purpose", shop(2), before: [apply(1, shop(2)), .stop], asks: apply(1, shop(2))),
    Situation("scaled to nothing and started", shop(2), before: [apply(1, shop(2)), .scale(0)], asks: .start),
    Situation("another range of ports", shop(2), asks: apply(1, shop(2) { $0.ports = PortRange(from: 30_000, to: 30_999) })),
    Situation("from rolling to canary", shop(2), asks: apply(2, shop(2, canary(CanaryStep(users: percent(50), hold: .seconds(30)))))),
  ]
}
