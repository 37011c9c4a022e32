import SluiceGatewayAPI
import SluiceModel
import SluiceRollout
import SluiceTraffic

/// `sluice status --output json`, one object a service: stable names, documented in the README.
struct StatusReport: Codable {
  struct InstanceReport: Codable {
    var instance: String
    var release: Int
    var host: String
    var address: String
    var port: Int
    var phase: String
    var serving: Bool
    var inFlight: Int
    /// How its program ended, where its host has told that it is down.
    var down: String?
    var downSince: WallTime?
    var exitStatus: Int?
  }

  struct RolloutReport: Codable {
    var number: Int
    var cause: String
    var by: String
    var release: Int?
    var direction: String
    var stage: String
    var wave: Int?
    var waits: String?
    var next: String?
    var pausedBy: String?
    /// Who gets which release, while two are kept apart.
    var canary: CanaryReport?
    var drivenBy: RolloutDriver?
  }

  struct GatewayReport: Codable {
    var gateway: String
    /// nil when it was not asked.
    var answers: Bool?
    /// Why it did not answer.
    var error: String?
    var excluded: Bool
    /// The table it has now; where it did not answer, the last one that it said it had.
    var table: String?
    var `switch`: String?
    var draining: Bool?
    var degraded: String?
  }

  struct SwitchStand: Codable {
    var state: String
    var since: WallTime?
    var pending: String?
    var at: WallTime?
    /// Where it stands so; empty: at every gateway.
    var gateways: [String]
  }

  var service: String
  var release: Int?
  var replicas: Int
  var serving: Int
  var floor: Int
  var stopped: Bool
  /// Whether a gateway was asked; otherwise everything is as recorded.
  var asked: Bool
  /// When the record last had something to tell.
  var recordedAt: WallTime?
  var rollout: RolloutReport?
  /// Who lets no release begin, and why.
  var frozen: String?
  var lastResult: String?
  var lastReason: String?
  var instances: [InstanceReport]
  var gateways: [GatewayReport]
  /// The state that is the farthest from open, where gateways differ; nil where none says.
  var `switch`: SwitchStand?
  var actedSince: ActedSince?
  var badReleases: [Int]
  /// The fleet's drained hosts, as far as this machine has said or heard so.
  var drainedHosts: [DrainedHost]

  init(_ now: ServiceNow, cordons: Cordons) {
    drainedHosts = cordons.words.filter(\.isDrained).map { DrainedHost($0) }
    let record = now.record
    service = record.service.rawValue
    release = record.stable?.release?.number
    replicas = now.wanted
    serving = now.serving
    floor = record.policy.strategy.rules.bounds(replicas: now.wanted).floor
    stopped = now.isStopped
    asked = now.wasAsked
    recordedAt = now.recordedAt
    rollout = record.rollout.map { rollout in
      RolloutReport(
        number: rollout.number, cause: rollout.cause, by: rollout.by, release: rollout.goal.release?.number,
        direction: rollout.direction.isForward ? "forward" : "back", stage: rollout.stage.rawValue, wave: rollout.wave?.number,
        waits: rollout.gate?.description, next: record.nextStep, pausedBy: rollout.pausedBy,
        canary: CanaryReport(record, fallenBack: now.fallenBack), drivenBy: now.driver)
    }
    frozen = record.freeze.map { "by \($0.by)\($0.reason.isEmpty ? "" : ": \($0.reason)")" }
    lastResult = record.ended?.result.rawValue
    lastReason = record.ended.flatMap { $0.reason.isEmpty ? nil : $0.reason }
    instances = record.instances.map { instance in
      InstanceReport(
        instance: "\(record.service)/\(instance.number)", release: instance.release.number, host: instance.host.rawValue,
        address: instance.address, port: instance.port, phase: now.word(instance), serving: now.isServing(instance),
        inFlight: now.inFlight(instance), down: now.isServing(instance) ? nil : instance.down?.description,
        downSince: now.isServing(instance) ? nil : instance.down?.end?.since,
        exitStatus: now.isServing(instance) ? nil : instance.down?.end?.exitStatus)
    }
    gateways = record.gateways.map { gateway in
      let status = now.answer(gateway.id)
      let why: String? = if case .silent(let why)? = now.answers?[gateway.id] { why } else { nil }
      let service = now.status(gateway.id)
      return GatewayReport(
        gateway: gateway.id.description, answers: now.answers?[gateway.id].map { $0.status != nil }, error: why, excluded: gateway.excluded,
        table: (status == nil ? gateway.revision : service?.revision)?.description, switch: service?.switch.state.rawValue,
        draining: status?.draining, degraded: status?.degraded)
    }
    let worst = now.switches.first { $0.state == .closed } ?? now.switches.first { $0.state == .queue } ?? now.switches.first
    `switch` = worst.map {
      SwitchStand(
        state: $0.state.rawValue, since: $0.since, pending: $0.pending?.state.rawValue, at: $0.pending?.at,
        gateways: $0.gateways.map(\.description))
    }
    actedSince = now.acted
    badReleases = record.badReleases.map(\.number.number)
  }
}
