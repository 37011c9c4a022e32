import SluiceModel
import SluiceRollout

/// A record in a few lines, for people.
enum StatusText {
  /// `shop: rolling to @2, wave 3, 5 of 6 serving`
  static func headline(_ record: ServiceRecord) -> String {
    let serving = record.instances.count(where: \.isServing)
    let wanted = record.goal.map { $0.release == nil ? 0 : $0.replicas } ?? 0
    let counts = "\(serving) of \(wanted) serving"
    guard let rollout = record.rollout else {
      let release = record.stable?.release.map { "\(record.service)\($0)" } ?? "\(record.service): never released"
      return "\(release), \(counts)"
    }
    let target = rollout.goal.release.map { "@\($0.number)" } ?? "none"
    let way = rollout.direction.isForward ? "\(rollout.cause) to \(target)" : "going back to \(target)"
    let wave = rollout.wave.map { ", wave \($0.number)" } ?? ", \(rollout.stage.rawValue)"
    return "\(record.service): \(way)\(wave), \(counts)"
  }

  /// `3@2 serving`, or with what a gateway measures: `1@1 draining 4`
  static func cell(_ instance: Instance, record: ServiceRecord) -> String {
    let inFlight = record.gateways.reduce(0) { $0 + ($1.target(instance.number)?.inFlight ?? 0) }
    return "\(instance.number)\(instance.release) \(word(instance))\(inFlight > 0 ? " \(inFlight)" : "")"
  }

  static func word(_ instance: Instance) -> String {
    switch instance.phase {
    case .reserved: "reserved"
    case .starting: "starting"
    case .checking: "checking"
    case .warming: "warming"
    case .serving: instance.healthySince == nil ? "unhealthy" : "serving"
    case .draining: "draining"
    case .stopping: "stopping"
    case .retired: "stopped"
    case .lost: "lost"
    }
  }

  /// Everything `sluice status` says of one service.
  static func lines(_ record: ServiceRecord) -> [String] {
    var lines = [headline(record)]
    if let rollout = record.rollout {
      if case .back(let why, _) = rollout.direction { lines.append("  going back: \(why)") }
      if let gate = rollout.gate {
        lines.append("  waits: \(gate.description)")
        lines.append("  next: \(gate.remedy(service: record.service))")
      }
    } else if let end = record.ended {
      lines.append("  last: \(end.cause) by \(end.by) \(end.result.words)\(end.reason.isEmpty ? "" : ": \(end.reason)")")
    }
    for instance in record.instances {
      let inFlight = record.gateways.reduce(0) { $0 + ($1.target(instance.number)?.inFlight ?? 0) }
      lines.append(
        "  \(pad("\(record.service)/\(instance.number)", 12)) \(pad("\(instance.release)", 5)) \(pad(instance.host.rawValue, 10)) "
          + "\(pad("\(instance.address):\(instance.port)", 22)) \(pad(word(instance), 10)) \(inFlight > 0 ? "\(inFlight) in flight" : "")")
    }
    for gateway in record.gateways {
      let reach =
        switch gateway.reach {
        case .reachable: "reachable"
        case .unknown: "not asked yet"
        case .unreachable(let why): "unreachable: \(why)"
        }
      lines.append(
        "  gateway \(gateway.id): table \(gateway.revision?.description ?? "none"), \(reach)\(gateway.excluded ? ", excluded" : "")")
    }
    for release in record.releases {
      if case .bad(let why) = release.status { lines.append("  release \(release.number) is marked bad: \(why)") }
    }
    return lines.map { String($0.reversed().drop { $0 == " " }.reversed()) }
  }

  static func pad(_ text: String, _ width: Int) -> String {
    text.count >= width ? text : text + String(repeating: " ", count: width - text.count)
  }
}
