import SluiceModel
import SluiceRollout

/// A running rollout in a few lines of a terminal: how far it is, which wave runs, and every instance by rack and host with its state and its
/// requests in flight.
struct RolloutPicture {
  let fleet: Fleet
  let console: Console

  /// Lines that are no wider than `columns`, where one cell is not wider by itself; `since` is the time since the record was as it is.
  func lines(_ record: ServiceRecord, since: Milliseconds, columns: Int) -> [LiveArea.Line] {
    guard let rollout = record.rollout else { return [] }
    let head = "\(StatusText.headline(record)), \(counts(record, rollout))"
    var lines = [LiveArea.Line(""), LiveArea.Line(head, styled: console.styled(fitted(head, columns), .bold))]
    for text in CanaryView(record, since: since)?.lines ?? [] { lines.append(LiveArea.Line("  \(text)")) }
    if let wave = rollout.wave { lines.append(LiveArea.Line("  wave \(wave.number): \(text(wave, record))")) }
    if let gate = rollout.gate {
      let waits = "  waits: \(gate.description)"
      lines.append(LiveArea.Line(waits, styled: console.styled(fitted(waits, columns), .yellow)))
      lines.append(LiveArea.Line("  next: \(record.nextStep ?? "")"))
    }
    let width = fleet.racks.map(\.name.rawValue.count).max() ?? 0
    for rack in fleet.racks { lines += rows(rack, record, rackWidth: width, columns: columns) }
    for gateway in record.gateways {
      guard case .unreachable(let why) = gateway.reach else { continue }
      let text = "  gateway \(gateway.id) does not answer\(gateway.excluded ? " and is excluded" : ""): \(why)"
      lines.append(LiveArea.Line(text, styled: console.styled(fitted(text, columns), .red)))
    }
    return lines
  }

  /// A line that has to be cut loses its colours with its end, so what is coloured is cut before.
  private func fitted(_ text: String, _ columns: Int) -> String {
    text.count < columns ? text : String(text.prefix(max(0, columns - 2))) + "…"
  }

  private func counts(_ record: ServiceRecord, _ rollout: Rollout) -> String {
    let moved = record.instances.count { $0.isServing && $0.release == rollout.goal.release }
    let inFlight = record.gateways.reduce(0) { sum, gateway in sum + gateway.targets.reduce(0) { $0 + $1.inFlight } }
    let release = rollout.goal.release.map { "\(moved) on \($0), " } ?? ""
    return "\(release)\(inFlight) in flight"
  }

  private func text(_ wave: Wave, _ record: ServiceRecord) -> String {
    wave.replacements.map { replacement in
      switch (place(replacement.old, record), place(replacement.new, record)) {
      case (let old?, let new?): "\(old) → \(new)"
      case (nil, let new?): "+ \(new)"
      case (let old?, nil): "− \(old)"
      case (nil, nil): "nothing"
      }
    }.joined(separator: ", ")
  }

  /// An old instance that is gone is still named by its number.
  private func place(_ number: Int?, _ record: ServiceRecord) -> String? {
    number.map { number in "\(record.service)/\(number)" + (record.instance(number).map { " (\($0.host))" } ?? "") }
  }

  /// One rack: its hosts side by side as far as they fit, the rest below.
  private func rows(_ rack: Rack, _ record: ServiceRecord, rackWidth: Int, columns: Int) -> [LiveArea.Line] {
    var lines: [LiveArea.Line] = []
    var line = LiveArea.Line("  \(StatusText.pad(rack.name.rawValue, rackWidth))")
    let indent = String(repeating: " ", count: line.plain.count)
    var isEmpty = true
    for host in rack.hosts {
      let instances = record.instances.filter { $0.host == host.name }
      let isLost: Bool = if case .unreachable? = record.host(host.name)?.reach { true } else { false }
      if instances.isEmpty && !isLost { continue }
      let cell = cell(host, instances, isLost: isLost, record)
      if !isEmpty, line.plain.count + 2 + cell.plain.count >= columns {
        lines.append(line)
        line = LiveArea.Line(indent)
        isEmpty = true
      }
      line = LiveArea.Line(line.plain + "  " + cell.plain, styled: line.styled + "  " + cell.styled)
      isEmpty = false
    }
    if !isEmpty { lines.append(line) }
    return lines
  }

  private func cell(_ host: Host, _ instances: [Instance], isLost: Bool, _ record: ServiceRecord) -> LiveArea.Line {
    let words = instances.map { (plain: StatusText.cell($0, record: record), style: style($0)) }
    let name = "\(host.name)\(isLost ? " unreachable" : "")"
    let plain = "\(name) [\(words.map(\.plain).joined(separator: ", "))]"
    let states = words.map { console.styled($0.plain, $0.style) }.joined(separator: ", ")
    let styled = "\(isLost ? console.styled(name, .red) : name) [\(states)]"
    return LiveArea.Line(plain, styled: styled)
  }

  private func style(_ instance: Instance) -> Console.Style {
    switch instance.phase {
    case .serving: instance.healthySince == nil ? .red : .green
    case .lost: .red
    case .draining, .stopping: .yellow
    case .reserved, .starting, .checking, .warming, .retired: .dim
    }
  }
}
