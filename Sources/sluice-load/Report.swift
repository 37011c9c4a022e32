import Foundation
import SluiceLoad

/// How a run is told: progress on stderr, the summary on stdout.
enum Report {
  static func progress(_ progress: LoadProgress) {
    let releases = progress.answeredByRelease.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    let line = "\(progress.seconds)s  requests \(progress.requests)  lost \(progress.lost)  in flight \(progress.inFlight)  \(releases)\n"
    FileHandle.standardError.write(Data(line.utf8))
  }

  static func text(_ summary: Summary, _ format: OutputFormat) throws -> String {
    switch format {
    case .json:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(summary), as: UTF8.self)
    case .text: return lines(summary).joined(separator: "\n")
    }
  }

  private static func lines(_ summary: Summary) -> [String] {
    let fates = summary.fates.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    var lines = [
      "\(summary.requests) requests in \(summary.seconds) s (\(summary.requestsPerSecond)/s), lost \(summary.lost)",
      "fates: \(fates)",
      "get and post: \(times(summary.latency)); longest time without any answer \(summary.maxGapMilliseconds) ms",
    ]
    if summary.localShortages > 0 {
      lines.append("this machine lacked a local port or descriptor \(summary.localShortages) times: fewer new connections would suit it")
    }
    for (name, release) in summary.releases.sorted(by: { $0.value.firstMilliseconds < $1.value.firstMilliseconds }) {
      let span = "from \(clock(release.firstMilliseconds)) to \(clock(release.lastMilliseconds))"
      let hosts = release.hosts.count == 1 ? "1 host" : "\(release.hosts.count) hosts"
      lines.append("release \(name): \(release.answered) answers, \(release.errors) errors, \(span), \(hosts)")
    }
    for (name, kind) in summary.kinds.sorted(by: { $0.key < $1.key }) {
      lines.append("\(name): \(kind.requests) requests, \(kind.answered) answered, lost \(kind.lost), \(times(kind.latency))")
    }
    for loss in summary.losses {
      let after = "after \(loss.afterMilliseconds) ms at \(clock(loss.atMilliseconds))"
      lines.append("lost: \(loss.kind) \(loss.fate) \(loss.status) \(loss.detail ?? "") \(after) via \(loss.target) \(loss.host ?? "")")
    }
    return lines
  }

  private static func times(_ latency: Summary.Latency) -> String {
    "p50 \(latency.p50Milliseconds) ms, p99 \(latency.p99Milliseconds) ms, max \(latency.maxMilliseconds) ms"
  }

  /// UTC, to the millisecond.
  private static func clock(_ milliseconds: Int64) -> String {
    Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(
      .iso8601.time(includingFractionalSeconds: true).timeSeparator(.colon))
  }
}
