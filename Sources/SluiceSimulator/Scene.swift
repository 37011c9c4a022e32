import SluiceEngine
import SluiceModel
import SluiceRollout

/// All of a story that concerns one service: its part of each host and gateway, who acts on it, what the operator does, what was seen.
///
/// What befalls a host or a gateway befalls it for every service: `Simulation.onEachScene`.
struct Scene {
  let index: Int
  /// The operator changes it where nothing else goes on.
  var plan: Scenario.Plan
  var hosts: [HostName: SimulatedHost] = [:]
  var gateways: [GatewayID: SimulatedGateway] = [:]

  // MARK: Who acts

  var fence: Fence?
  /// How the process that runs has come to rest with it; nil: it has not.
  var rest: Engine.Rest?
  /// The next controller takes the fence from a live one.
  var takesOver = false
  var stateWasLost = false
  /// When a record was last begun anew, because none was to be found.
  var forgottenAt: Int64 = 0
  /// How often another one was found to hold the fence.
  var held = 0
  /// How often no record of what runs was found.
  var unfound = 0
  /// Attempts that have had their outcome, under the fence that stands.
  var concluded: Set<Int> = []

  // MARK: The operator

  /// Its first release has been asked for, or may be: one under another name waits until the former has had all of its own.
  var hasBegun = true

  /// Which of the plan's releases is applied next.
  var step = 0
  /// Its next release is applied together with another service's, which is not ready for that.
  var isHeld = false
  /// Nothing is left to be done.
  var isFinished = false
  var operatorActs = 0
  /// What the operator types next, when the last process has ended at a gate.
  var typed: Command?
  /// What was typed while no controller ran, and is given to the next one.
  var idle: [Command] = []
  var goalMoved = false
  /// How often all was whole at the end, and not spread as it should be.
  var skewed = 0
  var isFrozen = false
  /// How many releases were brought to mend what cannot be gone back from.
  var mendings = 0
  /// A task in doubt may be run again, says the operator.
  var mayRunAgain = false
  /// Or it counts as done.
  var isTakenAsDone = false
  /// The operator has taken `rackLossFloor` out of the manifest, because nothing else went on.
  var isRackLossAllowed = false

  // MARK: The world

  /// Since when no controller has been heard by a gateway; nil: it is.
  var unheardSince: [GatewayID: Int64] = [:]
  /// The gateways that no user reaches, an operator has said: also where the service has left them, and the record forgotten them.
  var excluded: Set<GatewayID> = []
  /// The table that a gateway had when an operator last said that users come through it again.
  var includedWith: [GatewayID: Revision] = [:]
  /// When the newest news of each gateway arrives.
  var newsAt: [GatewayID: Int64] = [:]
  /// When the newest counts of each gateway arrive.
  var trafficAt: [GatewayID: Int64] = [:]
  var startsOf: [Int: Int] = [:]
  /// Releases, by their numbers in the record, that are sick, and until when.
  var sick = Sickness()
  /// How many tables gateways have refused for reasons of their own, by the release that they named.
  var refusals: [Int: Int] = [:]
  /// In the order in which they began.
  var tasks: [SimulatedTask] = []

  // MARK: What was seen

  var everServed: Set<Int> = []
  /// Of each instance that was started: which of the scenario's releases it is.
  var releaseOf: [Int: Int] = [:]
  var sightings: [GatewayID: [Simulation.Sighting?]] = [:]
  /// The rollout and the release that the sightings are of.
  var seenIn: [GatewayID: String] = [:]
  /// How many requests the canary's users have made, by rollout.
  var met: [Int: Int] = [:]
  /// Releases that were gone back from.
  var withdrawn: Set<ReleaseNumber> = []
  var stepsBegan: [Simulation.StepBegan] = []
  var awaited: [Simulation.Awaited] = []
  /// How often checks have passed.
  var passes: [Simulation.CheckKey: Int] = [:]

  init(index: Int, plan: Scenario.Plan, scenario: Scenario) {
    self.index = index
    self.plan = plan
    for host in scenario.fleet.hosts where host.slots > 0 { hosts[host.name] = SimulatedHost() }
    for place in scenario.neighbours { hosts[place.host]?.neighbours.append(place.port) }
    for id in scenario.processes { gateways[id] = SimulatedGateway() }
    hasBegun = index == 0 || !scenario.isRenamed
  }

  var service: ServiceName { plan.policy.name }
}

/// Releases that have died together: what runs of them, and what is started of them.
struct Sickness {
  /// By their numbers in the record.
  var releases: [Int] = []
  var since: Int64 = 0
  var until: Int64 = 0

  func holds(_ release: ReleaseNumber, at time: Int64) -> Bool { time < until && releases.contains(release.number) }
}

extension Simulation {
  var service: ServiceName { scene.service }

  var scenes: [Scene] { ([scene] + others).sorted { $0.index < $1.index } }

  /// Brings the scene of that index to the front: all that follows is about its service.
  mutating func turn(to index: Int) {
    if scene.index == index { return }
    for place in others.indices where others[place].index == index { swap(&scene, &others[place]) }
  }

  mutating func turn(to service: ServiceName) {
    if scene.service == service { return }
    for place in others.indices where others[place].service == service { swap(&scene, &others[place]) }
  }

  /// The same for every service, in order; the one that was in front is so again afterwards.
  mutating func onEachScene(_ body: (inout Simulation) -> Void) {
    if others.isEmpty { return body(&self) }
    let front = scene.index
    for index in 0...others.count {
      turn(to: index)
      body(&self)
    }
    turn(to: front)
  }

  /// Whether all of them are so.
  func allScenes(_ holds: (Scene) -> Bool) -> Bool { holds(scene) && others.allSatisfy(holds) }

  /// Something will happen to the service in front.
  mutating func push(_ at: Int64, _ happening: Happening) { queue.push(at, (scene.index, happening)) }
}
