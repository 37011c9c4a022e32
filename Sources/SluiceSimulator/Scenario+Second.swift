import SluiceModel
import SluiceRollout

/// What is drawn on top of a story of one service, from numbers of its own: the stories of one service stay as they are.
extension Scenario {
  mutating func extend(_ random: inout Randomness) {
    if random.happens(2_000) { addSecond(&random) }
  }

  /// A second service on the same hosts, behind the same gateways.
  private mutating func addSecond(_ random: inout Randomness) {
    let hosts = fleet.hosts.filter { $0.slots > 0 }
    let racks = fleet.racks.count { $0.hosts.contains { $0.slots > 0 } }
    var policy = Scenario.policy(replicas: random.integer(in: 1...max(1, min(hosts.count, 4))), racks: racks, &random)
    // One that is decided before the first service, or after it.
    policy.name = random.happens(5_000) ? "cart" : "till"
    // The first knows one port only: that is its own.
    if plan.policy.ports.from == plan.policy.ports.to { policy.ports = PortRange(from: 8081, to: 8090) }
    var other = Plan(policy: policy, releases: releases)
    let later = other.releases.dropFirst()
    if random.happens(3_000), let bad = random.element(of: Array(later)) { other.badReleases[bad] = random.integer(in: 1...3) }
    if random.happens(2_000), let bad = random.element(of: Array(later)) { other.flaws[bad] = .errors(random.integer(in: 5_000...8_000)) }
    switch random.integer(in: 0...3) {
    case 0: other.policy.after = [plan.policy.name]
    case 1: plan.policy.after = [other.policy.name]
    default: break
    }
    neighbours = []
    second = other
    makeRoom(tightPorts: random.happens(5_000))
    for index in commands.indices where random.happens(5_000) { commands[index].service = 1 }
  }

  /// Slots for all that both may have at once: whoever goes back finds a place. With tight ports there are hardly more of them than slots, and
  /// both services take them from the same few.
  private mutating func makeRoom(tightPorts: Bool) {
    let hosts = fleet.hosts.count { $0.slots > 0 }
    let most = plans.reduce(0) { $0 + $1.policy.strategy.rules.bounds(replicas: $1.policy.replicas + 1).cap + 2 }
    let racks = fleet.racks.count { $0.hosts.contains { $0.slots > 0 } }
    let slots = max(fleet.hosts.map(\.slots).max() ?? 0, (most + hosts - 1) / hosts + 1)
    fleet = Scenario.fleet(racks: racks, perRack: hosts / racks, slots: slots)
    guard tightPorts, plan.policy.ports.from != plan.policy.ports.to else { return }
    let ports = PortRange(from: 20_000, to: 20_000 + slots + 3)
    plan.policy.ports = ports
    second?.policy.ports = ports
  }
}
