import Glibc
import SluiceGatewayAPI
import SluiceModel
import SluiceRollout

/// A service in a few lines, for people.
enum StatusText {
  private static let badShown = 3

  /// `shop: rolling to @2, wave 3, 5 of 6 serving`
  static func headline(_ record: ServiceRecord) -> String { headline(ServiceNow(record: record)) }

  /// The same with what the gateways say now, and with a switch that is not open.
  static func headline(_ now: ServiceNow) -> String {
    [standing(now), counts(now), now.switchWords, now.record.freeze.map { "frozen by \($0.by)" }].compactMap { $0 }.joined(separator: ", ")
  }

  private static func counts(_ now: ServiceNow) -> String {
    if let acted = now.acted, acted.table { return "THIS RECORD IS OLD: \(acted.by) has changed the table since" }
    let counts = now.serving > now.wanted ? "\(now.serving) serving, \(now.wanted) wanted" : "\(now.serving) of \(now.wanted) serving"
    if !now.wasAsked || now.hasVoice { return counts }
    let why = now.record.gateways.contains { now.answer($0.id) != nil } ? "no gateway that users reach answers" : "no gateway answers"
    return "\(counts) \(recorded(now)), for \(why)"
  }

  private static func standing(_ now: ServiceNow) -> String {
    let record = now.record
    if let removal = record.removal {
      let words = removal.successor.map { "it goes on as \($0)" } ?? "removed by \(removal.by)"
      return "\(record.service): \(words), \(TimeText.utc(removal.at))"
    }
    guard let rollout = record.rollout else {
      guard let release = record.stable?.release else { return "\(record.service): never released" }
      guard now.isStopped else { return "\(record.service)\(release)" }
      let route = record.routeGivenUp == true ? ", its route given up" : ""
      return "\(record.service)\(release): stopped\(route) (sluice start \(record.service))"
    }
    let target = rollout.goal.release.map { " to @\($0.number)" } ?? ""
    let way = rollout.direction.isForward ? "\(rollout.cause)\(target)" : "going back\(target)"
    return "\(record.service): \(way)\(halt(rollout).map { ", \($0)" } ?? ""), \(stage(rollout))"
  }

  private static func stage(_ rollout: Rollout) -> String {
    if let wave = rollout.wave { return "wave \(wave.number)" }
    guard rollout.stage == .waves else { return rollout.stage.rawValue }
    return rollout.waves == 0 ? "before wave 1" : "after wave \(rollout.waves)"
  }

  /// Why nothing new is begun, where a person has wanted it so or has to look.
  private static func halt(_ rollout: Rollout) -> String? {
    if let by = rollout.pausedBy { return "paused by \(by)" }
    if rollout.stoppedBy != nil { return "stopped by a failure" }
    return rollout.interrupted ? "interrupted" : nil
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
  static func lines(_ now: ServiceNow) -> [String] {
    let record = now.record
    var lines = [headline(now)]
    if let acted = now.acted {
      lines.append("  \(acted.text)")
      lines.append("  next: \(acted.next)")
    }
    lines += course(record, fallenBack: now.fallenBack, since: now.sinceCommit)
    if let driver = now.driver { lines.append("  \(driver.text)") }
    if now.answers != nil, !now.wasAsked { lines.append("  \(recorded(now)): it is behind no gateway that could be asked") }
    for instance in record.instances {
      let inFlight = now.inFlight(instance)
      let more = [inFlight > 0 ? "\(inFlight) in flight" : nil, downtime(instance, now), now.trouble(instance)].compactMap { $0 }.joined(
        separator: ", ")
      lines.append(
        "  \(pad("\(record.service)/\(instance.number)", 12)) \(pad("\(instance.release)", 5)) \(pad(instance.host.rawValue, 10)) "
          + "\(pad("\(instance.address):\(instance.port)", 22)) \(pad(now.word(instance), 10)) \(more)")
    }
    for gateway in record.gateways { lines.append("  gateway \(gateway.id): \(text(gateway, now))\(gateway.excluded ? ", excluded" : "")") }
    lines += badReleases(record)
    return lines.map { String($0.reversed().drop { $0 == " " }.reversed()) }
  }

  /// Since when its program is down and how it ended, as its host has told; nil where it serves.
  static func downtime(_ instance: Instance, _ now: ServiceNow) -> String? {
    guard let down = instance.down, !now.isServing(instance) else { return nil }
    let since = down.end?.since.map { "down since \(TimeText.utc($0)): " } ?? "down: "
    return since + down.description
  }

  /// What its rollout does and waits for, and what to type next; or how the last one ended.
  static func course(_ record: ServiceRecord, fallenBack: [GatewayID] = [], since: Milliseconds = .zero) -> [String] {
    guard let rollout = record.rollout else {
      guard let end = record.ended else { return [] }
      return ["  last: \(end.cause) by \(end.by) \(end.result.words)\(end.reason.isEmpty ? "" : ": \(end.reason)")"]
    }
    var lines: [String] = []
    if case .back(let why, _) = rollout.direction { lines.append("  going back: \(why)") }
    lines += CanaryView(record, fallenBack: fallenBack, since: since)?.lines.map { "  \($0)" } ?? []
    if let gate = rollout.gate, let next = record.nextStep { lines += ["  waits: \(gate.description)", "  next: \(next)"] }
    return lines
  }

  /// `as recorded at 2026-11-21 04:00:00 UTC`
  static func recorded(_ now: ServiceNow) -> String { "as recorded" + (now.recordedAt.map { " at \(TimeText.utc($0))" } ?? "") }

  private static func text(_ gateway: GatewayState, _ now: ServiceNow) -> String {
    let recorded = "table \(gateway.revision?.description ?? "none")"
    switch now.answers?[gateway.id] {
    case .silent(let why)?: return "does not answer: \(why) (\(recorded) as recorded)"
    case .status(let status)?:
      let service = now.status(gateway.id)
      var words = ["table \(service?.revision?.description ?? "none")", "answers"]
      let own = now.record.table.revision
      if let live = service?.revision, live != own { words[0] += live < own ? " (the newest is \(own))" : " (this record's is \(own))" }
      if service?.panicking ?? false { words.append("nearly all targets fail, so all are used") }
      if status.draining { words.append("drained for what stands in front") }
      if let degraded = status.degraded { words.append("DEGRADED: \(degraded)") }
      words += (status.warnings ?? []).map { "WARNING: \($0)" }
      return words.joined(separator: ", ")
    case nil:
      let reach =
        switch gateway.reach {
        case .reachable: "was reachable"
        case .unknown: "not asked yet"
        case .unreachable(let why): "was unreachable: \(why)"
        }
      return "\(recorded), \(reach)"
    }
  }

  /// The newest ones; no reason is longer than a line.
  private static func badReleases(_ record: ServiceRecord) -> [String] {
    let bad = record.badReleases
    let width = isatty(STDOUT_FILENO) == 1 ? LiveArea.Size.of(STDOUT_FILENO).columns : 160
    var lines = bad.suffix(badShown).reversed().map { number, why in
      let line = "  release \(number) is marked bad: \(why.split(separator: "\n", omittingEmptySubsequences: true).joined(separator: " "))"
      return line.count > width ? String(line.prefix(width - 1)) + "…" : line
    }
    if bad.count > badShown {
      lines.append("  and \(bad.count - badShown) older, marked bad too: sluice history \(record.service)")
    }
    return lines
  }

  static func pad(_ text: String, _ width: Int) -> String {
    text.count >= width ? text : text + String(repeating: " ", count: width - text.count)
  }
}
