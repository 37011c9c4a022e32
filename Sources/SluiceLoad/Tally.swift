/// One request with its fate, as it is counted and recorded.
package struct Finished: Sendable {
  package var kind: RequestKind
  package var outcome: Outcome
  /// Nanoseconds since the run's start: monotonic.
  package var start: Int64
  package var end: Int64
  package var client: Int
  package var user: Int
  package var target: Int
  package var reused: Bool

  package init(kind: RequestKind, outcome: Outcome, start: Int64, end: Int64, client: Int, user: Int, target: Int, reused: Bool) {
    self.kind = kind
    self.outcome = outcome
    self.start = start
    self.end = end
    self.client = client
    self.user = user
    self.target = target
    self.reused = reused
  }
}

/// Sums over finished requests. Each loop has one; they merge by addition.
package struct Tally: Sendable {
  private struct Kind {
    var requests = 0
    var answered = 0
    var lost = 0
    var times = Histogram()
  }

  private let targets: [String]
  /// Wall clock at the run's start, in milliseconds since 1970.
  private let epoch: Int64
  package private(set) var requests = 0
  package private(set) var lost = 0
  package private(set) var answeredByRelease: [String: Int] = [:]
  private var fates: [Fate: Int] = [:]
  private var statuses: [Int: Int] = [:]
  private var releases: [String: Summary.Release] = [:]
  private var kinds: [RequestKind: Kind] = [:]
  private var losses: [Summary.Loss] = []
  package var connectionsOpened = 0
  /// Connections that this machine had no port or descriptor for; made later.
  package var localShortages = 0

  package init(targets: [String], epoch: Int64) {
    self.targets = targets
    self.epoch = epoch
  }

  package mutating func add(_ request: Finished) {
    let outcome = request.outcome
    requests += 1
    fates[outcome.fate, default: 0] += 1
    if outcome.status != 0 { statuses[outcome.status, default: 0] += 1 }
    let isLost = outcome.fate.isLost
    if isLost {
      lost += 1
      if losses.count < 20 { losses.append(loss(request)) }
    }
    addKind(request, isLost)
    if outcome.fate == .answered { addRelease(request) }
  }

  private mutating func addKind(_ request: Finished, _ isLost: Bool) {
    var kind = kinds.removeValue(forKey: request.kind) ?? Kind()
    kind.requests += 1
    if isLost { kind.lost += 1 }
    if request.outcome.fate == .answered {
      kind.answered += 1
      kind.times.add(microseconds: (request.end - request.start) / 1000)
    }
    kinds[request.kind] = kind
  }

  private mutating func addRelease(_ request: Finished) {
    let outcome = request.outcome
    let name = outcome.release ?? "unnamed"
    let at = epoch + request.end / 1_000_000
    var release = releases.removeValue(forKey: name) ?? Summary.Release(firstMilliseconds: at)
    release.answered += 1
    if outcome.status >= 500 { release.errors += 1 }
    release.firstMilliseconds = min(release.firstMilliseconds, at)
    release.lastMilliseconds = max(release.lastMilliseconds, at)
    if let host = outcome.host { release.hosts[host, default: 0] += 1 }
    if let instance = outcome.instance { release.instances[instance, default: 0] += 1 }
    releases[name] = release
    answeredByRelease[name] = release.answered
  }

  private func loss(_ request: Finished) -> Summary.Loss {
    let outcome = request.outcome
    return Summary.Loss(
      atMilliseconds: epoch + request.start / 1_000_000, afterMilliseconds: (request.end - request.start) / 1_000_000,
      kind: request.kind.rawValue, fate: outcome.fate.rawValue, status: outcome.status, target: targets[request.target],
      user: "u\(request.user)",
      reused: request.reused, release: outcome.release, host: outcome.host, detail: outcome.detail)
  }

  package mutating func merge(_ other: Tally) {
    requests += other.requests
    lost += other.lost
    connectionsOpened += other.connectionsOpened
    localShortages += other.localShortages
    fates.merge(other.fates, uniquingKeysWith: +)
    statuses.merge(other.statuses, uniquingKeysWith: +)
    answeredByRelease.merge(other.answeredByRelease, uniquingKeysWith: +)
    releases.merge(other.releases) { mine, theirs in
      Summary.Release(
        answered: mine.answered + theirs.answered, errors: mine.errors + theirs.errors,
        firstMilliseconds: min(mine.firstMilliseconds, theirs.firstMilliseconds),
        lastMilliseconds: max(mine.lastMilliseconds, theirs.lastMilliseconds),
        hosts: mine.hosts.merging(theirs.hosts, uniquingKeysWith: +),
        instances: mine.instances.merging(theirs.instances, uniquingKeysWith: +))
    }
    kinds.merge(other.kinds) { mine, theirs in
      var times = mine.times
      times.merge(theirs.times)
      return Kind(
        requests: mine.requests + theirs.requests, answered: mine.answered + theirs.answered, lost: mine.lost + theirs.lost, times: times)
    }
    losses = Array((losses + other.losses).sorted { $0.atMilliseconds < $1.atMilliseconds }.prefix(20))
  }

  /// `elapsed` and `gap` in nanoseconds.
  package func summary(elapsed: Int64, gap: Int64) -> Summary {
    var summary = Summary()
    summary.targets = targets
    summary.startedMilliseconds = epoch
    summary.endedMilliseconds = epoch + elapsed / 1_000_000
    summary.seconds = Double(elapsed / 1_000_000) / 1000
    summary.requests = requests
    summary.requestsPerSecond = elapsed > 0 ? (Double(requests) * 1e10 / Double(elapsed)).rounded() / 10 : 0
    summary.lost = lost
    for fate in Fate.allCases { summary.fates[fate.rawValue] = fates[fate] ?? 0 }
    for (status, count) in statuses { summary.statuses[String(status)] = count }
    summary.releases = releases
    var quick = Histogram()
    for (kind, counted) in kinds {
      summary.kinds[kind.rawValue] = Summary.Kind(
        requests: counted.requests, answered: counted.answered, lost: counted.lost, latency: Summary.Latency(counted.times))
      if kind == .get || kind == .post { quick.merge(counted.times) }
    }
    summary.latency = Summary.Latency(quick)
    summary.maxGapMilliseconds = Double(gap / 1000) / 1000
    summary.connectionsOpened = connectionsOpened
    summary.localShortages = localShortages
    summary.losses = losses
    return summary
  }
}
