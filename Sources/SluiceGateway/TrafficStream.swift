import NIOCore
import SluiceGatewayAPI
import SluiceModel

/// Which generations of splits watchers are told of, and what of them is news. Touched on the control loop only.
struct TrafficStream {
  /// How long a generation is told of after it has gone: its last requests end meanwhile.
  static let told = TimeAmount.minutes(2)

  private struct Known {
    var present: Revision?
    var gone: [(generation: Revision, until: NIODeadline)] = []
    var sent: [Revision: TrafficReport] = [:]
  }

  private var services: [ServiceName: Known] = [:]

  /// A service's table says that this generation is the present one; nil: it has no split.
  mutating func follow(_ service: ServiceName, _ generation: Revision?, now: NIODeadline) {
    guard generation != nil || services[service] != nil else { return }
    var known = services[service] ?? Known()
    if let before = known.present, before != generation { known.gone.append((before, now + Self.told)) }
    known.gone.removeAll { $0.generation == generation || $0.until <= now }
    known.present = generation
    services[service] = known
  }

  /// The services there is something to tell of.
  mutating func told(now: NIODeadline) -> [ServiceName] {
    for name in services.keys.sorted() {
      services[name]!.gone.removeAll { $0.until <= now }
      if services[name]!.present == nil, services[name]!.gone.isEmpty { services[name] = nil }
    }
    return services.keys.sorted()
  }

  /// The reports that differ from those sent last; `all`: those that do not, too.
  mutating func news(_ service: ServiceName, _ tally: SplitTally?, all: Bool) -> [TrafficReport] {
    guard var known = services[service] else { return [] }
    let wanted = known.gone.map(\.generation) + [known.present].compactMap(\.self)
    let reports = (tally?.generations ?? []).filter { wanted.contains($0.revision) }.sorted { $0.revision < $1.revision }.map {
      TrafficReport(
        service: service, generation: $0.revision, canary: $0.counts.canary.traffic, stable: $0.counts.stable.traffic)
    }
    let news = reports.filter { all || known.sent[$0.generation] != $0 }
    known.sent = [:]
    for report in reports { known.sent[report.generation] = report }
    services[service] = known
    return news
  }
}
