internal import Foundation
internal import SluiceModel
internal import SluiceRollout

/// What a hook is told, in its environment and, with more, as one JSON object on its standard input. No secret is in it.
struct HookReport: Encodable {
  struct Release: Encodable {
    var number: Int
    var digest: String
    var artifact: String
  }

  struct Rollout: Encodable {
    var number: Int
    var cause: String
    var by: String
    /// `forward` or `back`.
    var direction: String
    /// Why it goes back; absent on the way forward.
    var because: String?
    var waves: Int
    var failures: [String]
  }

  /// `shop-12`: unique, and fit for a file name.
  var attempt: String
  var hook: String
  var fleet: String
  var service: String
  /// What the service is on its way to; absent when all instances are to go.
  var release: Release?
  /// What it comes from; absent before the first.
  var origin: Release?
  var wave: Int?
  var replicas: Int
  var rollout: Rollout?

  init(_ call: HookCall, record: ServiceRecord, attempt: Int) {
    self.attempt = "\(record.service)-\(attempt)"
    hook = call.point.rawValue
    fleet = record.policy.fleet.rawValue
    service = record.service.rawValue
    wave = call.wave
    let goal = record.goal
    replicas = goal?.replicas ?? record.policy.replicas
    release = goal?.release.flatMap { Self.release($0, record) }
    origin = record.rollout?.origin.release.flatMap { Self.release($0, record) }
    rollout = record.rollout.map { rollout in
      var (direction, because): (String, String?) = ("forward", nil)
      if case .back(let reason, _) = rollout.direction { (direction, because) = ("back", reason) }
      return Rollout(
        number: rollout.number, cause: rollout.cause, by: rollout.by, direction: direction, because: because, waves: rollout.waves,
        failures: rollout.failures.map(\.failure.message))
    }
  }

  private static func release(_ number: ReleaseNumber, _ record: ServiceRecord) -> Release? {
    guard let release = record.release(number) else { return nil }
    return Release(number: number.number, digest: release.digest.rawValue, artifact: release.spec.artifact.rawValue)
  }

  var environment: [String: String] {
    [
      "SLUICE_ATTEMPT_ID": attempt, "SLUICE_HOOK": hook, "SLUICE_SERVICE": service, "SLUICE_FLEET": fleet,
      "SLUICE_RELEASE": release.map { "\(service)@\($0.number)" } ?? "", "SLUICE_WAVE": wave.map(String.init) ?? "",
      "SLUICE_ROLLOUT": rollout.map { String($0.number) } ?? "", "SLUICE_DIRECTION": rollout?.direction ?? "",
    ]
  }

  func json() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return [UInt8](try encoder.encode(self)) + [UInt8(ascii: "\n")]
  }
}
